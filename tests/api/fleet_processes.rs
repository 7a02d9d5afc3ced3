//! A job over many devices whose process is killed, and jobs of several processes that share the quota.

use std::process::Stdio;
use std::time::Duration;

use mde_simulator::{Config, Endpoint, Limit, Simulator};
use mde_tests::child::{self, Task};
use mde_tests::packages::{Folder, quick};
use mde_tests::{client, read_packages};
use serde_json::Value;

use super::fleet::{OPTIONS, all_there, collections_of, devices};

/// How often the process is killed.
const KILLS: u64 = 40;

#[test]
fn a_process_that_is_killed_at_any_time_loses_nothing() {
    let (sim, folder) = (quick(), Folder::new());
    sim.set(|b| (b.pending_s, b.in_progress_s) = (0.3, 0.3));
    let devices = devices(&sim, 0, 40);
    let task = Task::FetchPackages {
        options: child::options(&sim, &OPTIONS),
        devices: devices.clone(),
        folder: folder.0.clone(),
    };
    for round in 0..KILLS {
        let mut process =
            task.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(20 + round * 37 % 230));
        process.kill().unwrap();
        process.wait().unwrap();
    }
    let client = client(&sim, &OPTIONS);
    let document = client.fetch_packages(Some(&devices), &folder.0, None, None).ok();
    all_there(&document, &sim, 40);
    let left = folder.names();
    let zips = left.iter().filter(|name| name.ends_with(".zip")).count();
    assert_eq!(zips, 40, "{left:?}");
    assert!(!left.iter().any(|name| name.contains(".part")), "{left:?}");
}

#[test]
fn processes_share_the_quota_through_a_file() {
    let mut config = Config { machines: 100, ..Config::default() };
    for (endpoint, calls) in [(Endpoint::Link, 4), (Endpoint::Collect, 20)] {
        config.quota_limits.insert(endpoint, vec![Limit { calls, seconds: 2 }]);
    }
    let sim = Simulator::start(config).unwrap();
    sim.set(|b| (b.pending_s, b.in_progress_s) = (0.1, 0.1));
    let (one, other) = (Folder::new(), Folder::new());
    let quota = one.0.join("quota.mde");
    let limits = "link=4/2;collect=20/2;read=50000/60;list=50000/60";
    let options = [
        ("poll_interval_ms", "100"),
        ("quota_limits", limits),
        ("quota_file", quota.to_str().unwrap()),
    ];
    let tasks = [(&one, 0), (&other, 10)].map(|(folder, first)| Task::FetchPackages {
        options: child::options(&sim, &options),
        devices: devices(&sim, first, 10),
        folder: folder.0.clone(),
    });
    let documents: Vec<Value> = std::thread::scope(|scope| {
        let runs: Vec<_> = tasks.iter().map(|task| scope.spawn(|| task.finish())).collect();
        runs.into_iter().map(|run| serde_json::from_str(&run.join().unwrap()).unwrap()).collect()
    });
    for (document, folder) in documents.iter().zip([&one, &other]) {
        assert_eq!(document["summary"]["done"], 10, "{document}");
        let mut read = read_packages(&folder.0).ok();
        read["summary"]["eta_ms"] = document["summary"]["eta_ms"].clone();
        assert_eq!(read["packages"], document["packages"]);
    }
    assert_eq!(sim.refusals(), 0);
    assert_eq!(collections_of(&sim).values().sum::<usize>(), 20);
}
