//! Logins at proxies: option `proxy_auth`, the strongest kind that a proxy offers, and its messages.
//!
//! Making a message may take as long as a key distribution centre (KDC) is silent, and cannot be interrupted. So it is
//! made on a thread of its own, one at a time for each client.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use zeroize::Zeroizing;

use super::Proxy;
use super::challenge::Challenge;
use crate::http::aside::Aside;
use crate::http::attempt::Goal;
use crate::http::failure::Failure;
use crate::log::{self, Level};
use crate::os::io_error::reason;
use crate::os::login::{self, Begin, Conversation, Kind, Package, Problem};
use crate::text::redact;

/// What option `proxy_auth` accepts, for messages.
pub(crate) const ACCEPTED: &str = "one or more of negotiate, ntlm and basic, separated by commas";

/// The most messages of a login. Those that are known need three.
const MOST_MESSAGES: u32 = 8;

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
    /// The proxy offered nothing better, so that the next request need not ask.
    basic_is_the_best: AtomicBool,
}

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
        let basic_is_the_best = AtomicBool::new(false);
        Logins { allowed, begin, asking: Arc::default(), basic_is_the_best }
    }

    /// The login to begin with. Usually there is none, since the proxy has to say first what it offers.
    pub(in crate::http) fn at_once(&self, proxy: &Proxy) -> Option<(Login, Header)> {
        let Allowed { negotiate, ntlm, basic } = self.allowed;
        let is_settled = !(negotiate || ntlm) || self.basic_is_the_best.load(Ordering::Relaxed);
        let header = basic_header(proxy).filter(|_| basic && is_settled)?;
        Some((Login { scheme: Scheme::Basic, messages: 1, conversation: None }, header))
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
            unanswered(&failed(scheme, proxy, problem)).transient(problem.kind == Kind::NoKdc)
        };
        if let Some(login) = login {
            let received = next(login, challenge, proxy);
            let received = received.map_err(|what| goal.refused(&what).http(407))?;
            let message = self.message(login, &received, goal, proxy, limit)?;
            return message.map_err(|problem| failure(login.scheme, &problem));
        }
        let mut missing = None;
        for scheme in self.usable(challenge, proxy) {
            let mut new = Login { scheme, messages: 0, conversation: None };
            match self.message(&mut new, &[], goal, proxy, limit)? {
                Ok(header) => {
                    *login = Some(new);
                    return Ok(header);
                }
                // The next one may do, though it is weaker.
                Err(problem) if problem.kind == Kind::Missing => {
                    missing.get_or_insert(failed(scheme, proxy, &problem));
                }
                Err(problem) => return Err(failure(scheme, &problem)),
            }
        }
        Err(unanswered(&missing.unwrap_or_else(|| self.advice(challenge, proxy).to_owned())))
    }

    /// The kinds that the proxy offers and that may be used here, the strongest first.
    fn usable(&self, challenge: &Challenge, proxy: &Proxy) -> impl Iterator<Item = Scheme> {
        let Allowed { negotiate, ntlm, basic } = self.allowed;
        let is_usable = SCHEMES.map(|scheme| {
            let is_offered = challenge.offer(scheme.name()).is_some();
            match scheme {
                Scheme::Negotiate => is_offered && negotiate,
                Scheme::Ntlm => is_offered && ntlm && scheme.package().is_some(),
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
            self.basic_is_the_best.store(true, Ordering::Relaxed);
            return Ok(Ok(basic_header(proxy).unwrap_or_default()));
        };
        let made = self.aside(package, login.conversation.clone(), received, proxy, limit)?;
        let Some(made) = made else {
            let what = format!(
                "it asks for a login (407), and the login by {} {} was not ready within `connect_timeout_ms`; the key \
                 distribution centre (KDC) may be away: check that this host reaches it",
                login.scheme.name(),
                whose(proxy)
            );
            return Err(goal.refused(&what).http(407).transient(true));
        };
        Ok(made.map(|(conversation, message)| {
            login.conversation = Some(conversation);
            header(login.scheme, &message)
        }))
    }

    /// Runs the system's part on a thread. `None`: the limit has passed.
    fn aside(
        &self,
        package: Package,
        known: Option<Shared>,
        received: &[u8],
        proxy: &Arc<Proxy>,
        limit: Instant,
    ) -> Result<Option<Made>, Failure> {
        loop {
            let (known, received, proxy) = (known.clone(), received.to_vec(), Arc::clone(proxy));
            let begin = self.begin;
            let make = move || make(begin, package, known, &received, &proxy);
            let begun = self.asking.join("mde-login", "", make);
            let (work, is_own) = match begun {
                Ok(begun) => begun,
                Err(error) => {
                    let text = format!("the system starts no thread for it ({})", reason(&error));
                    return Ok(Some(Err(Problem::new(Kind::Other, text))));
                }
            };
            // That of another call may have been abandoned. Threads would pile up if each call had its own.
            let made = work.wait(limit)?;
            if is_own || made.is_none() {
                return Ok(made);
            }
        }
    }
}

/// What the proxy sent to the login that is under way. The error says why it has ended.
fn next(login: &Login, challenge: &Challenge, proxy: &Proxy) -> Result<Vec<u8>, String> {
    let name = login.scheme.name();
    let message = challenge.offer(name).and_then(|offer| offer.message.as_deref());
    let Some(message) = message.filter(|_| login.conversation.is_some()) else {
        let advice = match login.scheme {
            Scheme::Basic => "check the login in `proxy`, and what the proxy allows",
            _ => {
                "check that the proxy knows and allows this account, the name of its own service principal, and both \
                 clocks"
            }
        };
        let (whose, names) = (whose(proxy), challenge.names());
        return Err(format!(
            "it refuses the login (407) by {name} {whose} and offers {names}; {advice}"
        ));
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
) -> Made {
    let (host, user) = (proxy.bare_host(), proxy.user());
    let conversation = match known {
        Some(known) => known,
        None => Arc::new(Mutex::new(begin(package, host, user)?)),
    };
    let message = conversation.lock().step(host, user, received)?;
    Ok((conversation, message))
}

fn header(scheme: Scheme, message: &[u8]) -> Header {
    let encoded = Zeroizing::new(STANDARD.encode(message));
    Zeroizing::new([scheme.name(), " ", encoded.as_str()].concat())
}

fn basic_header(proxy: &Proxy) -> Option<Header> {
    proxy.login().map(|login| header(Scheme::Basic, login.as_bytes()))
}

fn whose(proxy: &Proxy) -> &'static str {
    match proxy.has_login() {
        true => "as the user of `proxy`",
        false => "as the account of this process",
    }
}

/// Why a login was not made, and what to change.
fn failed(scheme: Scheme, proxy: &Proxy, problem: &Problem) -> String {
    let mut text = problem.text.clone();
    proxy.mask(&mut text);
    redact::mask(&mut text, &[proxy.user().map_or("", |(user, _)| user)]);
    let advice = match problem.kind {
        Kind::Missing if cfg!(windows) => "let the proxy offer a kind that this Windows has",
        Kind::Missing => {
            "install and set up MIT Kerberos (Debian: libgssapi-krb5-2, /etc/krb5.conf), or let the proxy offer Basic"
        }
        Kind::NoTicket if cfg!(windows) => {
            "run as an account of the domain, or put user and password into `proxy`"
        }
        Kind::NoTicket => {
            "get a ticket (kinit), give the process a keytab (KRB5_CLIENT_KTNAME), or put user and password into `proxy`"
        }
        Kind::Expired => {
            "renew the ticket (kinit), or give the process a keytab (KRB5_CLIENT_KTNAME)"
        }
        Kind::NoKdc => {
            "check that this host finds and reaches a key distribution centre (KDC) of the realm"
        }
        Kind::Clock => "set the clock of this host right",
        Kind::UnknownService => {
            "name the proxy in `proxy` as its service principal (HTTP/name) does, or register that"
        }
        Kind::Refused if proxy.has_login() => "check user and password in `proxy`",
        Kind::Refused => "check the account of this process",
        Kind::Other => "check how this host is set up for it, and what the proxy expects",
    };
    let (name, whose, text) = (scheme.name(), whose(proxy), redact::clean(&text, 200));
    format!("the login by {name} {whose} failed: {text}; {advice}")
}

impl Logins {
    /// What to do where nothing that is offered may be used.
    fn advice(&self, challenge: &Challenge, proxy: &Proxy) -> &'static str {
        let offers = |scheme: Scheme| challenge.offer(scheme.name()).is_some();
        let Allowed { negotiate, ntlm, basic } = self.allowed;
        let is_excluded = (offers(Scheme::Negotiate) && !negotiate)
            || (offers(Scheme::Ntlm) && !ntlm && Scheme::Ntlm.package().is_some())
            || (offers(Scheme::Basic) && !basic && proxy.has_login());
        if is_excluded {
            "`proxy_auth` allows none of it; allow one there"
        } else if (offers(Scheme::Basic) || challenge.offers.is_empty()) && basic {
            "put user and password into `proxy`"
        } else if offers(Scheme::Ntlm) {
            "NTLM is supported on Windows only; let the proxy offer Negotiate or Basic, allow these hosts without a \
             login, or let a local proxy sign in"
        } else {
            "this library knows Negotiate, Basic, and NTLM on Windows; allow these hosts without a login, or let a local \
             proxy sign in"
        }
    }
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
