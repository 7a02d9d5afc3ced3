//! Tests that need a Unix system.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

/// Whether this process runs as root, which may write almost anywhere.
pub(super) fn is_root() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("Uid:\t0\t"))
}

#[test]
fn a_full_disk_or_a_lack_of_rights_is_reported_and_the_process_counts_alone() {
    // A device that is always full, for any user.
    let (full, limits) = open("/dev/full", "collect=2/60");
    assert!(matches!(full.begin(COLLECT, limits.of(COLLECT), &call()), Ok(Answer::Local(100))));
    assert!(full.trouble().is_some());
    if is_root() {
        // Files under /proc are read-only even for root.
        let (read_only, _) = open("/proc/version", "collect=2/60");
        let answer = read_only.begin(COLLECT, limits.of(COLLECT), &call());
        assert!(matches!(answer, Ok(Answer::Local(100))), "{answer:?}");
        assert!(read_only.trouble().is_some());
    }
}

#[test]
fn a_file_that_is_replaced_keeps_its_mode() {
    let folder = Folder::new();
    File::create(folder.file()).unwrap();
    // Created, and enlarged.
    for (mode, limits) in [(0o640, "collect=1/60"), (0o606, "collect=50/60")] {
        fs::set_permissions(folder.file(), fs::Permissions::from_mode(mode)).unwrap();
        let (ledger, limits) = open(&folder.file(), limits);
        taken(&ledger, &limits);
        let replaced = fs::metadata(folder.file()).unwrap();
        assert_eq!(replaced.permissions().mode() & 0o777, mode);
    }
}

#[test]
fn a_symbolic_link_leads_to_the_log_of_its_file() {
    let folder = Folder::new();
    let link = folder.0.join("link").to_str().unwrap().to_owned();
    symlink(folder.file(), &link).unwrap();
    let (direct, few) = open(&folder.file(), "collect=2/60");
    taken(&direct, &few);
    // A larger file replaces it.
    let (linked, many) = open(&link, "collect=4/60");
    taken(&linked, &many);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    for (ledger, limits) in [(&direct, &few), (&linked, &many)] {
        assert_eq!((used(ledger, limits), ledger.trouble()), (2, None));
    }
}
