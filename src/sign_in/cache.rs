//! One token for all threads of all clients with the same identity. One thread fetches it and renews it before it
//! expires.

use std::num::NonZeroU64;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::identity::Identity;
use super::orders::Orders;
use super::{Source, Token, stopped};
use crate::call::{Call, Signal};
use crate::error::{Error, Result, Stage};
use crate::http::client::Http;
use crate::os::per_process::{PerProcess, shared};
use crate::os::thread;
use crate::status::Status;

/// A client's access to its token.
#[derive(Debug)]
pub(crate) struct Cache {
    shared: Arc<Shared>,
    /// How often this client retries after a transient failure.
    retries: u32,
    /// The tokens that threads of the library wait for.
    orders: Orders,
}

/// The current token of one identity, and the state of its renewal. See [`super::identity`].
#[derive(Debug)]
pub(crate) struct Shared {
    source: Source,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Token>,
    /// The tokens that a peer may repeat, the newest last: the last two, and those that requests or their replies hold.
    sent: Vec<Token>,
    /// The thread that fetches a token now.
    fetching: Option<NonZeroU64>,
    waiting: Vec<Arc<Signal>>,
    /// How many fetches have ended.
    fetches: u64,
    /// The failure of the last fetch, if it failed.
    failure: Option<Failure>,
    /// When the source accepts the next request (`Retry-After`), and its refusal.
    not_before: Option<(Instant, Error)>,
    /// The time of the next early renewal, after one failed.
    renew_again_at: Option<Instant>,
}

impl State {
    /// A peer may repeat this token from now on, and one that is in use until that ends.
    fn sends(&mut self, token: &Token) {
        let mut older = self.sent.len();
        self.sent.retain(|known| {
            older -= 1;
            older == 0 || known.is_in_use()
        });
        self.sent.push(token.clone());
    }

    /// Until when the source accepts no request, and its refusal.
    fn paused(&self, now: Instant) -> Option<(Instant, Error)> {
        let (at, error) = self.not_before.as_ref().filter(|(at, _)| now < *at)?;
        Some((*at, error.clone().after(Some(*at - now))))
    }
}

#[derive(Clone, Debug)]
struct Failure {
    error: Error,
    /// The retries of that fetch. A caller with more retries does not share the failure.
    retries: u32,
}

enum Turn {
    Use(Token),
    Fetch {
        fallback: Option<Token>,
    },
    /// Until this many fetches have ended.
    Wait(u64),
    /// Until the source accepts the next request.
    Pause(Instant),
    /// The fetch that this caller waited for failed.
    Failed(Error),
}

impl Shared {
    pub(super) fn new(source: Source) -> Shared {
        Shared { source, state: Mutex::default() }
    }
}

impl Cache {
    /// The cache of this source. Clients with the same identity share it.
    pub(crate) fn new(source: Source, identity: Option<Identity>, retries: u32) -> Cache {
        let make = || Shared::new(source);
        let shared = match identity {
            Some(identity) => of_identity(identity, make),
            None => Arc::new(make()),
        };
        Cache { shared, retries, orders: Orders::default() }
    }

    /// A page of the sign-in host that anybody may read, if the source has such a host.
    pub(crate) fn public_page(&self) -> Option<String> {
        self.shared.source.public_page()
    }

    /// Identifies the cache in this process while it exists. Clients with the same identity have the same number.
    pub(crate) fn number(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }

    /// The secret that proves the identity.
    pub(crate) fn secret(&self) -> Option<&str> {
        self.shared.source.secret()
    }

