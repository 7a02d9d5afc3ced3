//! The C programs, each runnable in every way that [`How`] names.

use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mde_simulator::{Config, DEFAULT_CLIENT, DEFAULT_SECRET, DEFAULT_TENANT, QuotaMode};
use serde_json::json;

use crate::packages::{lead_to, patient};
use crate::peers::proxies::Proxy;
use crate::peers::responder::{Answer, Responder};
use crate::peers::stub_proxy::StubProxy;
use crate::programs::{
    Finished, How, Program, Scratch, Service, compile, run, run_with, start, targets,
};

const SUPPORT: &str = "tests/c/support.c";

#[track_caller]
fn passes(finished: Finished) {
    assert!(finished.expect(0).stdout.contains("all checks passed"));
}

/// Every function with NULL in every place.
#[track_caller]
pub fn null_arguments(how: How) {
    let program = compile(&["tests/c/null_arguments.c", SUPPORT], how);
    passes(run(start(&program, how).env("MDE_TEST_CERTIFICATE", super::certificate())));
}

/// Every string argument with text it cannot take.
#[track_caller]
pub fn bad_input(how: How) {
    let program = compile(&["tests/c/bad_input.c", SUPPORT], how);
    passes(run(&mut start(&program, how)));
}

fn against_the_simulator(source: &str, how: How) -> Finished {
    let service = Service::start(Config::default());
    let program = compile(&[source, SUPPORT, "tests/c/service.c"], how);
    run(service.describe(&mut start(&program, how)))
}

/// A client's whole life.
#[track_caller]
pub fn lifecycle(how: How) {
    passes(against_the_simulator("tests/c/lifecycle.c", how));
}

/// A job over several devices.
#[track_caller]
pub fn fleet(how: How) {
    let service = Service::start(Config { quota_mode: QuotaMode::Off, ..Config::default() });
    service.sim.set(|b| {
        (b.pending_s, b.in_progress_s) = (0.1, 0.3);
        // Each download takes long enough to be reported.
        (b.package_bytes, b.download_rate) = (400_000, 400_000);
    });
    let program = compile(&["tests/c/fleet.c", SUPPORT, "tests/c/service.c"], how);
    let folder = Scratch::new("fleet");
    let mut command = start(&program, how);
    passes(run(service.describe(&mut command).arg(targets::native(&folder.0, how))));
    assert_eq!(service.sim.actions().len(), 4, "one collection for each device");
}

/// When the user data of callbacks is freed.
#[track_caller]
pub fn user_data(how: How) {
    passes(against_the_simulator("tests/c/user_data.c", how));
}

/// Callbacks on two threads, which take a lock for what they share, and which do not: that is found.
#[track_caller]
pub fn race(how: How) {
    let service = Service::start(Config { quota_mode: QuotaMode::Off, ..Config::default() });
    let program = compile(&["tests/c/race.c", SUPPORT, "tests/c/service.c"], how);
    let run = |word| run(service.describe(&mut start(&program, how)).arg(word));
    passes(run("locked"));
    let found = run("unlocked").expect(99).stderr;
    has(&found, "WARNING: ThreadSanitizer: data race");
    has(&found, "count_line");
}

/// Clients in forked children.
#[track_caller]
pub fn fork(how: How) {
    passes(against_the_simulator("tests/c/fork.c", how));
}

/// Small stacks, SIGPIPE, interrupted system calls; over HTTP and TLS.
#[track_caller]
pub fn harsh_host(how: How) {
    passes(against_the_simulator("tests/c/harsh_host.c", how));
    let service = Service::start(Config { tls: true, ..Config::default() });
    let program = compile(&["tests/c/harsh_host.c", SUPPORT, "tests/c/service.c"], how);
    let ca = program.write("ca.pem", service.sim.ca_pem().unwrap());
    let mut command = start(&program, how);
    passes(run(service.describe(&mut command).env("MDE_TEST_CA", ca)));
}

/// Threads that are cancelled or end in callbacks. What they leave behind is lost: no leaks are looked for.
#[track_caller]
pub fn thread_ends(how: How) {
    passes(against_the_simulator("tests/c/thread_ends.c", how));
}

/// Calls from the destructors of threads, from `atexit` and from those of the program.
#[track_caller]
pub fn last_moments(how: How) {
    let finished = against_the_simulator("tests/c/last_moments.c", how).expect(0);
    let calls = finished.stdout.lines().filter(|line| line.starts_with("ok: "));
    assert_eq!(calls.count(), 6, "{}", finished.stdout);
}

