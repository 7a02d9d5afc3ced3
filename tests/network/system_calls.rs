//! The system calls of a call and the fate of keep-alive connections, counted by strace.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use mde_simulator::{Config, Simulator};
use mde_tests::child::{self, Task};
use mde_tests::peers::server::{ID, Server, Then, client_of, machine};

/// The traces of a child process and its threads and children, one text each.
struct Traces(PathBuf);

impl Traces {
    /// Runs a process under strace.
    #[track_caller]
    fn of(task: &Task) -> Traces {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let unique =
            format!("strace-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let traces = Traces(mde_tests::scratch().join(unique));
        std::fs::create_dir_all(&traces.0).unwrap();
        let done = Command::new("strace")
            .args(["-ff", "-qq", "-s", "100", "-e", "signal=none", "-o"])
            .arg(traces.0.join("trace"))
            .args(task.words())
            .output()
            .expect("strace is missing; run: apt-get install -y --no-install-recommends strace");
        child::finished(done);
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

#[test]
fn a_call_on_a_warm_connection_is_a_handful_of_system_calls() {
    const MORE: usize = 200;
    for (what, collect) in [("GET", false), ("POST", true)] {
        let server = Server::start(|_| Then::Answer);
        let counts =
            |count| Traces::of(&Task::Calls { url: server.url(), collect, count }).counts();
        let (few, many) = (counts(100), counts(100 + MORE));
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
    let traces = Traces::of(&Task::Calls { url: server.url(), collect: false, count: 1 });
    let is_wait = |name: &str| name == "recvfrom" || name.ends_with("poll");
    let waits = traces.counts().into_iter().filter(|(name, _)| is_wait(name));
    // To connect, and once a second.
    assert!(waits.map(|(_, count)| count).sum::<usize>() < 12, "{:?}", traces.texts());
}

#[test]
fn a_connection_closed_while_idle_disturbs_no_call() {
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
fn a_connection_that_ends_with_the_next_request_fails_no_read() {
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
        let client = client_of(&server.url(), &[("max_retries", "5"), ("on_unknown", "report")]);
        client.action(ID).ok();
        let error = client.collect(&machine(1), "x").error("outcome_unknown");
        assert_eq!(error["outcome"], "unknown");
        assert_eq!(server.count("POST"), 1, "{:?}", server.requests());
    }
}

/// The descriptors of a trace's connections.
fn connections(trace: &str) -> Vec<&str> {
    let connects = trace.lines().filter_map(|line| line.strip_prefix("connect("));
    connects.filter_map(|rest| rest.split_once(',')).map(|(fd, _)| fd).collect()
}

#[track_caller]
fn does_not_touch_the_parents_connections(traces: &Traces) {
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
fn a_forked_child_does_not_touch_the_parents_connections() {
    let server = Server::start(|_| Then::Answer);
    does_not_touch_the_parents_connections(&Traces::of(&Task::TracedFork {
        url: server.url(),
        ca_file: None,
    }));
    let connections: Vec<_> = server.requests().into_iter().map(|(on, _)| on).collect();
    assert_eq!(connections, [0, 1, 0]);
}

#[test]
fn a_forked_child_does_not_touch_the_parents_tls_connections() {
    let sim = Simulator::start(Config { tls: true, ..Config::default() }).unwrap();
    let ca = mde_tests::scratch().join(format!("lean-{}.pem", std::process::id()));
    std::fs::write(&ca, sim.ca_pem().unwrap()).unwrap();
    let traces = Traces::of(&Task::TracedFork {
        url: sim.api_url(),
        ca_file: ca.to_str().map(str::to_owned),
    });
    let _ = std::fs::remove_file(&ca);
    does_not_touch_the_parents_connections(&traces);
    assert_eq!(sim.requests().len(), 3);
}
