//! Tests of `examples/c/fetch.c`, in every way that [`How`] names: from a device to a file, and after interruptions.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mde_simulator::{Config, Outcome, PackageFault, QuotaMode};
use serde_json::{Value, json};

use crate::programs::scenarios::{Example, has, interrupted};
use crate::programs::{How, Scratch, on_a_terminal, run, start, targets, tool};

const LIMIT: Duration = Duration::from_secs(120);

/// The example, with collections that take a fifth of a second, and where its packages go.
struct Fetch {
    example: Example,
    folder: Scratch,
}

impl Fetch {
    #[track_caller]
    fn new(how: How) -> Fetch {
        // Two links a minute would make the third fetch of a test wait.
        let config = Config { quota_mode: QuotaMode::Off, ..Config::default() };
        let example = Example::of("examples/c/fetch.c", how, config);
        example.service.sim.set(|b| (b.pending_s, b.in_progress_s) = (0.1, 0.1));
        Fetch { example, folder: Scratch::new("fetch") }
    }

    fn file(&self) -> PathBuf {
        self.folder.0.join("case 4711.zip")
    }

    /// Fetches from the machine into the file.
    fn command(&self, machine: usize) -> Command {
        let mut command = self.example.command();
        command.args(["--machine", &self.example.machine(machine)]);
        command.args(["--option", "poll_interval_ms=100", "--out"]).arg(self.file());
        command
    }

    /// All but what stays with a package where files have no attributes that could keep it.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder.0).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let kept =
            |name: &String| self.example.how != How::Wine || name != "case 4711.zip.part.json";
        names.filter(kept).collect()
    }

    fn requests(&self, part: &str) -> usize {
        self.example.service.sim.requests().iter().filter(|it| it.path.contains(part)).count()
    }

    fn collections(&self) -> usize {
        self.requests("collectInvestigationPackage")
    }
}

#[track_caller]
fn sha256sum(path: &Path) -> String {
    let printed = run(tool("sha256sum", "coreutils").arg(path)).expect(0).stdout;
    printed.split_whitespace().next().unwrap().to_owned()
}

/// Nothing that would move a cursor, in text that goes into a log.
#[track_caller]
fn is_plain(text: &str) {
    let control = text.chars().find(|c| c.is_control() && *c != '\n');
    assert!(control.is_none(), "a control character in {text:?}");
}