    /// A valid token. Callers wait for the thread that fetches, but use a valid token during its renewal.
    pub(crate) fn get(&self, http: &Http, call: &Arc<Call>) -> Result<Token> {
        if let Source::Fixed(token) = &self.shared.source {
            return Ok(token.clone());
        }
        // The host's callback comes on the thread of the host's call alone. The other sources are requests of the library,
        // which any thread makes, so no download waits there for its driver.
        if let Some(operation) = call.operation().filter(|_| self.shared.source.asks_host()) {
            return match self.current().filter(|token| token.is_valid(Instant::now())) {
                Some(token) => Ok(token),
                None => self.orders.wait(call, operation),
            };
        }
        let mut awaited = None;
        loop {
            match self.turn(call, awaited)? {
                Turn::Use(token) => return Ok(token),
                Turn::Failed(error) => return Err(error),
                Turn::Wait(fetches) => {
                    awaited = Some(fetches);
                    self.wait_for_fetch(call)?;
                }
                Turn::Pause(until) => {
                    call.wait(Some(until)).map_err(stopped)?;
                }
                Turn::Fetch { fallback: None } => {
                    return self.fetch(http, call, None, self.retries);
                }
                Turn::Fetch { fallback: Some(token) } => {
                    // An early renewal has one short attempt and then a pause: the caller has work to do, and a
                    // token for it.
                    let part = Arc::new(call.part(renewal_limit(call)));
                    let fetched = self.fetch(http, &part, Some(&token), 0);
                    match fetched {
                        Ok(token) => return Ok(token),
                        // A failed early renewal is no error while the old token is valid.
                        Err(_) if token.is_valid(Instant::now()) => return Ok(token),
                        // The old token expired, and only the renewal's own time limit has passed.
                        Err(error) if error.is_caller_specific() && call.check().is_ok() => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }

    /// Gets the tokens that threads beside this call wait for. They wait until its next turn here.
    pub(crate) fn serve(&self, http: &Http, call: &Arc<Call>) {
        self.orders.serve(call.signal(), &mut || {
            call.check().map_err(stopped)?;
            self.get(http, call)
        });
    }

    /// A new token, over these connections and without retries. All clients use it from now on. If it fails, they keep the
    /// one they have.
    pub(crate) fn renew(&self, http: &Http, call: &Arc<Call>) -> Result<Token> {
        if let Source::Fixed(token) = &self.shared.source {
            return Ok(token.clone());
        }
        let me = thread::number();
        let fallback = loop {
            let mut state = self.shared.state.lock();
            let now = Instant::now();
            if let Some((_, error)) = state.paused(now) {
                return Err(error);
            }
            if state.fetching.is_none() {
                state.fetching = Some(me);
                break state.token.clone().filter(|token| token.is_valid(now));
            }
            if state.fetching == Some(me) {
                return Err(waits_for_itself());
            }
            state.waiting.push(Arc::clone(call.signal()));
            drop(state);
            self.wait_for_fetch(call)?;
        };
        self.fetch(http, call, fallback.as_ref(), 0)
    }

    /// Waits for the end of a fetch. The call is among those that are told.
    fn wait_for_fetch(&self, call: &Call) -> Result<()> {
        let waited = call.wait(None);
        self.shared.state.lock().waiting.retain(|signal| !Arc::ptr_eq(signal, call.signal()));
        waited.map_err(stopped)
    }

    /// Fetches the token for all callers. `fallback`: the token that is valid meanwhile.
    fn fetch(
        &self,
        http: &Http,
        call: &Arc<Call>,
        fallback: Option<&Token>,
        retries: u32,
    ) -> Result<Token> {
        let turn = FetchTurn(&self.shared);
        let fetched = self.shared.source.fetch(http, call, retries);
        turn.ended(&fetched, fallback, retries);
        fetched
    }

    fn turn(&self, call: &Call, awaited: Option<u64>) -> Result<Turn> {
        let now = Instant::now();
        let mut state = self.shared.state.lock();
        let token = state.token.clone().filter(|token| token.is_valid(now));
        let me = thread::number();
        Ok(match token {
            Some(token)
                if state.fetching.is_some()
                    || !token.is_due(now)
                    || state.renew_again_at.is_some_and(|at| now < at) =>
            {
                Turn::Use(token)
            }
            _ if state.fetching == Some(me) => {
                return Err(waits_for_itself());
            }
            fallback if state.fetching.is_none() => {
                if let Some((at, error)) = state.paused(now) {
                    let too_late = call.deadline().is_some_and(|deadline| deadline <= at);
                    return Ok(match fallback {
                        Some(token) => Turn::Use(token),
                        None if too_late => Turn::Failed(error),
                        None => Turn::Pause(at),
                    });
                }
                // A caller that waited for a failed fetch shares its failure instead of repeating it.
                let shares = |failure: &Failure| {
                    failure.retries >= self.retries && awaited.is_some_and(|n| n <= state.fetches)
                };
                match state.failure.clone().filter(shares) {
                    Some(failure) => Turn::Failed(failure.error),
                    None => {
                        state.fetching = Some(me);
                        Turn::Fetch { fallback }
                    }
                }
            }
            _ => {
                state.waiting.push(Arc::clone(call.signal()));
                Turn::Wait(state.fetches + 1)
            }
        })
    }

    /// Drops a token that the service refused. `true`: the source can provide another one.
    pub(crate) fn reject(&self, token: &Token) -> bool {
        let mut state = self.shared.state.lock();
        if state.token.as_ref().is_some_and(|current| current.is_same(token)) {
            state.token = None;
        }
        self.shared.source.renews()
    }

    /// The advice when the service refuses a token that the host provided.
    pub(crate) fn advice(&self) -> &'static str {
        match self.shared.source {
            Source::Fixed(_) => "if the token has expired, make a client with a new `access_token`",
            Source::Provider(_) => {
                "check that the token provider returns tokens that are still valid"
            }
            Source::Authority(_) | Source::Managed(_) => "",
        }
    }

    /// Whether the tokens belong to the application that the options name.
    pub(crate) fn is_for_options(&self) -> bool {
        matches!(self.shared.source, Source::Authority(_))
    }

    /// The current token, without fetching one.
    pub(crate) fn current(&self) -> Option<Token> {
        match &self.shared.source {
            Source::Fixed(token) => Some(token.clone()),
            _ => self.shared.state.lock().token.clone(),
        }
    }

    /// The tokens that a peer may repeat now.
    pub(crate) fn sent(&self) -> Vec<Token> {
        match &self.shared.source {
            Source::Fixed(token) => vec![token.clone()],
            _ => self.shared.state.lock().sent.clone(),
        }
    }
}

/// The error of a call in the callback that another call of this thread waits for.
fn waits_for_itself() -> Error {
    let message = "the callback that provides the token, or signs for it, used the client that is waiting for it; give it \
                   another client";
    Error::new(Status::Token, message).with_stage(Stage::Token)
}

/// The longest and the shortest pause before an early renewal that failed is tried again.
const RENEW_AGAIN_AFTER: Duration = Duration::from_secs(30);
const RENEW_AGAIN_AFTER_AT_LEAST: Duration = Duration::from_secs(1);

/// The longest time that an early renewal may take from its call.
const RENEWAL: Duration = Duration::from_secs(5);

/// The time limit of an early renewal: a quarter of the call's own time, or less.
fn renewal_limit(call: &Call) -> Duration {
    let left = call.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
    left.map_or(RENEWAL, |left| RENEWAL.min(left / 4))
}

/// The right to fetch. Dropping it returns the right and wakes all waiters.
struct FetchTurn<'a>(&'a Shared);

impl FetchTurn<'_> {
    fn ended(&self, fetched: &Result<Token>, fallback: Option<&Token>, retries: u32) {
        let mut state = self.0.state.lock();
        state.fetches += 1;
        state.failure = None;
        let now = Instant::now();
        // Waiting does not cure a final refusal, even one with `Retry-After`.
        let wait = fetched.as_ref().err().filter(|error| error.is_retryable());
        let wait = wait.and_then(|error| Some((error.retry_after()?, error)));
        state.not_before =
            wait.and_then(|(wait, error)| Some((now.checked_add(wait)?, error.clone())));
        let at_least = wait.map_or(Duration::ZERO, |(wait, _)| wait);
        state.renew_again_at = fallback.and_then(|token| token.renew_again_at(now, at_least));
        if let Ok(token) = fetched {
            state.sends(token);
        }
        match fetched {
            // A token of unknown lifetime serves only the call that fetched it.
            Ok(token) if token.times.is_none() => {}
            Ok(token) => state.token = Some(token.clone()),
            // Other waiters fetch again if this caller was stopped or had no time left.
            Err(error) if error.is_caller_specific() => {}
            Err(error) => state.failure = Some(Failure { error: error.clone(), retries }),
        }
    }
}

impl Drop for FetchTurn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.fetching = None;
        for signal in state.waiting.drain(..) {
            signal.wake();
        }
    }
}

