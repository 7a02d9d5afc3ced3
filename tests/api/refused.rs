//! Packages that are refused: damaged ones, and those that could do harm where they are unpacked. They are kept, found
//! again, and accepted. Each line of the table in `docs/fetching.md` has its test here.

use std::fs;
use std::path::{Path, PathBuf};

use mde_simulator::{PackageFault, Simulator};
use mde_tests::child::{self, Task};
use mde_tests::packages::{
    Folder, collections_asked_for, lead_to, links_asked_for, package, package_of, patient, quick,
    service, sha256,
};
use mde_tests::peers::file_host::{FileHost, send_file};
use mde_tests::{Client, Outcome, client, inspect_package};
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Good,
    Unsafe,
    Damaged,
}
use Kind::{Damaged, Good, Unsafe};

const KINDS: [Kind; 3] = [Good, Unsafe, Damaged];
const NAME: &str = "Autoruns/../../startup.cmd";

impl Kind {
    fn content(self) -> Vec<u8> {
        match self {
            Good => package(300_000, 41),
            Unsafe => package_of(NAME, 300_000, 42),
            Damaged => {
                let mut content = package(300_000, 43);
                content[200_000] ^= 0x10;
                content
            }
        }
    }

    /// What a call answers, and what it leaves on disk.
    fn expected(self, accepts: bool) -> (&'static str, &'static str) {
        match self {
            Good => ("ok", "package.zip"),
            Unsafe if accepts => ("ok", "package.zip"),
            Unsafe => ("unsafe", "package.zip.unsafe"),
            Damaged => ("integrity", "package.zip.damaged"),
        }
    }
}

/// A service whose links lead to one package.
struct Scene {
    sim: Simulator,
    id: String,
    content: Vec<u8>,
    folder: Folder,
    _host: FileHost,
}

impl Scene {
    fn new(kind: Kind) -> Scene {
        let (sim, id) = service("Succeeded");
        let content = kind.content();
        let host = host_of(&content);
        lead_to(&sim, &host.link());
        Scene { sim, id, content, folder: Folder::new(), _host: host }
    }

    fn client(&self, accepts: bool) -> Client {
        patient(&self.sim, &[("accept_unsafe", if accepts { "yes" } else { "no" })])
    }

    /// Downloads, and checks the answer, what is on disk, and how many links were asked for.
    #[track_caller]
    fn download(&self, accepts: bool, answer: (&str, &str), links: usize) -> Value {
        let before = links_asked_for(&self.sim);
        let outcome = self.client(accepts).download(&self.id, &self.folder.file());
        let package = is_answer(outcome, answer, &self.folder, &self.content);
        assert_eq!(package["action_id"], self.id.as_str());
        assert_eq!(links_asked_for(&self.sim) - before, links, "links");
        package
    }

    fn beside(&self, ending: &str) -> PathBuf {
        self.folder.0.join(format!("package.zip{ending}"))
    }

    fn state(&self) -> Value {
        json!({"action_id": self.id, "total": self.content.len(), "sha256": sha256(&self.content)})
    }
}

fn host_of(content: &[u8]) -> FileHost {
    let served = content.to_vec();
    FileHost::start(move |_, head, peer| send_file(peer, head, &served, "\"1\"", served.len()))
}

/// The answer has this name, and the package is the only file there, under the name of the answer.
#[track_caller]
fn is_answer(
    outcome: Outcome,
    (name, file): (&str, &str),
    folder: &Folder,
    content: &[u8],
) -> Value {
    let package = outcome.document["package"].clone();
    assert_eq!(folder.names(), [file], "{}", outcome.text);
    assert_eq!(package["path"], folder.0.join(file).to_str().unwrap(), "{}", outcome.text);
    assert_eq!(
        (&package["bytes"], &package["sha256"]),
        (&json!(content.len()), &json!(sha256(content)))
    );
    assert!(fs::read(folder.0.join(file)).unwrap() == content, "other content");
    if name == "ok" {
        outcome.ok();
        return package;
    }
    let error = outcome.error(name);
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains(&format!("it is kept as `{}`", package["path"].as_str().unwrap())),
        "{message}"
    );
    assert_eq!((&error["stage"], &error["retryable"]), (&json!("verify"), &json!(false)));
    assert_eq!(
        (&error["action"]["status"], &error["action_id"]),
        (&json!("Succeeded"), &package["action_id"])
    );
    match name {
        "integrity" => {
            assert!(message.contains("entry `Processes/Processes.csv` has content"), "{message}");
            assert!(package.get("entries").is_none(), "{package}");
        }
        _ => {
            assert!(message.contains(&format!("entry `{NAME}`")), "{message}");
            is_listed(&package);
        }
    }
    package
}

