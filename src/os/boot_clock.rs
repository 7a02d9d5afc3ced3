//! A clock that all processes of the host share.
//!
//! On Linux it is the time since the machine started, sleep included: no clock adjustment touches it, and
//! its start is named by the kernel's boot id. Elsewhere it is the time of day, which may be set.

use std::time::Duration;

/// Names the run of the machine that the clock belongs to; zeros where nothing does.
pub(crate) type Session = [u8; 16];

#[cfg(target_os = "linux")]
pub(crate) fn now() -> Duration {
    use rustix::time::{ClockId, clock_gettime};

    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::from_secs(seconds)
        + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn now() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}

/// `None`: the machine does not say, so a restart cannot be told from a long pause.
#[cfg(target_os = "linux")]
pub(crate) fn session() -> Option<Session> {
    use std::io::Read;

    // One read, in each transaction: it has 36 characters and a line's end. Not kept, because a process
    // can be moved to another machine while it runs.
    let mut text = [0; 64];
    let length =
        std::fs::File::open("/proc/sys/kernel/random/boot_id").ok()?.read(&mut text).ok()?;
    session_of(text.get(..length)?)
}

/// The id in this text. `None` unless all of it is there: a part would name another run of the machine.
#[cfg(target_os = "linux")]
fn session_of(text: &[u8]) -> Option<Session> {
    const DIGITS: usize = 32;
    let digits = std::str::from_utf8(text).ok()?.trim().replace('-', "");
    let id = u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == DIGITS);
    id.map(u128::to_be_bytes)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn session() -> Option<Session> {
    Some(Session::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_part_of_the_id_names_no_session() {
        let id = b"5382f7ea-7557-4ab7-9782-d50480024a4e\n";
        assert!(session_of(id).is_some() && session_of(&id[..36]).is_some());
        for length in 0..36 {
            assert_eq!(session_of(&id[..length]), None, "{length}");
        }
    }

    #[test]
    fn the_clock_runs_and_the_session_stays() {
        let (before, session_before) = (now(), session());
        std::thread::sleep(Duration::from_millis(2));
        assert!(now() >= before + Duration::from_millis(2));
        assert_eq!(session(), session_before);
        assert_eq!(
            session_before.is_some_and(|s| s != Session::default()),
            cfg!(target_os = "linux")
        );
    }
}
