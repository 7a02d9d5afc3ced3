//! Rights of a quota file that replaces another.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use mde_simulator::Simulator;
use mde_tests::child::{self, Task};
use mde_tests::{client, simulator};
use serde_json::Value;

/// A folder that every user may enter, which the checkout may not be. Gone when dropped.
struct Open(PathBuf);

impl Open {
    fn new(name: &str) -> Open {
        let folder = std::env::temp_dir().join(format!("mde-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        set_mode(&folder, 0o777);
        Open(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("quota")
    }

    /// User, group and mode of the quota file.
    fn rights(&self) -> (u32, u32, u32) {
        let meta = fs::metadata(self.file()).unwrap();
        (meta.uid(), meta.gid(), meta.mode() & 0o777)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Replaces the file, which is no log yet, by collecting; what the log says of trouble.
fn replaced(sim: &Simulator, folder: &Open) -> Value {
    let file = folder.file();
    let client = client(sim, &[("quota_file", file.to_str().unwrap())]);
    client.collect(&sim.machine_id(0), "x").ok();
    client.quota().ok()["log"]["trouble"].clone()
}

#[test]
fn a_file_that_is_replaced_keeps_its_owner_group_and_mode() {
    let (sim, folder) = (simulator(), Open::new("kept"));
    fs::write(folder.file(), "").unwrap();
    set_mode(&folder.file(), 0o664);
    // Only root can give it to somebody else.
    if is_root() {
        chown(folder.file(), Some(1_234), Some(2_345)).unwrap();
    }
    let before = folder.rights();
    assert_eq!((replaced(&sim, &folder), folder.rights()), (Value::Null, before));
}

/// The trouble that the call log reports to another user, who may not give files away.
fn stranger(sim: &Simulator, folder: &Open, group: u32) -> String {
    let program = folder.0.join("child");
    child::copy_program(&program);
    set_mode(&program, 0o755);
    let file = folder.file();
    let task = Task::ReplaceQuotaFile {
        options: child::options(sim, &[("quota_file", file.to_str().unwrap())]),
        machine: sim.machine_id(0),
        file,
    };
    let mut command = task.command_of(&program);
    child::finished(command.current_dir("/").uid(group + 1).gid(group).output().unwrap())
}

/// What only root can set up.
mod as_root {
    use super::*;

    /// A file with these rights, of a user and a group.
    #[track_caller]
    fn make(folder: &Open, mode: u32, user: u32) {
        assert!(is_root(), "only root can give files away; run: sudo tests/run.sh");
        fs::write(folder.file(), "").unwrap();
        set_mode(&folder.file(), mode);
        chown(folder.file(), Some(user), Some(2_345)).unwrap();
    }

    #[test]
    fn another_user_who_replaces_a_file_reports_its_former_owner() {
        let (sim, folder) = (simulator(), Open::new("stranger"));
        make(&folder, 0o666, 1_234);
        let said = stranger(&sim, &folder, 65_000);
        let expected = "the new file does not belong to user 1234 and group 2345";
        assert!(said.contains(expected), "{said}");
        assert_eq!(folder.rights(), (65_001, 65_000, 0o660));
    }

    #[test]
    fn a_member_of_its_group_keeps_the_group() {
        let (sim, folder) = (simulator(), Open::new("member"));
        make(&folder, 0o660, 1_234);
        let said = stranger(&sim, &folder, 2_345);
        assert!(said.contains("the new file does not belong to user 1234:"), "{said}");
        assert_eq!(folder.rights(), (2_346, 2_345, 0o660));
    }

    /// Root would use it whoever has it.
    #[test]
    fn a_file_of_root_may_be_replaced_by_a_group_member() {
        let (sim, folder) = (simulator(), Open::new("root"));
        make(&folder, 0o660, 0);
        let said = stranger(&sim, &folder, 2_345);
        assert!(said.contains("trouble: null"), "{said}");
    }
}
