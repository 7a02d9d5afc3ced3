//! Runs the program of `tests/c/torture` against simulators.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use mde_simulator::{Behaviour, Config, QuotaMode, Simulator};
use mde_tests::Client;
use mde_tests::programs::{How, Program, Scratch, compile, start};

use super::Operation;
use super::plan::{RETRIES, Run, Usual};
use super::verdict::{Came, problems};

/// Processes side by side. Most wait for the simulator.
const WORKERS: usize = 8;

/// The most problems that a failed test prints.
const MOST_SHOWN: usize = 40;

static PROGRAM: LazyLock<Program> = LazyLock::new(|| {
    let files = ["torture", "shim", "memory", "kinds", "operations", "checks"];
    let mut sources: Vec<String> =
        files.iter().map(|file| format!("tests/c/torture/{file}.c")).collect();
    sources.push("tests/c/support.c".to_owned());
    let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
    compile(&sources, How::Plain)
});

/// A package to inspect.
static PACKAGE: LazyLock<(Scratch, PathBuf)> = LazyLock::new(|| {
    let sim = service(1, super::at_once);
    let folder = Scratch::new("torture-package");
    let path = folder.0.join("p.zip");
    let url = sim.api_url();
    let options = [
        ("api_url", url.as_str()),
        ("login_url", url.as_str()),
        ("tenant_id", mde_simulator::DEFAULT_TENANT),
        ("client_id", mde_simulator::DEFAULT_CLIENT),
        ("client_secret", mde_simulator::DEFAULT_SECRET),
    ];
    let client = Client::with(&options).unwrap_or_else(|outcome| panic!("{}", outcome.text));
    client.fetch(&sim.machine_id(0), "why", path.to_str().unwrap()).ok();
    (folder, path)
});

fn service(machines: usize, behave: fn(&mut Behaviour)) -> Simulator {
    let mut behaviour = Behaviour::default();
    behave(&mut behaviour);
    let config = Config { machines, quota_mode: QuotaMode::Off, behaviour, ..Config::default() };
    Simulator::start(config).unwrap()
}

/// Some runs against a simulator of their own.
struct Batch {
    lines: Vec<Vec<String>>,
    sim: Simulator,
}

impl Batch {
    #[track_caller]
    fn of(operation: Operation, runs: &[Run]) -> Batch {
        let sim = service(2 * runs.len(), operation.behaviour);
        let folder = Scratch::new("torture");
        let plan = runs.iter().enumerate().map(|(n, run)| {
            let Run { call, allocation, way, stays, retries } = run;
            let devices = [0, 1].map(|device| sim.machine_id(2 * n + device)).join(" ");
            format!("{run} {devices} {call} {allocation} {way} {} {retries}\n", u8::from(*stays))
        });
        let plan: String = plan.collect();
        let text = output(operation, &folder.0, &sim, &plan);
        let lines = text.lines().map(|line| line.split('\t').map(str::to_owned).collect());
        Batch { lines: lines.collect(), sim }
    }

