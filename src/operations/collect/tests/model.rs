//! A model of one device at the service, in virtual time: requests that get lost, arrive late or are refused, and a list
//! that lags.

use std::cell::{Ref, RefCell};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::super::KIND;
use super::super::device::Device;
use crate::call::{Call, Stop};
use crate::error::{Error, Result};
use crate::http::reply::Reply;
use crate::operations::actions::{self, Recent};
use crate::service::action::MachineAction;
use crate::status::Status;

pub(super) const DEVICE: &str = "7d0c4f1e9a6b83527d0c4f1e9a6b83527d0c4f1e";
pub(super) const OURS: &str = "case 4711";

/// What an order is made of.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// How many in a hundred requests are delayed on their way, and for how many seconds.
    pub late: u8,
    pub late_s: RangeInclusive<u64>,
    /// How many in a hundred wait for their slot, and for how long.
    pub slow_slots: u8,
    pub slot_ms: RangeInclusive<u64>,
    /// How many in a hundred are lost before and after they were carried out, by a lost reply or a gateway's 5xx.
    pub lost_before: u8,
    pub lost_after: u8,
    /// How many in a hundred do nothing: they are not sent, or refused with 403 or 429.
    pub nothing_done: u8,
    /// How long collections and the list's lag last.
    pub life_ms: RangeInclusive<u64>,
    pub lag_ms: RangeInclusive<u64>,
    /// How many in a hundred lists fail.
    pub failing_lists: u8,
    /// Other products start a collection at these times.
    pub others: Vec<Duration>,
    /// When the call is stopped.
    pub stop: Option<(Duration, Stop)>,
}

/// One collection on the device.
#[derive(Clone, Debug)]
pub(super) struct Collection {
    pub id: String,
    pub comment: &'static str,
    /// A request of the call has started it.
    pub is_ours: bool,
    pub created: Duration,
    pub ended: Duration,
    pub listed: Duration,
}

#[derive(Debug)]
pub(super) struct State {
    random: fastrand::Rng,
    pub plan: Plan,
    /// Since the start of the model.
    pub now: Duration,
    pub collections: Vec<Collection>,
    /// Requests that will arrive, and whether they are ours.
    on_the_way: Vec<(Duration, bool)>,
    /// The slot of the next request is taken.
    has_slot: bool,
    pub requests: u32,
    pub lists: u32,
    /// When the last list was read that did not fail, and how many requests were sent before.
    pub last_list: Option<(Duration, u32)>,
    /// What the requests met.
    pub met: Vec<&'static str>,
}

pub(super) struct Model {
    call: Call,
    base: (Instant, SystemTime),
    /// How far the service's clock is ahead.
    skew: Duration,
    pub state: RefCell<State>,
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl State {
    fn chance(&mut self, in_a_hundred: u8) -> bool {
        self.random.u8(..100) < in_a_hundred
    }

    fn millis(&mut self, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.random.u64(range))
    }

    pub fn running(&self, at: Duration) -> Option<&Collection> {
        self.collections.iter().find(|one| one.created <= at && at < one.ended)
    }

    /// The service carries out a request: it starts a collection if none runs. `None`: one runs.
    fn carry_out(&mut self, at: Duration, is_ours: bool) -> Option<usize> {
        if self.running(at).is_some() {
            return None;
        }
        let id = format!("5b7e1c90-0000-4000-8000-{:012x}", self.collections.len());
        let life = self.millis(self.plan.life_ms.clone());
        let lag = self.millis(self.plan.lag_ms.clone());
        let comment = if is_ours { OURS } else { "another product" };
        let (ended, listed) = (at + life, at + lag);
        self.collections.push(Collection { id, comment, is_ours, created: at, ended, listed });
        Some(self.collections.len() - 1)
    }

    /// Lets time pass. Requests on their way arrive in their order.
    fn advance(&mut self, by: Duration) -> std::result::Result<(), Stop> {
        let to = self.now + by;
        let stop = self.plan.stop.filter(|(at, _)| *at <= to);
        let to = stop.map_or(to, |(at, _)| at.max(self.now));
        self.on_the_way.sort_unstable();
        while self.on_the_way.first().is_some_and(|(at, _)| *at <= to) {
            let (at, is_ours) = self.on_the_way.remove(0);
            if self.carry_out(at, is_ours).is_none() {
                self.met.push(if is_ours { "a late request joins" } else { "another joins ours" });
            }
        }
        self.now = to;
        stop.map_or(Ok(()), |(_, stop)| Err(stop))
    }

