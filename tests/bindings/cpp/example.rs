//! `examples/cpp/fetch.cpp`, from the unpacked archive: from a device to a file, badly, and interrupted.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use mde_simulator::{Config, DEFAULT_CLIENT, DEFAULT_SECRET, DEFAULT_TENANT, Outcome};
use serde_json::{Value, json};

use super::building::Build;
use mde_tests::programs::installing::installed;
use mde_tests::programs::scenarios::has;
use mde_tests::programs::{Finished, Scratch, Service, run, run_with, tool};

/// The built example.
pub struct Example {
    program: Command,
    _build: Build,
}

impl Example {
    #[track_caller]
    pub fn new(build: Build) -> Example {
        let source = build.prefix.0.join("share/mde/examples/cpp/fetch.cpp");
        Example { program: build.link("fetch", &[source]), _build: build }
    }
}

/// It with a simulator, and where its packages go.
struct Fetch<'a> {
    built: &'a Command,
    service: Service,
    folder: Scratch,
}

impl Fetch<'_> {
    fn new(example: &Example) -> Fetch<'_> {
        let service = Service::start(Config::default());
        service.sim.set(|b| (b.pending_s, b.in_progress_s) = (0.1, 0.1));
        Fetch { built: &example.program, service, folder: Scratch::new("fetched") }
    }

    fn file(&self) -> PathBuf {
        self.folder.0.join("case 4711.zip")
    }

    /// The program, with who asks in the environment.
    #[track_caller]
    fn program(&self) -> Command {
        let mut command = Command::new(self.built.get_program());
        command.envs(self.built.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
            .env("MDE_TENANT_ID", DEFAULT_TENANT)
            .env("MDE_CLIENT_ID", DEFAULT_CLIENT)
            .env("MDE_CLIENT_SECRET", DEFAULT_SECRET);
        command
    }

    /// Fetches from a machine into the file.
    #[track_caller]
    fn command(&self, machine: usize) -> Command {
        let mut command = self.program();
        let url = self.service.sim.api_url();
        for option in
            [&format!("api_url={url}"), &format!("login_url={url}"), "poll_interval_ms=100"]
        {
            command.args(["--option", option]);
        }
        command.args([
            "--machine",
            &self.service.sim.machine_id(machine),
            "--comment",
            "case 4711",
        ]);
        command.arg("--out").arg(self.file());
        command
    }
}

impl Example {
    #[track_caller]
    pub fn succeeds(&self) {
        let fetch = Fetch::new(self);
        let Finished { stdout, stderr, .. } =
            run(fetch.command(0).args(["--log", "info"])).expect(0);
        has(&stdout, &format!("package      {}\n", fetch.file().display()));
        let sum = run(tool("sha256sum", "coreutils").arg(fetch.file())).expect(0).stdout;
        has(&stdout, &format!("sha256       {}\n", sum.split(' ').next().unwrap()));
        has(&stdout, "computer     device-0001.contoso.example\ndevice       windows\n");
        has(&stdout, "adopted      false\nentries      ");
        has(&stdout, "\n          80 Autoruns/HKLM_Run.txt\n");
        has(&stderr, "collecting   action ");
        has(&stderr, ", started now\n");
        has(&stderr, "waiting      Succeeded after ");
        has(&stderr, "checking     ");
        assert!(!format!("{stdout}{stderr}").contains(DEFAULT_SECRET));

        // The same call gives the same answer, here as the library's document.
        let again = run(fetch.command(0).arg("--json")).expect(0);
        let document: Value = serde_json::from_str(&again.stdout).unwrap();
        assert_eq!(document["package"]["existing"], true);
    }

