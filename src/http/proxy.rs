//! The proxy for a host, if any: options `proxy` and `no_proxy`.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use ureq::http::Uri;
use zeroize::Zeroizing;

use super::way::{Because, Way};
use crate::error::{Error, Result};
use crate::os::environment::variable;
use crate::status::Status;
use crate::text::redact;
use crate::text::url::{decoded, is_loopback, without_login};

/// What option `proxy` accepts, for messages.
pub(crate) const ACCEPTED: &str =
    "env, none, or http://[user:password@]host[:port] with user and password percent-encoded";

/// Option `proxy`.
#[derive(Clone, Debug, Default)]
pub(crate) enum Choice {
    #[default]
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
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Proxy({})", self.authority())
    }
}

impl Proxy {
    /// Parses `http://[user:password@]host[:port]`. The error completes "option `proxy` …".
    pub(crate) fn parse(text: &str) -> std::result::Result<Proxy, &'static str> {
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
            return Err("has a path or a query");
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
        Ok(Proxy { host: host.to_owned(), port: port.unwrap_or(3128), login })
    }

    pub(crate) fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Host and port, for messages: never the login.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    pub(crate) fn has_login(&self) -> bool {
        self.login.is_some()
    }

    /// Masks login and password in what the proxy answered.
    pub(crate) fn mask(&self, text: &mut String) {
        if let Some(login) = &self.login {
            redact::mask(text, &secrets_of(login));
        }
    }

    /// The value of `Proxy-Authorization`.
    pub(crate) fn authorization(&self) -> Option<Zeroizing<String>> {
        let login = self.login.as_ref()?;
        Some(Zeroizing::new(format!("Basic {}", STANDARD.encode(login.as_bytes()))))
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

/// The proxy of a client, and the hosts that are reached without it. Hosts of this machine always are: plain HTTP is
/// accepted there, and a proxy would see its tokens.
#[derive(Debug, Default)]
pub(crate) struct Proxies {
    proxy: Option<Proxy>,
    /// The option or variable that set the proxy, or that there is none. Empty: none of them.
    set_by: &'static str,
    except: Vec<Exception>,
    /// The option or variable with the exceptions.
    excepted_by: &'static str,
}

impl Proxies {
    /// Settles the choice; reads the environment only for `env`.
    pub(crate) fn new(choice: &Choice, no_proxy: Option<&str>) -> Result<Proxies> {
        match choice {
            Choice::None => Ok(Proxies { set_by: OPTION, ..Proxies::default() }),
            Choice::Url(proxy) => Ok(Proxies {
                proxy: Some(proxy.clone()),
                set_by: OPTION,
                except: exceptions(no_proxy.unwrap_or_default()),
                excepted_by: EXCEPTIONS,
            }),
            Choice::Environment => {
                let (proxy, set_by) = from_environment()?.unzip();
                let (except, excepted_by) = match no_proxy {
                    Some(list) => (exceptions(list), EXCEPTIONS),
                    None => exceptions_from_environment()?,
                };
                Ok(Proxies { proxy, set_by: set_by.unwrap_or_default(), except, excepted_by })
            }
        }
    }

    /// The proxy and the exceptions from it, to compare routes. The login is not included.
    pub(crate) fn route(&self) -> Option<[String; 2]> {
        let proxy = self.proxy.as_ref()?;
        let except: Vec<String> = self.except.iter().map(Exception::text).collect();
        Some([proxy.authority(), except.join(",")])
    }

    /// The secrets that the proxy was sent.
    pub(crate) fn secrets(&self) -> Vec<&str> {
        self.login().map(secrets_of).into_iter().flatten().collect()
    }

    /// User and password of the proxy, if it needs them.
    pub(crate) fn login(&self) -> Option<&str> {
        self.proxy.as_ref()?.login.as_ref().map(|login| login.as_str())
    }

    /// The proxy to use for a host, if any.
    pub(crate) fn for_host(&self, host: &str, port: u16) -> Option<&Proxy> {
        let proxy = self.proxy.as_ref()?;
        let direct = is_loopback(host) || self.excepts(host, port);
        (!direct).then_some(proxy)
    }

    fn excepts(&self, host: &str, port: u16) -> bool {
        self.except.iter().any(|exception| exception.covers(host, port))
    }

    /// The same, with the reason.
    pub(crate) fn way(&self, host: &str, port: u16) -> Way {
        let address = self.for_host(host, port).map(Proxy::authority);
        let (because, set_by) = match self.set_by {
            _ if self.proxy.is_some() && is_loopback(host) => (Because::Loopback, ""),
            _ if self.proxy.is_some() && self.excepts(host, port) => {
                (Because::NoProxy, self.excepted_by)
            }
            "" => (Because::None, ""),
            OPTION => (Because::Option, OPTION),
            variable => (Because::Variable, variable),
        };
        Way { address, because, set_by }
    }
}

/// The two options.
const OPTION: &str = "proxy";
const EXCEPTIONS: &str = "no_proxy";

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
    Proxy::parse(&url).map(|proxy| Some((proxy, name))).map_err(|problem| {
        unusable(name, problem, "http://[user:password@]host[:port]; set `proxy=none` to ignore it")
    })
}

