//! File systems and sandboxes without a rename that replaces nothing, and limits on the length of files. strace stands
//! for most of them: it gives the errors that they give.

use std::fs;
use std::path::Path;
use std::process::Command;

use mde_simulator::Simulator;
use mde_tests::child::{self, Task};
use mde_tests::packages::{
    Folder, collections_asked_for, links_asked_for, patient, quick, service, sha256,
};
use serde_json::Value;

const OPTIONS: [(&str, &str); 3] = [
    ("poll_interval_ms", "100"),
    ("max_retries", "0"),
    ("quota_limits", "link=100000/60;collect=100000/60;read=100000/60;list=100000/60"),
];

/// The calls that rename without replacing, and those that link.
const RENAME_NEW: &str = "renameat2";
const LINK: &str = "link,linkat";

/// A task in a process whose system calls get these errors, or end it: `(calls, what happens to them)`.
pub fn under(task: &Task, faults: &[(&str, &str)]) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "signal=none"]);
    for (calls, fault) in faults {
        strace.arg("-e").arg(format!("inject={calls}:{fault}"));
    }
    strace.args(task.words());
    strace
}

fn fetching(sim: &Simulator, folder: &Folder) -> Task {
    let options = child::options(sim, &OPTIONS);
    Task::Fetch { options, machine: sim.machine_id(0), path: folder.path() }
}

pub fn document(command: &mut Command) -> Value {
    let printed = child::finished(command.output().expect("strace is missing"));
    serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{printed}"))
}

/// The package is at its path. Only the receipt may be beside it.
#[track_caller]
fn is_whole(document: &Value, folder: &Folder) {
    let content = fs::read(folder.file()).unwrap();
    assert_eq!(document["package"]["sha256"], sha256(&content).as_str(), "{document}");
    let others = folder.names();
    let others: Vec<_> = others.iter().filter(|name| *name != "package.zip").collect();
    assert!(others.iter().all(|name| *name == "package.zip.part.json"), "{others:?}");
}

/// A fetch where the flag and links get these errors ends with the package. A second one finds it.
#[track_caller]
fn ends_with_the_package(rename: &str, link: &str) {
    let (sim, folder) = (quick(), Folder::new());
    let faults = [(RENAME_NEW, &*format!("error={rename}")), (LINK, &*format!("error={link}"))];
    for existing in [false, true] {
        let fetched = document(&mut under(&fetching(&sim, &folder), &faults));
        is_whole(&fetched, &folder);
        assert_eq!(fetched["package"]["existing"], existing, "{fetched}");
        assert_eq!((collections_asked_for(&sim), links_asked_for(&sim)), (1, 1));
    }
    // A file that is there is not replaced, whether it is empty or not.
    for content in ["mine", ""] {
        let folder = Folder::new();
        fs::write(folder.file(), content).unwrap();
        let refused = document(&mut under(&fetching(&sim, &folder), &faults));
        assert_eq!(refused["error"]["name"], "file", "{refused}");
        assert_eq!(fs::read_to_string(folder.file()).unwrap(), content);
        assert_eq!((collections_asked_for(&sim), folder.names().len()), (1, 1));
    }
}

#[test]
fn a_flag_and_links_that_the_file_system_does_not_know() {
    ends_with_the_package("EINVAL", "EPERM");
}

#[test]
fn a_call_that_the_kernel_does_not_know() {
    ends_with_the_package("ENOSYS", "EOPNOTSUPP");
}

#[test]
fn calls_that_a_container_runtime_forbids() {
    ends_with_the_package("EPERM", "EPERM");
    ends_with_the_package("EACCES", "EACCES");
}

#[test]
fn a_server_that_supports_neither() {
    ends_with_the_package("EOPNOTSUPP", "ENOSYS");
    ends_with_the_package("EINVAL", "EMLINK");
}

#[test]
fn links_where_only_the_flag_is_missing() {
    let (sim, folder) = (quick(), Folder::new());
    let faults = [(RENAME_NEW, "error=EINVAL")];
    is_whole(&document(&mut under(&fetching(&sim, &folder), &faults)), &folder);
}

