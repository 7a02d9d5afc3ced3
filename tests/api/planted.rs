//! Files that another user has made or may write to: none is taken for a package, a state file or a lock of ours, and
//! nothing of them is changed.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use mde_simulator::Simulator;
use mde_tests::packages::{
    Folder, collections_asked_for, links_asked_for, patient, quick, service,
};
use mde_tests::{Client, client};
use serde_json::{Value, json};

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

/// A package that a call of ours has brought to the folder, with the action and its device.
struct Brought {
    sim: Simulator,
    client: Client,
    folder: Folder,
    fetched: Value,
}

fn brought() -> Brought {
    let (sim, folder) = (quick(), Folder::new());
    let limits = "link=100000/60;collect=100000/60;read=100000/60;list=100000/60";
    let client = client(&sim, &[("poll_interval_ms", "100"), ("quota_limits", limits)]);
    let fetched = client.fetch(&sim.machine_id(0), "x", &folder.path()).ok();
    Brought { sim, client, folder, fetched }
}

impl Brought {
    /// Neither a fetch nor a download takes the file for the package. Both say why.
    #[track_caller]
    fn is_in_the_way(&self, why: &str) {
        let Brought { sim, client, folder, fetched } = self;
        let before = (collections_asked_for(sim), links_asked_for(sim));
        let action = fetched["action"]["id"].as_str().unwrap();
        for outcome in [
            client.fetch(&sim.machine_id(0), "x", &folder.path()),
            client.download(action, &folder.file()),
        ] {
            let error = outcome.error("file");
            let message = error["message"].as_str().unwrap();
            assert!(message.contains("package.zip` exists") && message.contains(why), "{message}");
        }
        assert_eq!((collections_asked_for(sim), links_asked_for(sim)), before);
    }

    #[track_caller]
    fn is_ours(&self) {
        let again = self.client.fetch(&self.sim.machine_id(0), "x", &self.folder.path()).ok();
        assert_eq!(again["package"]["existing"], true);
    }
}

#[test]
fn a_package_that_other_users_may_write_to_is_not_ours() {
    let brought = brought();
    let file = brought.folder.file();
    for bits in [0o620, 0o602, 0o666, 0o777] {
        set_mode(&file, bits);
        brought.is_in_the_way("other users may write to it");
        assert_eq!(mode(&file), bits);
    }
    // Who may read it is for its owner to decide.
    for bits in [0o400, 0o640, 0o644, 0o600] {
        set_mode(&file, bits);
        brought.is_ours();
    }
}

#[test]
fn a_receipt_that_other_users_may_write_to_is_none() {
    // Moved over another file system's idea of attributes: the state file is the receipt.
    let (sim, id) = service("Succeeded");
    let folder = Folder::new();
    let client = patient(&sim, &[]);
    let package = client.download(&id, &folder.file()).ok()["package"].clone();
    let content = fs::read(folder.file()).unwrap();
    fs::remove_file(folder.file()).unwrap();
    fs::write(folder.file(), content).unwrap();
    let receipt = folder.0.join("package.zip.part.json");
    let state = json!({"action_id": id, "total": package["bytes"], "sha256": package["sha256"]});
    fs::write(&receipt, state.to_string()).unwrap();
    set_mode(&receipt, 0o622);
    client.download(&id, &folder.file()).error("file");
    set_mode(&receipt, 0o644);
    assert_eq!(client.download(&id, &folder.file()).ok()["package"]["existing"], true);
}

#[test]
fn a_state_file_of_a_fetch_that_other_users_may_write_to_is_an_error() {
    let brought = brought();
    let state = brought.folder.0.join("other.zip.fetch.json");
    let text = json!({"version": 1, "machine_id": brought.sim.machine_id(0), "comment": "x",
        "began": "2026-01-01T00:00:00Z", "action_id": brought.fetched["action"]["id"]});
    fs::write(&state, text.to_string()).unwrap();
    set_mode(&state, 0o646);
    let path = brought.folder.0.join("other.zip");
    let fetch = || brought.client.fetch(&brought.sim.machine_id(0), "x", path.to_str().unwrap());
    let error = fetch().error("file");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("other users may write to it"), "{message}");
    set_mode(&state, 0o644);
    assert_eq!(fetch().ok()["adopted"], true);
}

