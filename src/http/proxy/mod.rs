//! The proxies for a host, if any: options `proxy` and `no_proxy`.

pub(crate) mod challenge;
pub(crate) mod exceptions;
pub(crate) mod login;
mod system;

use std::sync::Arc;
use std::time::Instant;

use ureq::http::Uri;
use zeroize::Zeroizing;

use self::exceptions::{Exception, exceptions};
use self::system::System;
use super::failure::Failure;
use super::way::{Because, Way};
use crate::error::{Error, Result};
use crate::os::environment::variable;
use crate::os::system_proxy::FIND;
use crate::status::Status;
use crate::text::redact;
use crate::text::url::{decoded, is_loopback, without_brackets, without_login};

/// What option `proxy` accepts, for messages.
pub(crate) const ACCEPTED: &str = "system, env, none, or http://[user:password@]host[:port] with user and password \
     percent-encoded";

/// Option `proxy`.
#[derive(Clone, Debug, Default)]
pub(crate) enum Choice {
    /// The environment, and what the system has where that names no proxy.
    #[default]
    System,
    Environment,
    None,
    Url(Proxy),
}

/// An HTTP proxy that opens tunnels.
#[derive(Clone)]
pub(crate) struct Proxy {
    host: String,
    port: u16,
    login: Option<Zeroizing<String>>,
    named_by: NamedBy,
}

/// What named a proxy.
#[derive(Clone, Copy)]
enum NamedBy {
    /// Option `proxy`.
    Option,
    /// An environment variable.
    Variable(&'static str),
    /// A setting of the system.
    System,
    /// The network, and nobody on this host.
    Network,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Proxy({})", self.authority())
    }
}

impl Proxy {
    /// Parses `http://[user:password@]host[:port]`. The error completes "option `proxy` …".
    pub(crate) fn parse(text: &str) -> std::result::Result<Proxy, &'static str> {
        Proxy::with_port(text, 3128)
    }

    /// The same with this port where the text has none.
    fn with_port(text: &str, usual: u16) -> std::result::Result<Proxy, &'static str> {
        // The parser drops a fragment silently.
        if text.contains('#') {
            return Err("has a fragment; a # in a password is written %23");
        }
        if !text.contains("://") {
            return Err("is no URL and none of the words for this option");
        }
        let (text, login) = without_login(text).ok_or("is not a proxy URL")?;
        let uri: Uri = text.parse().map_err(|_| "is not a proxy URL")?;
        if uri.scheme_str() != Some("http") {
            return Err("names a kind of proxy that is not supported");
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err("has a path or a query; in a password, a / is written %2F and a ? %3F");
        }
        let authority = uri.authority().ok_or("has no host")?;
        let host = authority.host();
        if host.is_empty() {
            return Err("has no host");
        }
        let port = authority.port_u16().filter(|port| *port > 0);
        if authority.as_str() != host && port.is_none() {
            return Err("has a port that is not a number from 1 to 65535");
        }
        let login = match login {
            None => None,
            Some(login) if !has_whole_escapes(login) => {
                return Err("has a % in its login that begins no escape; a % is written %25");
            }
            Some(login) => {
                let login = decoded(login).ok_or("has a login that is not UTF-8")?;
                Some(match login.contains(':') {
                    true => login,
                    false => Zeroizing::new([login.as_str(), ":"].concat()),
                })
            }
        };
        Ok(Proxy {
            host: host.to_owned(),
            port: port.unwrap_or(usual),
            login,
            named_by: NamedBy::Option,
        })
    }

    pub(crate) fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// The host, an address without brackets.
    fn bare_host(&self) -> &str {
        without_brackets(&self.host)
    }

    /// Host and port, for messages: never the login.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    pub(crate) fn has_login(&self) -> bool {
        self.login.is_some()
    }

    /// Whether it may be sent a login of the account of this process. Anybody in the network could get one otherwise, and
    /// pass it on.
    pub(crate) fn may_have_account(&self) -> bool {
        !matches!(self.named_by, NamedBy::Network)
    }

    /// What to check if it is the wrong one, for messages.
    pub(crate) fn setting(&self) -> &'static str {
        match self.named_by {
            NamedBy::Option => "`proxy`",
            NamedBy::Variable(name) => name,
            NamedBy::System | NamedBy::Network => "the system's proxy setting",
        }
    }

    /// Where its user and password belong, for messages.
    pub(crate) fn place_of_login(&self) -> &'static str {
        match self.named_by {
            NamedBy::Variable(name) => name,
            _ => "`proxy`",
        }
    }

    /// Masks login and password in what the proxy answered.
    pub(crate) fn mask(&self, text: &mut String) {
        if let Some(login) = &self.login {
            redact::mask(text, &secrets_of(login));
        }
    }

    /// User and password, as `user:password`.
    fn login(&self) -> Option<&str> {
        self.login.as_ref().map(|login| login.as_str())
    }

    /// User and password.
    fn user(&self) -> Option<(&str, &str)> {
        self.login()?.split_once(':')
    }
}

/// `user:password`, and the password alone.
fn secrets_of(login: &str) -> [&str; 2] {
    [login, login.split_once(':').map_or("", |(_, password)| password)]
}