#[track_caller]
fn is_listed(package: &Value) {
    assert_eq!((&package["unsafe_count"], &package["entries"]), (&json!(1), &json!(1)));
    assert_eq!(package["unsafe_entries"][0]["name"], NAME);
    assert!(!package["unsafe_entries"][0]["reason"].as_str().unwrap().is_empty());
}

// ---- the table ----------------------------------------------------------------------------------

#[test]
fn a_download_is_kept_and_the_same_call_gives_the_same_answer() {
    for kind in KINDS {
        for accepts in [false, true] {
            let scene = Scene::new(kind);
            let answer = kind.expected(accepts);
            let first = scene.download(accepts, answer, 1);
            assert_eq!(first["existing"], false);
            for _ in 0..2 {
                let mut again = scene.download(accepts, answer, 0);
                assert_eq!(again["existing"], true, "{kind:?}");
                again["existing"] = false.into();
                assert_eq!(again, first, "{kind:?}");
            }
        }
    }
}

#[test]
fn an_unsafe_package_is_accepted_without_another_download() {
    let scene = Scene::new(Unsafe);
    scene.download(false, Unsafe.expected(false), 1);
    let accepted = scene.download(true, ("ok", "package.zip"), 0);
    is_listed(&accepted);
    assert_eq!(accepted["existing"], true);
    scene.download(true, ("ok", "package.zip"), 0);
    // A call that does not accept it says where it is, and renames nothing.
    scene.download(false, ("unsafe", "package.zip"), 0);
}

#[test]
fn a_file_that_was_moved_away_is_downloaded_anew() {
    for kind in [Unsafe, Damaged] {
        let scene = Scene::new(kind);
        let answer = kind.expected(false);
        scene.download(false, answer, 1);
        let elsewhere = Folder::new();
        fs::rename(scene.folder.0.join(answer.1), elsewhere.file()).unwrap();
        // It was damaged on its way only.
        let good = host_of(&Good.content());
        scene.sim.clear_script();
        lead_to(&scene.sim, &good.link());
        let outcome = scene.client(false).download(&scene.id, &scene.folder.file());
        is_answer(outcome, ("ok", "package.zip"), &scene.folder, &Good.content());
    }
}

#[test]
fn a_process_that_ended_before_the_rename_leaves_the_answer() {
    for kind in KINDS {
        for accepts in [false, true] {
            let scene = Scene::new(kind);
            fs::write(scene.beside(".part"), &scene.content).unwrap();
            fs::write(scene.beside(".part.json"), scene.state().to_string()).unwrap();
            scene.download(accepts, kind.expected(accepts), 0);
        }
    }
}

#[test]
fn a_process_that_ended_after_the_rename_leaves_the_answer() {
    for kind in KINDS {
        let scene = Scene::new(kind);
        scene.download(false, kind.expected(false), 1);
        fs::write(scene.beside(".part.json"), scene.state().to_string()).unwrap();
        scene.download(false, kind.expected(false), 0);
    }
    // Between the two steps of a rename on file systems without a better one.
    let scene = Scene::new(Unsafe);
    scene.download(false, Unsafe.expected(false), 1);
    fs::hard_link(scene.beside(".unsafe"), scene.beside("")).unwrap();
    scene.download(true, ("ok", "package.zip"), 0);
}

