//! One quota for several processes, through a file: against a service that counts by itself.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use mde_simulator::{Config, CountAt, QuotaMode, Simulator};
use mde_tests::child::{self, Task};
use mde_tests::programs::Scratch;
use mde_tests::{client, simulator};
use serde_json::json;

/// A minute in a fifth of a second, an hour in 12 s.
const SCALE: f64 = 300.0;
const SCALED_LIMITS: &str = "read=100/0.2,1500/12";
const HOUR: Duration = Duration::from_secs(12);
const PER_HOUR: usize = 1_500;

struct Folder(Scratch);

impl Folder {
    fn new() -> Folder {
        Folder(Scratch::new("quota-file"))
    }

    fn file(&self) -> String {
        self.0.0.join("quota").to_str().unwrap().to_owned()
    }
}

/// Another process, which reads one action over and over with some threads until it is killed.
struct Reader(Child);

impl Reader {
    fn start(sim: &Simulator, file: &str, action: &str, threads: usize) -> Reader {
        let options = Reader::options(sim, file);
        let task = Task::ReadForEver { options, action: action.to_owned(), threads };
        Reader(task.command().stdout(Stdio::null()).spawn().unwrap())
    }

    fn options(sim: &Simulator, file: &str) -> child::Options {
        child::options(sim, &[("quota_file", file), ("quota_limits", SCALED_LIMITS)])
    }