/// Every rename and every state file is a point at which the process may end. The next call finishes each of them, with
/// one collection in all. Without attributes the state file is the receipt.
#[track_caller]
fn is_finished_after_every_end(more: &[(&str, &str)]) {
    let mut faults = vec![(RENAME_NEW, "error=EPERM"), (LINK, "error=EPERM")];
    faults.extend_from_slice(more);
    let mut claims = 0;
    for round in 1.. {
        let (sim, folder) = (quick(), Folder::new());
        let kill = format!("error=EIO:signal=KILL:when={round}");
        let killed = [&faults[..], &[("rename,renameat", &*kill)]].concat();
        let output = under(&fetching(&sim, &folder), &killed).output().unwrap();
        if output.status.success() {
            assert!(round > 6, "only {round} renames");
            break;
        }
        assert!(output.stdout.is_empty(), "round {round} ended by itself");
        let links = links_asked_for(&sim);
        let length = |name: &str| fs::metadata(folder.0.join(name)).map(|left| left.len()).ok();
        let left = [length("package.zip"), length("package.zip.part")];
        claims += usize::from(left[0] == Some(0));
        let fetched = document(&mut under(&fetching(&sim, &folder), &faults));
        is_whole(&fetched, &folder);
        assert_eq!(collections_asked_for(&sim), 1, "round {round}");
        // Bytes that are whole cost no other link.
        let whole = left.contains(&length("package.zip"));
        assert_eq!(links_asked_for(&sim) - links, usize::from(!whole), "round {round}");
    }
    assert_eq!(claims, 1, "the end between the claim and the rename");
}

#[test]
fn a_process_that_ends_between_claim_and_rename_leaves_no_empty_package() {
    is_finished_after_every_end(&[]);
}

#[test]
fn the_same_without_attributes() {
    is_finished_after_every_end(&[("fsetxattr", "error=EOPNOTSUPP")]);
}

#[test]
fn a_claim_whose_part_is_gone_is_no_obstacle() {
    let (sim, folder) = (quick(), Folder::new());
    let id = patient(&sim, &OPTIONS).collect(&sim.machine_id(0), "x").ok()["action"]["id"].clone();
    patient(&sim, &OPTIONS).wait(id.as_str().unwrap()).ok();
    let state = format!(
        "{{\"action_id\":{id},\"total\":9,\"sha256\":\"{}\",\"claimed\":true}}",
        "0".repeat(64)
    );
    fs::write(folder.0.join("package.zip.part.json"), state).unwrap();
    fs::write(folder.file(), "").unwrap();
    let package = patient(&sim, &OPTIONS).download(id.as_str().unwrap(), &folder.file()).ok();
    assert_eq!(package["package"]["existing"], false);
    is_whole(&package, &folder);
}

/// A real one: all files belong to somebody else, who may let everybody write to them.
#[test]
fn a_shared_folder_of_a_virtual_machine() {
    let (sim, behind, mounted) = (quick(), Folder::new(), Folder::new());
    sim.set(|b| b.package_bytes = 3_000_000);
    let script = Path::new(mde_tests::ROOT).join("tests/support/peers/shared_folder.py");
    let fetch = |limit: &str| {
        let mut command = child::isolated(false);
        command.arg("python3").arg(&script).args([&behind.0, &mounted.0]);
        command.args(["prlimit", limit]).args(fetching(&sim, &mounted).words());
        document(&mut command)
    };
    is_a_limit(&fetch("--fsize=1000000"), &mounted.0.join("package.zip.part"));
    assert_eq!(fs::metadata(behind.0.join("package.zip.part")).unwrap().len(), 1_000_000);
    for existing in [false, true] {
        let fetched = fetch("--fsize=unlimited");
        is_whole(&fetched, &behind);
        assert_eq!(fetched["package"]["existing"], existing, "{fetched}");
        assert_eq!((collections_asked_for(&sim), links_asked_for(&sim)), (1, 2));
    }
}

