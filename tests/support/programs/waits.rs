//! `tests/c/waits.c` and `cancelled.c`: cancel, deadline and cancelled threads in every phase of a call.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use mde_simulator::Config;
use serde_json::{Value, json};

use crate::programs::{How, Scratch, Service, compile, run, start};

/// What a call does, how the service is made to keep it waiting, more options, and what a deadline is called then.
struct Phase {
    name: &'static str,
    does: &'static str,
    rule: Option<Value>,
    options: &'static [&'static str],
    deadline: &'static str,
}

fn phases() -> Vec<Phase> {
    let drip = json!({"status": 200, "repeat": {"text": " ", "count": 1_000_000},
        "drip": {"bytes": 1, "every_ms": 20}});
    let rule = |path: &str, more: (&str, Value)| {
        Some(json!({"match": {"path_contains": path}, "times": 0, more.0: more.1}))
    };
    let read = |name, rule| Phase { name, does: "read", rule, options: &[], deadline: "deadline" };
    vec![
        read("connecting", None),
        read("a token that never comes", rule("/token", ("stall", json!(true)))),
        read("a token in drops", rule("/token", ("reply", drip.clone()))),
        read("a reply that never comes", rule("/api/", ("stall", json!(true)))),
        read("a reply in drops", rule("/api/", ("reply", drip))),
        Phase {
            options: &["max_retries=5"],
            // Who has a deadline does not wait for what comes after it.
            deadline: "service",
            ..read(
                "the pause before a retry",
                rule(
                    "machineactions",
                    ("reply", json!({"status": 503, "headers": {"Retry-After": "20"}})),
                ),
            )
        },
        Phase {
            does: "collect",
            options: &["quota_limits=collect=1/3600", "timeout_ms=0"],
            deadline: "rate_limited",
            ..read("the quota", None)
        },
        Phase { does: "wait", ..read("an action that does not end", None) },
        Phase { does: "download", ..read("a download", None) },
    ]
}

/// A listener whose queue is full does not answer further connection requests.
fn full() -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        queue.push(stream);
        assert!(queue.len() < 10_000, "the queue does not fill up");
    }
    (listener, queue)
}

/// Cancel from another thread, and a deadline, in every phase.
#[track_caller]
pub fn stops(how: How) {
    in_every_phase("tests/c/waits.c", how, |phase| vec![phase.does, phase.deadline]);
}

/// A thread that is cancelled (`pthread_cancel`) in every phase.
#[track_caller]
pub fn outlives_cancellation(how: How) {
    in_every_phase("tests/c/cancelled.c", how, |phase| vec![phase.does]);
}

#[track_caller]
fn in_every_phase(source: &str, how: How, arguments: impl Fn(&Phase) -> Vec<&'static str>) {
    let sources = [source, "tests/c/job.c", "tests/c/support.c", "tests/c/service.c"];
    let program = compile(&sources, how);
    for phase in phases() {
        let service = Service::start(Config::default());
        let does_wait = phase.does == "wait";
        service.sim.set(|b| {
            (b.pending_s, b.in_progress_s) = if does_wait { (600.0, 600.0) } else { (0.1, 0.1) };
            (b.package_bytes, b.download_rate) = (8_000_000, 200_000);
        });
        if let Some(rule) = &phase.rule {
            service.sim.script(rule.clone()).unwrap();
        }
        let folder = Scratch::new("waits");
        let mut command = start(&program, how);
        service.describe(&mut command).args(arguments(&phase));
        command.arg(folder.0.join("package.zip")).args(phase.options);
        let queue = (phase.name == "connecting").then(full);
        if let Some((listener, _)) = &queue {
            command.env("MDE_TEST_URL", format!("http://{}", listener.local_addr().unwrap()));
        }
        let finished = run(&mut command);
        assert_eq!(
            finished.code,
            Some(0),
            "{}: {}{}",
            phase.name,
            finished.stdout,
            finished.stderr
        );
    }
}
