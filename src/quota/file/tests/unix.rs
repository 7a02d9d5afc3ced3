//! What needs the ways of a Unix system to be seen.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

/// Root is refused nothing that a test could make.
pub(super) fn is_root() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("Uid:\t0\t"))
}

#[test]
fn a_full_disk_or_a_folder_without_rights_is_said_and_survived() {
    // A device that is always full; as any user.
    let (full, limits) = open("/dev/full", "collect=2/60");
    assert!(matches!(full.begin(COLLECT, limits.of(COLLECT), &call()), Ok(Answer::Alone(100))));
    assert!(full.trouble().is_some());
    if is_root() {
        // Root may write anywhere; what the kernel offers under /proc it may not.
        let (read_only, _) = open("/proc/version", "collect=2/60");
        let answer = read_only.begin(COLLECT, limits.of(COLLECT), &call());
        assert!(matches!(answer, Ok(Answer::Alone(100))), "{answer:?}");
        assert!(read_only.trouble().is_some());
    }
}

#[test]
fn a_file_that_is_replaced_keeps_its_mode() {
    let folder = Folder::new();
    File::create(folder.file()).unwrap();
    // Filled for the first time, and made larger.
    for (mode, limits) in [(0o640, "collect=1/60"), (0o606, "collect=50/60")] {
        fs::set_permissions(folder.file(), fs::Permissions::from_mode(mode)).unwrap();
        let (ledger, limits) = open(&folder.file(), limits);
        taken(&ledger, &limits);
        let replaced = fs::metadata(folder.file()).unwrap();
        assert_eq!(replaced.permissions().mode() & 0o777, mode);
    }
}

#[test]
fn who_comes_by_a_link_shares_the_log_of_the_file_itself() {
    let folder = Folder::new();
    let link = folder.0.join("link").to_str().unwrap().to_owned();
    symlink(folder.file(), &link).unwrap();
    let (direct, few) = open(&folder.file(), "collect=2/60");
    taken(&direct, &few);
    // A larger file takes its place.
    let (linked, many) = open(&link, "collect=4/60");
    taken(&linked, &many);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    for (ledger, limits) in [(&direct, &few), (&linked, &many)] {
        assert_eq!((used(ledger, limits), ledger.trouble()), (2, None));
    }
}
