//! A refused package keeps its bytes and its answer, wherever its process ends: at every rename of the call that keeps it,
//! and of the one that accepts it. strace ends the processes, and stands for file systems.

use std::fs;
use std::process::Output;

use mde_simulator::{PackageFault, Simulator};
use mde_tests::child::{self, Task};
use mde_tests::packages::{Folder, collections_asked_for, links_asked_for, quick, sha256};
use serde_json::Value;

use crate::file_systems::{document, under};

const OPTIONS: [(&str, &str); 2] = [
    ("poll_interval_ms", "100"),
    ("quota_limits", "link=100000/60;collect=100000/60;read=100000/60;list=100000/60"),
];

/// File systems, and the calls by which they rename: an ordinary one, and one where only a claim replaces nothing, with
/// and without attributes.
const SYSTEMS: [(Faults, &str); 4] = [
    (&[], "renameat2"),
    (&[], "rename"),
    (&[("renameat2", "error=EINVAL"), ("link,linkat", "error=EPERM")], "rename"),
    (
        &[
            ("renameat2", "error=EINVAL"),
            ("link,linkat", "error=EPERM"),
            ("fsetxattr", "error=EOPNOTSUPP"),
        ],
        "rename",
    ),
];

type Faults = &'static [(&'static str, &'static str)];

struct Scene {
    sim: Simulator,
    folder: Folder,
    faults: Faults,
    renames: &'static str,
}

impl Scene {
    fn new((faults, renames): (Faults, &'static str)) -> Scene {
        let sim = quick();
        sim.set(|b| b.package_fault = PackageFault::Unsafe);
        Scene { sim, folder: Folder::new(), faults, renames }
    }

    fn task(&self, accepts: bool) -> Task {
        let accept = ("accept_unsafe", if accepts { "yes" } else { "no" });
        let options = child::options(&self.sim, &[OPTIONS[0], OPTIONS[1], accept]);
        Task::Fetch { options, machine: self.sim.machine_id(0), path: self.folder.path() }
    }

    /// Ends at this rename.
    fn killed(&self, accepts: bool, round: usize) -> Output {
        let kill = format!("error=EIO:signal=KILL:when={round}");
        let faults = [self.faults, &[(self.renames, &*kill)]].concat();
        under(&self.task(accepts), &faults).output().unwrap()
    }

    fn fetch(&self, accepts: bool) -> Value {
        document(&mut under(&self.task(accepts), self.faults))
    }

    /// The answer says where the package is, and only what belongs to it is beside it.
    #[track_caller]
    fn has(&self, document: &Value, name: &str, round: usize) {
        let package = &document["package"];
        let path = self.folder.0.join(name);
        assert_eq!(package["path"], path.to_str().unwrap(), "round {round}: {document}");
        assert_eq!(package["sha256"], sha256(&fs::read(path).unwrap()), "round {round}");
        let beside = ["package.zip.fetch.json", "package.zip.part.json"];
        let mut others = self.folder.names();
        others.retain(|other| other != name && !beside.contains(&&**other));
        assert!(others.is_empty(), "round {round}: {others:?}");
        assert_eq!(collections_asked_for(&self.sim), 1, "round {round}");
    }
}

/// At the same time, since most of it is waiting. Returns the number of ends.
fn on_every_system(check: impl Fn((Faults, &'static str)) -> usize + Sync) -> usize {
    std::thread::scope(|scope| {
        let checks: Vec<_> = SYSTEMS.iter().map(|it| scope.spawn(|| check(*it))).collect();
        checks.into_iter().map(|check| check.join().unwrap()).sum()
    })
}

#[test]
fn a_package_is_kept_wherever_its_process_ends() {
    let ends = on_every_system(|system| {
        for round in 1.. {
            let scene = Scene::new(system);
            if scene.killed(false, round).status.success() {
                return round - 1;
            }
            let bytes = |name: &str| fs::metadata(scene.folder.0.join(name)).map_or(0, |m| m.len());
            let left = bytes("package.zip.part").max(bytes("package.zip.unsafe"));
            let links = links_asked_for(&scene.sim);
            let refused = scene.fetch(false);
            assert_eq!(refused["error"]["name"], "unsafe", "{refused}");
            scene.has(&refused, "package.zip.unsafe", round);
            let whole = refused["package"]["bytes"] == left;
            assert_eq!(links_asked_for(&scene.sim) - links, usize::from(!whole), "round {round}");
        }
        unreachable!()
    });
    assert!(ends > 12, "{ends}");
}

#[test]
fn a_package_is_accepted_wherever_its_process_ends() {
    let ends = on_every_system(|system| {
        for round in 1.. {
            let scene = Scene::new(system);
            let kept = scene.fetch(false);
            let is_last = scene.killed(true, round).status.success();
            if !is_last {
                // Accepted or not: its bytes are there, and no empty file is in its place.
                let refused = scene.fetch(false);
                assert_eq!(refused["error"]["name"], "unsafe", "{refused}");
                assert_eq!(refused["package"]["sha256"], kept["package"]["sha256"]);
                assert!(!fs::metadata(scene.folder.file()).is_ok_and(|it| it.len() == 0));
            }
            let accepted = scene.fetch(true);
            assert_eq!(accepted["package"]["unsafe_count"], 1, "{accepted}");
            scene.has(&accepted, "package.zip", round);
            assert_eq!(links_asked_for(&scene.sim), 1, "round {round}");
            if is_last {
                return round - 1;
            }
        }
        unreachable!()
    });
    assert!(ends > 4, "{ends}");
}
