//! One token for all threads of all clients with the same identity: fetched by one of them, renewed before it
//! expires.

use std::cell::Cell;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::identity::Identity;
use super::{Source, Token};
use crate::call::{Call, Signal};
use crate::error::{Error, Result, Stage};
use crate::http::client::Http;
use crate::os::per_process::{PerProcess, shared};
use crate::status::Status;

/// A client's way to its token.
#[derive(Debug)]
pub(crate) struct Cache {
    shared: Arc<Shared>,
    /// How often this client asks again after a passing failure.
    retries: u32,
}

/// The current token and who is getting the next one: one for each identity, see [`super::identity`].
#[derive(Debug)]
pub(crate) struct Shared {
    source: Source,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Token>,
    /// The thread that is getting a token.
    fetching: Option<NonZeroU64>,
    waiting: Vec<Arc<Signal>>,
    /// How many fetches have ended, and how the last one failed, if it did.
    fetches: u64,
    failure: Option<Failure>,
    /// Until when whoever gives out the tokens wants not to be asked, and what it said.
    not_before: Option<(Instant, Error)>,
    /// When an early renewal that failed is tried again.
    renew_again_at: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Failure {
    error: Error,
    /// How often it was to be tried again: it says little to who would have tried harder.
    retries: u32,
}

enum Turn {
    Use(Token),
    Fetch {
        fallback: Option<Token>,
    },
    /// Until this many fetches have ended.
    Wait(u64),
    /// Until whoever gives out the tokens may be asked again.
    Pause(Instant),
    /// The fetch that this caller waited for has failed.
    Failed(Error),
}

impl Shared {
    pub(super) fn new(source: Source) -> Shared {
        Shared { source, state: Mutex::default() }
    }
}

impl Cache {
    /// The cache of this source; with an identity, the one that all clients with the same identity share.
    pub(crate) fn new(source: Source, identity: Option<Identity>, retries: u32) -> Cache {
        let make = || Shared::new(source);
        let shared = match identity {
            Some(identity) => of_identity(identity, make),
            None => Arc::new(make()),
        };
        Cache { shared, retries }
    }

    /// Tells the caches of the process apart while they live; clients with one identity have the same.
    pub(crate) fn number(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }

    /// What proves the identity, which nobody may see.
    pub(crate) fn secret(&self) -> Option<&str> {
        self.shared.source.secret()
    }