/// From a device to a file, as text, as JSON, and into a folder.
#[track_caller]
pub fn succeeds(how: How) {
    let fetch = Fetch::new(how);
    let finished = run(&mut fetch.command(0)).expect(0);
    let (out, err) = (&finished.stdout, &finished.stderr);
    let bytes = std::fs::metadata(fetch.file()).unwrap().len();
    has(out, &format!("package      {}\n", fetch.file().display()));
    has(out, &format!("bytes        {bytes}\n"));
    has(out, &format!("sha256       {}\n", sha256sum(&fetch.file())));
    has(out, &format!("machine      {}\n", fetch.example.machine(0)));
    has(out, "computer     device-0001.contoso.example\n");
    has(out, "adopted      no (started by this call)\n");
    has(out, "device       windows\nmissing      nothing\n");
    has(out, "          80 Autoruns/HKLM_Run.txt\n");
    has(out, " System Information/SystemInformation.txt\n");
    let listed = out.split_once("contents ").unwrap().1;
    let entries: usize = listed.trim_start().split(' ').next().unwrap().parse().unwrap();
    assert_eq!(listed.lines().count(), entries + 1, "{listed}");
    has(err, "collecting   action ");
    has(err, ", started now\nwaiting      ");
    has(err, "waiting      Succeeded after 0:0");
    has(err, "downloading  [########################] 100 %  ");
    is_plain(out);
    is_plain(err);
    assert_eq!(fetch.names(), ["case 4711.zip"]);

    // The same call gives the same answer, here as the library's document.
    let again = run(fetch.command(0).arg("--json")).expect(0);
    let document: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(
        (&document["adopted"], &document["package"]["existing"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(document["package"]["sha256"], sha256sum(&fetch.file()).as_str());
    assert_eq!(fetch.collections(), 1);

    // Without --out into the current folder, of a Mac this time.
    let folder = Scratch::new("current");
    let machine = fetch.example.machine(3);
    let mut command = fetch.example.command();
    command.args(["--machine", &machine, "--option", "poll_interval_ms=100"]);
    let finished = run(command.current_dir(&folder.0)).expect(0);
    let separator = if how == How::Wine { '\\' } else { '/' };
    has(&finished.stdout, &format!("package      .{separator}device-0004.contoso.example_"));
    has(&finished.stdout, "device       macos\n");
    let mut files = std::fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().path());
    let file = files.find(|path| path.extension().is_some_and(|it| it == "zip")).unwrap();
    has(&finished.stdout, &sha256sum(&file));
}

/// Failures, each with its exit code and message.
#[track_caller]
pub fn fails_helpfully(how: How) {
    let fetch = Fetch::new(how);
    let sim = &fetch.example.service.sim;
    let of = |outcome: Outcome| (fetch.example.machine(0), outcome);
    for (outcome, name) in
        [(Outcome::Failed, "action_failed (64)"), (Outcome::TimeOut, "action_timed_out (65)")]
    {
        sim.set(|b| b.machine_outcomes = [of(outcome)].into());
        let finished = run(&mut fetch.command(0)).expect(1);
        has(&finished.stderr, &format!("fetch: fetching: {name}: the device "));
        has(&finished.stderr, "\n  action     ");
        assert!(!finished.stderr.contains("to resume"), "{}", finished.stderr);
        assert_eq!((finished.stdout.as_str(), fetch.names().len()), ("", 0));
    }
    sim.set(|b| b.machine_outcomes.clear());

    // A deadline does not end the collection. The time must be enough to start one, also where programs are slow.
    sim.set(|b| b.in_progress_s = 60.0);
    let patience = match how {
        How::Plain | How::Static | How::Sanitized => "wait_timeout_ms=1500",
        _ => "wait_timeout_ms=6000",
    };
    let finished = run(fetch.command(1).args(["--json", "--option", patience])).expect(3);
    has(&finished.stderr, "fetch: fetching: deadline (82): ");
    has(&finished.stderr, "fetch: run the same command to resume\n");
    let document: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(document["error"]["name"], "deadline");
    sim.set(|b| b.in_progress_s = 0.1);
    run(&mut fetch.command(1)).expect(0);
    std::fs::remove_file(fetch.file()).unwrap();

    sim.set(|b| b.package_fault = PackageFault::Checksum);
    let finished = run(&mut fetch.command(2)).expect(1);
    has(&finished.stderr, "fetch: fetching: integrity (102): ");
    assert!(!fetch.file().exists());
    sim.set(|b| b.package_fault = PackageFault::None);

    let mut command = fetch.example.command();
    command.args(["--machine", &fetch.example.machine(0)]);
    let finished = run(command.env("MDE_OUT", "/nonexistent/package.zip")).expect(1);
    has(&finished.stderr, "fetch: fetching: file (100): ");
    has(&finished.stderr, "nonexistent");
}

/// The same command resumes after Ctrl-C in the wait and in the download.
#[track_caller]
pub fn resumes_after_ctrl_c(how: How) {
    let fetch = Fetch::new(how);
    let sim = &fetch.example.service.sim;
    sim.set(|b| {
        b.in_progress_s = 600.0;
        b.package_bytes = 8_000_000;
        b.download_rate = 1_000_000;
    });
    let stopped = |when: &dyn Fn() -> bool| {
        let finished = interrupted(&mut fetch.command(0), how, LIMIT, when).expect(1);
        has(&finished.stderr, "fetch: fetching: cancelled (83): ");
        has(&finished.stderr, "fetch: run the same command to resume\n");
        assert_eq!(finished.stdout, "");
        assert!(!fetch.file().exists());
        finished.stderr
    };
    let in_the_wait = stopped(&|| fetch.requests("/api/machineactions/") > 0);
    has(&in_the_wait, "; the action was in state `");
    assert_eq!(fetch.requests("safedownload"), 0);

    sim.set(|b| b.in_progress_s = 0.1);
    let part = fetch.folder.0.join("case 4711.zip.part");
    let have = || std::fs::metadata(&part).map_or(0, |it| it.len());
    let in_the_download = stopped(&|| have() > 500_000);
    has(&in_the_download, ", which existed already\n");
    has(&in_the_download, "downloading  [");
    let have = have();
    assert!(have > 500_000, "{have}");

    sim.set(|b| b.download_rate = 0);
    let finished = run(&mut fetch.command(0)).expect(0);
    has(&finished.stdout, "adopted      yes (this call did not start it)\n");
    has(&finished.stdout, &sha256sum(&fetch.file()));
    assert_eq!((fetch.names(), fetch.collections()), (vec!["case 4711.zip".to_owned()], 1));
    // Only what was missing.
    let requests = sim.requests();
    let last = requests.iter().rfind(|it| it.path.contains("safedownload")).unwrap();
    let range = last.headers.iter().find(|(name, _)| name == "range").unwrap();
    let from: u64 = range.1.strip_prefix("bytes=").unwrap().trim_end_matches('-').parse().unwrap();
    assert!(from >= 500_000 && from <= have, "from {from} of {have}");
}

/// The same command resumes after a kill in the download.
#[track_caller]
pub fn resumes_after_a_kill(how: How) {
    let fetch = Fetch::new(how);
    fetch.example.service.sim.set(|b| (b.package_bytes, b.download_rate) = (4_000_000, 1_000_000));
    let part = fetch.folder.0.join("case 4711.zip.part");
    let mut killed = fetch.command(0).stderr(Stdio::null()).spawn().unwrap();
    let patience = Instant::now() + LIMIT;
    while std::fs::metadata(&part).map_or(0, |it| it.len()) < 500_000 && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(10));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    fetch.example.service.sim.set(|b| b.download_rate = 0);
    let finished = run(&mut fetch.command(0)).expect(0);
    has(&finished.stdout, &sha256sum(&fetch.file()));
    has(&finished.stderr, ", which existed already\n");
    assert_eq!((fetch.names(), fetch.collections()), (vec!["case 4711.zip".to_owned()], 1));
}

/// Names in any script, and paths longer than the 260 characters that old programs for Windows have room for, in
/// every place that takes a path.
#[track_caller]
pub fn takes_any_path(how: How) {
    // Wine cannot use a `ca_file`.
    let tls = how != How::Wine;
    let config = Config { quota_mode: QuotaMode::Off, tls, ..Config::default() };
    let example = Example::of("examples/c/fetch.c", how, config);
    example.service.sim.set(|b| (b.pending_s, b.in_progress_s) = (0.1, 0.1));
    let base = Scratch::new("Prüfung-证据");
    let long = (0..4).fold(base.0.clone(), |path, n| path.join(format!("{n}-{}", "é".repeat(80))));
    std::fs::create_dir_all(&long).unwrap();
    assert!(long.to_str().unwrap().chars().count() > 300);
    for (n, folder) in [&base.0, &long].into_iter().enumerate() {
        let ca = folder.join("Wurzel-根.pem");
        if let Some(pem) = example.service.sim.ca_pem() {
            std::fs::write(&ca, pem).unwrap();
        }
        let file = folder.join("Fall 4711 – 证据.zip");
        let fetch = || {
            let mut command = example.command();
            command.args(["--machine", &example.machine(n), "--option", "poll_interval_ms=100"]);
            let places = [("quota_file", &folder.join("配额")), ("ca_file", &ca)];
            for (name, path) in places.into_iter().filter(|(_, path)| tls || *path != &ca) {
                command.arg("--option").arg(format!("{name}={}", targets::native(path, how)));
            }
            command.arg("--out").arg(targets::native(&file, how));
            run(&mut command)
        };
        let first = fetch().expect(0);
        has(&first.stdout, &format!("package      {}\n", targets::native(&file, how)));
        has(&first.stdout, &sha256sum(&file));
        // It knows its own file again.
        has(&fetch().expect(0).stdout, "adopted      yes");
        // And leaves that of somebody else alone.
        std::fs::write(&file, "evidence").unwrap();
        has(&fetch().expect(1).stderr, "exists, and a download replaces no file");
        assert_eq!(std::fs::read(&file).unwrap(), b"evidence");
    }
}

/// Wrong command lines. What it shares with the other example is tested there.
#[track_caller]
pub fn explains_its_usage(how: How) {
    let fetch = Fetch::new(how);
    let wrong: [(&[&str], &str); 4] = [
        (&["--machine=m", "--out"], "fetch: a value must follow --out (see fetch --help)\n"),
        (&["--machine=m", "--nonsense"], "fetch: unknown argument: --nonsense"),
        (&["--machine=m", "--option", "poll_interval_ms=1"], "option `poll_interval_ms`"),
        (&["--machine=m", "--option=certificate_password=x"], "do not belong on a command line"),
    ];
    for (arguments, part) in wrong {
        let finished = run(fetch.example.command().args(arguments)).expect(2);
        has(&finished.stderr, part);
        assert_eq!(finished.stdout, "");
    }
    let help = run(start(&fetch.example.program, how).arg("--help")).expect(0);
    has(&help.stdout, "\n  --out PATH  ");
    has(&help.stdout, "\n  --tenant ID  ");
    has(&help.stdout, "Run the same command to resume, now or tomorrow");
    has(&help.stdout, "0 the package is there;");
    assert_eq!(fetch.requests(""), 0);
}

/// On a terminal, one line per stage is drawn again and again; without a length from the host there is no bar.
#[track_caller]
pub fn draws_on_a_terminal(how: How) {
    let fetch = Fetch::new(how);
    fetch.example.service.sim.set(|b| {
        b.package_bytes = 2_000_000;
        b.download_rate = 2_000_000;
    });
    let shown = on_a_terminal(&fetch.command(0));
    has(&shown, ", started now\u{1b}[K\r\n\rwaiting      ");
    has(
        &shown,
        "\u{1b}[K\r\n\rdownloading  [------------------------]   0 %  0.0 kB of 2.0 MB\u{1b}[K\r",
    );
    has(&shown, "\rdownloading  [############");
    has(&shown, "[########################] 100 %  2.0 MB of 2.0 MB, ");
    has(&shown, "\u{1b}[K\r\npackage      ");
    for line in shown.split(['\r', '\n']).filter(|line| line.starts_with("downloading")) {
        assert!(line.trim_end_matches("\u{1b}[K").len() < 80, "too wide: {line}");
    }

    std::fs::remove_file(fetch.file()).unwrap();
    fetch.example.service.sim.set(|b| b.chunked_downloads = true);
    let shown = on_a_terminal(&fetch.command(1));
    has(&shown, "\rdownloading  0.0 kB\u{1b}[K\r");
    // At the end it is known.
    let bars: Vec<_> = shown.split("downloading  [").skip(1).collect();
    assert!(bars.iter().all(|bar| bar.starts_with("########################]")), "{shown}");

    // Log lines would tear a line that is being drawn.
    std::fs::remove_file(fetch.file()).unwrap();
    let shown = on_a_terminal(fetch.command(2).args(["--log", "debug"]));
    assert!(!shown.contains('\u{1b}'), "{shown}");
}