    /// The way to the service or back, which is short for most.
    fn travel(&mut self) -> std::result::Result<(), Stop> {
        let longest = if self.chance(20) { 1_500 } else { 20 };
        let travel = self.millis(1..=longest);
        self.advance(travel)
    }

    /// The wait for a slot.
    fn take_slot(&mut self) -> std::result::Result<(), Stop> {
        let wait = match self.chance(self.plan.slow_slots) {
            true => self.millis(self.plan.slot_ms.clone()),
            false => Duration::ZERO,
        };
        if wait > super::super::LAG {
            self.met.push("a slow slot");
        }
        self.has_slot = true;
        self.advance(wait)
    }

    /// Whether a request of ours is still on its way.
    pub fn is_on_the_way(&self) -> bool {
        self.on_the_way.iter().any(|(_, is_ours)| *is_ours)
    }
}

impl Model {
    pub fn new(seed: u64, plan: Plan) -> Model {
        let mut random = fastrand::Rng::with_seed(seed);
        let skew = seconds(random.u64(..7_200));
        let others = plan.others.iter().map(|at| (*at, false)).collect();
        let state = State {
            random,
            plan,
            // Long enough for collections of earlier calls.
            now: seconds(3_600),
            collections: Vec::new(),
            on_the_way: others,
            has_slot: false,
            requests: 0,
            lists: 0,
            last_list: None,
            met: Vec::new(),
        };
        let base = (Instant::now(), SystemTime::now());
        Model { call: Call::begin(&Arc::default(), None, None), base, skew, state: state.into() }
    }

    /// Adds a collection of an earlier call with the same comment.
    pub fn add_earlier(&self, created: Duration, life: Duration) {
        let mut state = self.state.borrow_mut();
        let id = "5b7e1c90-0000-4000-8000-ffffffffffff".to_owned();
        let ended = created + life;
        let (comment, is_ours) = (OURS, false);
        state.collections.push(Collection {
            id,
            comment,
            is_ours,
            created,
            ended,
            listed: created,
        });
    }

    /// The same device for a later call.
    pub fn next_call(self, pause: Duration) -> Model {
        self.state.borrow_mut().plan.stop = None;
        let _ = self.state.borrow_mut().advance(pause);
        let call = Call::begin(&Arc::default(), None, None);
        Model { call, ..self }
    }

    pub fn state(&self) -> Ref<'_, State> {
        self.state.borrow()
    }

    fn date(&self, at: Duration) -> Option<String> {
        Some(httpdate::fmt_http_date(self.base.1 + self.skew + at))
    }

    fn shown(&self, one: &Collection, at: Duration) -> String {
        let created = humantime::format_rfc3339_micros(self.base.1 + self.skew + one.created);
        let status = if at >= one.ended { "Failed" } else { "Pending" };
        format!(
            r#"{{"id":"{}","type":"{KIND}","status":"{status}","machineId":"{DEVICE}","requestorComment":"{}","creationDateTimeUtc":"{created}"}}"#,
            one.id, one.comment
        )
    }

    fn reply(&self, status: u16, body: &str, at: Duration) -> Reply {
        Reply {
            status,
            body: body.as_bytes().to_vec().into(),
            date: self.date(at),
            attempts: 1,
            purpose: "collect",
            ..Reply::default()
        }
    }

    /// A request that arrives, and its reply.
    fn answered(&self, state: &mut State) -> Result<Reply> {
        let now = state.now;
        let started = state.carry_out(now, true);
        let running = started.map(|at| &state.collections[at]).or_else(|| state.running(now));
        let shown = running.map(|one| self.shown(one, now)).unwrap_or_default();
        let refuses = state.random.bool();
        state.travel()?;
        match started {
            None if refuses => {
                self.call.nothing_changed();
                state.met.push("400");
                Err(Error::new(Status::AlreadyRunning, "refused").http(400).attempts(1))
            }
            None => {
                state.met.push("201 with the running one");
                Ok(self.reply(201, &shown, state.now))
            }
            Some(_) => Ok(self.reply(201, &shown, state.now)),
        }
    }

    /// A request whose reply is lost, or takes a form that does not tell.
    fn lost(&self, state: &mut State) -> Result<Reply> {
        if state.random.u8(..4) == 0 {
            return Ok(self.reply(200, "<html>", state.now));
        }
        let wait = state.millis(0..=60_000);
        state.advance(wait)?;
        let after = state.random.bool().then(|| state.millis(0..=40_000));
        let (status, http) = match state.random.u8(..3) {
            0 => return Err(Error::new(Status::Broken, "lost").attempts(1)),
            1 => (Status::Service, 503),
            _ => (Status::Service, 408),
        };
        Err(Error::new(status, "lost").http(http).after(after).attempts(1))
    }
}