/// What `harsh_host` does as far as Windows has it, and unloading.
#[track_caller]
pub fn windows_host() {
    passes(against_the_simulator("tests/c/windows_host.c", How::Wine));
    passes(run(&mut start(&compile(&["tests/c/unload.c"], How::Wine), How::Wine)));
}

/// `tests/c/windows_proxy.c`, and a service that only a proxy knows.
struct Behind {
    service: Service,
    program: Program,
    port: u16,
    _alone: MutexGuard<'static, ()>,
}

impl Behind {
    #[track_caller]
    fn start() -> Behind {
        // The program changes settings of Windows, and takes them back.
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let config = Config { tls: true, quota_mode: QuotaMode::Off, ..Config::default() };
        let service = Service::start(config);
        service.sim.set(|b| (b.pending_s, b.in_progress_s) = (0.1, 0.1));
        let port = service.sim.api_url().rsplit_once(':').unwrap().1.parse().unwrap();
        let sources = ["tests/c/windows_proxy.c", SUPPORT, "tests/c/service.c"];
        let program = compile(&sources, How::Wine);
        let pem = service.sim.ca_pem().unwrap();
        let base64: String = pem.lines().filter(|line| !line.starts_with("---")).collect();
        std::fs::write(program.folder.0.join("ca.der"), STANDARD.decode(base64).unwrap()).unwrap();
        Behind { service, program, port, _alone: alone }
    }

    fn authority(&self) -> String {
        format!("service0.simulator.test:{}", self.port)
    }

    /// Links lead to the name that only the proxy knows, so that packages come through it as well.
    fn renew_link(&self) {
        let sim = &self.service.sim;
        let ca = self.program.write("ca.pem", sim.ca_pem().unwrap());
        let action = sim.add_action(json!({"status": "Succeeded"})).unwrap();
        let direct = patient(sim, &[("ca_file", ca.to_str().unwrap())]);
        sim.clear_script();
        let document = direct.package_uri(action["id"].as_str().unwrap()).ok();
        let name = format!("https://{}", self.authority());
        lead_to(sim, &document["uri"].as_str().unwrap().replace(&sim.api_url(), &name));
    }

    /// Fetches a package with one more variable.
    #[track_caller]
    fn fetches(&self, variable: (&str, &str), expected: Option<&str>) {
        self.renew_link();
        let path = |name| targets::native(&self.program.folder.0.join(name), How::Wine);
        let mut command = start(&self.program, How::Wine);
        self.service.describe(&mut command);
        command.env("MDE_TEST_URL", format!("https://{}", self.authority()));
        command.env("MDE_TEST_CA", path("ca.der")).env("MDE_TEST_FILE", path("package.zip"));
        for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "http_proxy"] {
            command.env_remove(name);
        }
        command.env(variable.0, variable.1);
        passes(run(command.envs(expected.map(|words| ("MDE_TEST_EXPECT", words)))));
        assert_eq!(self.program.folder.0.join("package.zip").is_file(), expected.is_none());
    }
}

/// A fetch through the proxy that a script names, and the message where the script is missing or broken.
#[track_caller]
pub fn windows_proxy_script() {
    let behind = Behind::start();
    let proxy = StubProxy::to(behind.port);
    let (way, authority) = (format!("PROXY 127.0.0.1:{}", proxy.port), behind.authority());
    let scripts = Responder::start(move |asked| {
        let headers = vec![("Content-Type", "application/x-ns-proxy-autoconfig".to_owned())];
        let (status, body) = match asked.path() {
            "/by-host.pac" => (
                200,
                format!(
                    "function FindProxyForURL(url, host) {{\n  if (host == 'service0.simulator.test' && \
                     url.indexOf('https://{authority}/') == 0)\n    return '{way}';\n  return 'DIRECT';\n}}\n"
                ),
            ),
            "/broken.pac" => (200, "function FindProxyForURL(url, host) { return ".to_owned()),
            _ => (404, String::new()),
        };
        Answer { status, headers, body }
    });
    let script = |name: &str| format!("{}/{name}", scripts.url());
    // Without the script the host is looked up here, where nobody knows it.
    for name in ["missing.pac", "broken.pac"] {
        behind.fetches(("MDE_TEST_PAC", &script(name)), Some("was not used: "));
    }
    assert_eq!(proxy.targets(), [] as [&str; 0]);
    behind.fetches(("MDE_TEST_PAC", &script("by-host.pac")), None);
    let targets = proxy.targets();
    assert!(
        !targets.is_empty() && targets.iter().all(|it| *it == behind.authority()),
        "{targets:?}"
    );
}

