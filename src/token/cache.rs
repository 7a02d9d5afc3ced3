//! One token for all threads of a client: fetched by one of them, renewed before it expires.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::{Source, Token};
use crate::call::{Call, Signal};
use crate::net::agent::Http;
use crate::{Error, Result, Stage};

/// The current token and who is getting the next one.
#[derive(Debug)]
pub(crate) struct Cache {
    source: Source,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Token>,
    fetching: bool,
    waiting: Vec<Arc<Signal>>,
}

enum Turn {
    Use(Token),
    Fetch { fallback: Option<Token> },
    Wait,
}

impl Cache {
    pub(crate) fn new(source: Source) -> Cache {
        Cache { source, state: Mutex::default() }
    }

    /// A token that is valid now. Callers wait for the one that fetches; a valid token is used while
    /// its successor is being fetched.
    pub(crate) fn get(&self, http: &Http, call: &Arc<Call>) -> Result<Token> {
        if let Source::Fixed(token) = &self.source {
            return Ok(token.clone());
        }
        loop {
            match self.turn(call) {
                Turn::Use(token) => return Ok(token),
                Turn::Wait => {
                    let waited = call.wait(None);
                    self.state.lock().waiting.retain(|s| !Arc::ptr_eq(s, call.signal()));
                    waited.map_err(|stop| Error::from(stop).at(Stage::Token))?;
                }
                Turn::Fetch { fallback } => {
                    let turn = FetchTurn(self);
                    let fetched = self.source.fetch(http, call);
                    return match (fetched, fallback) {
                        (Ok(token), _) => {
                            turn.done(token.clone());
                            Ok(token)
                        }
                        // An early renewal that fails is no failure: the old token still serves.
                        (Err(_), Some(token)) if token.is_valid(Instant::now()) => Ok(token),
                        (Err(error), _) => Err(error),
                    };
                }
            }
        }
    }

    fn turn(&self, call: &Call) -> Turn {
        let now = Instant::now();
        let mut state = self.state.lock();
        let token = state.token.clone().filter(|token| token.is_valid(now));
        match token {
            Some(token) if state.fetching || !token.is_due(now) => Turn::Use(token),
            fallback if !state.fetching => {
                state.fetching = true;
                Turn::Fetch { fallback }
            }
            _ => {
                state.waiting.push(Arc::clone(call.signal()));
                Turn::Wait
            }
        }
    }

    /// The service refused this token. `true`: asking again may give a better one.
    pub(crate) fn reject(&self, token: &Token) -> bool {
        let mut state = self.state.lock();
        if state.token.as_ref().is_some_and(|current| current.is_same(token)) {
            state.token = None;
        }
        self.source.renews()
    }

    /// The tenant and application of the current token, as far as they are readable without fetching.
    pub(crate) fn claims(&self) -> Option<super::claims::Claims> {
        let token = match &self.source {
            Source::Fixed(token) => Some(token.clone()),
            _ => self.state.lock().token.clone(),
        };
        token.map(|token| super::claims::read(token.text()))
    }
}

/// The right to fetch; given back, and everybody woken, whichever way the fetch ends.
struct FetchTurn<'a>(&'a Cache);

impl FetchTurn<'_> {
    fn done(&self, token: Token) {
        // A token of unknown life serves the call that fetched it, and no other.
        if token.times.is_some() {
            self.0.state.lock().token = Some(token);
        }
    }
}

impl Drop for FetchTurn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.fetching = false;
        for signal in state.waiting.drain(..) {
            signal.wake();
        }
    }
}

impl Token {
    fn is_valid(&self, now: Instant) -> bool {
        self.times.is_some_and(|times| now < times.expires_at)
    }

    fn is_due(&self, now: Instant) -> bool {
        self.times.is_none_or(|times| now >= times.renew_at)
    }
}