    /// What came of the runs, in their order.
    #[track_caller]
    fn came(&self, runs: &[Run]) -> Vec<Came> {
        let mut actions: BTreeMap<String, usize> = BTreeMap::new();
        for action in self.sim.actions() {
            *actions.entry(action["machineId"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        let mut requests: BTreeMap<String, i64> = BTreeMap::new();
        for request in self.sim.requests() {
            if let Some(at) = request.path.strip_suffix("/collectInvestigationPackage") {
                let device = at.rsplit('/').next().unwrap_or_default();
                *requests.entry(device.to_owned()).or_default() += 1;
            }
        }
        let by_name: BTreeMap<&str, &Vec<String>> = self
            .lines
            .iter()
            .filter(|line| line[0] == "run")
            .map(|line| (line[1].as_str(), line))
            .collect();
        assert_eq!(by_name.len(), runs.len(), "the program ended before its plan");
        let of_run = |(n, run): (usize, &Run)| {
            let device = |device| self.sim.machine_id(2 * n + device);
            let count = |at| actions.get(&device(at)).copied().unwrap_or(0);
            let requests = requests.get(&device(0)).copied().unwrap_or(0);
            Came::read(by_name[run.to_string().as_str()], vec![count(0), count(1)], requests)
        };
        runs.iter().enumerate().map(of_run).collect()
    }
}

/// Runs the program. Returns its output.
#[track_caller]
fn output(operation: Operation, folder: &Path, sim: &Simulator, plan: &str) -> String {
    let out = folder.join("output");
    let mut command: Command = start(&PROGRAM, How::Plain);
    let mut child = command
        .arg(operation.name)
        .arg(folder)
        .arg(WORKERS.to_string())
        .env("MDE_TEST_URL", sim.api_url())
        .env("MDE_TEST_TENANT", mde_simulator::DEFAULT_TENANT)
        .env("MDE_TEST_CLIENT", mde_simulator::DEFAULT_CLIENT)
        .env("MDE_TEST_SECRET", mde_simulator::DEFAULT_SECRET)
        .env("MDE_TORTURE_PACKAGE", &PACKAGE.1)
        .stdin(Stdio::piped())
        .stdout(fs::File::create(&out).unwrap())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(plan.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "the program failed");
    fs::read_to_string(&out).unwrap()
}

/// Runs an operation without a failure, and then with each of those that are planned.
#[track_caller]
pub fn torture(operation: Operation, plan: fn(&Usual) -> Vec<Run>) {
    let began = Instant::now();
    let mut usual = usual(operation);
    if !operation.allocates {
        usual.allocations = 0;
    }
    let runs = plan(&usual);
    let (mut found, mut aborted, mut missed) = (Vec::new(), 0, 0);
    for runs in runs.chunks(operation.batch) {
        let batch = Batch::of(operation, runs);
        for (run, came) in runs.iter().zip(batch.came(runs)) {
            aborted += usize::from(came.end == "aborted");
            missed += usize::from(run.call > 0 && came.failed == "-");
            let wrong = problems(operation, run, &came, &usual);
            found.extend(wrong.into_iter().map(|problem| format!("{run}: {came}: {problem}")));
        }
    }
    let figures = format!(
        "{}: {} system calls, {} allocations, {} runs, {aborted} aborted, {missed} without the call, {:.1} s",
        operation.name,
        usual.calls.len(),
        usual.allocations,
        runs.len(),
        began.elapsed().as_secs_f64()
    );
    println!("{figures}");
    let count = found.len();
    found.truncate(MOST_SHOWN);
    assert!(
        found.is_empty(),
        "{figures}\n{count} problems, of which the first:\n{}",
        found.join("\n")
    );
    // Otherwise the failures miss what they are meant for.
    assert!(missed * 10 <= runs.len(), "{figures}");
    assert!(usual.allocations == 0 || aborted > 0, "{figures}");
    assert!(began.elapsed() < Duration::from_secs(7_200), "{figures}");
}

/// What an operation does when nothing fails.
#[track_caller]
fn usual(operation: Operation) -> Usual {
    const TIMES: usize = 5;
    let runs: Vec<Run> =
        (0..TIMES).map(|way| Run { way, retries: RETRIES, ..Run::default() }).collect();
    let batch = Batch::of(operation, &runs);
    let all = batch.came(&runs);
    let traces = batch.lines.iter().filter(|line| line[0] == "trace");
    let calls = traces.map(|line| {
        let calls = line[2].split_terminator(',').filter_map(|call| call.split_once(':'));
        calls.map(|(name, ways)| (name.to_owned(), ways.parse().unwrap())).collect::<Vec<_>>()
    });
    let usual = Usual {
        // Waits make some calls more or less, and these are made by all.
        calls: calls.min_by_key(Vec::len).unwrap(),
        allocations: all.iter().map(|came| came.allocations).max().unwrap(),
        kept: all.iter().map(|came| came.kept).max().unwrap(),
    };
    for (run, came) in runs.iter().zip(&all) {
        let wrong = problems(operation, run, came, &usual);
        assert!(wrong.is_empty() && came.status == 0, "{run}: {came}: {wrong:?}");
    }
    assert!(usual.calls.len() > 5 && usual.allocations > 50, "{usual:?}");
    usual
}