impl Token {
    fn is_valid(&self, now: Instant) -> bool {
        self.times.is_some_and(|times| now < times.expires_at)
    }

    /// A quarter of the remaining lifetime, at most half a minute, but at least the wait that the source asked for.
    fn renew_again_at(&self, now: Instant, at_least: Duration) -> Option<Instant> {
        let left = self.times?.expires_at.saturating_duration_since(now);
        let pause = RENEW_AGAIN_AFTER.min(left / 4).max(RENEW_AGAIN_AFTER_AT_LEAST);
        now.checked_add(pause.max(at_least))
    }

    fn is_due(&self, now: Instant) -> bool {
        self.times.is_none_or(|times| now >= times.renew_at)
    }
}

/// The caches that clients with one identity share.
#[derive(Default)]
struct Caches(Mutex<Vec<(Vec<u8>, Weak<Shared>)>>);

static CACHES: PerProcess<Caches> = PerProcess::new();

/// The cache of this identity in this process; `make` creates it. The last client frees it.
fn of_identity(identity: Identity, make: impl FnOnce() -> Shared) -> Arc<Shared> {
    match identity.digest() {
        Some(digest) => shared(&mut CACHES.get().0.lock(), digest, || Arc::new(make())),
        None => Arc::new(make()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(parts: &[&str]) -> Arc<Shared> {
        let mut identity = Identity::new();
        for part in parts {
            identity.part(part);
        }
        of_identity(identity, || Shared::new(Source::Fixed(Token::new("x", None).unwrap())))
    }

    #[test]
    fn only_equal_identities_share_a_cache() {
        let one = cache(&["identity-test", "a", "b"]);
        assert!(Arc::ptr_eq(&one, &cache(&["identity-test", "a", "b"])));
        for other in
            [&["identity-test", "a", "c"][..], &["identity-test", "ab"], &["identity-test"]]
        {
            assert!(!Arc::ptr_eq(&one, &cache(other)), "{other:?}");
        }
    }

    #[test]
    fn different_secrets_do_not_share_a_cache() {
        let cache = |secret: &[u8]| {
            let mut identity = Identity::new();
            identity.part("identity-test").secret(secret);
            of_identity(identity, || Shared::new(Source::Fixed(Token::new("x", None).unwrap())))
        };
        let one = cache(&[b's'; 70]);
        assert!(Arc::ptr_eq(&one, &cache(&[b's'; 70])));
        for other in [&[b's'; 71][..], &[b's'; 64], b"", b"s\0", b"s"] {
            let other = cache(other);
            assert!(!Arc::ptr_eq(&one, &other));
            assert!(!Arc::ptr_eq(&other, &cache(b"other")));
        }
        assert!(!Arc::ptr_eq(&cache(b"s"), &cache(b"s\0")));
    }

    #[test]
    fn the_last_client_frees_the_cache() {
        let parts = ["identity-test", "gone"];
        let weak = Arc::downgrade(&cache(&parts));
        assert!(weak.upgrade().is_none());
        let again = cache(&parts);
        assert!(CACHES.get().0.lock().iter().any(|(_, kept)| kept.ptr_eq(&Arc::downgrade(&again))));
        assert!(!CACHES.get().0.lock().iter().any(|(_, kept)| kept.ptr_eq(&weak)));
    }
}
