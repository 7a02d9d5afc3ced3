//! Downloads after a refused one: of a damaged package only one version is there, so nothing of it is lost before its
//! replacement comes.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mde_simulator::{PackageFault, Simulator};
use mde_tests::packages::{
    Folder, collections_asked_for, lead_to, links_asked_for, package, package_of, patient, quick,
    service, sha256,
};
use mde_tests::peers::file_host::{FileHost, send, send_file};
use mde_tests::{Cancel, Outcome, client};
use serde_json::{Value, json};

const OPTIONS: [(&str, &str); 3] = [
    ("poll_interval_ms", "100"),
    ("quota_limits", "link=10000/60;collect=10000/60;read=10000/60"),
    ("max_retries", "0"),
];

fn damaged() -> Vec<u8> {
    let mut content = package(300_000, 61);
    content[123_456] ^= 0x20;
    content
}

fn page(text: &str) -> Vec<u8> {
    format!("<html><title>{text}</title></html>").into_bytes()
}

/// What the host does with a request.
#[derive(Clone)]
enum Answer {
    Content(Vec<u8>),
    Status(&'static str),
    Silence,
}
use Answer::{Content, Silence, Status};

const GONE: Answer = Status("404 Not Found\r\nx-ms-error-code: BlobNotFound");

/// A service whose links lead to a host that changes its mind.
struct Scene {
    sim: Simulator,
    id: String,
    folder: Folder,
    host: FileHost,
    answer: Arc<Mutex<Answer>>,
}

impl Scene {
    fn new(first: Answer) -> Scene {
        let (sim, id) = service("Succeeded");
        let answer = Arc::new(Mutex::new(first));
        let shared = Arc::clone(&answer);
        let host = FileHost::start(move |_, head, peer| {
            let answer = shared.lock().unwrap().clone();
            match answer {
                Content(content) => send_file(peer, head, &content, "\"1\"", content.len()),
                Status(line) => send(peer, line, "", 0, b""),
                Silence => std::thread::sleep(Duration::from_secs(5)),
            }
        });
        lead_to(&sim, &host.link());
        Scene { sim, id, folder: Folder::new(), host, answer }
    }

    /// A scene with the whole part of an earlier process, which may be of two versions.
    fn with_part(content: &[u8], answer: Answer) -> Scene {
        let scene = Scene::new(answer);
        scene.write(".part", content);
        let state = json!({"action_id": scene.id, "total": content.len(), "etag": "\"0\""});
        scene.write(".part.json", state.to_string().as_bytes());
        scene
    }

    fn write(&self, ending: &str, content: &[u8]) {
        fs::write(self.folder.0.join(format!("package.zip{ending}")), content).unwrap();
    }

    #[track_caller]
    fn has(&self, files: &[(&str, &[u8])]) {
        let names: Vec<_> = files.iter().map(|(end, _)| format!("package.zip{end}")).collect();
        assert_eq!(self.folder.names(), names);
        for (name, (_, content)) in names.iter().zip(files) {
            assert!(fs::read(self.folder.0.join(name)).unwrap() == *content, "{name}");
        }
    }

    fn now(&self, answer: Answer) -> &Scene {
        *self.answer.lock().unwrap() = answer;
        self
    }

    /// Downloads without retries, and checks how many links were asked for.
    #[track_caller]
    fn download(&self, more: &[(&str, &str)], links: usize) -> Outcome {
        let before = links_asked_for(&self.sim);
        let options = [&[("max_retries", "0")][..], more].concat();
        let outcome = patient(&self.sim, &options).download(&self.id, &self.folder.file());
        assert_eq!(links_asked_for(&self.sim) - before, links, "links: {}", outcome.text);
        outcome
    }