/// What the end of a download does is tried before a link or a collection is asked for.
#[test]
fn a_folder_in_which_nothing_can_be_renamed() {
    let faults = [(RENAME_NEW, "error=EPERM"), (LINK, "error=EPERM"), ("rename", "error=EPERM")];
    let (sim, folder) = (quick(), Folder::new());
    let refused = document(&mut under(&fetching(&sim, &folder), &faults));
    assert_eq!(refused["error"]["name"], "file", "{refused}");
    assert_eq!((collections_asked_for(&sim), folder.names().len()), (0, 0));

    let (sim, id) = service("Succeeded");
    let options = child::options(&sim, &OPTIONS);
    let task = Task::Download { options, action: id, path: folder.file() };
    let refused = document(&mut under(&task, &faults));
    assert_eq!(refused["error"]["name"], "file", "{refused}");
    assert_eq!((links_asked_for(&sim), folder.names().len()), (0, 0));
}

// ---- limits on the length of files ----------------------------------------------------------------

/// The same with files of at most so many bytes.
fn limited(task: &Task, bytes: u64) -> Command {
    let mut prlimit = Command::new("prlimit");
    prlimit.arg(format!("--fsize={bytes}")).args(task.words());
    prlimit
}

#[track_caller]
fn is_a_limit(document: &Value, file: &Path) {
    let error = &document["error"];
    let message = error["message"].as_str().unwrap_or_default();
    assert_eq!((&error["name"], &error["retryable"]), (&"file".into(), &true.into()), "{document}");
    assert!(message.contains("ulimit -f") && message.contains(file.to_str().unwrap()), "{message}");
}

#[test]
fn a_package_beyond_the_limit_of_the_process_is_an_error_and_resumes() {
    let (sim, folder) = (quick(), Folder::new());
    sim.set(|b| b.package_bytes = 3_000_000);
    let part = folder.0.join("package.zip.part");
    for limit in [1_000_000, 2_000_000] {
        is_a_limit(&document(&mut limited(&fetching(&sim, &folder), limit)), &part);
        assert_eq!(fs::metadata(&part).unwrap().len(), limit);
    }
    let fetched = document(&mut fetching(&sim, &folder).command());
    is_whole(&fetched, &folder);
    assert_eq!(collections_asked_for(&sim), 1);
}

#[test]
fn a_state_file_beyond_the_limit_of_the_process_starts_no_collection() {
    let (sim, folder) = (quick(), Folder::new());
    for limit in [0, 40] {
        let state = folder.0.join("package.zip.fetch.json");
        is_a_limit(&document(&mut limited(&fetching(&sim, &folder), limit)), &state);
        assert_eq!((collections_asked_for(&sim), folder.names().len()), (0, 0));
    }
    let (sim, id) = service("Succeeded");
    let options = child::options(&sim, &OPTIONS);
    let task = Task::Download { options, action: id, path: folder.file() };
    let state = folder.0.join("package.zip.part.json");
    is_a_limit(&document(&mut limited(&task, 30)), &state);
}

#[test]
fn a_quota_file_beyond_the_limit_of_the_process_counts_alone() {
    let (sim, id) = service("Succeeded");
    let folder = Folder::new();
    let file = folder.0.join("quota");
    let options = child::options(&sim, &[("quota_file", file.to_str().unwrap())]);
    let task = Task::Read { options, action: id };
    for limit in [0, 300, 20_000] {
        assert!(child::finished(limited(&task, limit).output().unwrap()).starts_with("0 "));
    }
    // Neither those calls nor the next ones leave a damaged log.
    assert!(task.finish().starts_with("0 "));
    let sound = fs::metadata(&file).unwrap().len();
    for limit in [100, 20_000] {
        assert!(child::finished(limited(&task, limit).output().unwrap()).starts_with("0 "));
    }
    assert_eq!((fs::metadata(&file).unwrap().len(), folder.names().len()), (sound, 1));
    let client = mde_tests::client(&sim, &[("quota_file", file.to_str().unwrap())]);
    client.list("").ok();
    assert_eq!(client.quota().ok()["log"]["trouble"], Value::Null);
}
