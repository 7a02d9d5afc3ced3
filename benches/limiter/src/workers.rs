//! Worker processes, which run this program again.

use std::env;
use std::io::{BufRead, BufReader, Read, Write, stdin};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Starts `count` workers, lets them begin when all are ready, and returns the output of each.
pub fn run(count: u32, words: &[&str]) -> Vec<String> {
    let mut workers: Vec<_> = (0..count).map(|_| Worker::start(words)).collect();
    for worker in &mut workers {
        let mut line = String::new();
        worker.output.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
    }
    for worker in &mut workers {
        worker.child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }
    workers.into_iter().map(Worker::end).collect()
}

struct Worker {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Worker {
    fn start(words: &[&str]) -> Worker {
        let program = env::current_exe().unwrap();
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Worker { child, output }
    }

    fn end(mut self) -> String {
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        assert!(self.child.wait().unwrap().success());
        text
    }
}

/// In a worker: reports that it is ready, and waits for the signal to begin.
pub fn wait_to_go() {
    println!("ready");
    let mut line = String::new();
    stdin().read_line(&mut line).unwrap();
}
