//! Logins at proxies: option `proxy_auth`, the strongest kind that a proxy offers, and its messages.
//!
//! Making a message may take as long as a key distribution centre (KDC) is silent, and cannot be interrupted. So it is
//! made on a thread of its own, one at a time for each client.

mod advice;

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use zeroize::Zeroizing;

use self::advice::whose;
use super::Proxy;
use super::challenge::Challenge;
use crate::http::aside::Aside;
use crate::http::attempt::Goal;
use crate::http::failure::Failure;
use crate::http::socket::Exchange;
use crate::log::{self, Level};
use crate::os::io_error::reason;
use crate::os::login::{self, Begin, Conversation, Kind, Package, Problem};

/// What option `proxy_auth` accepts, for messages.
pub(crate) const ACCEPTED: &str = "one or more of negotiate, ntlm and basic, separated by commas";

/// The most messages of a login. Those that are known need three.
const MOST_MESSAGES: u32 = 8;

/// How long Basic is sent at once to a proxy that offered nothing better.
const BASIC_HOLDS: Duration = Duration::from_secs(600);

/// What a message begins with that is one of NTLM, also inside of others.
const NTLM: &[u8] = b"NTLMSSP\0";

/// How long a refused user is not tried again: wrong passwords are counted, and lock the account.
const REFUSED_HOLDS: Duration = Duration::from_secs(60);

/// Option `proxy_auth`: the kinds of login that may be used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowed {
    negotiate: bool,
    ntlm: bool,
    basic: bool,
}

impl Allowed {
    pub(crate) fn parse(list: &str) -> Result<Allowed, &'static str> {
        let mut allowed = Allowed::default();
        for name in list.split(',') {
            match name.trim() {
                "negotiate" => allowed.negotiate = true,
                "ntlm" => allowed.ntlm = true,
                "basic" => allowed.basic = true,
                _ => return Err("names no known kind of login"),
            }
        }
        Ok(allowed)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Negotiate,
    Ntlm,
    Basic,
}

/// From the strongest to the weakest.
const SCHEMES: [Scheme; 3] = [Scheme::Negotiate, Scheme::Ntlm, Scheme::Basic];

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Scheme::Negotiate => "Negotiate",
            Scheme::Ntlm => "NTLM",
            Scheme::Basic => "Basic",
        }
    }

    /// `None`: the library makes the login by itself.
    fn package(self) -> Option<Package> {
        match self {
            Scheme::Negotiate => Some(Package::Negotiate),
            #[cfg(windows)]
            Scheme::Ntlm => Some(Package::Ntlm),
            #[cfg(not(windows))]
            Scheme::Ntlm => None,
            Scheme::Basic => None,
        }
    }
}

/// A login that is under way.
pub(in crate::http) struct Login {
    scheme: Scheme,
    /// It was sent without being asked for.
    is_at_once: bool,
    /// How many messages were sent.
    messages: u32,
    conversation: Option<Shared>,
}

/// The system's part of a login. One thread at a time uses it.
type Shared = Arc<Mutex<Box<dyn Conversation>>>;

/// A message of the system for the proxy, with what is needed for the next one.
type Made = Result<(Shared, Zeroizing<Vec<u8>>), Problem>;

/// The value of `Proxy-Authorization`.
type Header = Zeroizing<String>;

/// The logins of one client. Its connections belong to one account: that of the process, or the user of `proxy`.
pub(crate) struct Logins {
    allowed: Allowed,
    begin: Begin,
    asking: Arc<Aside<Made>>,
    /// Until when the next request need not ask, since the proxy offered nothing better than Basic.
    basic_until: Mutex<Option<Instant>>,
    refused: Arc<Refused>,
}

/// Why the system refused the user in `proxy`, and until when that holds.
type Refused = Mutex<Option<(Instant, Problem)>>;

impl std::fmt::Debug for Logins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Logins")
    }
}

impl Default for Logins {
    fn default() -> Logins {
        Logins::new(Allowed::default())
    }
}

impl Logins {
    pub(crate) fn new(allowed: Allowed) -> Logins {
        Logins::with(allowed, login::begin)
    }

    fn with(allowed: Allowed, begin: Begin) -> Logins {
        let (asking, basic_until) = (Arc::default(), Mutex::default());
        Logins { allowed, begin, asking, basic_until, refused: Arc::default() }
    }

