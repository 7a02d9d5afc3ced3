//! Rights of a quota file: of a new one, and of one that replaces another. Whose file is used.

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

/// What a task prints to another user, who may not give files away.
fn to_a_stranger(task: &Task, folder: &Open, group: u32) -> String {
    let program = folder.0.join("child");
    child::copy_program(&program);
    set_mode(&program, 0o755);
    let mut command = task.command_of(&program);
    child::finished(command.current_dir("/").uid(group + 1).gid(group).output().unwrap())
}

fn options(sim: &Simulator, folder: &Open) -> child::Options {
    child::options(sim, &[("quota_file", folder.file().to_str().unwrap())])
}

/// The trouble that the call log reports to a member of the group.
fn stranger(sim: &Simulator, folder: &Open, group: u32) -> String {
    let (options, machine) = (options(sim, folder), sim.machine_id(0));
    let task = Task::ReplaceQuotaFile { options, machine, file: folder.file() };
    to_a_stranger(&task, folder, group)
}

/// Status and document of a call that another user makes.
fn refusal(sim: &Simulator, folder: &Open, group: u32) -> String {
    let action = "5382f7ea-7557-4ab7-9782-d50480024a4e".to_owned();
    to_a_stranger(&Task::Read { options: options(sim, folder), action }, folder, group)
}

#[test]
fn only_a_group_that_may_write_may_read_a_new_file() {
    let sim = simulator();
    // A reader could hold the lock, and every process would count alone.
    for (umask, mode) in [("022", 0o600), ("027", 0o600), ("077", 0o600), ("002", 0o660)] {
        let folder = Open::new(&format!("umask-{umask}"));
        let action = "5382f7ea-7557-4ab7-9782-d50480024a4e".to_owned();
        let task = Task::Read { options: options(&sim, &folder), action };
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"]).args(task.words());
        child::finished(shell.output().unwrap());
        assert_eq!(folder.rights().2, mode, "umask {umask}");
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    }
}

/// Such a file is another one's, or would have two logs once it is replaced.
#[test]
fn links_are_refused_and_what_they_lead_to_is_left_alone() {
    let (sim, folder) = (simulator(), Open::new("links"));
    let victim = folder.0.join("victim");
    for (words, content) in
        [("a symbolic link", None), ("a symbolic link", Some("")), ("a hard link", Some(""))]
    {
        let _ = fs::remove_file(folder.file());
        if let Some(content) = content {
            fs::write(&victim, content).unwrap();
            set_mode(&victim, 0o644);
        }
        match words {
            "a hard link" => fs::hard_link(&victim, folder.file()).unwrap(),
            _ => std::os::unix::fs::symlink(&victim, folder.file()).unwrap(),
        }
        let client = client(&sim, &[("quota_file", folder.file().to_str().unwrap())]);
        let error = client.list("").error("config");
        assert!(error["message"].as_str().unwrap().contains(words), "{error}");
        assert_eq!(victim.exists(), content.is_some());
        if content.is_some() {
            let left = fs::metadata(&victim).unwrap();
            assert_eq!((left.len(), left.mode() & 0o777), (0, 0o644));
        }
    }
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
    fn a_file_of_a_user_with_whom_nothing_is_shared_is_left_alone() {
        let (sim, folder) = (simulator(), Open::new("stranger"));
        make(&folder, 0o666, 1_234);
        let said = refusal(&sim, &folder, 65_000);
        assert!(said.starts_with("4 "), "{said}");
        assert!(said.contains("belongs to another user, and to no group of this one"), "{said}");
        assert_eq!(folder.rights(), (1_234, 2_345, 0o666));
        assert_eq!(fs::metadata(folder.file()).unwrap().len(), 0);
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
