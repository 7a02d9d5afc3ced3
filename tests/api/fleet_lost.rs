//! A job over many devices where the reply to a request for a collection is lost, or the service refuses one because a
//! collection runs. The other devices go on meanwhile.

use std::time::{Duration, Instant};

use mde_simulator::Simulator;
use mde_tests::client;
use mde_tests::packages::{Folder, collections_asked_for, quick};
use serde_json::{Value, json};

use super::fleet::{OPTIONS, all_there, collections_of, devices, states};

/// How long the list may take to show a new action.
const LAG: Duration = Duration::from_secs(10);

/// The first request of this device is answered by nobody, before or after it is carried out.
fn lose(sim: &Simulator, machine: usize, is_carried_out: bool) {
    let path = format!("{}/collectInvestigationPackage", sim.machine_id(machine));
    sim.script(json!({"match": {"path_contains": path}, "process": is_carried_out, "close": "before_reply"}))
        .unwrap();
}

/// The lists of the collections of one device.
fn searches(sim: &Simulator) -> usize {
    sim.requests().iter().filter(|one| one.query.contains("machineId")).count()
}

/// When the devices had their packages.
struct Ended {
    began: Instant,
    times: Vec<(String, Duration)>,
}

impl Ended {
    fn new() -> Ended {
        Ended { began: Instant::now(), times: Vec::new() }
    }

    fn see(&mut self, event: &Value) {
        if event["stage"] == "ended" {
            let id = event["machine_id"].as_str().unwrap().to_owned();
            self.times.push((id, self.began.elapsed()));
        }
    }
}

#[test]
fn a_lost_reply_holds_up_no_other_device() {
    for is_carried_out in [true, false] {
        let (sim, folder) = (quick(), Folder::new());
        lose(&sim, 0, is_carried_out);
        let client = client(&sim, &OPTIONS);
        let mut ended = Ended::new();
        let mut progress = |event: Value| {
            ended.see(&event);
            true
        };
        let devices = devices(&sim, 0, 5);
        let document =
            client.fetch_packages(Some(&devices), &folder.0, Some(&mut progress), None).ok();
        all_there(&document, &sim, 5);
        assert_eq!(document["packages"][0]["adopted"], is_carried_out);
        let asked = collections_asked_for(&sim);
        assert_eq!((asked, searches(&sim)), (if is_carried_out { 5 } else { 6 }, 1));
        assert!(ended.began.elapsed() < 2 * LAG);
        let lost = sim.machine_id(0);
        let others = ended.times.iter().filter(|(id, _)| *id != lost);
        assert_eq!(others.clone().count(), 4);
        assert!(others.into_iter().all(|(_, time)| *time < LAG), "{:?}", ended.times);
    }
}

#[test]
fn a_collection_that_runs_is_taken_without_holding_up_the_others() {
    for (on_duplicate, state) in [("adopt", "done"), ("error", "failed")] {
        let (sim, folder) = (quick(), Folder::new());
        let client = client(&sim, &[&OPTIONS[..], &[("on_duplicate", on_duplicate)]].concat());
        // The action is pending until the device is back.
        sim.set(|b| b.offline = 1);
        client.collect(&sim.machine_id(0), "another reason").ok();
        let mut ended = Ended::new();
        let mut progress = |event: Value| {
            ended.see(&event);
            true
        };
        let devices = devices(&sim, 0, 3);
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(LAG + Duration::from_secs(1));
                sim.set(|b| b.offline = 0);
            });
            client.fetch_packages(Some(&devices), &folder.0, Some(&mut progress), None)
        });
        assert_eq!(states(&outcome.document), [state, "done", "done"]);
        let first = &outcome.document["packages"][0];
        match on_duplicate {
            "adopt" => assert_eq!(first["adopted"], true),
            _ => assert_eq!(first["error"]["name"], "already_running", "{first}"),
        }
        assert_eq!((collections_of(&sim)[&sim.machine_id(0)], searches(&sim)), (1, 1));
        let others = ended.times.iter().filter(|(id, _)| *id != sim.machine_id(0));
        assert!(others.into_iter().all(|(_, time)| *time < LAG), "{:?}", ended.times);
    }
}
