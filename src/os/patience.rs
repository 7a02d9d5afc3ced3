//! Repeats what a virus scanner blocks for a moment: on Windows it opens files that were just written.

use std::io;
use std::time::Duration;

/// Sleeps before the next attempt. Returns false if the caller has no time left.
pub(crate) type Pause<'a> = &'a dyn Fn(Duration) -> bool;

/// How long a file that another program has open is tried.
const PATIENCE: Duration = Duration::from_secs(10);

const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// The errors of Windows for a file that another program has open: `ERROR_ACCESS_DENIED`, `ERROR_SHARING_VIOLATION`,
/// `ERROR_LOCK_VIOLATION`, `ERROR_DELETE_PENDING` and `ERROR_USER_MAPPED_FILE`.
const BUSY: [i32; 5] = [DENIED, 32, 33, 303, 1224];

/// It also stands for a lack of rights.
const DENIED: i32 = 5;

/// Whether another program has the file open.
pub(crate) fn is_open_elsewhere(error: &io::Error) -> bool {
    cfg!(windows) && is_busy(error) && error.raw_os_error() != Some(DENIED)
}

fn is_busy(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| BUSY.contains(&code))
}

/// Calls `attempt` until it succeeds or fails for another reason.
pub(crate) fn patiently(
    pause: Pause<'_>,
    attempt: &mut dyn FnMut() -> io::Result<()>,
) -> io::Result<()> {
    match cfg!(windows) {
        true => repeat(pause, attempt),
        false => attempt(),
    }
}

fn repeat(pause: Pause<'_>, attempt: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
    let (mut waited, mut next) = (Duration::ZERO, Duration::from_millis(5));
    loop {
        let Err(error) = attempt() else { return Ok(()) };
        if !is_busy(&error) || waited >= PATIENCE || !pause(next) {
            return Err(error);
        }
        waited += next;
        next = (next * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// How often it was attempted, how long it waited, and how it ended.
    fn run(code: i32, failures: u32, most: Duration) -> (u32, Duration, bool) {
        let (mut attempts, waited) = (0, Cell::new(Duration::ZERO));
        let pause = |nap| {
            waited.set(waited.get() + nap);
            waited.get() <= most
        };
        let done = repeat(&pause, &mut || {
            attempts += 1;
            match attempts > failures {
                true => Ok(()),
                false => Err(io::Error::from_raw_os_error(code)),
            }
        });
        assert!(done.is_ok() || done.unwrap_err().raw_os_error() == Some(code));
        (attempts, waited.get(), attempts > failures)
    }

    #[test]
    fn a_file_that_is_open_elsewhere_is_tried_for_ten_seconds() {
        for code in BUSY {
            assert_eq!(run(code, 0, Duration::MAX), (1, Duration::ZERO, true));
            let (attempts, waited, done) = run(code, 25, Duration::MAX);
            assert!(attempts == 26 && done && waited > Duration::from_secs(4), "{waited:?}");
            let (attempts, waited, done) = run(code, u32::MAX, Duration::MAX);
            assert!(attempts > 40 && !done, "{attempts}");
            assert!(waited >= PATIENCE && waited < PATIENCE + LONGEST_PAUSE, "{waited:?}");
        }
    }

    #[test]
    fn a_caller_without_time_and_another_error_end_it() {
        let (attempts, waited, done) = run(32, u32::MAX, Duration::from_millis(100));
        assert!(!done && attempts == 5 && waited == Duration::from_millis(155), "{attempts}");
        // The disk is full.
        assert_eq!(run(112, u32::MAX, Duration::MAX), (1, Duration::ZERO, false));
    }
}