    fn kill(&mut self) {
        // SIGKILL: at any instruction.
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn scaled(mode: QuotaMode) -> Simulator {
    Simulator::start(Config {
        time_scale: SCALE,
        quota_mode: mode,
        count_at: CountAt::Random,
        latency_ms: (0, 10),
        ..Config::default()
    })
    .unwrap()
}

fn action_of(sim: &Simulator) -> String {
    client(sim, &[]).collect(&sim.machine_id(0), "x").ok()["action"]["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn reads(sim: &Simulator) -> usize {
    sim.requests().iter().filter(|request| request.endpoint == "read").count()
}

/// How many calls go out in `time`, of those that may.
fn used_up(sim: &Simulator, time: Duration) -> f64 {
    let before = reads(sim);
    std::thread::sleep(time);
    let legal = time.as_secs_f64() / HOUR.as_secs_f64() * PER_HOUR as f64;
    (reads(sim) - before) as f64 / legal
}

#[test]
fn clients_of_two_processes_share_one_quota() {
    let (sim, folder) = (simulator(), Folder::new());
    let id = action_of(&sim);
    let more = [("quota_file", folder.file()), ("quota", "fail".into())];
    let limits = ("quota_limits", "read=40/60".to_owned());
    let all: Vec<_> = more.iter().chain([&limits]).map(|(k, v)| (*k, v.as_str())).collect();
    let here = client(&sim, &all);
    here.action(&id).ok();
    let status = here.quota().ok();
    assert_eq!(status["log"], serde_json::json!({"kind": "file", "place": folder.file()}));
    let _other = Reader::start(&sim, &folder.file(), &id, 2);
    // The other one keeps far wider limits, and this one counts its calls all the same.
    let started = Instant::now();
    while here.quota().ok()["quotas"]
        .as_array()
        .unwrap()
        .iter()
        .any(|row| row["endpoint"] == "read" && row["used"].as_u64().unwrap() < 40)
    {
        assert!(started.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(20));
    }
    let error = here.action(&id).error("rate_limited");
    assert!(error["retry_after_ms"].as_u64().is_some(), "{error}");
}

#[test]
fn a_running_call_of_another_process_has_no_known_end() {
    let (sim, folder) = (simulator(), Folder::new());
    let (id, file) = (action_of(&sim), folder.file());
    let stalled = json!({"match": {"path_contains": &id}, "times": 1, "stall": true});
    sim.script(stalled).unwrap();
    let _other = Reader::start(&sim, &file, &id, 1);
    let limits = [("quota_file", file.as_str()), ("quota_limits", "read=1/60")];
    let here = client(&sim, &[&limits[..], &[("quota", "fail")]].concat());
    let started = Instant::now();
    let row = || {
        let quotas = here.quota().ok()["quotas"].clone();
        quotas.as_array().unwrap().iter().find(|row| row["endpoint"] == "read").unwrap().clone()
    };
    // The status looks at the shared log before the first call.
    while row()["in_flight"] != 1 {
        assert!(started.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(20));
    }
    let row = row();
    assert_eq!(row["available_in_ms"], serde_json::Value::Null, "{row}");
    assert_eq!(row["used"], 1);
    let error = here.action(&id).error("rate_limited");
    assert_eq!(error["retry_after_ms"], serde_json::Value::Null, "{error}");
    assert!(
        error["message"].as_str().unwrap().contains("when calls that are under way"),
        "{error}"
    );
    let waiting = client(&sim, &[&limits[..], &[("timeout_ms", "500")]].concat());
    let error = waiting.action(&id).error("deadline");
    assert_eq!(error["retry_after_ms"], serde_json::Value::Null, "{error}");
}

#[test]
fn the_log_outlives_the_process() {
    let (sim, folder) = (scaled(QuotaMode::Sliding), Folder::new());
    let id = action_of(&sim);
    let mut reader = Reader::start(&sim, &folder.file(), &id, 8);
    let started = Instant::now();
    while reads(&sim) < 500 {
        assert!(started.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(20));
    }
    reader.kill();
    let seen = reads(&sim);
    let file = folder.file();
    let here = client(&sim, &[("quota_file", file.as_str()), ("quota_limits", SCALED_LIMITS)]);
    here.action(&id).ok();
    let status = here.quota().ok();
    let hour = status["quotas"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["endpoint"] == "read" && row["window_s"] == 12);
    let used = hour.unwrap()["used"].as_u64().unwrap() as usize;
    assert!(used > seen && used <= seen + 9, "{used} {seen}");
}

#[test]
fn with_an_unwritable_folder_every_process_counts_alone() {
    let sim = simulator();
    let file = "/proc/quota";
    let here = client(&sim, &[("quota_file", file)]);
    here.collect(&sim.machine_id(0), "x").ok();
    let log = &here.quota().ok()["log"];
    assert_eq!((&log["kind"], &log["place"]), (&"file".into(), &file.into()));
    assert!(log["trouble"].as_str().unwrap().starts_with("cannot be opened"), "{log}");
}

#[test]
fn settings_that_a_file_cannot_serve_are_refused() {
    let sim = simulator();
    for (more, expected) in [
        ([("quota_file", "quota"), ("quota", "wait")], "absolute path"),
        ([("quota_file", "/tmp/q"), ("quota_limits", "read=50001/1")], "up to 50000 calls"),
        ([("quota_file", "/no/such/folder/q"), ("quota", "wait")], "a folder that is not there"),
    ] {
        let error = mde_tests::try_client(&sim, &more).err().unwrap().error("config");
        assert!(error["message"].as_str().unwrap().contains(expected), "{error}");
    }
}

#[test]
fn one_file_is_for_one_identity() {
    let (sim, folder) = (simulator(), Folder::new());
    let file = folder.file();
    client(&sim, &[("quota_file", file.as_str())]).collect(&sim.machine_id(0), "x").ok();
    let other = client(
        &sim,
        &[
            ("quota_file", file.as_str()),
            ("auth", "access_token"),
            ("access_token", "opaque"),
            ("client_id", "11111111-2222-3333-4444-555555555555"),
        ],
    );
    let error = other.collect(&sim.machine_id(1), "x").error("config");
    assert!(error["message"].as_str().unwrap().contains("quota_file"), "{error}");
}

#[test]
fn a_process_that_is_killed_leaves_no_lock_with_its_forked_children() {
    let (sim, folder) = (simulator(), Folder::new());
    let (id, file) = (action_of(&sim), folder.file());
    let here = client(&sim, &[("quota_file", file.as_str())]);
    // Most of them are killed inside a transaction.
    for round in 0..10 {
        let options = Reader::options(&sim, &file);
        let task = Task::ForkAndLookAtQuota { options, action: id.clone() };
        let mut reader =
            task.command().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdin = reader.stdin.take();
        let said = BufReader::new(reader.stdout.take().unwrap());
        said.lines().find(|line| line.as_ref().unwrap().contains("forked")).unwrap().unwrap();
        std::thread::sleep(Duration::from_millis(20 + round));
        Reader(reader).kill();
        let started = Instant::now();
        here.action(&id).ok();
        let trouble = here.quota().ok()["log"]["trouble"].clone();
        assert_eq!(trouble, serde_json::Value::Null, "round {round}");
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        drop(stdin);
    }
}

#[test]
fn eight_processes_never_exceed_the_quota_and_use_all_of_it() {
    let (sim, folder) = (scaled(QuotaMode::Fixed), Folder::new());
    let id = action_of(&sim);
    let readers: Vec<_> = (0..8).map(|_| Reader::start(&sim, &folder.file(), &id, 8)).collect();
    std::thread::sleep(HOUR);
    let used = used_up(&sim, HOUR);
    drop(readers);
    assert_eq!(sim.refusals(), 0, "the service refused a call");
    assert!(used > 0.98, "{used}");
}

mod full {
    use super::*;

    #[test]
    fn processes_that_are_killed_at_any_instruction_cost_only_their_own_slots() {
        const KILLING: Duration = Duration::from_secs(60);
        const LEASE: Duration = Duration::from_secs(1);
        let (sim, folder) = (scaled(QuotaMode::Sliding), Folder::new());
        let id = action_of(&sim);
        let start = || Reader::start(&sim, &folder.file(), &id, 8);
        let mut readers: Vec<_> = (0..8).map(|_| start()).collect();
        let began = Instant::now();
        let mut killed = 0;
        while began.elapsed() < KILLING {
            std::thread::sleep(Duration::from_millis(50));
            let victim = fastrand::usize(..readers.len());
            readers[victim].kill();
            readers[victim] = start();
            killed += 1;
        }
        assert_eq!(sim.refusals(), 0, "the service refused a call");
        let meanwhile = reads(&sim);
        // What the dead had reserved counts until their leases and an hour after that are over.
        std::thread::sleep(LEASE + HOUR);
        let used = used_up(&sim, HOUR * 2);
        println!("{killed} killed, {meanwhile} calls meanwhile; afterwards {used:.3} of the quota");
        drop(readers);
        assert_eq!(sim.refusals(), 0, "the service refused a call");
        assert!(used > 0.98, "{used}");
        assert!(killed > 600 && meanwhile > 500, "{killed} {meanwhile}");
    }
}
