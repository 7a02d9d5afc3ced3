//! The progress events of a long operation.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};

use crate::call::Stop;
use crate::error::{Error, Result, Stage, millis_up};
use crate::service::action::ActionStatus;
use crate::text::json;

/// Receives events on the calling thread, at most ten in a second; `Break` ends the operation as cancelled.
pub type OnProgress<'a> = dyn FnMut(&Event<'_>) -> ControlFlow<()> + 'a;

/// One event of a long operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "stage")]
#[non_exhaustive]
pub enum Event<'a> {
    /// The next request, for a collection or a link, waits for its quota.
    #[serde(rename = "quota")]
    Queued {
        /// The machine action; `None` before there is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        action_id: Option<&'a str>,
        /// The endpoint of that quota, as in the quota document.
        endpoint: &'static str,
        /// The least time to wait. `None` while it depends on other calls, under way or waiting.
        #[serde(
            rename = "wait_ms",
            serialize_with = "millis_to_wait",
            skip_serializing_if = "Option::is_none"
        )]
        wait: Option<Duration>,
    },
    /// The collection runs. Only mde_fetch_package reports this, once.
    #[serde(rename = "collect")]
    Collected {
        /// The machine action.
        action_id: &'a str,
        /// It was found, and not started by this call.
        adopted: bool,
    },
    /// The action was polled.
    #[serde(rename = "wait")]
    Waiting {
        /// The machine action.
        action_id: &'a str,
        /// Its state; `None` while the service does not show it yet.
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<&'a ActionStatus>,
        /// The time since the wait began.
        #[serde(rename = "elapsed_ms", serialize_with = "millis")]
        elapsed: Duration,
        /// The time until the next poll. Zero for an action that has ended.
        #[serde(rename = "next_poll_ms", serialize_with = "millis")]
        next_poll: Duration,
    },
    /// Bytes have arrived.
    #[serde(rename = "download")]
    Downloading {
        /// The machine action.
        action_id: &'a str,
        /// The bytes on disk, those of earlier calls included.
        bytes: u64,
        /// The length of the package, if the host named it.
        #[serde(skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
        /// The rate over the last seconds.
        bytes_per_second: u64,
    },
    /// How a job over many devices stands. Only mde_fetch_packages reports this and the next two.
    #[serde(rename = "fleet")]
    Fleet {
        /// All devices of the job.
        devices: usize,
        /// Those whose package is there.
        done: usize,
        /// Those without a package, or with one that was refused.
        failed: usize,
        /// Those of which nothing was asked, because a problem is known.
        skipped: usize,
        /// Those whose collection was asked for and has not ended.
        running: usize,
        /// Those whose package is to be downloaded.
        ready: usize,
        /// Those whose package is being downloaded.
        downloading: usize,
        /// The bytes of the packages that are there, and of the parts that are being downloaded.
        bytes: u64,
        /// The least time that the quota needs for the rest.
        #[serde(
            rename = "eta_ms",
            serialize_with = "millis_to_wait",
            skip_serializing_if = "Option::is_none"
        )]
        eta: Option<Duration>,
    },
    /// A device has its outcome.
    #[serde(rename = "ended")]
    Ended {
        /// The device as in the document of the job: `{"machine_id":"…","state":"done",…}`.
        #[serde(skip)]
        device: &'a str,
    },
    /// An event of one device of the job.
    #[serde(skip)]
    OfDevice {
        /// The device.
        machine_id: &'a str,
        /// Its event.
        event: &'a Event<'a>,
    },
    /// The package is being checked.
    #[serde(rename = "verify")]
    Verifying {
        /// The machine action. Empty for a file that belongs to none.
        #[serde(skip_serializing_if = "str::is_empty")]
        action_id: &'a str,
        /// The bytes that have been checked.
        bytes: u64,
        /// The length of the package.
        total: u64,
    },
}

impl Event<'_> {
    /// The stage of the error if the callback ends the operation at this event.
    ///
    /// It is [`Stage::Reply`] for [`Event::Collected`], whose JSON has the stage `collect`.
    pub fn stage(&self) -> Stage {
        match self {
            Event::Queued { .. } => Stage::Quota,
            Event::Collected { .. } => Stage::Reply,
            Event::Waiting { .. } => Stage::Wait,
            Event::Downloading { .. } => Stage::Download,
            Event::Verifying { .. } => Stage::Verify,
            Event::Fleet { .. } | Event::Ended { .. } => Stage::Wait,
            Event::OfDevice { event, .. } => event.stage(),
        }
    }

    /// `{"stage":"wait","action_id":"…","status":"InProgress","elapsed_ms":61000,"next_poll_ms":15000}` and
    /// the like; members that do not apply are absent.
    pub fn to_json(&self) -> String {
        // Members of another document follow the stage, or stand before it.
        let joined =
            |first: String, rest: &str| format!("{},{}", first.trim_end_matches('}'), rest);
        match self {
            Event::Ended { device } => {
                joined(json::text(self), device.strip_prefix('{').unwrap_or_default())
            }
            Event::OfDevice { machine_id, event } => {
                let event = event.to_json();
                let rest = event.strip_prefix('{').unwrap_or_default();
                format!("{{\"machine_id\":{},{rest}", json::text(machine_id))
            }
            _ => json::text(self),
        }
    }
}