    /// A token that is valid now. Callers wait for the one that fetches; a valid token is used while
    /// its successor is being fetched.
    pub(crate) fn get(&self, http: &Http, call: &Arc<Call>) -> Result<Token> {
        if let Source::Fixed(token) = &self.shared.source {
            return Ok(token.clone());
        }
        let mut awaited = None;
        loop {
            match self.turn(call, awaited)? {
                Turn::Use(token) => return Ok(token),
                Turn::Failed(error) => return Err(error),
                Turn::Wait(fetches) => {
                    awaited = Some(fetches);
                    let waited = call.wait(None);
                    self.shared.state.lock().waiting.retain(|s| !Arc::ptr_eq(s, call.signal()));
                    waited.map_err(|stop| Error::from(stop).with_stage(Stage::Token))?;
                }
                Turn::Pause(until) => {
                    call.wait(Some(until))
                        .map_err(|stop| Error::from(stop).with_stage(Stage::Token))?;
                }
                Turn::Fetch { fallback: None } => {
                    return self.fetch(http, call, None, self.retries);
                }
                Turn::Fetch { fallback: Some(token) } => {
                    // An early renewal is tried once, not for long, and not again for a while: the caller has
                    // work to do, and a token to do it with.
                    let part = Arc::new(call.part(renewal_limit(call)));
                    let fetched = self.fetch(http, &part, Some(&token), 0);
                    match fetched {
                        Ok(token) => return Ok(token),
                        // An early renewal that fails is no failure: the old token still serves.
                        Err(_) if token.is_valid(Instant::now()) => return Ok(token),
                        // It ended meanwhile, and the time that was up is not the caller's.
                        Err(error) if error.is_own_affair() && call.check().is_ok() => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }

    /// Gets a token for everybody. `fallback`: what serves meanwhile.
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
        let me = thread_number();
        Ok(match token {
            Some(token)
                if state.fetching.is_some()
                    || !token.is_due(now)
                    || state.renew_again_at.is_some_and(|at| now < at) =>
            {
                Turn::Use(token)
            }
            _ if state.fetching == Some(me) => {
                return Err(Error::new(
                    Status::Token,
                    "the token callback used the client that is waiting for its token; give it \
                     another client",
                )
                .with_stage(Stage::Token));
            }
            fallback if state.fetching.is_none() => {
                if let Some((at, error)) = state.not_before.as_ref().filter(|(at, _)| now < *at) {
                    let too_late = call.deadline().is_some_and(|deadline| deadline <= *at);
                    return Ok(match fallback {
                        Some(token) => Turn::Use(token),
                        None if too_late => Turn::Failed(error.clone().after(Some(*at - now))),
                        None => Turn::Pause(*at),
                    });
                }
                // Who waited for a fetch that failed shares the failure instead of repeating it.
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

    /// The service refused this token. `true`: asking again may give a better one.
    pub(crate) fn reject(&self, token: &Token) -> bool {
        let mut state = self.shared.state.lock();
        if state.token.as_ref().is_some_and(|current| current.is_same(token)) {
            state.token = None;
        }
        self.shared.source.renews()
    }

    /// What helps when the service refuses a token that the host handed in.
    pub(crate) fn advice(&self) -> &'static str {
        match self.shared.source {
            Source::Fixed(_) => "if the token has expired, make a client with a new `access_token`",
            Source::Provider(_) => "check what the token provider hands in: it must be valid still",
            Source::Authority(_) | Source::Managed(_) => "",
        }
    }

    /// Whether the tokens will be those of the application that the options name.
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
}

/// The longest and the shortest pause before an early renewal that failed is tried again.
const RENEW_AGAIN_AFTER: Duration = Duration::from_secs(30);
const RENEW_AGAIN_AFTER_AT_LEAST: Duration = Duration::from_secs(1);

/// The longest that an early renewal may keep the call that does it.
const RENEWAL: Duration = Duration::from_secs(5);

/// How long an early renewal may take: well below what this call has left.
fn renewal_limit(call: &Call) -> Duration {
    let left = call.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
    left.map_or(RENEWAL, |left| RENEWAL.min(left / 4))
}

/// A number of this thread's own. The standard library's thread handles are reference-counted memory that
/// a thread of the host would keep, and that leak checkers take for lost.
fn thread_number() -> NonZeroU64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static OWN: Cell<Option<NonZeroU64>> = const { Cell::new(None) };
    }
    OWN.get().unwrap_or_else(|| {
        let own = NonZeroU64::MIN.saturating_add(LAST.fetch_add(1, Ordering::Relaxed));
        OWN.set(Some(own));
        own
    })
}

/// The right to fetch; given back, and everybody woken, whichever way the fetch ends.
struct FetchTurn<'a>(&'a Shared);

impl FetchTurn<'_> {
    fn ended(&self, fetched: &Result<Token>, fallback: Option<&Token>, retries: u32) {
        let mut state = self.0.state.lock();
        state.fetches += 1;
        state.failure = None;
        let now = Instant::now();
        // A refusal that stands is not cured by waiting, whatever it says.
        let wait = fetched.as_ref().err().filter(|error| error.is_retryable());
        let wait = wait.and_then(|error| Some((error.retry_after()?, error)));
        state.not_before =
            wait.and_then(|(wait, error)| Some((now.checked_add(wait)?, error.clone())));
        let at_least = wait.map_or(Duration::ZERO, |(wait, _)| wait);
        state.renew_again_at = fallback.and_then(|token| token.renew_again_at(now, at_least));
        match fetched {
            // A token of unknown life serves the call that fetched it, and no other.
            Ok(token) if token.times.is_none() => {}
            Ok(token) => state.token = Some(token.clone()),
            // That one caller was stopped, or had no time left, says nothing to the others.
            Err(error) if error.is_own_affair() => {}
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

    /// After a quarter of what is left, and half a minute at the most, unless a longer wait was asked for.
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

/// The cache of this identity in this process, made by `make` if there is none. It goes with its last client.
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
    fn the_same_parts_share_and_others_do_not() {
        let one = cache(&["identity-test", "a", "b"]);
        assert!(Arc::ptr_eq(&one, &cache(&["identity-test", "a", "b"])));
        for other in
            [&["identity-test", "a", "c"][..], &["identity-test", "ab"], &["identity-test"]]
        {
            assert!(!Arc::ptr_eq(&one, &cache(other)), "{other:?}");
        }
    }

    #[test]
    fn secrets_are_told_apart() {
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
    fn the_last_client_takes_the_cache_along() {
        let parts = ["identity-test", "gone"];
        let weak = Arc::downgrade(&cache(&parts));
        assert!(weak.upgrade().is_none());
        let again = cache(&parts);
        assert!(CACHES.get().0.lock().iter().any(|(_, kept)| kept.ptr_eq(&Arc::downgrade(&again))));
        assert!(!CACHES.get().0.lock().iter().any(|(_, kept)| kept.ptr_eq(&weak)));
    }
}
