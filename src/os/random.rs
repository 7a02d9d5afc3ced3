//! Random numbers that need not be secret.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{fork, thread};

/// A generator with a seed of its own: the crate's shared one would keep memory for every thread of the host.
pub(crate) fn generator() -> fastrand::Rng {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanos = now.map_or(0, |now| now.as_nanos() as u64);
    // Threads and processes that draw at the same moment draw different numbers.
    let who = thread::number().get() ^ (u64::from(fork::process_id()) << 32);
    fastrand::Rng::with_seed(nanos ^ who.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_draw_different_numbers() {
        let draw = || generator().u64(..);
        let here = draw();
        let there = std::thread::spawn(draw).join().unwrap();
        assert_ne!(here, there);
    }
}
