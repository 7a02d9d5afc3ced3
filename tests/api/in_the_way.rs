//! What lies where a package or the files beside it should go: it is told before anything is asked of the service.

use std::fs;
use std::path::Path;

use mde_tests::packages::{Folder, collections_asked_for, links_asked_for, quick};
use mde_tests::{Client, client};

/// A fetch, and a download of an action that has ended.
#[track_caller]
fn is_refused(prepare: impl Fn(&Path), name: &str, words: &str) {
    let sim = quick();
    let client: Client = client(&sim, &[("poll_interval_ms", "100")]);
    let id =
        client.collect(&sim.machine_id(1), "x").ok()["action"]["id"].as_str().unwrap().to_owned();
    client.wait(&id).ok();
    let started = collections_asked_for(&sim);
    for fetches in [true, false] {
        let folder = Folder::new();
        prepare(&folder.0);
        let path = folder.0.join(name).to_str().unwrap().to_owned();
        let outcome = match fetches {
            true => client.fetch(&sim.machine_id(0), "x", &path),
            false => client.download(&id, Path::new(&path)),
        };
        let error = outcome.error("file");
        assert!(error["message"].as_str().unwrap().contains(words), "{fetches}: {error}");
        assert_eq!((collections_asked_for(&sim), links_asked_for(&sim)), (started, 0), "{fetches}");
    }
}

#[test]
fn names_that_are_too_long_with_their_endings() {
    // The longest of the endings is `.part.json.new`.
    for length in [242, 250, 255] {
        let name = format!("{}.zip", "x".repeat(length - 4));
        is_refused(|_| (), &name, "choose a shorter one");
    }
    let sim = quick();
    let folder = Folder::new();
    let name = folder.0.join(format!("{}.zip", "x".repeat(225))).to_str().unwrap().to_owned();
    client(&sim, &[("poll_interval_ms", "100")]).fetch(&sim.machine_id(0), "x", &name).ok();
}

#[test]
fn links_pipes_and_folders_in_place_of_the_files_beside_it() {
    for ending in [".part", ".part.json"] {
        let name = format!("p.zip{ending}");
        is_refused(
            |folder| fs::create_dir(folder.join(&name)).unwrap(),
            "p.zip",
            "is no regular file",
        );
        is_refused(
            |folder| std::os::unix::fs::symlink("/etc/passwd", folder.join(&name)).unwrap(),
            "p.zip",
            "is a symbolic link",
        );
        let pipe = |folder: &Path| {
            let made = std::process::Command::new("mkfifo").arg(folder.join(&name)).status();
            assert!(made.unwrap().success());
        };
        is_refused(pipe, "p.zip", "is no regular file");
    }
}

#[test]
fn another_file_in_place_of_the_package() {
    is_refused(
        |folder| fs::write(folder.join("p.zip"), "other").unwrap(),
        "p.zip",
        "replaces no file",
    );
}

#[test]
fn a_link_to_a_folder_where_a_file_is_meant() {
    let theirs = Folder::new();
    is_refused(
        |folder| std::os::unix::fs::symlink(&theirs.0, folder.join("p.zip")).unwrap(),
        "p.zip",
        "as a link to a folder",
    );
    assert!(theirs.names().is_empty(), "{:?}", theirs.names());
    // Where a folder is meant, the caller knows where it is.
    let (sim, folder) = (quick(), Folder::new());
    std::os::unix::fs::symlink(&theirs.0, folder.file()).unwrap();
    let client = client(&sim, &[("poll_interval_ms", "100")]);
    client.fetch(&sim.machine_id(0), "x", &format!("{}/", folder.path())).ok();
    assert_eq!((theirs.names().len(), folder.names()), (1, vec!["package.zip".to_owned()]));
}
