//! Separate processes, which tests start, kill and trace. The program is `tests/child`. Its only argument is a [`Task`]
//! as JSON.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use mde_simulator::Simulator;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The options of a client, name and value.
pub type Options = Vec<(String, String)>;

/// What a process does.
#[derive(Debug, Serialize, Deserialize)]
pub enum Task {
    /// Fetches a package and prints the document.
    Fetch { options: Options, machine: String, path: String },
    /// Fetches the packages of these devices, a JSON text, and prints the document.
    FetchPackages { options: Options, devices: String, folder: PathBuf },
    /// Downloads a package and prints the document.
    Download { options: Options, action: String, path: PathBuf },
    /// Downloads onto a disk that is too small, which it mounts at this path.
    DownloadToSmallDisk { at: PathBuf },
    /// Reads an action and prints status and document.
    Read { options: Options, action: String },
    /// Checks the access and prints the document.
    Check { options: Options },
    /// Reads an action over and over, with some threads, until it is killed.
    ReadForEver { options: Options, action: String, threads: usize },
    /// Reads an action over and over, with some threads, until then.
    ReadUntil { options: Options, action: String, threads: usize, until_ms: u64 },
    /// Reads an action, forks a child that lives until standard input ends, and looks at the quota until it is killed.
    ForkAndLookAtQuota { options: Options, action: String },
    /// Uses a client in a forked child, and then in the parent.
    ReadInForkedChild { options: Options, action: String },
    /// Makes so many calls on one connection.
    Calls { url: String, collect: bool, count: usize },
    /// Uses and frees a client in a forked child; leaves marks in a trace.
    TracedFork { url: String, ca_file: Option<String> },
    /// Collects, and prints what the log of the quota says of trouble, before and after the rights of the file are those
    /// that it wants.
    ReplaceQuotaFile { options: Options, machine: String, file: PathBuf },
    /// Checks a package, and prints how many entries it has, the length of its document, and how many bytes of memory
    /// it took at most.
    MeasureInspection { path: PathBuf },
    /// Looks up a name that the name server, itself, never answers.
    LookUpInVain,
    /// Reads an action at a host whose name this name server has to know, and prints status and document.
    LookUp { options: Options, action: String, answer: NameServer },
    /// Connects to names with several addresses, which all belong to this machine.
    ConnectToMany,
}

/// What a name server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NameServer {
    /// There is none.
    Away,
    Silent,
    Garbage,
    /// That the answer is too long for a datagram. It gives none of another kind.
    Truncated,
    NoName,
    NoAddress,
    /// That it failed itself.
    Fails,
}

/// The program.
fn program() -> PathBuf {
    super::profile().join("mde-test-child")
}

impl Task {
    /// The command that does it.
    pub fn command(&self) -> Command {
        self.command_of(&program())
    }

    /// The same with a copy of the program.
    pub fn command_of(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.arg(self.as_argument());
        command
    }

    /// The words that come behind those of another command, which starts it.
    pub fn words(&self) -> [String; 2] {
        [program().to_str().unwrap().to_owned(), self.as_argument()]
    }

    fn as_argument(&self) -> String {
        serde_json::to_string(self).unwrap()
    }

    /// Runs to the end; what it printed.
    #[track_caller]
    pub fn finish(&self) -> String {
        finished(self.command().output().unwrap())
    }
}

/// Starts what follows in a mount namespace of its own, and with `network` in a network of its own. Nobody need be root
/// for it; root needs no user namespace, which a chroot forbids.
pub fn isolated(network: bool) -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg("--mount");
    if network {
        command.arg("--net");
    }
    command
}

/// Copies the program to where every user can start it.
pub fn copy_program(to: &Path) {
    // By a process: a file that is open for writing here could not be started while another thread forks.
    finished(Command::new("cp").arg(program()).arg(to).output().unwrap());
}

/// What a process printed that must have succeeded.
#[track_caller]
pub fn finished(output: Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (printed, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{:?}\n{printed}\n{errors}", output.status);
    printed
}

/// The usual options for a simulator, and more.
pub fn options(sim: &Simulator, more: &[(&str, &str)]) -> Options {
    let usual = super::options(sim).into_iter().map(|(name, value)| (name.to_owned(), value));
    let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    usual.chain(more).collect()
}

/// A fetch in a process of its own.
pub struct Fetch {
    task: Task,
    pub machine: String,
    pub path: String,
}

impl Fetch {
    pub fn new(sim: &Simulator, more: &[(&str, &str)], machine: String, path: String) -> Fetch {
        let options = options(sim, more);
        let task = Task::Fetch { options, machine: machine.clone(), path: path.clone() };
        Fetch { task, machine, path }
    }

    /// Runs to the end; the document it got.
    #[track_caller]
    pub fn finish(&self) -> Value {
        serde_json::from_str(&self.task.finish()).unwrap()
    }

    /// Kills it after so long; whether it was still at work.
    pub fn kill_after(&self, delay: Duration) -> bool {
        let mut command = self.task.command();
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(delay);
        let at_work = child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
        at_work
    }
}