    /// The download is refused as damaged, and the answer describes the file that is kept.
    #[track_caller]
    fn is_damaged(&self, kept: &[u8], existing: bool, links: usize) {
        let outcome = self.download(&[], links);
        let package = outcome.document["package"].clone();
        let error = outcome.error("integrity");
        assert_eq!((&error["stage"], &error["retryable"]), (&json!("verify"), &json!(false)));
        assert_eq!(package["path"], format!("{}.damaged", self.folder.path()));
        assert_eq!(
            (&package["sha256"], &package["bytes"]),
            (&json!(sha256(kept)), &json!(kept.len()))
        );
        assert_eq!(package["existing"], existing);
        self.has(&[(".damaged", kept)]);
    }
}

// ---- a damaged part, and the download that should replace it ------------------------------------

#[test]
fn a_damaged_part_is_kept_where_the_second_download_never_begins() {
    let content = damaged();
    for answer in [GONE, Status("400 Bad Request"), Status("302 Found\r\nlocation: ftp://x/")] {
        let scene = Scene::with_part(&content, answer);
        scene.is_damaged(&content, false, 1);
        scene.is_damaged(&content, true, 0);
    }
    // The replacement would be larger than allowed.
    let scene = Scene::with_part(&content, Content(package(400_000, 62)));
    scene.download(&[("max_package_bytes", "350000")], 1).error("integrity");
    scene.has(&[(".damaged", &content)]);
}

#[test]
fn a_fetch_keeps_a_damaged_package_whose_second_link_is_refused() {
    let (sim, folder) = (quick(), Folder::new());
    sim.set(|b| {
        (b.package_fault, b.package_bytes) = (PackageFault::Checksum, 400_000);
        b.cut_downloads_after = 150_000;
    });
    let client = client(&sim, &OPTIONS);
    let fetch = || client.fetch(&sim.machine_id(0), "x", &folder.path());
    fetch().error("broken");
    sim.set(|b| b.cut_downloads_after = 0);
    // The rest comes by the next link. The one after it is for a package that the service has no more.
    let gone = json!({"error": {"code": "ResourceNotFound", "message": "no package"}});
    let rule = json!({"match": {"path_contains": "getPackageUri"}, "skip": 1, "times": 0,
        "reply": {"status": 404, "json": gone}});
    sim.script(rule).unwrap();
    let mut links = Vec::new();
    for existing in [false, true] {
        let outcome = fetch();
        let package = outcome.document["package"].clone();
        let error = outcome.error("integrity");
        assert!(error["message"].as_str().unwrap().contains(".fetch.json` is removed"), "{error}");
        assert_eq!(package["existing"], existing);
        let kept = fs::read(folder.0.join("package.zip.damaged")).unwrap();
        assert!(kept.len() > 150_000, "{}", kept.len());
        assert_eq!(package["sha256"], sha256(&kept));
        assert_eq!(folder.names(), ["package.zip.damaged", "package.zip.fetch.json"]);
        links.push(links_asked_for(&sim));
    }
    // The link that is not there is asked for several times, by the first call alone.
    assert_eq!((links[0], collections_asked_for(&sim)), (links[1], 1));
}

#[test]
fn a_damaged_part_stays_whole_for_the_next_call_where_this_one_may_still_succeed() {
    let (content, good) = (damaged(), package(310_000, 63));
    let scene = Scene::with_part(&content, Silence);
    let state = fs::read(scene.folder.0.join("package.zip.part.json")).unwrap();
    let stays = || scene.has(&[(".part", &content), (".part.json", &state)]);
    scene.download(&[("wait_timeout_ms", "900")], 1).error("deadline");
    stays();
    let cancel = Cancel::new(0);
    let asked = scene.host.heads().len();
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            while scene.host.heads().len() == asked {
                std::thread::sleep(Duration::from_millis(10));
            }
            cancel.trigger();
        });
        let client = patient(&scene.sim, &[]);
        client.download_until(&scene.id, &scene.folder.file(), Some(&cancel), |_| 0)
    });
    outcome.error("cancelled");
    stays();
    scene.now(Status("503 Busy")).download(&[], 1).error("service");
    stays();
    scene.now(Content(good.clone())).download(&[], 1).ok();
    scene.has(&[("", &good)]);
    // Nothing of the damaged part was asked to be resumed.
    assert!(scene.host.heads().iter().all(|head| !head.to_lowercase().contains("range:")));
}

#[test]
fn a_part_of_another_version_stays_until_the_new_version_comes() {
    let (old, new) = (&damaged()[..200_000], package(300_000, 64));
    let scene = Scene::new(Status("412 Precondition Failed"));
    scene.write(".part", old);
    let state = json!({"action_id": scene.id, "total": 300_200, "etag": "\"0\""}).to_string();
    scene.write(".part.json", state.as_bytes());
    scene.download(&[], 1).error("integrity");
    scene.has(&[(".part", old), (".part.json", state.as_bytes())]);
    scene.now(Content(new.clone())).download(&[], 1).ok();
    scene.has(&[("", &new)]);
}

// ---- a web page in place of the package ---------------------------------------------------------

#[test]
fn a_kept_web_page_does_not_keep_the_next_call_from_the_package() {
    let (web_page, good) = (page("blocked"), package(300_000, 65));
    let scene = Scene::new(Content(web_page.clone()));
    scene.is_damaged(&web_page, false, 1);
    let package = scene.now(Content(good.clone())).download(&[], 1).ok();
    assert_eq!(package["package"]["existing"], false);
    for _ in 0..2 {
        scene.has(&[("", &good), (".damaged", &web_page)]);
        assert_eq!(scene.download(&[], 0).ok()["package"]["existing"], true);
    }
}

