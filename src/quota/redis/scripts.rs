//! What the server carries out in one step each, by its own clock. See `lua/log.lua` for how the log looks.

use ::redis::{ConnectionLike, RedisResult, Script};

use crate::quota::window::Window;

/// The scripts, and the digests by which a server knows them.
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

    /// The last arguments: limit and hold of each window.
    pub(super) fn windows(self, windows: &[Window]) -> Run<'a> {
        windows.iter().fold(self, |run, window| run.with(window.limit).with(micros(window.hold())))
    }

    /// By its digest; a server that does not know it gets the script first.
    pub(super) fn on(&self, connection: &mut dyn ConnectionLike) -> RedisResult<Vec<i64>> {
        let mut invocation = self.script.prepare_invoke();
        invocation.key(self.key);
        for argument in &self.arguments {
            invocation.arg(argument);
        }
        invocation.invoke(connection)
    }
}

/// Microseconds, rounded up: nothing is to be forgotten early.
pub(super) fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX)
}
