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
fn a_link_to_a_log_is_refused_and_a_folder_may_be_a_link() {
    let folder = Folder::new();
    let (direct, limits) = open(&folder.file(), "collect=2/60");
    taken(&direct, &limits);
    let link = folder.0.join("link").to_str().unwrap().to_owned();
    symlink(folder.file(), &link).unwrap();
    let (linked, _) = open(&link, "collect=2/60");
    let Err(Refusal::Failed(error)) = linked.begin(COLLECT, limits.of(COLLECT), &call()) else {
        panic!("it was used");
    };
    assert!(error.message().contains("is not used: it is a symbolic link"), "{error}");
    // The folder is for its owner to choose.
    let other = folder.0.join("folder");
    symlink(&folder.0, &other).unwrap();
    let (inside, _) = open(other.join("quota").to_str().unwrap(), "collect=2/60");
    taken(&inside, &limits);
    assert_eq!((used(&direct, &limits), inside.trouble()), (2, None));
}
