//! Faults of this host: a full disk, a read-only folder, no descriptor, no thread, and name servers that fail. Each is
//! played in a process of its own. strace gives the errors that the system would give, and a small disk is a tmpfs.

use std::path::Path;
use std::process::Command;

use mde_tests::Outcome;
use mde_tests::child::{self, NameServer, Task};
use mde_tests::packages::{Folder, package};
use serde_json::Value;

use crate::cell::{Options, Run, observe, options};
use crate::fault::Fault;
use crate::good::{ACTION, MACHINE};
use crate::peer::{Layer, Peer};
use crate::play::Play;
use crate::step::Step;

/// A name that no hosts file has.
const NAME: &str = "https://api.faults.test";

fn owned(options: &Options) -> child::Options {
    options.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// Plays a fault of this host, or one of its name servers.
pub fn run(step: Step, fault: Fault) -> Run {
    match step {
        Step::Lookup if !fault.is_of_the_host() => return of_name_server(fault),
        _ => {}
    }
    let peer = Peer::start(step, Layer::Plain, Play::Good);
    let folder = Folder::new();
    let mut options = options(step, fault, &peer.url());
    let mut set = |name: &'static str, value: String| {
        options.retain(|(known, _)| *known != name);
        options.push((name, value));
    };
    match (step, fault) {
        (Step::Lookup, _) => set("api_url", NAME.to_owned()),
        (Step::Proxy, Fault::NoThread) => {
            set("api_url", NAME.to_owned());
            set("proxy", format!("http://localhost:{}", peer.port));
        }
        (Step::Proxy, _) => {
            set("api_url", NAME.to_owned());
            set("proxy", peer.url());
        }
        _ => {}
    }
    let path = folder.file();
    let task = match step {
        Step::Download | Step::Rename => {
            Task::Download { options: owned(&options), action: ACTION.to_owned(), path }
        }
        Step::Journal => {
            let (machine, path) = (MACHINE.to_owned(), folder.path());
            Task::Fetch { options: owned(&options), machine, path }
        }
        _ => Task::Read { options: owned(&options), action: ACTION.to_owned() },
    };
    if (step, fault) == (Step::Download, Fault::DiskFull) {
        // Without a length nothing is known before the disk is full.
        peer.set_package(package(300_000, 7));
        peer.send_chunks();
    }
    let (outcome, files) = match (step, fault) {
        (Step::Download, Fault::DiskFull) => on_small_disk(&task, &folder, "size=128k", ":"),
        (Step::Journal, Fault::DiskFull) => on_small_disk(
            &task,
            &folder,
            "size=64k",
            "head -c 100k /dev/zero >\"$1/filler\" || true",
        ),
        (_, Fault::ReadOnly) if step != Step::Rename => {
            on_small_disk(&task, &folder, "size=64k,ro", ":")
        }
        _ => {
            let mut strace = under(&task, step, fault, &folder);
            let printed = child::finished(strace.output().expect("strace is missing"));
            (parsed(&printed), folder.names())
        }
    };
    let files = files.iter().filter(|name| *name != "filler");
    let files = files.map(|name| name.replacen("package.zip", "", 1)).collect();
    let mut run = observe(&outcome, peer.begun() as u64, files);
    let is_early = step == Step::Journal || (step == Step::Download && run.observed.requests == 0);
    if is_early && run.observed.status != "ok" && peer.collected() + peer.begun() > 0 {
        run.broken.push("a request was sent though no file can be written".to_owned());
    }
    // The same task once more, with nothing wrong. Small disks are gone, and names lead nowhere.
    let is_repeatable = fault != Fault::ReadOnly || step == Step::Rename;
    let is_here = matches!(step, Step::Connect | Step::Download | Step::Rename | Step::Journal);
    if run.observed.retryable && is_repeatable && is_here {
        let next = parsed(&task.finish());
        if !next.document["error"].is_null() {
            run.broken.push(format!("it is `retryable`, but the next call fails: {}", next.text));
        }
    }
    run
}

/// What a task has printed: a document, maybe behind a status.
fn parsed(printed: &str) -> Outcome {
    let text = &printed[printed.find('{').unwrap_or_else(|| panic!("no document: {printed}"))..];
    let document: Value = serde_json::from_str(text.trim()).unwrap_or_else(|_| panic!("{printed}"));
    let status = document["error"]["status"].as_i64().unwrap_or(0) as i32;
    Outcome { status, document, text: text.to_owned() }
}

