//! Who may use a file that takes the place of another.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;

use super::unix::is_root;
use super::*;

/// In a process of its own, as a user who may not give files away.
#[test]
fn a_stranger_replaces_a_file() {
    let Ok(file) = std::env::var("MDE_TEST_QUOTA_FILE") else { return };
    let (ledger, limits) = open(&file, "collect=1/60");
    taken(&ledger, &limits);
    println!("trouble: {:?}", ledger.trouble());
    if ledger.trouble().is_some() {
        // Until somebody has seen to it.
        fs::set_permissions(&file, fs::Permissions::from_mode(0o660)).unwrap();
        wait(&ledger, &limits);
        assert_eq!(ledger.trouble(), None);
    }
}

#[test]
fn a_file_that_is_replaced_keeps_its_owner_and_group_or_it_is_told() {
    let folder = Folder::new();
    let rights = || {
        let meta = fs::metadata(folder.file()).unwrap();
        (meta.uid(), meta.gid(), meta.mode() & 0o777)
    };
    fs::write(folder.file(), "").unwrap();
    fs::set_permissions(folder.file(), fs::Permissions::from_mode(0o664)).unwrap();
    if !is_root() {
        // There may be no other group to give it to; the rest needs root.
        let (before, (ledger, limits)) = (rights(), open(&folder.file(), "collect=1/60"));
        taken(&ledger, &limits);
        assert_eq!((rights(), ledger.trouble()), (before, None));
        return;
    }
    chown(folder.file(), Some(1_234), Some(2_345)).unwrap();
    let (ledger, limits) = open(&folder.file(), "collect=1/60");
    taken(&ledger, &limits);
    assert_eq!((rights(), ledger.trouble()), ((1_234, 2_345, 0o664), None));

    // Others may only read it, and so may the group that it has to go to.
    File::create(folder.file()).unwrap();
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(folder.file(), fs::Permissions::from_mode(0o666)).unwrap();
    let stranger = |groups: u32| {
        let done = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "quota::file::tests::rights::a_stranger_replaces_a_file",
                "--exact",
                "--nocapture",
            ])
            .env("MDE_TEST_QUOTA_FILE", folder.file())
            .current_dir("/")
            .uid(groups + 1)
            .gid(groups)
            .output()
            .unwrap();
        String::from_utf8(done.stdout).unwrap()
    };
    let said = stranger(65_000);
    let expected = "the new file does not belong to user 1234 and group 2345";
    assert!(said.contains(expected), "{said}");
    assert_eq!(rights(), (65_001, 65_000, 0o660));
    // A member of its group keeps that.
    fs::write(folder.file(), "").unwrap();
    fs::set_permissions(folder.file(), fs::Permissions::from_mode(0o660)).unwrap();
    chown(folder.file(), Some(1_234), Some(2_345)).unwrap();
    let said = stranger(2_345);
    assert!(said.contains("the new file does not belong to user 1234:"), "{said}");
    assert_eq!(rights(), (2_346, 2_345, 0o660));
    // Root would use it whoever has it.
    fs::write(folder.file(), "").unwrap();
    chown(folder.file(), Some(0), Some(2_345)).unwrap();
    assert!(stranger(2_345).contains("trouble: None"));
}
