//! What a call costs in system calls, and what becomes of connections that are kept: counted by strace.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

#[path = "peers/server.rs"]
mod server;
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use mde_simulator::{Config, Simulator};
use server::{ID, Server, Then};
use support::Client;

fn machine(n: usize) -> String {
    format!("{n:040x}")
}

fn client_of(url: &str, more: &[(&str, &str)]) -> Client {
    let usual = [
        ("access_token", "t"),
        ("api_url", url),
        ("proxy", "none"),
        ("quota_limits", "collect=1000000/1;list=1000000/1;read=1000000/1"),
    ];
    Client::with(&[&usual, more].concat()).unwrap_or_else(|outcome| panic!("{}", outcome.text))
}

/// The traces of a child process and its threads and children, one text each.
struct Traces(PathBuf);

impl Traces {
    /// Runs test `child` of this program under strace, with these words to go by.
    #[track_caller]
    fn of(task: &str, url: &str, more: &[(&str, &str)]) -> Traces {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let unique =
            format!("strace-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let traces = Traces(Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique));
        std::fs::create_dir_all(&traces.0).unwrap();
        let done = Command::new("strace")
            .args(["-ff", "-qq", "-s", "100", "-e", "signal=none", "-o"])
            .arg(traces.0.join("trace"))
            .arg(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--nocapture", "--test-threads=1"])
            .env("MDE_TEST_CHILD", task)
            .env("MDE_TEST_URL", url)
            .envs(more.iter().copied())
            .output()
            .expect("strace is missing; run: apt-get install -y --no-install-recommends strace");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = format!("{}\n{}", text(&done.stdout), text(&done.stderr));
        assert!(done.status.success() && said.contains("1 passed"), "{task}: {said}");
        traces
    }

    fn texts(&self) -> Vec<String> {
        let files = std::fs::read_dir(&self.0).unwrap();
        files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    }

    /// How often each system call was made.
    fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for text in self.texts() {
            for (name, _) in text.lines().filter_map(|line| line.split_once('(')) {
                *counts.entry(name.to_owned()).or_default() += 1;
            }
        }
        counts
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Not a test of its own: what the others look at.
#[test]
fn child() {
    let Ok(task) = std::env::var("MDE_TEST_CHILD") else { return };
    let url = std::env::var("MDE_TEST_URL").unwrap();
    if task == "fork" {
        return forking(&url);
    }
    let (what, count) = task.split_once(' ').unwrap();
    let client = client_of(&url, &[]);
    for n in 0..count.parse().unwrap() {
        match what {
            "GET" => client.action(ID).ok(),
            _ => client.collect(&machine(n), "x").ok(),
        };
    }
}

#[test]
fn a_call_on_a_warm_connection_is_a_handful_of_system_calls() {
    const MORE: usize = 200;
    for what in ["GET", "POST"] {
        let server = Server::start(|_| Then::Answer);
        let few = Traces::of(&format!("{what} 100"), &server.url(), &[]).counts();
        let many = Traces::of(&format!("{what} {}", 100 + MORE), &server.url(), &[]).counts();
        assert_eq!(server.count(what), 100 + 100 + MORE);
        assert_eq!(server.requests().last().unwrap().0, 1, "one connection for each process");
        let all = |counts: &BTreeMap<String, usize>| counts.values().sum::<usize>();
        let of = |counts: &BTreeMap<String, usize>, names: &[&str]| -> usize {
            names.iter().filter_map(|name| counts.get(*name)).sum()
        };
        let more = |names: &[&str]| of(&many, names) - of(&few, names);
        let both = format!("{what}\n{few:?}\n{many:?}");
        // Whether the connection is open, send, receive. Memory is got in between, and a slow machine lets some
        // receive twice: less than a fourth call each time.
        assert!(all(&many) - all(&few) < 3 * MORE + MORE / 4, "{both}");
        assert_eq!(more(&["sendto", "sendmsg", "sendmmsg", "write", "writev"]), MORE, "{both}");
        for never in ["clone", "clone3", "fork", "vfork", "connect", "socket"] {
            assert_eq!(more(&[never]), 0, "{never}: {both}");
        }
    }
}

#[test]
fn a_call_that_waits_for_its_reply_sleeps() {
    let server = Server::start(|_| Then::AnswerAfter(4));
    let traces = Traces::of("GET 1", &server.url(), &[]);
    let is_wait = |name: &str| name == "recvfrom" || name.ends_with("poll");
    let waits = traces.counts().into_iter().filter(|(name, _)| is_wait(name));
    // To connect, and once a second.
    assert!(waits.map(|(_, count)| count).sum::<usize>() < 12, "{:?}", traces.texts());
}

#[test]
fn a_connection_that_was_closed_while_idle_disturbs_nobody() {
    for ending in [Then::AnswerAndClose, Then::AnswerAndTimeOut] {
        let server = Server::start(move |_| ending);
        let client = client_of(&server.url(), &[("max_retries", "0")]);
        for n in 0..20 {
            client.action(ID).ok();
            server.wait_for_an_end();
            let document = client.collect(&machine(n), "x").ok();
            assert_eq!(document["adopted"], false);
            server.wait_for_an_end();
        }
        assert_eq!((server.count("GET"), server.count("POST")), (20, 20));
        assert_eq!(server.requests().len(), 40);
    }
}

#[test]
fn a_connection_that_ends_with_the_next_request_costs_reading_nothing() {
    for ending in [Then::Close, Then::Reset] {
        let server = Server::start(move |n| if n == 0 { Then::Answer } else { ending });
        let client = client_of(&server.url(), &[("max_retries", "1")]);
        for _ in 0..3 {
            client.action(ID).ok();
        }
        // The first, and then each first in vain.
        let connections: Vec<_> = server.requests().into_iter().map(|(on, _)| on).collect();
        assert_eq!(connections, [0, 0, 1, 1, 2], "{ending:?}");
    }
}

#[test]
fn a_connection_that_ends_with_the_next_request_starts_nothing_twice() {
    for ending in [Then::Close, Then::Reset] {
        let server = Server::start(move |n| if n == 0 { Then::Answer } else { ending });
        let client = client_of(&server.url(), &[("max_retries", "5")]);
        client.action(ID).ok();
        let error = client.collect(&machine(1), "x").error("outcome_unknown");
        assert_eq!(error["outcome"], "unknown");
        assert_eq!(server.count("POST"), 1, "{:?}", server.requests());
    }
}

unsafe extern "C" {
    fn fork() -> i32;
    fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
    fn _exit(code: i32) -> !;
}

/// Shows up in the trace.
fn mark(name: &str) {
    let _ = std::fs::metadata(format!("/mde-mark/{name}"));
}

/// The parent's client, used and freed in a child, and then a client of the child's own.
fn forking(url: &str) {
    let ca = std::env::var("MDE_TEST_CA").unwrap_or_default();
    let more: &[_] = if ca.is_empty() { &[] } else { &[("ca_file", ca.as_str())] };
    let parents = client_of(url, more);
    let answered = |client: &Client| {
        let outcome = client.action(ID);
        // The simulator knows neither the action nor the token.
        outcome.status == 0 || outcome.document["error"]["http_status"].is_u64()
    };
    assert!(answered(&parents));
    // SAFETY: there is one thread, and the child leaves by _exit alone.
    let child = unsafe { fork() };
    if child == 0 {
        const FORKED: i32 = 6;
        mark("forked");
        let statuses = [
            parents.action(ID).status,
            parents.collect(&machine(0), "x").status,
            parents.list("").status,
            parents.quota().status,
            parents.shutdown(std::time::Duration::ZERO),
        ];
        mark("own");
        let own = client_of(url, more);
        let own_is_fine = answered(&own);
        drop(own);
        mark("freeing");
        drop(parents);
        mark("freed");
        let fine = statuses == [FORKED; 5] && own_is_fine;
        // SAFETY: it ends the process and runs nothing of it.
        unsafe { _exit(i32::from(!fine)) }
    }
    let mut status = -1;
    // SAFETY: the pointer is valid for the call.
    let waited = unsafe { waitpid(child, &raw mut status, 0) };
    assert_eq!((waited, status), (child, 0));
    assert!(answered(&parents));
}

/// The descriptors of a trace's connections.
fn connections(trace: &str) -> Vec<&str> {
    let connects = trace.lines().filter_map(|line| line.strip_prefix("connect("));
    connects.filter_map(|rest| rest.split_once(',')).map(|(fd, _)| fd).collect()
}

#[track_caller]
fn leaves_the_parents_connections_alone(traces: &Traces) {
    let texts = traces.texts();
    let is_child = |text: &&String| text.contains("/mde-mark/forked");
    let child = texts.iter().find(is_child).unwrap();
    let parent = texts.iter().find(|text| text.contains("connect(") && !is_child(text)).unwrap();
    let inherited = connections(parent);
    assert_eq!(inherited.len(), 1, "the parent needed more than one connection\n{parent}");
    let at = |mark: &str| child.find(&format!("/mde-mark/{mark}")).unwrap();
    let refused = &child[at("forked")..at("own")];
    for name in ["socket(", "connect(", "send", "recv", "shutdown(", "close(", "write("] {
        assert!(!refused.lines().any(|line| line.starts_with(name)), "{name}\n{refused}");
    }
    // At the end it may be closed, which the parent does not notice, and nothing else.
    let touched = |line: &&str| {
        let arguments = line.split_once('(').map(|(_, arguments)| arguments).unwrap_or_default();
        arguments.split([',', ')']).next() == Some(inherited[0])
    };
    // A debug build looks at the flags of what it closes.
    let looks = |line: &&str| line.starts_with("fcntl(") && line.contains("F_GETFD");
    let touches: Vec<_> =
        child[..at("freed")].lines().filter(touched).filter(|line| !looks(line)).collect();
    // What comes behind the close is another file with the same number.
    assert!(touches[0].starts_with("close("), "{touches:?}");
    assert!(child[at("freeing")..at("freed")].contains(touches[0]), "{child}");
}

#[test]
fn a_forked_child_leaves_the_parents_connections_alone() {
    let server = Server::start(|_| Then::Answer);
    leaves_the_parents_connections_alone(&Traces::of("fork", &server.url(), &[]));
    let connections: Vec<_> = server.requests().into_iter().map(|(on, _)| on).collect();
    assert_eq!(connections, [0, 1, 0]);
}

#[test]
fn a_forked_child_leaves_the_parents_tls_connections_alone() {
    let sim = Simulator::start(Config { tls: true, ..Config::default() }).unwrap();
    let ca =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("lean-{}.pem", std::process::id()));
    std::fs::write(&ca, sim.ca_pem().unwrap()).unwrap();
    let traces = Traces::of("fork", &sim.api_url(), &[("MDE_TEST_CA", ca.to_str().unwrap())]);
    let _ = std::fs::remove_file(&ca);
    leaves_the_parents_connections_alone(&traces);
    assert_eq!(sim.requests().len(), 3);
}