#[test]
fn the_first_web_page_stays_where_another_one_comes() {
    let first = page("blocked at ten");
    let scene = Scene::new(Content(first.clone()));
    scene.is_damaged(&first, false, 1);
    for again in [page("blocked at eleven"), page("blocked at ten"), b"P".to_vec()] {
        scene.now(Content(again)).is_damaged(&first, true, 1);
    }
    // Neither does one that could not be asked for again.
    scene.now(Status("503 Busy")).download(&[], 1).error("service");
    scene.has(&[(".damaged", &first)]);
}

#[test]
fn a_damaged_package_replaces_a_kept_web_page() {
    let (web_page, content) = (page("blocked"), damaged());
    let scene = Scene::new(Content(web_page.clone()));
    scene.is_damaged(&web_page, false, 1);
    scene.now(Content(content.clone())).is_damaged(&content, false, 1);
    scene.is_damaged(&content, true, 0);
}

#[test]
fn an_unsafe_package_is_kept_beside_a_web_page() {
    let (web_page, content) = (page("blocked"), package_of("../a", 100_000, 66));
    let scene = Scene::new(Content(web_page.clone()));
    scene.is_damaged(&web_page, false, 1);
    scene.now(Content(content.clone())).download(&[], 1).error("unsafe");
    scene.has(&[(".damaged", &web_page), (".unsafe", &content)]);
    scene.download(&[], 0).error("unsafe");
    scene.download(&[("accept_unsafe", "yes")], 0).ok();
    scene.has(&[("", &content), (".damaged", &web_page)]);
}

#[test]
fn a_process_that_ended_before_its_second_rename_leaves_the_answer_beside_a_web_page() {
    let web_page = page("blocked");
    for (content, name) in [(package(200_000, 67), "ok"), (damaged(), "integrity")] {
        let scene = Scene::new(Content(web_page.clone()));
        scene.is_damaged(&web_page, false, 1);
        scene.now(GONE).write(".part", &content);
        let state =
            json!({"action_id": scene.id, "total": content.len(), "sha256": sha256(&content)});
        scene.write(".part.json", state.to_string().as_bytes());
        let outcome = scene.download(&[], 0);
        match name {
            "ok" => {
                outcome.ok();
                scene.has(&[("", &content), (".damaged", &web_page)]);
            }
            _ => {
                outcome.error(name);
                scene.has(&[(".damaged", &content)]);
            }
        }
    }
}

#[test]
fn a_web_page_without_a_receipt_of_its_own_answers_as_before() {
    // Where the file system keeps no attributes, the state file is the receipt, and a download would write it anew.
    let web_page = page("blocked");
    let scene = Scene::new(Content(package(200_000, 68)));
    scene.write(".damaged", &web_page);
    let state =
        json!({"action_id": scene.id, "total": web_page.len(), "sha256": sha256(&web_page)});
    scene.write(".part.json", state.to_string().as_bytes());
    for _ in 0..2 {
        scene.download(&[], 0).error("integrity");
    }
    // One that is not ours is in the way.
    let scene = Scene::new(Content(package(200_000, 69)));
    scene.write(".damaged", &web_page);
    scene.download(&[], 0).error("file");
    scene.has(&[(".damaged", &web_page)]);
}

#[test]
fn a_fetch_into_a_folder_gets_past_a_web_page_by_itself() {
    let (sim, folder) = (quick(), Folder::new());
    sim.set(|b| b.package_fault = PackageFault::Html);
    let client = client(&sim, &OPTIONS);
    let fetch = || client.fetch(&sim.machine_id(0), "x", folder.0.to_str().unwrap());
    fetch().error("integrity");
    fetch().error("integrity");
    sim.set(|b| b.package_fault = PackageFault::None);
    let fetched = fetch().ok();
    assert_eq!((collections_asked_for(&sim), links_asked_for(&sim)), (1, 3));
    let path = fetched["package"]["path"].as_str().unwrap();
    let name = |path: &str| path.rsplit('/').next().unwrap().to_owned();
    assert_eq!(folder.names(), [name(path), name(&format!("{path}.damaged"))]);
}

// ---- folders ------------------------------------------------------------------------------------

#[test]
fn what_lies_beside_a_folder_is_no_package_of_the_folder() {
    let (sim, folder) = (quick(), Folder::new());
    sim.set(|b| b.package_fault = PackageFault::Unsafe);
    let client = client(&sim, &OPTIONS);
    let fetch = || client.fetch(&sim.machine_id(0), "x", &folder.path());
    fetch().error("unsafe");
    fs::remove_file(folder.0.join("package.zip.fetch.json")).unwrap();
    sim.set(|b| b.package_fault = PackageFault::None);
    // Now the path is that of a folder, with a kept package beside it.
    fs::create_dir(folder.file()).unwrap();
    let fetched: Value = fetch().ok();
    assert_eq!((&fetched["adopted"], collections_asked_for(&sim)), (&json!(false), 2));
    assert!(folder.0.join("package.zip.unsafe").exists());
}
