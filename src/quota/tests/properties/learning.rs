//! What is learned from 429s, whatever row of refusals, replies and pauses there is.

use std::time::Duration;

use proptest::prelude::*;

use super::{OF_THE_OTHERS, config};
use crate::quota::clock::Time;
use crate::quota::foreign::Foreign;
use crate::quota::window::Window;

#[derive(Clone, Debug)]
enum Event {
    /// A 429, with so many calls of ours in the windows, in parts of their limits; more than there is, too.
    Refused([u8; 3]),
    Replied,
    /// In parts of the first window.
    Passes(u16),
}

fn windows() -> impl Strategy<Value = Vec<Window>> {
    let lengths = prop::sample::subsequence(vec![1_u64, 60, 3_600, 86_400], 1..=3);
    (lengths, any::<[u16; 3]>()).prop_map(|(lengths, limits)| {
        let window = |(seconds, limit): (u64, u16)| Window {
            limit: u32::from(limit % 1_500) + 1,
            length: Duration::from_secs(seconds),
        };
        lengths.into_iter().zip(limits).map(window).collect()
    })
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        any::<[u8; 3]>().prop_map(Event::Refused),
        Just(Event::Replied),
        any::<u16>().prop_map(Event::Passes),
    ];
    prop::collection::vec(event, 0..40)
}

/// After these events.
fn learned(windows: &[Window], events: &[Event]) -> (Foreign, Time) {
    let (mut foreign, mut now) = (Foreign::default(), Time::default());
    for event in events {
        match event {
            Event::Refused(parts) => {
                let used = windows.iter().zip(parts);
                let used = used.map(|(w, part)| w.limit as usize * usize::from(*part) / 200);
                foreign.learn(windows, used, now);
            }
            Event::Replied => foreign.ease(),
            Event::Passes(part) => {
                now = now.plus(windows[0].length * u32::from(*part) / 20_000);
            }
        }
    }
    (foreign, now)
}

fn limits(foreign: &Foreign, windows: &[Window], now: Time) -> Vec<u32> {
    foreign.leave_room(windows, now).iter().map(|window| window.limit).collect()
}

proptest! {
    #![proptest_config(config(OF_THE_OTHERS))]

    /// Never none, so that it goes on; never more than the rule, so that nothing is refused for our sake.
    #[test]
    fn one_call_stays_and_the_rule_is_kept(windows in windows(), events in events()) {
        let (foreign, now) = learned(&windows, &events);
        for (left, window) in foreign.leave_room(&windows, now).iter().zip(&windows) {
            prop_assert!((1..=window.limit).contains(&left.limit), "{left:?} of {window:?}");
            prop_assert_eq!(left.length, window.length);
            prop_assert_eq!(left.limit, window.limit - foreign.of(window.length, now));
        }
    }

    /// By the passing of time alone: never back, to the whole limit after a window for each bit of it, and at
    /// each step when it was said.
    #[test]
    fn without_refusals_everything_comes_back(windows in windows(), events in events()) {
        let (foreign, mut now) = learned(&windows, &events);
        let (start, mut before) = (now, limits(&foreign, &windows, now));
        let mut steps = 0;
        while let Some(next) = foreign.eases_at(now) {
            prop_assert!(next > now);
            // Not a moment before.
            let moment = next.since(now) - Duration::from_nanos(1);
            prop_assert_eq!(limits(&foreign, &windows, now.plus(moment)), before.clone());
            now = next;
            let after = limits(&foreign, &windows, now);
            prop_assert!(after.iter().zip(&before).all(|(after, before)| after >= before));
            prop_assert_ne!(&after, &before);
            before = after;
            steps += 1;
            prop_assert!(steps <= 11 * windows.len(), "1,500 has eleven bits");
        }
        let whole: Vec<u32> = windows.iter().map(|window| window.limit).collect();
        prop_assert_eq!(before, whole);
        let longest = windows.iter().map(|window| window.length).max().unwrap();
        prop_assert!(now.since(start) <= longest * 11);
        prop_assert!(!foreign.is_known(now));
    }

    /// By replies alone: one call each.
    #[test]
    fn each_reply_brings_back_one_call_at_the_most(windows in windows(), events in events()) {
        let (mut foreign, now) = learned(&windows, &events);
        let mut before = limits(&foreign, &windows, now);
        let most = windows.iter().map(|window| window.limit).max().unwrap();
        // Halved for the time that has passed, one of them takes more than one reply.
        for _ in 0..most {
            foreign.ease();
            let after = limits(&foreign, &windows, now);
            for (after, before) in after.iter().zip(&before) {
                prop_assert!((*before..=before + 1).contains(after), "{before} {after}");
            }
            before = after;
        }
        prop_assert!(!foreign.is_known(now));
    }
}