#[test]
fn a_part_that_other_users_may_write_to_is_not_resumed() {
    let (sim, id) = service("Succeeded");
    let folder = Folder::new();
    let part = folder.0.join("package.zip.part");
    // Somebody who has it open could change the package even after its check.
    fs::write(&part, "theirs").unwrap();
    set_mode(&part, 0o606);
    let held = File::options().write(true).open(&part).unwrap();
    patient(&sim, &[]).download(&id, &folder.file()).ok();
    let package = fs::metadata(folder.file()).unwrap();
    assert_ne!(held.metadata().unwrap().ino(), package.ino());
    assert_eq!(package.mode() & 0o777, 0o600);
}

#[test]
fn files_with_other_names_keep_their_mode_and_content() {
    let (sim, folder) = (quick(), Folder::new());
    let victim = folder.0.join("victim");
    fs::write(&victim, "untouched").unwrap();
    set_mode(&victim, 0o644);
    for name in ["package.zip.part", "package.zip.fetch.json.lock"] {
        fs::hard_link(&victim, folder.0.join(name)).unwrap();
    }
    client(&sim, &[("poll_interval_ms", "100")])
        .fetch(&sim.machine_id(0), "x", &folder.path())
        .ok();
    let left = fs::metadata(&victim).unwrap();
    assert_eq!((left.mode() & 0o777, left.nlink()), (0o644, 1));
    assert_eq!(fs::read(&victim).unwrap(), b"untouched");
}

#[test]
fn journals_and_records_with_other_names_are_not_written_to() {
    let (sim, folder) = (quick(), Folder::new());
    let victim = folder.0.join("victim");
    fs::write(&victim, "").unwrap();
    set_mode(&victim, 0o600);
    let record = folder.0.join("packages.jsonl");
    let options = [("poll_interval_ms", "100"), ("record", record.to_str().unwrap())];
    let recording = client(&sim, &options);
    let fetch = || recording.fetch(&sim.machine_id(0), "x", &folder.path());
    let is_refused = |error: Value, name: &str| {
        let message = error["message"].as_str().unwrap();
        let why = format!("{name}`: it has another name, a hard link");
        assert!(message.contains(&why), "{message}");
        assert_eq!(fs::read(&victim).unwrap(), b"", "{name}");
    };

    let journal = folder.0.join("fleet.journal");
    fs::hard_link(&victim, &journal).unwrap();
    let devices = json!([sim.machine_id(0)]).to_string();
    let job = client(&sim, &[]).fetch_packages(Some(&devices), &folder.0, None, None);
    is_refused(job.error("file"), "fleet.journal");
    fs::remove_file(&journal).unwrap();

    fs::hard_link(&victim, &record).unwrap();
    is_refused(fetch().error("file"), "packages.jsonl");
    fs::remove_file(&record).unwrap();
    assert_eq!(collections_asked_for(&sim), 0);

    // This one is replaced as a whole the next time.
    fs::hard_link(&victim, folder.0.join("SHA256SUMS")).unwrap();
    is_refused(fetch().error("file"), "SHA256SUMS");
    fetch().ok();
    let left = fs::metadata(&victim).unwrap();
    assert_eq!((left.len(), left.nlink()), (0, 1));
}

/// What only root can set up.
mod as_root {
    use super::*;

    #[track_caller]
    fn give(path: &Path, user: u32) {
        assert!(
            rustix::process::geteuid().is_root(),
            "only root can give files away; run: sudo tests/run.sh"
        );
        chown(path, Some(user), Some(user)).unwrap();
    }

    #[test]
    fn a_package_of_another_user_is_not_ours() {
        let brought = brought();
        give(&brought.folder.file(), 1_234);
        brought.is_in_the_way("it belongs to another user");
        give(&brought.folder.file(), 0);
        brought.is_ours();
    }

    #[test]
    fn locks_and_parts_of_another_user_are_left_alone() {
        for name in ["package.zip.part", "package.zip.fetch.json.lock"] {
            let (sim, folder) = (quick(), Folder::new());
            let planted = folder.0.join(name);
            fs::write(&planted, "theirs").unwrap();
            set_mode(&planted, 0o644);
            give(&planted, 1_234);
            let error = client(&sim, &[("poll_interval_ms", "100")])
                .fetch(&sim.machine_id(0), "x", &folder.path())
                .error("file");
            let message = error["message"].as_str().unwrap();
            assert!(message.contains("it belongs to another user"), "{message}");
            assert_eq!((mode(&planted), fs::read(&planted).unwrap()), (0o644, b"theirs".to_vec()));
            assert_eq!((collections_asked_for(&sim), links_asked_for(&sim)), (0, 0));
        }
    }
}