/// The task where system calls fail.
fn under(task: &Task, step: Step, fault: Fault, folder: &Folder) -> Command {
    let beside = |ending: &str| folder.0.join(format!("package.zip{ending}"));
    const RENAMES: &str = "rename,renameat,renameat2,link,linkat";
    let (calls, error, path) = match (step, fault) {
        (_, Fault::NoThread) => ("clone,clone3", "EAGAIN", None),
        (Step::Download, Fault::NoDescriptors) => ("openat", "EMFILE", Some(beside(".part"))),
        (Step::Rename, Fault::NoDescriptors) => ("openat", "EMFILE", Some(folder.0.clone())),
        (Step::Journal, Fault::NoDescriptors) => ("openat", "EMFILE", Some(beside(".fetch.json"))),
        (_, Fault::NoDescriptors) => ("socket", "EMFILE", None),
        (Step::Rename, Fault::DiskFull) => (RENAMES, "ENOSPC", Some(folder.file())),
        (Step::Rename, Fault::ReadOnly) => (RENAMES, "EROFS", Some(folder.file())),
        other => panic!("{other:?} is not played by strace"),
    };
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "signal=none"]);
    if let Some(path) = path {
        strace.arg("-P").arg(path);
    }
    strace.arg("-e").arg(format!("inject={calls}:error={error}")).args(task.words());
    strace
}

/// The task in a folder that is a disk of its own, and the files that it left there.
fn on_small_disk(task: &Task, folder: &Folder, disk: &str, first: &str) -> (Outcome, Vec<String>) {
    let script = format!(
        "mount -t tmpfs -o {disk} tmpfs \"$1\" && {{ {first}; }} 2>/dev/null && \"$2\" \"$3\" && \
         printf '\\n--files\\n' && ls -A \"$1\""
    );
    let output = child::isolated(false)
        .args(["sh", "-c", &script, "sh"])
        .arg(&folder.0)
        .args(task.words())
        .output()
        .expect("unshare is missing; run: apt-get install -y util-linux");
    let printed = child::finished(output);
    let (document, files) = printed.split_once("--files\n").expect("no list of files");
    (parsed(document), files.lines().map(str::to_owned).collect())
}

/// A lookup in a network with this name server alone.
fn of_name_server(fault: Fault) -> Run {
    let answer = match fault {
        Fault::Refused | Fault::Unreachable => NameServer::Away,
        Fault::Stall => NameServer::Silent,
        Fault::Garbage => NameServer::Garbage,
        Fault::Truncated => NameServer::Truncated,
        Fault::Empty => NameServer::NoAddress,
        Fault::Missing => NameServer::NoName,
        Fault::Http5xx => NameServer::Fails,
        other => panic!("{other:?} is not played by a name server"),
    };
    let folder = Folder::new();
    let server = if fault == Fault::Unreachable { "192.0.2.53" } else { "127.0.0.1" };
    let write = |name: &str, text: String| std::fs::write(folder.0.join(name), text).unwrap();
    write("resolv.conf", format!("nameserver {server}\noptions timeout:1 attempts:1\n"));
    write("nsswitch.conf", "hosts: dns\n".to_owned());
    let mut options = options(Step::Lookup, fault, NAME);
    options.retain(|(name, _)| !["connect_timeout_ms", "max_retries"].contains(name));
    options.push(("max_retries", "1".to_owned()));
    options.push((
        "connect_timeout_ms",
        if fault == Fault::Stall { "500" } else { "5000" }.to_owned(),
    ));
    let task = Task::LookUp { options: owned(&options), action: ACTION.to_owned(), answer };
    let printed = child::finished(in_own_network(&folder.0, &task).output().unwrap());
    observe(&parsed(&printed), 0, Vec::new())
}

fn in_own_network(folder: &Path, task: &Task) -> Command {
    let mut set_up = "PATH=$PATH:/usr/sbin && ip link set lo up".to_owned();
    for file in ["resolv.conf", "nsswitch.conf"] {
        set_up.push_str(&format!(" && mount --bind \"$1/{file}\" /etc/{file}"));
    }
    let mut command = child::isolated(true);
    command
        .args(["sh", "-c", &format!("{set_up} && exec \"$2\" \"$3\""), "sh"])
        .arg(folder)
        .args(task.words());
    command
}