/// Milliseconds that have passed.
fn millis<S: Serializer>(duration: &Duration, to: S) -> std::result::Result<S::Ok, S::Error> {
    to.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// Milliseconds to wait.
fn millis_to_wait<S: Serializer>(
    wait: &Option<Duration>,
    to: S,
) -> std::result::Result<S::Ok, S::Error> {
    wait.map(millis_up).serialize(to)
}

/// The least time between two steady events. With the few steps, that makes fewer than ten events a second.
const STEADY: Duration = Duration::from_millis(200);

/// Reports events to the caller's callback, if there is one.
pub(crate) struct Reporter<'a, 'b> {
    callback: Option<&'a mut OnProgress<'b>>,
    last: Option<Instant>,
}

impl<'a, 'b> Reporter<'a, 'b> {
    pub(crate) fn new(callback: Option<&'a mut OnProgress<'b>>) -> Reporter<'a, 'b> {
        Reporter { callback, last: None }
    }

    /// Whether there is a callback.
    pub(crate) fn is_wanted(&self) -> bool {
        self.callback.is_some()
    }

    /// Reports a step, at once.
    pub(crate) fn step(&mut self, event: &Event<'_>) -> Result<()> {
        self.report(Instant::now(), event)
    }

    /// Reports a steady change if the last event is long enough ago. The event is made only then.
    pub(crate) fn steady<'e>(
        &mut self,
        now: Instant,
        event: impl FnOnce() -> Event<'e>,
    ) -> Result<()> {
        let due = self.last.is_none_or(|last| now.saturating_duration_since(last) >= STEADY);
        if self.callback.is_some() && due { self.report(now, &event()) } else { Ok(()) }
    }

    fn report(&mut self, now: Instant, event: &Event<'_>) -> Result<()> {
        let Some(callback) = &mut self.callback else { return Ok(()) };
        self.last = Some(now);
        match callback(event) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => {
                let message = "the progress callback asked to stop".to_owned();
                Err(Error::from(Stop::Cancelled).with_message(message).with_stage(event.stage()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;

    #[test]
    fn each_event_has_its_json() {
        let status = ActionStatus::Other("Odd \"state\"".into());
        for (event, json) in [
            (
                Event::Queued {
                    action_id: Some("a"),
                    endpoint: "link",
                    wait: Some(Duration::from_micros(40_999_001)),
                },
                r#"{"stage":"quota","action_id":"a","endpoint":"link","wait_ms":41000}"#,
            ),
            (
                Event::Queued { action_id: None, endpoint: "collect", wait: None },
                r#"{"stage":"quota","endpoint":"collect"}"#,
            ),
            (
                Event::Collected { action_id: "a", adopted: true },
                r#"{"stage":"collect","action_id":"a","adopted":true}"#,
            ),
            (
                Event::Waiting {
                    action_id: "a",
                    status: Some(&status),
                    elapsed: Duration::from_secs(61),
                    next_poll: Duration::from_secs(15),
                },
                r#"{"stage":"wait","action_id":"a","status":"Odd \"state\"","elapsed_ms":61000,"next_poll_ms":15000}"#,
            ),
            (
                Event::Downloading { action_id: "a", bytes: 5, total: None, bytes_per_second: 2 },
                r#"{"stage":"download","action_id":"a","bytes":5,"bytes_per_second":2}"#,
            ),
            (
                Event::Verifying { action_id: "", bytes: 5, total: 9 },
                r#"{"stage":"verify","bytes":5,"total":9}"#,
            ),
        ] {
            assert_eq!(event.to_json(), json);
            serde_json::from_str::<serde_json::Value>(json).unwrap();
        }
    }

    #[test]
    fn steady_events_are_limited_and_steps_are_always_reported() {
        let mut seen = Vec::new();
        let mut callback = |event: &Event<'_>| {
            seen.push(event.to_json());
            ControlFlow::Continue(())
        };
        let event = || Event::Verifying { action_id: "", bytes: 0, total: 9 };
        let mut reporter = Reporter::new(Some(&mut callback));
        let start = Instant::now();
        for ms in 0..1_000 {
            reporter.steady(start + Duration::from_millis(ms), event).unwrap();
        }
        reporter.step(&event()).unwrap();
        assert_eq!(seen.len(), 6);
    }

    #[test]
    fn a_callback_can_stop_the_operation() {
        let mut callback = |_: &Event<'_>| ControlFlow::Break(());
        let mut reporter = Reporter::new(Some(&mut callback));
        let event =
            Event::Downloading { action_id: "a", bytes: 5, total: None, bytes_per_second: 2 };
        let error = reporter.step(&event).unwrap_err();
        assert_eq!((error.status(), error.stage()), (Status::Cancelled, Some(Stage::Download)));
    }
}
