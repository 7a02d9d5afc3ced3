//! One quota for several processes on a Redis server, against a service that counts by itself.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mde_simulator::{Config, CountAt, Endpoint, Limit, QuotaMode, Simulator};
use mde_tests::child::{self, Task};
use mde_tests::peers::openssl::Pki;
use mde_tests::peers::redis_server::RedisServer;
use mde_tests::{client, simulator, try_client};
use serde_json::{Value, json};

const PROCESSES: usize = 4;
const THREADS: usize = 8;

/// A service with these limits for reading actions, as calls and real seconds.
fn service(mode: QuotaMode, limits: &[(usize, f64)]) -> Simulator {
    const SCALE: f64 = 60.0;
    let scaled = |(calls, seconds): &(usize, f64)| Limit {
        calls: *calls,
        seconds: (seconds * SCALE) as u64,
    };
    let mut config = Config {
        time_scale: SCALE,
        quota_mode: mode,
        fixed_phase_s: 1_234.5,
        count_at: CountAt::Random,
        latency_ms: (0, 5),
        ..Config::default()
    };
    config.quota_limits.insert(Endpoint::Read, limits.iter().map(scaled).collect());
    Simulator::start(config).unwrap()
}

/// The same for option `quota_limits`.
fn as_option(limits: &[(usize, f64)]) -> String {
    let windows: Vec<_> = limits.iter().map(|(calls, s)| format!("{calls}/{s}")).collect();
    format!("read={}", windows.join(","))
}

fn action_of(sim: &Simulator) -> String {
    let action = sim.add_action(json!({"type": "CollectInvestigationPackage"})).unwrap();
    action["id"].as_str().unwrap().to_owned()
}

/// Processes that read one action for so long.
fn fleet(sim: &Simulator, options: &[(&str, &str)], length: Duration) -> Vec<Child> {
    let until = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + length;
    let task = Task::ReadUntil {
        options: child::options(sim, options),
        action: action_of(sim),
        threads: THREADS,
        until_ms: until.as_millis() as u64,
    };
    let start = |_| task.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    (0..PROCESSES).map(start).collect()
}

fn finish(fleet: Vec<Child>) {
    for process in fleet {
        child::finished(process.wait_with_output().unwrap());
    }
}

/// When the service received the reads, in seconds after its start.
fn reads(sim: &Simulator) -> Vec<f64> {
    let requests = sim.requests().into_iter().filter(|request| request.endpoint == "read");
    requests.map(|request| request.at_ms as f64 / 1_000.0).collect()
}

fn between(reads: &[f64], from: f64, to: f64) -> usize {
    reads.iter().filter(|at| (from..to).contains(*at)).count()
}

fn all_of_the_quota_is_used_and_never_more(mode: QuotaMode) {
    // The long window is the one that binds in the long run; the short one stretches its bursts.
    let limits = [(50, 0.5), (400, 5.0)];
    let server = RedisServer::start();
    let sim = service(mode, &limits);
    let quota_limits = as_option(&limits);
    let options = [
        ("quota_redis", server.url()),
        ("quota_limits", quota_limits),
        ("timeout_ms", "10000".to_owned()),
    ];
    let options: Vec<_> = options.iter().map(|(name, value)| (*name, value.as_str())).collect();
    finish(fleet(&sim, &options, Duration::from_secs(17)));
    let reads = reads(&sim);
    assert_eq!(sim.refusals(), 0, "the service refused a call");
    // Two whole windows, when all have started.
    let first = reads[0] + 5.0;
    let (used, legal) = (between(&reads, first, first + 10.0), 2 * 400);
    assert!(used <= legal && used * 100 >= legal * 98, "{used} of {legal}");
}

#[test]
fn many_processes_use_all_of_a_sliding_window() {
    all_of_the_quota_is_used_and_never_more(QuotaMode::Sliding);
}

#[test]
fn many_processes_use_all_of_a_fixed_window() {
    all_of_the_quota_is_used_and_never_more(QuotaMode::Fixed);
}

#[test]
fn no_call_is_refused_after_the_server_lost_its_data() {
    let limits = [(20, 0.25), (100, 2.0)];
    let mut server = RedisServer::start();
    let sim = service(QuotaMode::Sliding, &limits);
    let quota_limits = as_option(&limits);
    let url = server.url();
    let options = [
        ("quota_redis", url.as_str()),
        ("quota_redis_fallback", "fail"),
        ("quota_limits", quota_limits.as_str()),
        ("timeout_ms", "10000"),
    ];
    let started = Instant::now();
    let fleet = fleet(&sim, &options, Duration::from_secs(22));
    let now = || started.elapsed().as_secs_f64();
    // Once the new server knows a whole window.
    while between(&reads(&sim), 0.0, f64::MAX) < 150 {
        assert!(now() < 10.0, "{:?}", reads(&sim).len());
        std::thread::sleep(Duration::from_millis(5));
    }
    server.kill();
    let killed = now();
    std::thread::sleep(Duration::from_millis(300));
    server.restart();
    finish(fleet);
    let reads = reads(&sim);
    assert_eq!(sim.refusals(), 0, "the service refused a call");
    let after = |seconds: f64| between(&reads, killed + seconds, f64::MAX);
    // Not one before a window and a lease have passed, and then as ever.
    assert_eq!(after(0.5) - after(2.5), 0);
    assert!(after(9.0) > 150, "{} {killed}", after(9.0));
}