    #[track_caller]
    pub fn fails_helpfully(&self) {
        let fetch = Fetch::new(self);
        let sim = &fetch.service.sim;
        sim.set(|b| b.machine_outcomes = [(sim.machine_id(0), Outcome::Failed)].into());
        let finished = run(&mut fetch.command(0)).expect(1);
        has(&finished.stderr, "fetch: action_failed (64): the device ");
        assert_eq!(finished.stdout, "");
        sim.set(|b| b.in_progress_s = 60.0);
        let finished =
            run(fetch.command(1).args(["--json", "--option", "wait_timeout_ms=1500"])).expect(3);
        has(&finished.stderr, "fetch: deadline (82): ");
        has(&finished.stderr, "fetch: run the same command to resume\n");
        let document: Value = serde_json::from_str(&finished.stdout).unwrap();
        assert_eq!(document["error"]["name"], "deadline");

        let wrong: [(&[&str], &str); 8] = [
            (&[], "--machine and --comment are needed (see fetch --help)"),
            (&["--machine"], "a value must follow --machine"),
            (&["--nonsense", "x"], "unknown argument: --nonsense"),
            (&["--option", "cloud"], "--option wants NAME=VALUE, not cloud"),
            (&["--option", "client_secret=x"], "do not belong on a command line"),
            (&["--machine", "m", "--comment", "c", "--log", "loud"], "debug, not loud"),
            (
                &["--machine", "m", "--comment", "c", "--option", "cloud=mars"],
                "config (4): option `cloud`",
            ),
            (
                &["--machine", "m", "--comment", "c", "--option", "nonsense=1"],
                "option `nonsense` is unknown",
            ),
        ];
        for (arguments, part) in wrong {
            let finished = run(fetch.program().args(arguments)).expect(2);
            has(&finished.stderr, part);
            assert_eq!(finished.stdout, "");
        }
        has(
            &run(fetch.program().arg("--help")).expect(0).stdout,
            "Exit codes: 0 the package is there;",
        );
    }

    /// The same command resumes after Ctrl-C in the wait.
    #[track_caller]
    pub fn can_be_interrupted(&self) {
        let fetch = Fetch::new(self);
        let sim = &fetch.service.sim;
        sim.set(|b| b.in_progress_s = 600.0);
        let waits = || sim.requests().iter().any(|it| it.path.contains("/api/machineactions/"));
        let finished = run_with(&mut fetch.command(0), Duration::from_secs(120), |pid| {
            let patience = Instant::now() + Duration::from_secs(60);
            while !waits() && Instant::now() < patience {
                std::thread::sleep(Duration::from_millis(10));
            }
            run(Command::new("sh").args(["-c", &format!("kill -INT {pid}")])).expect(0);
        });
        let finished = finished.expect(1);
        has(&finished.stderr, "fetch: cancelled (83): ");
        has(&finished.stderr, "fetch: run the same command to resume\n");
        assert!(!fetch.file().exists());
        sim.set(|b| b.in_progress_s = 0.1);
        let finished = run(&mut fetch.command(0)).expect(0);
        has(&finished.stderr, ", which existed already\n");
        has(&finished.stdout, "adopted      true\n");
    }
}

/// Builds a program by a command of the documentation, and runs it, well and badly.
#[track_caller]
pub fn quick_start(program: &str, command: &str) {
    let service = Service::start(Config::default());
    service.sim.set(|b| (b.pending_s, b.in_progress_s) = (0.1, 0.1));
    let prefix = installed();
    let folder = Scratch::new("quick");
    std::fs::write(folder.0.join("quick.cpp"), program).unwrap();
    let mut build = Command::new("sh");
    build.args(["-ec", command]).current_dir(&folder.0).env("PREFIX", &prefix.0);
    run(&mut build).expect(0);
    let url = service.sim.api_url();
    let options = json!({"api_url": url, "login_url": url, "poll_interval_ms": 100});
    let start = |machine: &str| {
        let mut command = Command::new(folder.0.join("quick"));
        command
            .current_dir(&folder.0)
            .env("MDE_TENANT_ID", DEFAULT_TENANT)
            .env("MDE_CLIENT_ID", DEFAULT_CLIENT)
            .env("MDE_CLIENT_SECRET", DEFAULT_SECRET)
            .env("MDE_OPTIONS", options.to_string())
            .env("MDE_MACHINE_ID", machine);
        run(&mut command)
    };
    let mut unset = Command::new(folder.0.join("quick"));
    let said = run(unset.env_remove("MDE_TENANT_ID")).expect(1).stderr;
    assert_eq!(said, "MDE_TENANT_ID is not set\n");
    let unknown = "0123456789012345678901234567890123456789";
    has(&start(unknown).expect(1).stderr, "not_found (61): ");
    let finished = start(&service.sim.machine_id(0)).expect(0);
    has(&finished.stderr, "collect\nwait\n");
    let sum = run(tool("sha256sum", "coreutils").arg(folder.0.join("4711.zip"))).expect(0).stdout;
    assert_eq!(finished.stdout.trim_end(), sum.split(' ').next().unwrap());
}