    /// The login to begin with. Usually there is none, since the proxy has to say first what it offers.
    pub(in crate::http) fn at_once(&self, proxy: &Proxy) -> Option<(Login, Header)> {
        let Allowed { negotiate, ntlm, basic } = self.allowed;
        let is_known = || self.basic_until.lock().is_some_and(|until| Instant::now() < until);
        let is_settled = !(negotiate || ntlm) || is_known();
        let header = basic_header(proxy).filter(|_| basic && is_settled)?;
        let scheme = Scheme::Basic;
        Some((Login { scheme, is_at_once: true, messages: 1, conversation: None }, header))
    }

    /// The answer to a proxy that asks for a login, or goes on with one.
    pub(in crate::http) fn answer(
        &self,
        login: &mut Option<Login>,
        challenge: &Challenge,
        goal: &Goal<'_>,
        proxy: &Arc<Proxy>,
        limit: Instant,
    ) -> Result<Header, Failure> {
        let unanswered = |what: &str| {
            let names = challenge.names();
            goal.refused(&format!("it asks for a login (407) and offers {names}: {what}")).http(407)
        };
        let failure = |scheme: Scheme, problem: &Problem| {
            // The KDC may be back soon.
            let what = self.failed(scheme, challenge, proxy, problem);
            unanswered(&what).transient(problem.kind == Kind::NoKdc)
        };
        // By now the proxy may offer something better than Basic.
        let best = self.usable(challenge, proxy).next();
        let has_better = best.is_some_and(|best| best != Scheme::Basic);
        let outdated = login.take_if(|login| login.is_at_once && has_better);
        if outdated.is_some() {
            *self.basic_until.lock() = None;
        }
        if let Some(login) = login {
            let received = next(login, challenge, proxy);
            let received = received.map_err(|what| goal.refused(&what).http(407))?;
            let message = self.message(login, &received, goal, proxy, limit)?;
            return message.map_err(|problem| failure(login.scheme, &problem));
        }
        let mut missing = None;
        for scheme in self.usable(challenge, proxy) {
            if scheme == Scheme::Basic && outdated.is_some() {
                // It was the best after all.
                return Err(goal.refused(&advice::refused(scheme, challenge, proxy)).http(407));
            }
            let mut new = Login { scheme, is_at_once: false, messages: 0, conversation: None };
            match self.message(&mut new, &[], goal, proxy, limit)? {
                Ok(header) => {
                    *login = Some(new);
                    return Ok(header);
                }
                // The next one may do, though it is weaker.
                Err(problem) if problem.kind == Kind::Missing => {
                    missing.get_or_insert(self.failed(scheme, challenge, proxy, &problem));
                }
                Err(problem) => return Err(failure(scheme, &problem)),
            }
        }
        Err(unanswered(&missing.unwrap_or_else(|| self.none_usable(challenge, proxy).to_owned())))
    }

    /// The kinds that the proxy offers and that may be used here, the strongest first.
    fn usable(&self, challenge: &Challenge, proxy: &Proxy) -> impl Iterator<Item = Scheme> {
        let Allowed { negotiate, ntlm, basic } = self.allowed;
        let is_named = proxy.has_login() || proxy.may_have_account();
        let is_usable = SCHEMES.map(|scheme| {
            let is_offered = challenge.offer(scheme.name()).is_some();
            match scheme {
                Scheme::Negotiate => is_offered && negotiate && is_named,
                Scheme::Ntlm => is_offered && ntlm && scheme.package().is_some() && is_named,
                // Some proxies forget to offer anything.
                Scheme::Basic => {
                    (is_offered || challenge.offers.is_empty()) && basic && proxy.has_login()
                }
            }
        });
        SCHEMES.into_iter().zip(is_usable).filter_map(|(scheme, usable)| usable.then_some(scheme))
    }