impl Device for Model {
    fn call(&self) -> &Call {
        &self.call
    }

    fn take_slot(&self) -> Result<()> {
        Ok(self.state.borrow_mut().take_slot()?)
    }

    fn request(&self) -> Result<Reply> {
        let state = &mut *self.state.borrow_mut();
        if !state.has_slot {
            state.take_slot()?;
        }
        state.has_slot = false;
        state.requests += 1;
        self.call.begin_change();
        state.travel()?;
        let plan = &state.plan;
        let (late, before) = (plan.late, plan.lost_before);
        let (after, nothing) = (plan.lost_after, plan.nothing_done);
        let fate = state.random.u8(..100);
        if fate < late {
            let delay = state.plan.late_s.clone();
            let at = state.now + seconds(state.random.u64(delay));
            state.on_the_way.push((at, true));
            return Err(Error::new(Status::Service, "late").http(504).attempts(1));
        }
        if fate < late + before {
            return self.lost(state);
        }
        if fate < late + before + after {
            if state.carry_out(state.now, true).is_none() {
                state.met.push("a lost request joins");
            }
            return self.lost(state);
        }
        if fate < late + before + after + nothing {
            self.call.nothing_changed();
            return Err(match state.random.u8(..3) {
                0 => Error::new(Status::Connect, "not sent").attempts(1),
                1 => Error::new(Status::Forbidden, "refused").http(403).attempts(1),
                _ => Error::new(Status::Throttled, "refused").http(429).attempts(1),
            });
        }
        self.answered(state)
    }

    fn action(&self, reply: &Reply) -> Result<MachineAction> {
        let body = std::str::from_utf8(&reply.body).unwrap();
        MachineAction::from_json(body, &|_| ())
            .map_err(|problem| actions::not_understood(reply, problem))
    }

    fn collections(&self) -> Result<Recent> {
        let state = &mut *self.state.borrow_mut();
        state.lists += 1;
        state.travel()?;
        if state.chance(state.plan.failing_lists) {
            return Err(Error::new(Status::Service, "busy").http(503));
        }
        let at = state.now;
        state.last_list = Some((at, state.requests));
        let mut listed: Vec<_> = state.collections.iter().filter(|one| one.listed <= at).collect();
        listed.sort_unstable_by_key(|one| std::cmp::Reverse(one.created));
        let texts = listed.into_iter().take(20).map(|one| self.shown(one, at));
        let actions = texts.map(|text| MachineAction::from_json(&text, &|_| ()).unwrap()).collect();
        let reply = self.reply(200, "", at);
        state.travel()?;
        Ok(Recent { actions, date: reply.date() })
    }

    fn pause(&self, pause: Duration) -> Result<()> {
        self.state.borrow_mut().advance(pause).map_err(Error::from)
    }

    fn has_time_for(&self, pause: Duration) -> bool {
        let state = self.state.borrow();
        let deadline = state.plan.stop.filter(|(_, stop)| *stop == Stop::Deadline);
        deadline.is_none_or(|(at, _)| state.now + pause < at)
    }

    fn now(&self) -> (Instant, SystemTime) {
        let now = self.state.borrow().now;
        (self.base.0 + now, self.base.1 + now)
    }
}