#[test]
fn without_the_shared_log_the_same_processes_are_refused() {
    let limits = [(20, 0.25), (100, 2.0)];
    let sim = service(QuotaMode::Sliding, &limits);
    let quota_limits = as_option(&limits);
    let options = [("quota_limits", quota_limits.as_str()), ("max_retries", "4")];
    let fleet = fleet(&sim, &options, Duration::from_secs(2));
    for process in fleet {
        process.wait_with_output().unwrap();
    }
    assert!(sim.refusals() > 0);
}

#[test]
fn the_status_has_the_calls_of_all_processes() {
    let server = RedisServer::with(&["--requirepass", "canary-secret"]);
    let sim = simulator();
    let url = format!("redis://:canary-secret@127.0.0.1:{}/1", server.port);
    let client = client(&sim, &[("quota_redis", &url)]);
    client.list("").ok();
    let login = ["AUTH", "canary-secret"];
    let keys = server.commands(&[&login, &["SELECT", "1"], &["KEYS", "*"]]);
    assert!(keys.contains("mde:quota:v2:{127.0.0.1:"), "{keys}");
    let document = client.quota().ok();
    let place = format!("127.0.0.1:{}/1", server.port);
    assert_eq!(document["log"], json!({"kind": "redis", "place": place}));
    let rows = document["quotas"].as_array().unwrap();
    let row = rows.iter().find(|row| row["endpoint"] == "list").unwrap();
    assert_eq!((&row["used"], &row["in_flight"]), (&json!(1), &json!(0)));
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let sim = simulator();
    let refused = |more: &[(&str, &str)]| {
        let error = try_client(&sim, more).err().unwrap().error("config");
        error["message"].as_str().unwrap().to_owned()
    };
    let message = refused(&[("quota_redis", "redis://:canary@x/y")]);
    assert!(message.starts_with("option `quota_redis` has a path"), "{message}");
    assert!(!message.contains("canary"));
    assert!(refused(&[("quota_redis_fallback", "maybe")]).contains("local:1 to local:100"));
    let both = [("quota_redis", "redis://x"), ("quota_file", "/tmp/mde-quota-of-nobody")];
    let message = refused(&both);
    assert!(message.contains("`quota_file`") && message.contains("`quota_redis`"), "{message}");
}

#[test]
fn a_server_over_tls_needs_a_trusted_certificate() {
    let pki = Pki::new();
    pki.issue_for("server", "IP:127.0.0.1");
    let (ca, pem) = (pki.path("root"), pki.path("server"));
    let key = pem.replace(".pem", ".key");
    let tls = ["--port", "0", "--tls-port", "{port}", "--tls-auth-clients", "no"];
    let files = ["--tls-ca-cert-file", &ca, "--tls-cert-file", &pem, "--tls-key-file", &key];
    let server = RedisServer::with(&[tls, files].concat());
    let sim = simulator();
    let url = format!("rediss://127.0.0.1:{}", server.port);
    let options = [("quota_redis", url.as_str()), ("quota_redis_fallback", "fail")];
    let trusting =
        client(&sim, &[&options[..], &[("ca_file", &ca), ("quota_limits", "list=5/0.1")]].concat());
    // The server is new: its log reaches back a whole window only after a moment.
    trusting.list("").ok();
    assert_eq!(trusting.quota().ok()["log"]["trouble"], Value::Null);
    let others =
        [("tenant_id", "other.example"), ("access_token", "opaque"), ("auth", "access_token")];
    let wary = client(&sim, &[&options[..], &others[..]].concat());
    let error = wary.list("").error("rate_limited");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("TLS with `127.0.0.1` failed") && message.contains("issuer"),
        "{message}"
    );
}

#[test]
fn a_forked_child_opens_its_own_connection() {
    let server = RedisServer::start();
    let sim = simulator();
    let options = child::options(&sim, &[("quota_redis", &server.url())]);
    let received = |server: &RedisServer| -> u64 {
        let stats = server.command(&["INFO", "stats"]);
        let line = stats.lines().find_map(|l| l.strip_prefix("total_connections_received:"));
        line.unwrap().trim().parse().unwrap()
    };
    let before = received(&server);
    Task::ReadInForkedChild { options, action: action_of(&sim) }.finish();
    // The parent's, which it went on using, the child's, and the one that asks.
    assert_eq!(received(&server) - before, 3);
    assert_eq!(reads(&sim).len(), 3);
}