    /// Makes the next message of a login.
    fn message(
        &self,
        login: &mut Login,
        received: &[u8],
        goal: &Goal<'_>,
        proxy: &Arc<Proxy>,
        limit: Instant,
    ) -> Result<Result<Header, Problem>, Failure> {
        login.messages += 1;
        log::line(Level::Debug, || {
            let (name, whose) = (login.scheme.name(), whose(proxy));
            format!("proxy {}: login by {name} {whose}", proxy.authority())
        });
        let Some(package) = login.scheme.package() else {
            *self.basic_until.lock() = Some(Instant::now() + BASIC_HOLDS);
            return Ok(Ok(basic_header(proxy).unwrap_or_default()));
        };
        let made = self.aside(package, login.conversation.clone(), received, proxy, limit)?;
        let (made, is_own) = made;
        let Some(made) = made else {
            let late = match is_own {
                true => {
                    format!("the login by {} {} was not ready", login.scheme.name(), whose(proxy))
                }
                false => "other logins of this client were still being made".to_owned(),
            };
            let what = format!(
                "it asks for a login (407), and {late} in time ({}); the key distribution centre (KDC) may be away: check \
                 that this host reaches it",
                Exchange::connect_limit()
            );
            return Err(goal.refused(&what).http(407).transient(true));
        };
        Ok(made.and_then(|(conversation, message)| {
            let is_ntlm = message.windows(NTLM.len()).any(|part| part == NTLM);
            if is_ntlm && !self.allowed.ntlm {
                let text = format!(
                    "the system has no ticket for HTTP/{} and makes an NTLM login, which `proxy_auth` does not allow",
                    proxy.bare_host()
                );
                return Err(Problem::new(Kind::UnknownService, text));
            }
            login.conversation = Some(conversation);
            Ok(header(login.scheme, &message))
        }))
    }

    /// Runs the system's part on a thread. `None`: the limit has passed. Also whether the thread was this login's own.
    fn aside(
        &self,
        package: Package,
        known: Option<Shared>,
        received: &[u8],
        proxy: &Arc<Proxy>,
        limit: Instant,
    ) -> Result<(Option<Made>, bool), Failure> {
        loop {
            let (known, received, proxy) = (known.clone(), received.to_vec(), Arc::clone(proxy));
            let (begin, refused) = (self.begin, Arc::clone(&self.refused));
            let make = move || make(begin, package, known, &received, &proxy, &refused);
            let begun = self.asking.join("mde-login", "", Box::new(make));
            let (work, is_own) = match begun {
                Ok(begun) => begun,
                Err(error) => {
                    let text = format!("the system starts no thread for it ({})", reason(&error));
                    return Ok((Some(Err(Problem::new(Kind::Other, text))), true));
                }
            };
            // That of another call may have been abandoned. Threads would pile up if each call had its own.
            let made = work.wait(limit)?;
            if is_own || made.is_none() {
                return Ok((made, is_own));
            }
        }
    }
}

/// What the proxy sent to the login that is under way. The error says why it has ended.
fn next(login: &Login, challenge: &Challenge, proxy: &Proxy) -> Result<Vec<u8>, String> {
    let name = login.scheme.name();
    let message = challenge.offer(name).and_then(|offer| offer.message.as_deref());
    let Some(message) = message.filter(|_| login.conversation.is_some()) else {
        return Err(advice::refused(login.scheme, challenge, proxy));
    };
    if !challenge.is_open {
        return Err(format!(
            "it closes the connection (407) in the middle of the login by {name}; let the proxy keep it open"
        ));
    }
    let decoded = STANDARD.decode(message).ok().filter(|_| login.messages < MOST_MESSAGES);
    decoded.ok_or_else(|| {
        format!("its answer (407) to the login by {name} is not understood; check what the proxy expects")
    })
}

/// The system's part of a message.
fn make(
    begin: Begin,
    package: Package,
    known: Option<Shared>,
    received: &[u8],
    proxy: &Proxy,
    refused: &Refused,
) -> Made {
    let last = refused.lock().clone().filter(|(until, _)| Instant::now() < *until);
    if let (None, Some((_, problem))) = (&known, last) {
        return Err(problem);
    }
    let (host, user) = (proxy.bare_host(), proxy.user());
    let step = || {
        let conversation = match known {
            Some(known) => known,
            None => Arc::new(Mutex::new(begin(package, host, user)?)),
        };
        let message = conversation.lock().step(host, user, received)?;
        Ok((conversation, message))
    };
    step().inspect_err(|problem: &Problem| {
        if problem.kind == Kind::Refused && user.is_some() {
            *refused.lock() = Some((Instant::now() + REFUSED_HOLDS, problem.clone()));
        }
    })
}

fn header(scheme: Scheme, message: &[u8]) -> Header {
    let encoded = Zeroizing::new(STANDARD.encode(message));
    Zeroizing::new([scheme.name(), " ", encoded.as_str()].concat())
}

fn basic_header(proxy: &Proxy) -> Option<Header> {
    proxy.login().map(|login| header(Scheme::Basic, login.as_bytes()))
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