fn exceptions_from_environment() -> Result<(Vec<Exception>, &'static str)> {
    let Some((name, list)) = first_of(&["NO_PROXY", "no_proxy"])? else {
        return Ok((Vec::new(), ""));
    };
    check_exceptions(&list).map_err(|problem| {
        unusable(name, &problem, "names, addresses and ranges; set `no_proxy` to ignore it")
    })?;
    Ok((exceptions(&list), name))
}

fn unusable(name: &str, problem: &str, expected: &str) -> Error {
    let text = format!(
        "option `proxy` is `env`, and the environment variable {name} {problem}; expected {expected}"
    );
    Error::new(Status::Config, text)
}

/// One entry of a no-proxy list.
#[derive(Debug)]
enum Exception {
    Everything,
    Network(IpNet),
    /// The host and all hosts below it, on one port or on all.
    Domain(String, Option<u16>),
}

impl Exception {
    fn text(&self) -> String {
        match self {
            Exception::Everything => "*".to_owned(),
            Exception::Network(network) => network.to_string(),
            Exception::Domain(host, None) => host.clone(),
            Exception::Domain(host, Some(port)) => format!("{host}:{port}"),
        }
    }
}

/// Refuses a list with an invalid range, which would silently match nothing.
pub(crate) fn check_exceptions(list: &str) -> std::result::Result<(), String> {
    let broken = exceptions(list).into_iter().any(|exception| {
        matches!(exception, Exception::Domain(name, _) if name.contains('/') || name.is_empty())
    });
    if broken { Err("has an entry that is no name, address or range".to_owned()) } else { Ok(()) }
}

/// Entries are separated by commas or spaces; `*` means every host; a name covers the hosts below it,
/// with or without a leading dot or `*.`; addresses may be ranges in CIDR form.
fn exceptions(list: &str) -> Vec<Exception> {
    list.split([',', ' ', '\t', ';'])
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .map(|entry| {
            if entry == "*" {
                return Exception::Everything;
            }
            let bare = entry.trim_start_matches('[').trim_end_matches(']');
            if let Ok(network) = bare.parse::<IpNet>() {
                return Exception::Network(network);
            }
            if let Ok(address) = bare.parse::<IpAddr>() {
                return Exception::Network(IpNet::from(address));
            }
            let (name, port) = match entry.rsplit_once(':') {
                Some((name, port)) if port.parse::<u16>().is_ok() => (name, port.parse().ok()),
                _ => (entry, None),
            };
            let name = name.trim_start_matches("*.").trim_start_matches('.').trim_end_matches('.');
            Exception::Domain(name.to_ascii_lowercase(), port)
        })
        .collect()
}

impl Exception {
    fn covers(&self, host: &str, port: u16) -> bool {
        match self {
            Exception::Everything => true,
            Exception::Network(network) => {
                let bare = host.trim_start_matches('[').trim_end_matches(']');
                bare.parse::<IpAddr>().is_ok_and(|address| network.contains(&address))
            }
            Exception::Domain(name, only_port) => {
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                let below = host.strip_suffix(name.as_str());
                only_port.is_none_or(|only| only == port)
                    && below.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_percent_decoded() {
        let proxy = Proxy::parse("http://us%40er:p%3Ass@proxy.example:8080").unwrap();
        assert_eq!(proxy.address(), ("proxy.example", 8080));
        let basic = proxy.authorization().unwrap();
        assert_eq!(basic.as_str(), format!("Basic {}", STANDARD.encode("us@er:p:ss")));
        assert!(!format!("{proxy:?}").contains("us@er"));
    }

    #[test]
    fn the_default_port_is_3128() {
        assert_eq!(Proxy::parse("HTTP://proxy:1").unwrap().authority(), "proxy:1");
        assert_eq!(Proxy::parse("http://[::1]").unwrap().authority(), "[::1]:3128");
        assert!(Proxy::parse("http://p").unwrap().authorization().is_none());
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
            proxy: Some(Proxy::parse("http://p:1").unwrap()),
            except: exceptions(
                "example.com, .corp.example *.x.test,10.0.0.0/8 , ::1,only.example:8443",
            ),
            ..Proxies::default()
        };
        let direct = |host: &str, port| proxies.for_host(host, port).is_none();
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
        assert!(all.for_host("anything", 1).is_none());
    }
}