#[test]
fn a_file_system_without_attributes_keeps_the_receipt_in_the_state_file() {
    for kind in [Unsafe, Damaged] {
        let scene = Scene::new(kind);
        let (name, file) = kind.expected(false);
        // What such a file system has afterwards.
        fs::write(scene.folder.0.join(file), &scene.content).unwrap();
        fs::write(scene.beside(".part.json"), scene.state().to_string()).unwrap();
        for _ in 0..2 {
            scene.client(false).download(&scene.id, &scene.folder.file()).error(name);
            let mut names = [file, "package.zip.part.json"];
            names.sort_unstable();
            assert_eq!(scene.folder.names(), names);
        }
        if kind == Unsafe {
            for existing in 0..2 {
                scene.client(true).download(&scene.id, &scene.folder.file()).ok();
                assert_eq!(
                    scene.folder.names(),
                    ["package.zip", "package.zip.part.json"],
                    "{existing}"
                );
            }
        }
        assert_eq!(links_asked_for(&scene.sim), 0);
    }
}

#[test]
fn files_of_others_under_these_names_are_left_alone_and_noticed_first() {
    let scene = Scene::new(Good);
    let other = scene.sim.add_action(json!({"status": "Succeeded"})).unwrap()["id"].clone();
    let mine = |path: &Path| fs::write(path, "mine").unwrap();
    let folder = |path: &Path| fs::create_dir(path).unwrap();
    let link = |path: &Path| std::os::unix::fs::symlink("/etc/passwd", path).unwrap();
    for ending in [".unsafe", ".damaged"] {
        let preparations: [&dyn Fn(&Path); 3] = [&mine, &folder, &link];
        for prepare in preparations {
            let target = Folder::new();
            let name = format!("package.zip{ending}");
            prepare(&target.0.join(&name));
            let calls: [&dyn Fn(&Client) -> Outcome; 2] =
                [&|client| client.download(&scene.id, &target.file()), &|client| {
                    client.fetch(&scene.sim.machine_id(0), "x", &target.path())
                }];
            for call in calls {
                let error = call(&scene.client(true)).error("file");
                assert!(
                    error["message"].as_str().unwrap().contains(&format!("{name}` exists")),
                    "{error}"
                );
                assert_eq!(target.names(), [name.as_str()]);
            }
        }
    }
    assert_eq!((links_asked_for(&scene.sim), collections_asked_for(&scene.sim)), (0, 0));

    // The refused package of another action, and one that was changed since.
    for kind in [Unsafe, Damaged] {
        let scene = Scene::new(kind);
        let other = scene.sim.add_action(json!({"status": "Succeeded"})).unwrap()["id"].clone();
        scene.download(false, kind.expected(false), 1);
        let path = scene.folder.0.join(kind.expected(false).1);
        scene.client(true).download(other.as_str().unwrap(), &scene.folder.file()).error("file");
        let mut changed = scene.content.clone();
        changed[50] ^= 1;
        fs::write(&path, &changed).unwrap();
        scene.client(true).download(&scene.id, &scene.folder.file()).error("file");
        assert!(fs::read(&path).unwrap() == changed, "{kind:?}");
        assert_eq!((links_asked_for(&scene.sim), scene.folder.names().len()), (1, 1));
    }
    drop(other);
}

#[test]
fn a_name_that_is_taken_during_the_download_loses_nothing() {
    for kind in [Unsafe, Damaged] {
        let (sim, id) = service("Succeeded");
        let (folder, content) = (Folder::new(), kind.content());
        let (answer, served) = (kind.expected(false), content.clone());
        let taken = folder.0.join(answer.1);
        let path = taken.clone();
        let host = FileHost::start(move |_, head, peer| {
            fs::write(&path, "mine").unwrap();
            send_file(peer, head, &served, "\"1\"", served.len());
        });
        lead_to(&sim, &host.link());
        let client = patient(&sim, &[]);
        client.download(&id, &folder.file()).error("file");
        assert_eq!(fs::read(&taken).unwrap(), b"mine");
        fs::remove_file(&taken).unwrap();
        is_answer(client.download(&id, &folder.file()), answer, &folder, &content);
        assert_eq!((links_asked_for(&sim), host.heads().len()), (1, 1), "{kind:?}");
    }
}

