//! A job over many devices whose process is killed, and jobs of several processes that share the quota.

use std::process::Stdio;
use std::time::{Duration, Instant};

use mde_simulator::{Config, CountAt, Endpoint, Limit, Simulator};
use mde_tests::child::{self, Task};
use mde_tests::packages::{Folder, quick};
use mde_tests::peers::redis_server::RedisServer;
use mde_tests::{client, read_packages};
use serde_json::Value;

use super::fleet::{OPTIONS, all_there, collections_of, devices, is_there};

/// How often the process is killed.
const KILLS: u64 = 40;

#[test]
fn a_process_that_is_killed_at_any_time_loses_nothing() {
    let (sim, folder) = (quick(), Folder::new());
    sim.set(|b| (b.pending_s, b.in_progress_s) = (0.3, 0.3));
    let devices = devices(&sim, 0, 40);
    let task = Task::FetchPackages {
        options: child::options(&sim, &OPTIONS),
        devices: devices.clone(),
        folder: folder.0.clone(),
    };
    for round in 0..KILLS {
        let mut process =
            task.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(20 + round * 37 % 230));
        process.kill().unwrap();
        process.wait().unwrap();
    }
    let client = client(&sim, &OPTIONS);
    let document = client.fetch_packages(Some(&devices), &folder.0, None, None).ok();
    all_there(&document, &sim, 40);
    let left = folder.names();
    let zips = left.iter().filter(|name| name.ends_with(".zip")).count();
    assert_eq!(zips, 40, "{left:?}");
    assert!(!left.iter().any(|name| name.contains(".part")), "{left:?}");
}

#[test]
fn processes_share_the_quota_through_a_file() {
    let mut config = Config { machines: 100, ..Config::default() };
    for (endpoint, calls) in [(Endpoint::Link, 4), (Endpoint::Collect, 20)] {
        config.quota_limits.insert(endpoint, vec![Limit { calls, seconds: 2 }]);
    }
    let sim = Simulator::start(config).unwrap();
    sim.set(|b| (b.pending_s, b.in_progress_s) = (0.1, 0.1));
    let (one, other) = (Folder::new(), Folder::new());
    let quota = one.0.join("quota.mde");
    let limits = "link=4/2;collect=20/2;read=50000/60;list=50000/60";
    let options = [
        ("poll_interval_ms", "100"),
        ("quota_limits", limits),
        ("quota_file", quota.to_str().unwrap()),
    ];
    let tasks = [(&one, 0), (&other, 10)].map(|(folder, first)| Task::FetchPackages {
        options: child::options(&sim, &options),
        devices: devices(&sim, first, 10),
        folder: folder.0.clone(),
    });
    let documents: Vec<Value> = std::thread::scope(|scope| {
        let runs: Vec<_> = tasks.iter().map(|task| scope.spawn(|| task.finish())).collect();
        runs.into_iter().map(|run| serde_json::from_str(&run.join().unwrap()).unwrap()).collect()
    });
    for (document, folder) in documents.iter().zip([&one, &other]) {
        assert_eq!(document["summary"]["done"], 10, "{document}");
        let mut read = read_packages(&folder.0).ok();
        read["summary"]["eta_ms"] = document["summary"]["eta_ms"].clone();
        assert_eq!(read["packages"], document["packages"]);
    }
    assert_eq!(sim.refusals(), 0);
    assert_eq!(collections_of(&sim).values().sum::<usize>(), 20);
}

/// The speed of the simulator.
const SPEED: u64 = 60;

/// The service's limits of links, in its own seconds. Here the longer window binds as well.
const LINKS: [Limit; 2] = [Limit { calls: 2, seconds: 60 }, Limit { calls: 8, seconds: 300 }];

/// Limits as option `quota_limits` has them, in real seconds.
fn as_option(endpoint: &str, limits: &[Limit]) -> String {
    let real = |limit: &Limit| format!("{}/{}", limit.calls, limit.seconds / SPEED);
    format!("{endpoint}={}", limits.iter().map(real).collect::<Vec<_>>().join(","))
}