/// A helper of squid: it sends a challenge, and takes any answer of `agent` in `DOMAIN`. squid's own sends one that Samba
/// refuses.
const NTLM_HELPER: &str = r#"#!/usr/bin/python3
import base64, struct, sys
def pair(kind, text):
    return struct.pack('<HH', kind, len(text) * 2) + text.encode('utf-16-le')
name = 'DOMAIN'.encode('utf-16-le')
info = b''.join(pair(kind, text) for kind, text in
                ((2, 'DOMAIN'), (1, 'SQUID'), (4, 'domain.test'), (3, 'squid.domain.test')))
info += struct.pack('<HH', 0, 0)
head = b'NTLMSSP\0' + struct.pack('<IHHII', 2, len(name), len(name), 56, 0xa2898205) + b'12345678' + bytes(8)
head += struct.pack('<HHI', len(info), len(info), 56 + len(name)) + bytes((10, 0, 0, 0, 0, 0, 0, 15))
def field(message, place):
    length, _, start = struct.unpack_from('<HHI', message, place)
    return message[start:start + length].decode('utf-16-le')
for line in sys.stdin:
    kind, _, message = line.strip().partition(' ')
    message = base64.b64decode(message or '')
    if kind == 'YR' and message[:12] == b'NTLMSSP\0\1\0\0\0':
        print('TT', base64.b64encode(head + name + info).decode(), flush=True)
    elif kind == 'KK' and message[:12] == b'NTLMSSP\0\3\0\0\0' and (field(message, 28), field(message, 36)) == ('DOMAIN', 'agent'):
        print('AF agent', flush=True)
    else:
        print('NA unexpected', flush=True)
"#;

/// A fetch through squid after three messages of NTLM, which Wine leaves to Samba.
#[track_caller]
pub fn windows_proxy_login() {
    let samba = std::path::Path::new("/usr/bin/ntlm_auth");
    assert!(samba.exists(), "ntlm_auth is missing; run: apt-get install winbind");
    let behind = Behind::start();
    // Where squid, which becomes somebody else, may read it.
    let helper = std::env::temp_dir().join(format!("mde-ntlm-{}.py", std::process::id()));
    std::fs::write(&helper, NTLM_HELPER).unwrap();
    let proxy = Proxy::squid(&format!(
        "hosts_file {{folder}}/hosts\nauth_param ntlm program /usr/bin/python3 {}\n\
         auth_param ntlm children 2\nacl known proxy_auth REQUIRED\nhttp_access allow known\n\
         http_access deny all",
        helper.display()
    ));
    behind.fetches(
        ("MDE_TEST_PROXY", &proxy.url()),
        Some("it asks for a login (407) and offers NTLM"),
    );
    behind.fetches(("MDE_TEST_PROXY", &proxy.url_with("DOMAIN%5Cagent:pa_ss.1@")), None);
    std::fs::remove_file(helper).unwrap();
}

/// Panics inside calls.
#[track_caller]
pub fn panics() {
    let finished = against_the_simulator("tests/c/panic.c", How::TestHooks).expect(0);
    assert_eq!(finished.stderr, "", "a contained panic printed something");
    passes(finished);
}

/// A program of `examples/c`, and how to call it.
pub struct Example {
    pub program: Program,
    pub how: How,
    pub service: Service,
}

impl Example {
    #[track_caller]
    pub fn new(how: How, config: Config) -> Example {
        Example::of("examples/c/collect.c", how, config)
    }

    #[track_caller]
    pub fn of(source: &str, how: How, config: Config) -> Example {
        let program = compile(&[source, "examples/c/tool.c"], how);
        Example { program, how, service: Service::start(config) }
    }

    /// Everything but the device, with the secret in the environment.
    pub fn command(&self) -> Command {
        let mut command = self.bare_command();
        command.args(["--comment", "case 4711"]);
        command
    }

    /// The same without the reason.
    pub fn bare_command(&self) -> Command {
        let mut command = start(&self.program, self.how);
        let url = self.service.sim.api_url();
        command
            .args(["--tenant", DEFAULT_TENANT, "--client", DEFAULT_CLIENT])
            .arg(format!("--option=api_url={url}"))
            .args(["--option", &format!("login_url={url}")])
            .env("MDE_CLIENT_SECRET", DEFAULT_SECRET);
        let settings = ["TENANT_ID", "CLIENT_ID", "MACHINE_ID", "COMMENT", "CLOUD", "OUT"];
        let secrets = ["CERTIFICATE_PASSWORD", "ACCESS_TOKEN", "PROXY"];
        for name in settings.iter().chain(&secrets) {
            command.env_remove(format!("MDE_{name}"));
        }
        command
    }

