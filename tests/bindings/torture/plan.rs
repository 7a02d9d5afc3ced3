//! Which calls fail, and how.

use std::fmt;

/// One run: what fails in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// The number of the system call, from 1 on. 0: none.
    pub call: usize,
    /// The number of the allocation, from 1 on. 0: none.
    pub allocation: usize,
    /// Which of the errors of that call.
    pub way: usize,
    /// From then on every call fails that can fail in this way.
    pub stays: bool,
    /// `max_retries`.
    pub retries: u32,
}

/// What each run without a failure does.
#[derive(Debug)]
pub struct Usual {
    /// The name of each system call, and in how many ways it fails.
    pub calls: Vec<(String, usize)>,
    pub allocations: usize,
    /// The blocks of memory that a process keeps at most.
    pub kept: i64,
}

/// As many retries as the library makes unless it is told otherwise.
pub const RETRIES: u32 = 4;

/// Waits differ in how many calls they need. So many more are tried.
const MORE: usize = 3;

/// Gives a run its name, which is that of its folder as well.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stays = if self.stays { "on" } else { "once" };
        match (self.call, self.allocation) {
            (0, 0) => write!(f, "usual-{}", self.way),
            (0, at) => write!(f, "memory-{at}-{stays}-{}", self.retries),
            (at, _) => write!(f, "call-{at}-{}-{stays}-{}", self.way, self.retries),
        }
    }
}

/// Every call once, in one way that depends on its number, a third of them from then on, and some allocations.
pub fn sample(usual: &Usual) -> Vec<Run> {
    const ALLOCATIONS: usize = 40;
    let mut runs = Vec::new();
    for (at, (_, ways)) in usual.calls.iter().enumerate() {
        let call = at + 1;
        let retries = if call / 2 % 2 == 0 { RETRIES } else { 0 };
        let run = Run { call, way: call % ways, retries, ..Run::default() };
        runs.push(run);
        if call % 3 == 0 {
            runs.push(Run { way: (call / 3) % ways, stays: true, ..run });
        }
    }
    let step = (usual.allocations / ALLOCATIONS).max(1);
    let allocations = (1..=usual.allocations).step_by(step);
    runs.extend(allocations.map(|allocation| Run {
        allocation,
        retries: RETRIES,
        ..Run::default()
    }));
    runs
}

/// Every call in every way, once and from then on, with retries and without, and every allocation.
pub fn everything(usual: &Usual) -> Vec<Run> {
    let mut runs = Vec::new();
    let last = usual.calls.last().map_or(1, |(_, ways)| *ways);
    let more = std::iter::repeat_n(last, MORE);
    let ways = usual.calls.iter().map(|(_, ways)| *ways).chain(more);
    for (at, ways) in ways.enumerate() {
        for way in 0..ways {
            for stays in [false, true] {
                for retries in [0, RETRIES] {
                    runs.push(Run { call: at + 1, way, stays, retries, ..Run::default() });
                }
            }
        }
    }
    for allocation in 1..=usual.allocations {
        runs.push(Run { allocation, retries: RETRIES, ..Run::default() });
    }
    runs
}