/// Checks that no window of these lengths had more requests, by the simulator's log.
#[track_caller]
fn kept(sim: &Simulator, endpoint: &str, limits: &[Limit]) {
    let requests = sim.requests();
    let at: Vec<u64> =
        requests.iter().filter(|it| it.endpoint == endpoint).map(|it| it.at_ms).collect();
    for limit in limits {
        for calls in at.windows(limit.calls + 1) {
            // Times are whole milliseconds.
            let took = calls[limit.calls] - calls[0] + 1;
            assert!(took >= 1_000 * limit.seconds / SPEED, "{endpoint}, {limit:?}: {at:?}");
        }
    }
}

/// Kills a process once some of its packages are there, and lets another one resume its job.
fn killed_on_its_way(task: &Task, folder: &Folder) -> String {
    let zips = || folder.names().iter().filter(|name| name.ends_with(".zip")).count();
    let mut command = task.command();
    let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while zips() < 2 {
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", folder.names());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(process.try_wait().unwrap().is_none(), "it is at work");
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(zips() < 6, "{:?}", folder.names());
    task.finish()
}

#[test]
fn three_processes_share_the_quota_on_a_redis_server() {
    const EACH: usize = 6;
    let redis = RedisServer::start();
    let mut config = Config {
        time_scale: SPEED as f64,
        count_at: CountAt::Random,
        latency_ms: (0, 5),
        ..Config::default()
    };
    config.quota_limits.insert(Endpoint::Link, LINKS.to_vec());
    let sim = Simulator::start(config).unwrap();
    // A second is a minute here, and a busy machine may need longer to use a link.
    sim.set(|b| b.link_lifetime_s = 600.0);
    let others = Endpoint::Collect.documented_limits();
    let mut limits = vec![as_option("link", &LINKS)];
    limits.extend(["collect", "read", "list"].map(|endpoint| as_option(endpoint, &others)));
    let (limits, url) = (limits.join(";"), redis.url());
    let options = [
        ("poll_interval_ms", "200"),
        ("quota_limits", limits.as_str()),
        ("quota_redis", url.as_str()),
    ];
    let folders = [(); 3].map(|()| Folder::new());
    let tasks = [0, 1, 2].map(|n| Task::FetchPackages {
        options: child::options(&sim, &options),
        devices: devices(&sim, n * EACH, EACH),
        folder: folders[n].0.clone(),
    });
    let documents: [String; 3] = std::thread::scope(|scope| {
        let first = scope.spawn(|| tasks[0].finish());
        let killed = scope.spawn(|| killed_on_its_way(&tasks[1], &folders[1]));
        let last = scope.spawn(|| tasks[2].finish());
        [first, killed, last].map(|run| run.join().unwrap())
    });

    for (n, (document, folder)) in documents.iter().zip(&folders).enumerate() {
        let document: Value = serde_json::from_str(document).unwrap();
        let packages = document["packages"].as_array().unwrap();
        assert_eq!(packages.len(), EACH);
        for (at, package) in packages.iter().enumerate() {
            assert_eq!(package["machine_id"], sim.machine_id(n * EACH + at).as_str());
            is_there(package);
        }
        let left = folder.names();
        assert_eq!(left.iter().filter(|name| name.ends_with(".zip")).count(), EACH, "{left:?}");
        assert!(!left.iter().any(|name| name.contains(".part")), "{left:?}");
    }
    let collections = collections_of(&sim);
    assert_eq!((collections.len(), collections.values().sum::<usize>()), (3 * EACH, 3 * EACH));
    assert_eq!(sim.refusals(), 0);
    assert!(sim.requests().iter().all(|request| request.status != 429));
    kept(&sim, "link", &LINKS);
    for endpoint in ["collect", "list"] {
        kept(&sim, endpoint, &others);
    }
}
