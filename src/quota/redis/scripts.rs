//! The scripts that the server runs, each in one step and by its own clock. `lua/log.lua` describes the log.

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::connection::{Connection, NoReply};
use crate::quota::window::Window;
use crate::text::hex::hex;

/// A script, and the digest that servers know it by.
#[derive(Debug)]
pub(super) struct Script {
    text: &'static str,
    digest: String,
}

impl Script {
    fn new(text: &'static str) -> Script {
        Script { text, digest: hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref()) }
    }
}

/// All scripts.
#[derive(Debug)]
pub(super) struct Scripts {
    pub begin: Script,
    pub settle: Script,
    pub renew: Script,
    pub throttled: Script,
    pub view: Script,
}

macro_rules! script {
    ($($file:literal),+) => {
        Script::new(concat!(include_str!("lua/log.lua"), $(include_str!($file)),+))
    };
}

impl Scripts {
    pub(super) fn new() -> Scripts {
        Scripts {
            begin: script!("lua/server.lua", "lua/begin.lua"),
            settle: script!("lua/settle.lua"),
            renew: script!("lua/renew.lua"),
            throttled: script!("lua/throttled.lua"),
            view: script!("lua/server.lua", "lua/view.lua"),
        }
    }
}

/// One run of a script, with its arguments.
#[derive(Debug)]
pub(super) struct Run<'a> {
    script: &'a Script,
    key: &'a str,
    arguments: Vec<String>,
}

impl<'a> Run<'a> {
    pub(super) fn new(script: &'a Script, key: &'a str) -> Run<'a> {
        Run { script, key, arguments: Vec::new() }
    }

    pub(super) fn with(mut self, argument: impl ToString) -> Run<'a> {
        self.arguments.push(argument.to_string());
        self
    }

    /// Appends limit and hold time of each window.
    pub(super) fn windows(self, windows: &[Window]) -> Run<'a> {
        windows.iter().fold(self, |run, window| run.with(window.limit).with(micros(window.hold())))
    }

    /// Runs the script by its digest. A server that does not have it gets the whole script first.
    pub(super) fn on(&self, connection: &mut Connection) -> Result<Vec<i64>, NoReply> {
        let mut words = vec!["EVALSHA", &self.script.digest, "1", self.key];
        words.extend(self.arguments.iter().map(String::as_str));
        match connection.command(&words) {
            Err(error) if error.begins_with("NOSCRIPT") => {
                connection.command(&["SCRIPT", "LOAD", self.script.text])?;
                connection.command(&words)
            }
            other => other,
        }
    }
}

/// Microseconds, rounded up so that no entry expires early.
pub(super) fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX)
}