#[test]
fn a_damaged_part_of_an_earlier_call_is_downloaded_once_more_first() {
    // As a power failure may leave it. The package is damaged at its host, too.
    let scene = Scene::new(Damaged);
    fs::write(scene.beside(".part"), vec![0; scene.content.len()]).unwrap();
    let state = json!({"action_id": scene.id, "total": scene.content.len()});
    fs::write(scene.beside(".part.json"), state.to_string()).unwrap();
    scene.download(false, Damaged.expected(false), 1);
}

// ---- fetches ------------------------------------------------------------------------------------

const OPTIONS: [(&str, &str); 2] =
    [("poll_interval_ms", "100"), ("quota_limits", "link=10000/60;collect=10000/60;read=10000/60")];

/// A service that collects, and whose links lead to one package.
fn collecting(kind: Kind) -> (Simulator, FileHost, Folder) {
    let (sim, host) = (quick(), host_of(&kind.content()));
    lead_to(&sim, &host.link());
    (sim, host, Folder::new())
}

fn fetcher(sim: &Simulator, accepts: bool) -> Client {
    let accept = ("accept_unsafe", if accepts { "yes" } else { "no" });
    client(sim, &[OPTIONS[0], OPTIONS[1], accept])
}

#[test]
fn a_fetch_gives_the_same_answer_again_and_collects_once() {
    for kind in [Unsafe, Damaged] {
        for in_folder in [false, true] {
            let (sim, _host, folder) = collecting(kind);
            let machine = sim.machine_id(0);
            let path =
                if in_folder { folder.0.to_str().unwrap().to_owned() } else { folder.path() };
            let (name, file) = kind.expected(false);
            let mut paths = Vec::new();
            for _ in 0..3 {
                let outcome = fetcher(&sim, false).fetch(&machine, "x", &path);
                let package = outcome.document["package"].clone();
                let error = outcome.error(name);
                let message = error["message"].as_str().unwrap();
                assert!(message.contains(".fetch.json` is removed"), "{message}");
                assert_eq!(error["action"]["id"], package["action_id"]);
                paths.push(package["path"].as_str().unwrap().to_owned());
            }
            assert!(paths.iter().all(|it| *it == paths[0]), "{paths:?}");
            assert_eq!(fs::read(&paths[0]).unwrap(), kind.content());
            assert_eq!((collections_asked_for(&sim), links_asked_for(&sim)), (1, 1));
            if !in_folder {
                let mut names = [file, "package.zip.fetch.json"];
                names.sort_unstable();
                assert_eq!(folder.names(), names);
            }
            if kind == Unsafe {
                let fetched = fetcher(&sim, true).fetch(&machine, "x", &path).ok();
                assert_eq!(fetched["package"]["path"], paths[0].trim_end_matches(".unsafe"));
                is_listed(&fetched["package"]);
                assert_eq!((collections_asked_for(&sim), links_asked_for(&sim)), (1, 1));
                assert_eq!(folder.names().len(), 1, "{:?}", folder.names());
            }
        }
    }
}

#[test]
fn the_simulator_sends_packages_that_are_refused() {
    for (fault, name, ending) in [
        (PackageFault::Unsafe, "unsafe", "unsafe"),
        (PackageFault::Html, "integrity", "damaged"),
        (PackageFault::Truncated, "integrity", "damaged"),
    ] {
        let (sim, folder) = (quick(), Folder::new());
        sim.set(|b| b.package_fault = fault);
        let outcome = fetcher(&sim, false).fetch(&sim.machine_id(0), "x", &folder.path());
        let package = outcome.document["package"].clone();
        outcome.error(name);
        assert_eq!(package["path"], format!("{}.{ending}", folder.path()));
        assert_eq!(package["machine_id"], sim.machine_id(0));
        assert_eq!(package["unsafe_count"].as_u64(), (name == "unsafe").then_some(1));
    }
}

