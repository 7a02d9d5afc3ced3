//! The tables of `docs/fleet.md`: what follows from the quota and from the sizes of packages.

use std::time::Duration;

use super::table;
use crate::quota::clock::Time;
use crate::quota::limits::Limits;
use crate::quota::window::Log;
use crate::service::quota::Quota;

const PAGE: &str = include_str!("../../../docs/fleet.md");

fn number(text: &str) -> usize {
    text.replace(',', "").parse().unwrap_or_else(|_| panic!("`{text}` is no number"))
}

/// `24 min`, `4 h 9 min`.
fn shown(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    match minutes / 60 {
        0 => format!("{minutes} min"),
        hours => format!("{hours} h {} min", minutes % 60),
    }
}

#[test]
fn the_times_are_those_of_the_limiter() {
    let limits = Limits::default();
    let last = |quota, calls| {
        let begin = Time::from_nanos(0);
        shown(Log::default().earliest(calls, limits.of(quota), begin).since(begin))
    };
    let rows = table(PAGE, "held against the limiter");
    for row in &rows {
        let devices = number(row[0]);
        let wanted = [last(Quota::Collect, devices), last(Quota::Link, devices)];
        assert_eq!(row[1..], wanted, "docs/fleet.md, {devices} devices");
    }
    assert!(rows.len() > 5, "{} rows", rows.len());
}

#[test]
fn enough_downloads_run_at_once_for_the_links() {
    let (links, _) = Quota::Link.documented();
    let rows = table(PAGE, "held against the quota");
    for row in &rows {
        let (time, unit) = row[0].split_once(' ').unwrap();
        let seconds = number(time) * if unit == "min" { 60 } else { 1 };
        let at_once = (seconds * links as usize).div_ceil(60);
        assert_eq!(number(row[1]), at_once, "docs/fleet.md, {}", row[0]);
        crate::options::Options::new().set("downloads_at_once", row[1]).unwrap();
    }
    assert!(rows.len() > 2, "{} rows", rows.len());
}

#[test]
fn the_room_is_that_of_the_packages() {
    let rows = table(PAGE, "held against these two sizes");
    for row in &rows {
        for (cell, megabytes) in row[1..].iter().zip([10, 300]) {
            let bytes = cell.strip_suffix(" GB").unwrap().replace(',', "");
            let gigabytes = (number(row[0]) * megabytes) as f64 / 1_000.0;
            assert_eq!(bytes, gigabytes.to_string(), "docs/fleet.md, {} devices", row[0]);
        }
    }
    assert!(rows.len() > 2, "{} rows", rows.len());
}