    pub fn machine(&self, n: usize) -> String {
        self.service.sim.machine_id(n)
    }
}

/// Fails with the whole text when it lacks a part.
#[track_caller]
pub fn has(text: &str, part: &str) {
    assert!(text.contains(part), "no `{part}` in\n{text}");
}

/// The example's happy paths: text, JSON, a collection that runs already, a secret from a file.
#[track_caller]
pub fn example_collects(how: How) {
    let example = Example::new(how, Config::default());
    let machine = example.machine(0);
    let finished = run(example.command().args(["--machine", &machine, "--log", "debug"])).expect(0);
    let (out, err) = (&finished.stdout, &finished.stderr);
    has(out, &format!("machine      {machine}\n"));
    has(out, "status       Pending\n");
    has(out, "created      20");
    has(out, "adopted      no (started by this call)\n");
    has(err, "debug POST /api/machines/");
    assert!(!format!("{out}{err}").contains(DEFAULT_SECRET));

    let secret = example.program.write(
        "secret",
        &format!(
            "{DEFAULT_SECRET}
"
        ),
    );
    let finished = run(example
        .command()
        .args(["--machine", &machine, "--json", "--secret-file"])
        .arg(&secret)
        .env_remove("MDE_CLIENT_SECRET"))
    .expect(0);
    let document: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(document["adopted"], true, "{document}");
    assert_eq!(document["action"]["machineId"], machine.as_str());
}

/// The same over TLS, with the certificate authority in a file.
#[track_caller]
pub fn example_collects_over_tls(how: How) {
    let config = Config { tls: true, ..Config::default() };
    let example = Example::new(how, config);
    let machine = example.machine(0);
    let ca = example.program.write("ca.pem", example.service.sim.ca_pem().unwrap());
    let ca_option = format!("ca_file={}", ca.display());
    let mut command = example.command();
    command.args(["--machine", &machine, "--option", &ca_option]);
    if how == How::Wine {
        // Windows' verifier with roots of one's own is not in Wine; without them it is, below.
        has(&run(&mut command).expect(2).stderr, "there is no usable certificate store");
    } else {
        has(&run(&mut command).expect(0).stdout, "status       Pending\n");
    }
    let finished = run(example.command().args(["--machine", &machine])).expect(1);
    has(&finished.stderr, "collect: collecting: tls (42): ");
}

/// The example's failures, each with its exit code and what it says.
#[track_caller]
pub fn example_fails_helpfully(how: How) {
    let example = Example::new(how, Config::default());
    let machine = example.machine(0);
    let unknown = "0123456789012345678901234567890123456789";
    let finished = run(example.command().args(["--machine", unknown])).expect(1);
    has(&finished.stderr, "collect: collecting: not_found (61): ");
    has(&finished.stderr, "  request id ");
    assert_eq!(finished.stdout, "");

    let finished = run(example
        .command()
        .args(["--machine", &machine])
        .env("MDE_CLIENT_SECRET", "canary-wrong"))
    .expect(1);
    has(&finished.stderr, "collect: collecting: token (20): ");
    assert!(!finished.stderr.contains("canary"), "{}", finished.stderr);

    let throttled = json!({
        "match": {"path_contains": "collectInvestigationPackage"}, "times": 0,
        "reply": {"status": 429, "headers": {"Retry-After": "7"},
                  "json": {"error": {"code": "429", "message": "slow down", "target": "req-1"}}}});
    example.service.sim.script(throttled).unwrap();
    let finished =
        run(example.command().args(["--machine", &machine, "--json", "--option", "quota=fail"]))
            .expect(3);
    has(&finished.stderr, "throttled (81): ");
    has(&finished.stderr, "  retry after 7.0 s\n");
    has(&finished.stderr, "  request id req-1\n");
    let document: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(document["error"]["name"], "throttled");
}