/// Whether two hexadecimal digits follow each `%`.
fn has_whole_escapes(text: &str) -> bool {
    let is_escape = |rest: &str| {
        rest.as_bytes().get(..2).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
    };
    text.split('%').skip(1).all(is_escape)
}

/// The proxies of a client, and the hosts that are reached without one. Hosts of this machine always are: plain HTTP is
/// accepted there, and a proxy would see its tokens.
#[derive(Debug, Default)]
pub(crate) struct Proxies {
    source: Source,
    /// The option or variable that set the proxy, or that there is none, or [`SYSTEM`]. Empty: none of them.
    set_by: &'static str,
    except: Vec<Exception>,
    /// The option or variable with the exceptions.
    excepted_by: &'static str,
}

#[derive(Debug, Default)]
enum Source {
    #[default]
    None,
    One(Arc<Proxy>),
    System(System),
}

/// The ways to a host, in the order in which to try them.
pub(super) struct Routes {
    /// `None` is the host itself. There is at least one.
    pub list: Vec<Option<Arc<Proxy>>>,
    /// Why part of the system's setting could not be used.
    pub note: Option<String>,
}

impl Routes {
    fn only(route: Option<&Arc<Proxy>>) -> Routes {
        Routes { list: vec![route.cloned()], note: None }
    }
}

impl Proxies {
    /// Settles the choice; reads the environment only for `system` and `env`.
    pub(crate) fn new(choice: &Choice, no_proxy: Option<&str>) -> Result<Proxies> {
        let (source, set_by) = match choice {
            Choice::None => return Ok(Proxies::none()),
            Choice::Url(proxy) => (Source::One(Arc::new(proxy.clone())), OPTION),
            Choice::Environment | Choice::System => match (from_environment()?, FIND) {
                (Some((proxy, variable)), _) => (Source::One(Arc::new(proxy)), variable),
                (None, Some(find)) if matches!(choice, Choice::System) => {
                    (Source::System(System::new(find)), SYSTEM)
                }
                (None, _) => (Source::None, ""),
            },
        };
        let (except, excepted_by) = match (no_proxy, choice) {
            (Some(list), _) => (exceptions(list), EXCEPTIONS),
            (None, Choice::Url(_)) => (Vec::new(), ""),
            (None, _) => exceptions_from_environment()?,
        };
        Ok(Proxies { source, set_by, except, excepted_by })
    }

    /// None for any host, whatever the options and the environment say.
    pub(crate) fn none() -> Proxies {
        Proxies { set_by: OPTION, ..Proxies::default() }
    }

    /// Whether nothing says which proxy to use, or that there is none.
    pub(crate) fn is_unset(&self) -> bool {
        self.set_by.is_empty()
    }

    /// Those that this function names, as if it were the system's.
    #[cfg(test)]
    pub(crate) fn of_system(find: crate::os::system_proxy::Find) -> Proxies {
        let source = Source::System(System::new(find));
        Proxies { source, set_by: SYSTEM, ..Proxies::default() }
    }

    /// The proxy and the exceptions from it, to compare routes. The login is not included.
    pub(crate) fn route(&self) -> Option<[String; 2]> {
        let proxy = match &self.source {
            Source::None => return None,
            Source::One(proxy) => proxy.authority(),
            Source::System(_) => "system".to_owned(),
        };
        let except: Vec<String> = self.except.iter().map(Exception::text).collect();
        Some([proxy, except.join(",")])
    }

    /// The secrets that the proxy was sent.
    pub(crate) fn secrets(&self) -> Vec<&str> {
        self.login().map(secrets_of).into_iter().flatten().collect()
    }

    /// User and password of the proxy, if it needs them.
    pub(crate) fn login(&self) -> Option<&str> {
        match &self.source {
            Source::One(proxy) => proxy.login(),
            Source::None | Source::System(_) => None,
        }
    }

    /// The ways to a host. Asking the system may take until the limit.
    pub(super) fn routes(
        &self,
        host: &str,
        port: u16,
        limit: Instant,
    ) -> std::result::Result<Routes, Failure> {
        if is_loopback(host) || self.excepts(host, port) {
            return Ok(Routes::only(None));
        }
        match &self.source {
            Source::None => Ok(Routes::only(None)),
            Source::One(proxy) => Ok(Routes::only(Some(proxy))),
            Source::System(system) => system.routes(host, port, limit),
        }
    }

    /// Records that a proxy did not work. It is tried last for some minutes.
    pub(super) fn put_last(&self, proxy: &Proxy) {
        if let Source::System(system) = &self.source {
            system.put_last(proxy);
        }
    }

    /// Asks the system anew at the next connection to a host: none of its ways worked.
    pub(super) fn forget(&self, host: &str, port: u16) {
        if let Source::System(system) = &self.source {
            system.forget(host, port);
        }
    }

    fn excepts(&self, host: &str, port: u16) -> bool {
        self.except.iter().any(|exception| exception.covers(host, port))
    }

