//! Tests of `examples/c/fleet.c`, in every way that [`How`] names: from a list of names to a folder of packages.

use std::process::Command;
use std::time::Duration;

use mde_simulator::{Config, DEFAULT_CLIENT, DEFAULT_SECRET, DEFAULT_TENANT, Outcome, QuotaMode};
use serde_json::Value;

use super::scenarios::{Example, has, interrupted};
use super::{How, ROOT, Scratch, run, start, targets, tool};
use crate::documents::blocks;

/// Two links a minute would make tests wait.
const QUOTA: &str = "quota_limits=link=1000/60;collect=1000/60;list=10000/60";

/// The example, with collections that take a fifth of a second, and a folder for a job.
struct Fleet {
    example: Example,
    folder: Scratch,
}

impl Fleet {
    #[track_caller]
    fn new(how: How) -> Fleet {
        let config = Config { quota_mode: QuotaMode::Off, ..Config::default() };
        let example = Example::of("examples/c/fleet.c", how, config);
        example.service.sim.set(|b| (b.pending_s, b.in_progress_s) = (0.1, 0.1));
        Fleet { example, folder: Scratch::new("fleet") }
    }

    /// Resumes the job in the folder.
    fn resume(&self) -> Command {
        let mut command = self.example.command();
        // The comment comes back in documents, which the program takes apart by itself.
        command.args(["--comment", r#"case }"4711\ {"#, "--option", "poll_interval_ms=100"]);
        command.args(["--option", QUOTA, "--out"]);
        command.arg(targets::native(&self.folder.0, self.example.how));
        command
    }

    /// Fetches those in the list.
    fn fetch(&self, list: &str) -> Command {
        let list = self.example.program.write("Geräte 1.csv", list);
        let mut command = self.resume();
        command.arg("--list").arg(targets::native(&list, self.example.how));
        command
    }

    fn collections(&self) -> usize {
        let requests = self.example.service.sim.requests();
        requests.iter().filter(|it| it.path.contains("collectInvestigationPackage")).count()
    }

    fn packages(&self) -> usize {
        let names = std::fs::read_dir(&self.folder.0).unwrap().map(|it| it.unwrap().file_name());
        names.filter(|name| name.to_str().unwrap().ends_with(".zip")).count()
    }
}

/// A table of devices: the state and the name in each row.
fn rows(table: &str) -> Vec<(&str, &str)> {
    let cells = |row| {
        let mut cells = str::split_whitespace(row);
        (cells.next().unwrap_or_default(), cells.next().unwrap_or_default())
    };
    table.lines().map(cells).collect()
}

/// From lists in several shapes to packages, as text, as JSON and once more.
#[track_caller]
pub fn succeeds(how: How) {
    let fleet = Fleet::new(how);
    // As spreadsheets write it: a byte order mark, quotes, a line break inside of a cell, capitals, an empty line.
    let list = "\u{feff}\"Device Name\";\"Room\"\r\n\"DEVICE-0001\";\"upper\nfloor\"\r\n\r\n\
                device-0002.contoso.example;7\r\ndevice-0003\n device-0001 ,twice\n";
    let list = format!("{list}{}", fleet.example.machine(3));
    let finished = run(&mut fleet.fetch(&list)).expect(0);
    let (out, err) = (&finished.stdout, &finished.stderr);
    let device = |n: usize| format!("device-000{n}.contoso.example");
    let names: Vec<String> = (1..=4).map(device).collect();
    let mut wanted: Vec<_> = names.iter().map(|name| ("done", name.as_str())).collect();
    wanted.push(("4", "devices:"));
    assert_eq!(rows(out), wanted, "{out}");
    has(out, "4 devices: 4 done, 0 failed, 0 skipped, 0 unfinished; ");
    has(err, "fleet: line 1 of the list: no device, so it is taken for the header: device name\n");
    has(err, "4 of 4 done, 0 failed, 0 collecting, ");
    assert!(!err.contains("above") && !err.contains("to resume"), "{err}");
    assert_eq!((fleet.collections(), fleet.packages()), (4, 4));
    // The record is that of the packages. There is no such program for Windows.
    if how != How::Wine {
        let mut check = tool("sha256sum", "coreutils");
        run(check.args(["--check", "--strict", "SHA256SUMS"]).current_dir(&fleet.folder.0))
            .expect(0);
    }

    // Without a list it is the job in the folder, and nothing is left to do.
    let again = run(fleet.resume().arg("--json")).expect(0);
    let document: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(
        (&document["summary"]["done"], document["summary"]["unfinished"] == 0),
        (&4.into(), true)
    );
    assert_eq!((fleet.collections(), fleet.packages()), (4, 4));
    // A list with another device adds it. A line that names none shows in the exit code.
    let more = run(&mut fleet.fetch("device-0005\nnobody\n")).expect(1);
    has(&more.stdout, "5 devices: 5 done, ");
    assert_eq!(fleet.collections(), 5);
}

/// Failures, each with its exit code and message. None hides the packages of the others.
#[track_caller]
pub fn fails_helpfully(how: How) {
    let fleet = Fleet::new(how);
    let sim = &fleet.example.service.sim;
    sim.set(|b| b.machine_outcomes = [(fleet.example.machine(0), Outcome::Failed)].into());
    let finished = run(&mut fleet.fetch("device-0001\ndevice-0002\n")).expect(1);
    let failed = rows(&finished.stdout);
    assert_eq!(failed[0].0, "failed", "{}", finished.stdout);
    assert_eq!(failed[1], ("done", "device-0002.contoso.example"));
    has(
        &finished.stderr,
        "fleet: fetching: incomplete (70): 1 of 2 packages are there; 1 devices failed",
    );
    has(&finished.stdout, "2 devices: 1 done, 1 failed, 0 skipped, 0 unfinished; ");

    // A name that merely begins so, one of two, and one that nobody has.
    let list = "device-0002\ndevice-00\ndevice-0003\nno-such-device\n";
    let finished = run(&mut fleet.fetch(list)).expect(1);
    has(&finished.stderr, "fleet: line 2 of the list: there is no such device: device-00\n");
    has(&finished.stderr, "fleet: line 4 of the list: there is no such device: no-such-device\n");
    has(&finished.stderr, "fleet: 2 of the lines name no device, or several; see above\n");
    has(&finished.stdout, "3 devices: 2 done, 1 failed, ");
    let twins = serde_json::json!({
        "match": {"path_contains": "/api/machines", "query_contains": "twin"}, "times": 0,
        "reply": {"status": 200, "json": {"value": [
            {"id": fleet.example.machine(5), "computerDnsName": "twin.a.example"},
            {"id": fleet.example.machine(6), "computerDnsName": "twin.b.example"}]}}});
    sim.script(twins).unwrap();
    let finished = run(&mut fleet.fetch("device-0002\ntwin\n")).expect(1);
    has(
        &finished.stderr,
        "line 2 of the list: several devices have this name; write the id of one instead: twin\n",
    );

    assert_eq!(fleet.collections(), 3);
    has(
        &run(&mut fleet.fetch("name\nnobody\n")).expect(2).stderr,
        "fleet: no line of the list names a device\n",
    );
    let missing = targets::native(&fleet.folder.0.join("missing"), how);
    let finished = run(fleet.resume().arg("--list").arg(&missing)).expect(2);
    has(&finished.stderr, "fleet: cannot open the file of --list: ");
    let finished = run(fleet.resume().arg("--out").arg(&missing)).expect(1);
    has(&finished.stderr, "fleet: fetching: file (100): ");
    has(&finished.stderr, "make it first");
    let empty = Scratch::new("empty");
    let finished = run(fleet.resume().arg("--out").arg(targets::native(&empty.0, how))).expect(1);
    has(&finished.stderr, "the folder holds no job to resume");
    assert_eq!(finished.stdout, "");
}

/// The same command resumes after Ctrl-C, asks no device twice, and waits for one that was offline.
#[track_caller]
pub fn resumes_after_ctrl_c(how: How) {
    let fleet = Fleet::new(how);
    let sim = &fleet.example.service.sim;
    sim.set(|b| b.offline = 1);
    let list = "device-0001\ndevice-0002\ndevice-0003\n";
    let two_are_there = || fleet.packages() == 2;
    let limit = Duration::from_secs(120);
    let finished = interrupted(&mut fleet.fetch(list), how, limit, two_are_there).expect(1);
    let (out, err) = (&finished.stdout, &finished.stderr);
    assert_eq!(rows(out)[0], ("waiting", "device-0001.contoso.example"), "{out}");
    has(out, ", 1 unfinished; ");
    has(err, "fleet: fetching: cancelled (83): ");
    has(
        err,
        "fleet: run the same command to resume; without --list, the names are not looked up again\n",
    );

    // A limit of the user's ends it as well.
    let mut limited = fleet.resume();
    let finished = run(limited.args(["--option", "wait_timeout_ms=1500"])).expect(3);
    has(&finished.stderr, "fleet: fetching: deadline (82): ");

    sim.set(|b| b.offline = 0);
    let finished = run(&mut fleet.fetch(list)).expect(0);
    has(&finished.stdout, "3 devices: 3 done, 0 failed, 0 skipped, 0 unfinished; ");
    assert_eq!((fleet.collections(), fleet.packages()), (3, 3));
}

/// Wrong command lines. What it shares with the other examples is tested there.
#[track_caller]
pub fn explains_its_usage(how: How) {
    let fleet = Fleet::new(how);
    let wrong: [(&[&str], &str); 3] = [
        (&["--list"], "fleet: a value must follow --list (see fleet --help)\n"),
        (&["--machine", "m"], "fleet: unknown argument: --machine"),
        (&["--option", "downloads_at_once=33"], "option `downloads_at_once`"),
    ];
    for (arguments, part) in wrong {
        let finished = run(fleet.example.command().args(arguments)).expect(2);
        has(&finished.stderr, part);
        assert_eq!(finished.stdout, "");
    }
    let help = run(start(&fleet.example.program, how).arg("--help")).expect(0).stdout;
    for part in ["\n  --list FILE  ", "\n  --out FOLDER  ", "\n  --tenant ID  ", "3 some are not,"]
    {
        has(&help, part);
    }
    assert!(!help.contains("--machine"), "{help}");
}

/// On a terminal, one line is drawn again and again.
#[track_caller]
pub fn draws_on_a_terminal(how: How) {
    let fleet = Fleet::new(how);
    let command = fleet.fetch("device-0001\ndevice-0002\n");
    let shown = super::on_a_terminal(&command);
    has(&shown, "\r0 of 2 done, 0 failed, ");
    has(&shown, "\u{1b}[K\r2 of 2 done, 0 failed, 0 collecting, ");
    has(&shown, "\u{1b}[K\r\ndone     device-0001.contoso.example  ");
}

/// The commands of `docs/fleet.md`, in a folder with a list and the program.
#[track_caller]
pub fn as_documented() {
    let fleet = Fleet::new(How::Plain);
    let folder = &fleet.folder.0;
    std::os::unix::fs::symlink(fleet.example.program.path(), folder.join("fleet")).unwrap();
    std::fs::write(folder.join("devices.csv"), "device-0001\ndevice-0002\n").unwrap();
    let url = fleet.example.service.sim.api_url();
    let shown = blocks(ROOT.as_ref(), "docs/fleet.md");
    let shown: Vec<_> = shown.iter().filter(|block| block.language == "sh").collect();
    assert_eq!(shown.len(), 1);
    let options =
        format!("--option api_url={url} --option login_url={url} --option poll_interval_ms=100");
    let script = shown[0].text.replace("./fleet ", &format!("./fleet {options} "));
    let mut bash = Command::new("bash");
    bash.args(["-euc", &script]).current_dir(folder);
    bash.env("MDE_TENANT_ID", DEFAULT_TENANT).env("MDE_CLIENT_ID", DEFAULT_CLIENT);
    bash.env("MDE_CLIENT_SECRET", DEFAULT_SECRET).env_remove("MDE_OUT");
    let printed = run(&mut bash).expect(0).stdout;
    has(&printed, "2 devices: 2 done, ");
    // The page says what is in the folder.
    let page = std::fs::read_to_string(format!("{ROOT}/docs/fleet.md")).unwrap();
    for entry in std::fs::read_dir(folder.join("case-4711")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.ends_with(".zip") || page.contains(&format!("`{name}`")), "{name}");
    }
    // "some kilobytes for each device"
    let size = |name: &str| std::fs::metadata(folder.join("case-4711").join(name)).unwrap().len();
    let beside: u64 = ["fleet.journal", "packages.jsonl", "SHA256SUMS"].map(size).iter().sum();
    assert!((2_000..20_000).contains(&beside), "{beside} bytes for two devices");
}