/// Wrong command lines.
#[track_caller]
pub fn example_explains_its_usage(how: How) {
    let example = Example::new(how, Config::default());
    let wrong: [(&[&str], &str); 14] = [
        (&[], "no device: give --machine or set MDE_MACHINE_ID"),
        (&["--machine"], "a value must follow --machine"),
        (&["--nonsense", "x"], "unknown argument: --nonsense"),
        (&["--machine", "m", "--out", "x"], "unknown argument: --out"),
        (&["--machine", "m", "--log", "loud"], "error, warn, info or debug, not loud"),
        (&["--machine", "m", "--option", "timeout_ms"], "wants NAME=VALUE"),
        (&["--machine", "m", "--option", "nonsense=1"], "option `nonsense` is unknown"),
        (&["--machine", "m", "--cloud", "mars"], "option `cloud`"),
        (&["--machine", "m", "--option=client_secret=x"], "do not belong on a command line"),
        (&["--machine", "m", "--option=access_token=x"], "variable instead: MDE_ACCESS_TOKEN"),
        (
            &["--machine", "m", "--option=certificate_password=x"],
            "variable instead: MDE_CERTIFICATE_PASSWORD",
        ),
        (&["--machine", "m", "--option=proxy=http://u:p@h:1"], "variable instead: MDE_PROXY"),
        (&["--machine", "m", "--secret-file", "/nonexistent"], "cannot open the file"),
        (&["--machine", "m", "--option", "ca_file=/nonexistent"], "option `ca_file`"),
    ];
    for (arguments, part) in wrong {
        let finished = run(example.command().args(arguments)).expect(2);
        has(&finished.stderr, part);
        assert_eq!(finished.stdout, "");
    }
    let help = run(start(&example.program, how).arg("--help")).expect(0);
    has(&help.stdout, "There is no option that takes the secret itself");
    has(&help.stdout, "3 it failed, but may succeed when tried again later");
    let version = run(start(&example.program, how).arg("--version")).expect(0);
    has(&version.stdout, &format!("mde {} (ABI ", crate::VERSION));
}

/// Runs a command, with Ctrl-C as soon as something is the case.
#[track_caller]
pub fn interrupted(
    command: &mut Command,
    how: How,
    limit: Duration,
    when: impl Fn() -> bool,
) -> Finished {
    let wait = || {
        let patience = Instant::now() + Duration::from_secs(60);
        while !when() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    if how == How::Wine {
        let folder = Scratch::new("interrupt");
        let now = folder.0.join("now");
        return run_with(&mut targets::interruptible(command, &now), limit, |_| {
            wait();
            std::fs::write(now, "").unwrap();
        });
    }
    run_with(command, limit, |pid| {
        wait();
        run(Command::new("sh").args(["-c", &format!("kill -INT {pid}")])).expect(0);
    })
}

/// Ctrl-C ends a call that the service never answers.
#[track_caller]
pub fn example_can_be_interrupted(how: How) {
    let example = Example::new(how, Config::default());
    let machine = example.service.stalled_machine();
    let mut command = example.command();
    let under_way = || example.service.sim.requests().iter().any(|it| it.path.contains(&machine));
    let limit = Duration::from_secs(30);
    let command = command.args(["--machine", &machine]);
    let finished = interrupted(command, how, limit, under_way).expect(1);
    has(&finished.stderr, "collect: collecting: cancelled (83): ");
    has(&finished.stderr, "before trying again");
}

/// Two processes count the same calls, also when one of them is killed in the middle of one.
#[track_caller]
pub fn shares_a_quota_file(how: How) {
    let example = Example::new(how, Config::default());
    let folder = Scratch::new("quota");
    let file = folder.0.join("Kontingent-配额.quota");
    let collect = |machine: &str, more: &str| {
        let mut command = example.command();
        command.args(["--machine", machine, "--option", "quota=fail", "--option", more]);
        command.arg("--option").arg(format!("quota_file={}", targets::native(&file, how)));
        command
    };
    let limits = "quota_limits=collect=3/3600";
    run(&mut collect(&example.machine(0), limits)).expect(0);
    // Killed while the service has not answered: its slot stays taken, and the file can be used.
    let stalled = example.service.stalled_machine();
    let mut killed = collect(&stalled, limits).spawn().unwrap();
    let patience = Instant::now() + Duration::from_secs(60);
    let came = || example.service.sim.requests().iter().any(|it| it.path.contains(&stalled));
    while !came() && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(10));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    run(&mut collect(&example.machine(1), limits)).expect(0);
    let finished = run(&mut collect(&example.machine(2), limits)).expect(3);
    has(&finished.stderr, "rate_limited (80)");
    // More room makes a larger file, which takes the place of the old one, and knows the same calls.
    let grown = "quota_limits=collect=4/3600";
    std::thread::scope(|scope| {
        let both = [2, 3].map(|n| {
            let mut command = collect(&example.machine(n), grown);
            scope.spawn(move || run(&mut command).code)
        });
        let mut codes = both.map(|it| it.join().unwrap());
        codes.sort_unstable();
        assert_eq!(codes, [Some(0), Some(3)]);
    });
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1);
}