#[test]
fn a_fetch_without_its_state_file_finds_the_refused_package() {
    for kind in [Unsafe, Damaged] {
        let (sim, _host, folder) = collecting(kind);
        let machine = sim.machine_id(0);
        let (name, file) = kind.expected(false);
        fetcher(&sim, false).fetch(&machine, "x", &folder.path()).error(name);
        fs::remove_file(folder.0.join("package.zip.fetch.json")).unwrap();
        fetcher(&sim, false).fetch(&machine, "x", &folder.path()).error(name);
        assert_eq!((collections_asked_for(&sim), links_asked_for(&sim)), (1, 1));
        // For another device it is a file of others.
        fetcher(&sim, false).fetch(&sim.machine_id(1), "x", &folder.path()).error("file");
        assert_eq!((collections_asked_for(&sim), folder.names()), (1, vec![file.to_owned()]));
        // Once it is moved away, another collection is made.
        fs::remove_file(folder.0.join(file)).unwrap();
        fetcher(&sim, false).fetch(&machine, "x", &folder.path()).error(name);
        assert_eq!((collections_asked_for(&sim), links_asked_for(&sim)), (2, 2));
    }
}

#[test]
fn a_fetch_downloads_anew_what_was_moved_away_and_collects_nothing() {
    let (sim, _host, folder) = collecting(Damaged);
    let machine = sim.machine_id(0);
    fetcher(&sim, false).fetch(&machine, "x", &folder.path()).error("integrity");
    fs::remove_file(folder.0.join("package.zip.damaged")).unwrap();
    let good = host_of(&Good.content());
    sim.clear_script();
    lead_to(&sim, &good.link());
    let fetched = fetcher(&sim, false).fetch(&machine, "x", &folder.path()).ok();
    assert_eq!(fetched["package"]["sha256"], sha256(&Good.content()));
    assert_eq!((collections_asked_for(&sim), links_asked_for(&sim)), (1, 2));
    assert_eq!(folder.names(), ["package.zip"]);
}

// ---- ends of processes --------------------------------------------------------------------------

/// Kills downloads at random moments. The next call always has the answer, and one file with the right name is left.
fn killed(rounds: usize) {
    let mut random = fastrand::Rng::with_seed(7);
    let mut kept = 0;
    for round in 0..rounds {
        let kind = KINDS[1 + round % 2];
        let scene = Scene::new(kind);
        let options = child::options(&scene.sim, &[("quota_limits", "link=10000/60")]);
        let task = Task::Download { options, action: scene.id.clone(), path: scene.folder.file() };
        let mut command = task.command();
        let quiet = std::process::Stdio::null;
        let mut child = command.stdout(quiet()).stderr(quiet()).spawn().unwrap();
        // From the first sign of it on, so that most moments fall into the work.
        let patience = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while scene.folder.names().is_empty() && std::time::Instant::now() < patience {}
        std::thread::sleep(std::time::Duration::from_micros(random.u64(..20_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let (_, file) = kind.expected(false);
        let is_kept = scene.folder.0.join(file).exists();
        kept += usize::from(is_kept);
        if is_kept {
            assert!(fs::read(scene.folder.0.join(file)).unwrap() == scene.content, "{kind:?}");
        }
        let outcome = scene.client(false).download(&scene.id, &scene.folder.file());
        let package = is_answer(outcome, kind.expected(false), &scene.folder, &scene.content);
        assert_eq!(package["existing"], is_kept);
    }
    eprintln!("{kept} of {rounds} were kept before the end");
}

#[test]
fn a_kill_at_any_moment_leaves_what_the_next_call_reads_rightly() {
    killed(30);
}

// ---- files on disk ------------------------------------------------------------------------------

#[test]
fn an_inspected_package_has_the_whole_list_beside_its_error() {
    let folder = Folder::new();
    for kind in KINDS {
        fs::write(folder.path(), kind.content()).unwrap();
        let outcome = inspect_package(&folder.path());
        let package = outcome.document["package"].clone();
        match kind {
            Good => assert!(outcome.ok()["package"].get("unsafe_count").is_none()),
            Damaged => {
                outcome.error("integrity");
                assert_eq!(package, Value::Null);
            }
            Unsafe => {
                let error = outcome.error("unsafe");
                assert_eq!(error["stage"], "verify");
                is_listed(&package);
                assert_eq!(package["files"][0]["name"], NAME);
                assert_eq!(package["sha256"], sha256(&kind.content()));
            }
        }
    }
}
