//! Fetches in a process of their own: the test binary again, with its test `child`, which prints what [`run`] gives.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::process::{Command, Stdio};
use std::time::Duration;

use mde_simulator::Simulator;
use serde_json::{Value, json};

use super::Client;

/// What the test `child` prints, if this is such a process.
pub fn run() -> Option<String> {
    let Ok(task) = std::env::var("MDE_TEST_CHILD") else { return None };
    let task: Value = serde_json::from_str(&task).unwrap();
    let text = |name: &str| task[name].as_str().unwrap().to_owned();
    let options: Vec<(String, String)> = serde_json::from_value(task["options"].clone()).unwrap();
    let options: Vec<(&str, &str)> =
        options.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let client = Client::with(&options).unwrap_or_else(|outcome| panic!("{}", outcome.text));
    let outcome = client.fetch(&text("machine"), "killed now and then", &text("path"));
    Some(format!("\nresult {}", outcome.text))
}

pub struct Child<'a> {
    pub sim: &'a Simulator,
    pub options: &'a [(&'a str, &'a str)],
    pub machine: String,
    pub path: String,
}

impl Child<'_> {
    fn command(&self) -> Command {
        let options: Vec<(String, String)> = super::options(self.sim)
            .into_iter()
            .chain(self.options.iter().map(|(name, value)| (*name, (*value).to_owned())))
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let task = json!({"options": options, "machine": self.machine, "path": self.path});
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["child", "--exact", "--nocapture", "--test-threads=1"])
            .env("MDE_TEST_CHILD", task.to_string());
        command
    }

    /// Runs to the end; the document it got.
    pub fn finish(&self) -> Value {
        let done = self.command().output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        let result = said.lines().find_map(|line| line.strip_prefix("result "));
        serde_json::from_str(result.unwrap_or_else(|| panic!("{said}"))).unwrap()
    }

    /// Kills it after so long; whether it was still at work.
    pub fn kill_after(&self, delay: Duration) -> bool {
        let mut child = self.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(delay);
        let at_work = child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
        at_work
    }
}