    /// The way to a host, through this proxy if there is one, with the reason.
    pub(super) fn way(&self, host: &str, port: u16, proxy: Option<&Proxy>) -> Way {
        let could_be_another = !matches!(self.source, Source::None);
        let (because, set_by) = match self.set_by {
            _ if could_be_another && is_loopback(host) => (Because::Loopback, ""),
            _ if could_be_another && self.excepts(host, port) => {
                (Because::NoProxy, self.excepted_by)
            }
            "" => (Because::None, ""),
            SYSTEM => (Because::System, ""),
            OPTION => (Because::Option, OPTION),
            variable => (Because::Variable, variable),
        };
        let address = proxy.map(Proxy::authority);
        Way { address, because, set_by }
    }
}

/// The two options.
const OPTION: &str = "proxy";
const EXCEPTIONS: &str = "no_proxy";

/// What sets the proxy with `proxy=system`, if no variable does.
const SYSTEM: &str = "system";

/// The first of these variables that is set and not empty.
fn first_of(names: &[&'static str]) -> Result<Option<(&'static str, String)>> {
    for name in names {
        let value = variable(name)?.unwrap_or_default();
        let value = value.trim();
        if !value.is_empty() {
            return Ok(Some((name, value.to_owned())));
        }
    }
    Ok(None)
}

fn from_environment() -> Result<Option<(Proxy, &'static str)>> {
    let Some((name, value)) = first_of(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])?
    else {
        return Ok(None);
    };
    // Other programs take a bare host:port for http too.
    let url = match value.contains("://") || !value.contains(':') {
        true => value,
        false => format!("http://{value}"),
    };
    let proxy = Proxy::parse(&url).map_err(|problem| {
        unusable(name, problem, "http://[user:password@]host[:port]; set `proxy=none` to ignore it")
    })?;
    Ok(Some((Proxy { named_by: NamedBy::Variable(name), ..proxy }, name)))
}

fn exceptions_from_environment() -> Result<(Vec<Exception>, &'static str)> {
    let Some((name, list)) = first_of(&["NO_PROXY", "no_proxy"])? else {
        return Ok((Vec::new(), ""));
    };
    exceptions::check(&list).map_err(|problem| {
        unusable(name, &problem, "names, addresses and ranges; set `no_proxy` to ignore it")
    })?;
    Ok((exceptions(&list), name))
}

fn unusable(name: &str, problem: &str, expected: &str) -> Error {
    let text = format!(
        "option `proxy` reads the environment, and the environment variable {name} {problem}; expected {expected}"
    );
    Error::new(Status::Config, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_percent_decoded() {
        let proxy = Proxy::parse("http://us%40er:p%3Ass@proxy.example:8080").unwrap();
        assert_eq!(proxy.address(), ("proxy.example", 8080));
        assert_eq!(proxy.user(), Some(("us@er", "p:ss")));
        assert!(!format!("{proxy:?}").contains("us@er"));
    }

    #[test]
    fn the_default_port_is_3128() {
        assert_eq!(Proxy::parse("HTTP://proxy:1").unwrap().authority(), "proxy:1");
        assert_eq!(Proxy::parse("http://[::1]").unwrap().authority(), "[::1]:3128");
        assert!(!Proxy::parse("http://p").unwrap().has_login());
    }

    #[test]
    fn unsupported_proxy_urls_are_refused() {
        for bad in
            ["socks5://p:1", "https://p:1", "http://", "http://p/path", "http://p?x", "", "a b"]
        {
            assert!(Proxy::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ambiguous_proxy_urls_are_refused() {
        for bad in [
            "http://p:99999",
            "http://p:abc",
            "http://p:9x",
            "http://p:0",
            "http://p:",
            "http://[::1]:0",
            "NONE",
            "off",
            "p:8080",
            "http://user:%zz@p",
            "http://user:%4@p",
            "http://user:p#x@p",
        ] {
            assert!(Proxy::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_proxy_matches_names_addresses_and_ranges() {
        let proxies = Proxies {
            source: Source::One(Arc::new(Proxy::parse("http://p:1").unwrap())),
            except: exceptions(
                "example.com, .corp.example *.x.test,10.0.0.0/8 , ::1,only.example:8443",
            ),
            ..Proxies::default()
        };
        let is_direct = |proxies: &Proxies, host: &str, port| {
            let routes = proxies.routes(host, port, Instant::now()).unwrap();
            assert_eq!(routes.list.len(), 1);
            routes.list[0].is_none()
        };
        let direct = |host: &str, port| is_direct(&proxies, host, port);
        for host in [
            "example.com",
            "sub.EXAMPLE.com",
            "a.corp.example",
            "corp.example",
            "x.test",
            "10.1.2.3",
            "[::1]",
            "127.0.0.1",
            "localhost",
        ] {
            assert!(direct(host, 443), "{host}");
        }
        for host in ["notexample.com", "example.com.evil", "11.0.0.1", "only.example"] {
            assert!(!direct(host, 443), "{host}");
        }
        assert!(direct("only.example", 8443));
        let all = Proxies { except: exceptions("*"), ..proxies };
        assert!(is_direct(&all, "anything", 1));
    }
}
