//! The limits of a client: those documented, or `quota_limits`, cut to `quota_share`.

use std::time::Duration;

use super::window::Window;
use crate::service::quota::{PerQuota, Quota};

/// The windows of every endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits(PerQuota<Vec<Window>>);

/// What `quota_limits` accepts, for messages.
pub(crate) const ACCEPTED: &str = "endpoint=calls/seconds[,calls/seconds…][;…] with endpoints collect, \
     read, list, cancel, link, machines, calls from 1 to 1000000 and seconds from 0.001 to 86400, for \
     example collect=100/60,1500/3600;link=2/60,120/3600";

/// The most windows one endpoint may have.
const MAX_WINDOWS: usize = 4;

impl Default for Limits {
    fn default() -> Limits {
        Limits(PerQuota::from_fn(|quota| {
            let (per_minute, per_hour) = quota.documented();
            vec![
                Window { limit: per_minute, length: Duration::from_secs(60) },
                Window { limit: per_hour, length: Duration::from_secs(3_600) },
            ]
        }))
    }
}

impl Limits {
    /// Parses `quota_limits`. Endpoints that it does not name have the documented limits.
    pub(crate) fn parse(text: &str) -> Result<Limits, String> {
        let mut limits = Limits::default();
        let mut seen = PerQuota::<bool>::default();
        for entry in text.split(';').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (name, windows) =
                entry.split_once('=').ok_or_else(|| "has an entry without `=`".to_owned())?;
            let name = name.trim();
            let quota = Quota::ALL
                .into_iter()
                .find(|quota| quota.name() == name)
                .ok_or_else(|| "has an entry for an unknown endpoint".to_owned())?;
            let windows = windows.split(',').map(window).collect::<Result<Vec<_>, _>>();
            let windows = windows
                .and_then(|windows| match windows.len() {
                    ..=MAX_WINDOWS => Ok(windows),
                    _ => Err("more than four windows"),
                })
                .map_err(|problem| format!("has {problem} for endpoint {name}"))?;
            if std::mem::replace(seen.of_mut(quota), true) {
                return Err(format!("names endpoint {name} twice"));
            }
            *limits.0.of_mut(quota) = windows;
        }
        match seen.iter().any(|seen| *seen) {
            true => Ok(limits),
            false => Err("has no entry".to_owned()),
        }
    }

    /// The same limits cut to a percentage, rounded down, at least one call each.
    pub(crate) fn share(mut self, percent: u32) -> Limits {
        for window in self.0.iter_mut().flatten() {
            *window = window.share(percent);
        }
        self
    }

    /// The largest number of calls in any window.
    pub(crate) fn most(&self) -> u32 {
        self.0.iter().flatten().map(|window| window.limit).max().unwrap_or(0)
    }

    /// The windows of one endpoint.
    pub(crate) fn of(&self, quota: Quota) -> &[Window] {
        self.0.of(quota)
    }
}

fn window(text: &str) -> Result<Window, &'static str> {
    const UNREADABLE: &str = "an unreadable limit";
    let (calls, seconds) = text.trim().split_once('/').ok_or(UNREADABLE)?;
    let (calls, (whole, part)) = (calls.trim(), split(seconds.trim()));
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if calls.is_empty() || ![calls, whole, part].into_iter().all(is_number) {
        return Err(UNREADABLE);
    }
    if whole.is_empty() && part.is_empty() {
        return Err(UNREADABLE);
    }
    let limit = calls.parse().ok().filter(|calls| (1..=1_000_000).contains(calls));
    let limit = limit.ok_or("a number of calls that is out of range")?;
    // Parsing floating-point numbers would add 15 KB of the standard library.
    let nanos = format!("{part:0<9}").get(..9).and_then(|nanos| nanos.parse().ok());
    let seconds = if whole.is_empty() { Some(0) } else { whole.parse().ok() };
    let length = seconds.zip(nanos).map(|(seconds, nanos)| Duration::new(seconds, nanos));
    let length = length.filter(|length| (SHORTEST..=LONGEST).contains(length));
    Ok(Window { limit, length: length.ok_or("a window whose length is out of range")? })
}

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The integer and the fractional part of a decimal number.
fn split(number: &str) -> (&str, &str) {
    number.split_once('.').unwrap_or((number, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_documented_limits() {
        let limits = Limits::default();
        let collect: Vec<_> = limits.of(Quota::Collect).iter().map(|w| w.limit).collect();
        let link: Vec<_> = limits.of(Quota::Link).iter().map(|w| w.limit).collect();
        assert_eq!((collect, link), (vec![100, 1_500], vec![2, 120]));
    }

    #[test]
    fn limits_are_overridden_and_cut_to_the_share() {
        let limits = Limits::parse(" collect = 10/1 , 15/0.5 ; link=1/60;").unwrap().share(50);
        let of = |quota| {
            limits.of(quota).iter().map(|w| (w.limit, w.length.as_millis())).collect::<Vec<_>>()
        };
        assert_eq!(of(Quota::Collect), [(5, 1_000), (7, 500)]);
        assert_eq!(of(Quota::Link), [(1, 60_000)]);
        assert_eq!(of(Quota::Read), [(50, 60_000), (750, 3_600_000)]);
    }

    #[test]
    fn windows_are_exact() {
        for (text, nanos) in [
            ("60", 60_000_000_000),
            ("0.1", 100_000_000),
            (".5", 500_000_000),
            ("5.", 5_000_000_000),
            ("0.001", 1_000_000),
            ("1.0000000019", 1_000_000_001),
            ("86400", 86_400_000_000_000),
            ("86400.000000000", 86_400_000_000_000),
        ] {
            let limits = Limits::parse(&format!("list=1/{text}")).unwrap();
            assert_eq!(limits.of(Quota::List)[0].length.as_nanos(), nanos, "{text}");
        }
    }

    #[test]
    fn an_error_names_the_problem_and_the_endpoint() {
        for (bad, problem) in [
            ("list=0/60", "a number of calls that is out of range for endpoint list"),
            ("list=1000001/60", "a number of calls that is out of range"),
            ("list=5/0", "a window whose length is out of range"),
            ("list=5/0.0001", "a window whose length is out of range"),
            ("list=5/1e9", "an unreadable limit"),
            ("list=5/.", "an unreadable limit"),
            ("list=5/", "an unreadable limit"),
            ("list=5/1.2.3", "an unreadable limit"),
            ("list=5/86400.000000001", "a window whose length is out of range"),
            ("list=5/99999999999999999999999", "a window whose length is out of range"),
            ("list=1/1,1/1,1/1,1/1,1/1", "more than four windows for endpoint list"),
        ] {
            let error = Limits::parse(bad).unwrap_err();
            assert!(error.contains(problem), "{bad}: {error}");
        }
    }

    #[test]
    fn malformed_limits_are_refused() {
        for bad in [
            "",
            ";",
            "collect=1/1e3",
            "collect",
            "collect=",
            "collect=1",
            "collect=0/60",
            "collect=1/0",
            "collect=-1/60",
            "x=1/60",
            "collect=1/60;collect=1/60",
            "collect=1/nan",
            "collect=1/inf",
            "collect=1/99999999",
            "collect=1/1,1/1,1/1,1/1,1/1",
            "collect=1/60/60",
            "collect=9999999999/1",
        ] {
            assert!(Limits::parse(bad).is_err(), "{bad}");
        }
    }
}
