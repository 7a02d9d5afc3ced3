//! The proxies that the system names, asked for host by host, since a script (PAC) may decide.
//!
//! The script may take long or never end, and the system's call cannot be interrupted. So it has a thread of its own, as
//! a name lookup has.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::exceptions::exceptions_of_windows;
use super::{NamedBy, Proxy, Routes};
use crate::http::aside::Aside;
use crate::http::failure::Failure;
use crate::http::socket::Exchange;
use crate::os::io_error::reason;
use crate::os::system_proxy::{Find, Found};
use crate::status::Status;
use crate::text::redact;

/// How long an answer of the system holds.
const REMEMBERED: Duration = Duration::from_secs(300);
/// How long one holds for which the script could not be used: the network may have just come up.
const REMEMBERED_BRIEFLY: Duration = Duration::from_secs(30);
/// How long a proxy that did not work is tried last.
const TRIED_LAST: Duration = Duration::from_secs(600);
/// The most hosts and proxies that are remembered. A client talks to fewer.
const MOST_REMEMBERED: usize = 16;

/// The key of a host, until when the answer holds, and the answer.
type Known = (String, Instant, Found);

#[derive(Debug)]
pub(super) struct System {
    find: Find,
    asking: Arc<Aside<Found>>,
    /// The thread of a question adds to them: whoever asked may have stopped waiting.
    answers: Arc<Mutex<Vec<Known>>>,
    /// Proxies that did not work, and until when they are tried last.
    last: Mutex<Vec<(String, Instant)>>,
}

/// Replaces what is known of a key, and drops what is the oldest.
fn remember<T>(known: &mut Vec<T>, key: &str, key_of: fn(&T) -> &str, new: T) {
    known.retain(|old| key_of(old) != key);
    if known.len() >= MOST_REMEMBERED {
        known.remove(0);
    }
    known.push(new);
}

impl System {
    pub(super) fn new(find: Find) -> System {
        System { find, asking: Arc::default(), answers: Arc::default(), last: Mutex::default() }
    }

    /// The ways to a host, as the system names them. Proxies that did not work come last.
    pub(super) fn routes(&self, host: &str, port: u16, limit: Instant) -> Result<Routes, Failure> {
        let found = self.ask(host, port, limit)?;
        let is_excepted = || {
            let except = found.except.as_deref().map(exceptions_of_windows).unwrap_or_default();
            except.iter().any(|exception| exception.covers(host, port))
        };
        let mut routes = Routes { list: Vec::new(), note: found.problem.clone() };
        if let Some(list) = found.proxies.as_deref().filter(|_| !is_excepted()) {
            routes.list = proxies_for_https(list, found.is_detected);
            if routes.list.is_empty() && !has_other_protocols_only(list) {
                let shown = redact::clean(list, 128);
                routes.note = Some(format!("the system names no HTTP proxy but `{shown}`"));
            }
        }
        if routes.list.is_empty() {
            routes.list.push(None);
        }
        let last = self.last.lock();
        let now = Instant::now();
        let is_last = |route: &Option<Arc<Proxy>>| {
            let name = route.as_ref().map(|proxy| proxy.authority());
            last.iter().any(|(known, until)| name.as_ref() == Some(known) && now < *until)
        };
        routes.list.sort_by_key(is_last);
        Ok(routes)
    }

    fn ask(&self, host: &str, port: u16, limit: Instant) -> Result<Found, Failure> {
        let (key, now) = (key(host, port), Instant::now());
        let known = |answers: &[Known]| {
            let answer = answers.iter().find(|(known, until, _)| *known == key && now < *until);
            answer.map(|(_, _, found)| found.clone())
        };
        if let Some(found) = known(&self.answers.lock()) {
            return Ok(found);
        }
        let failed = |why: &str| {
            let message = format!("the system's proxy for {key} is not known: {why}");
            Failure::new(Status::Proxy, message)
        };
        let (find, url, name) = (self.find, url(host, port), key.clone());
        let answers = Arc::clone(&self.answers);
        let ask = move || {
            let found = find(&url);
            let holds = found.problem.as_ref().map_or(REMEMBERED, |_| REMEMBERED_BRIEFLY);
            let new = (name.clone(), Instant::now() + holds, found.clone());
            remember(&mut answers.lock(), &name, |(known, _, _)| known, new);
            found
        };
        let asked = self.asking.join("mde-proxy", &key, Box::new(ask));
        let (asked, _) = asked.map_err(|error| {
            let why = reason(&error);
            failed(&format!("the system starts no thread to ask ({why})")).transient(true)
        })?;
        asked.wait(limit)?.ok_or_else(|| {
            failed(&format!(
                "it gave no answer in time ({}); its proxy script (PAC) may be slow or never end: correct the script, or \
                 set `proxy`",
                Exchange::connect_limit()
            ))
            .transient(true)
        })
    }

    pub(super) fn put_last(&self, proxy: &Proxy) {
        let name = proxy.authority();
        let new = (name.clone(), Instant::now() + TRIED_LAST);
        remember(&mut self.last.lock(), &name, |(known, _)| known, new);
    }

    pub(super) fn forget(&self, host: &str, port: u16) {
        let key = key(host, port);
        self.answers.lock().retain(|(known, _, _)| *known != key);
    }
}

fn key(host: &str, port: u16) -> String {
    format!("{host}:{port}")
}

/// The address that a script is asked about. Browsers leave out the usual port, and scripts compare with theirs.
fn url(host: &str, port: u16) -> String {
    match port {
        443 => format!("https://{host}/"),
        _ => format!("https://{host}:{port}/"),
    }
}

/// The proxies of a list for HTTPS, as Windows and its scripts write them: `proxy:80;other:81`, `https=proxy:80;http=…`,
/// or `PROXY proxy:80; DIRECT`. `None` is the host itself. Proxies of other kinds are left out.
fn proxies_for_https(list: &str, is_detected: bool) -> Vec<Option<Arc<Proxy>>> {
    let named_by = if is_detected { NamedBy::Network } else { NamedBy::System };
    let mut found = Vec::new();
    for part in list.split(';') {
        let mut words = part.split_whitespace();
        let Some(first) = words.clone().next() else { continue };
        // A proxy may have one of these names.
        let is_keyword = words.clone().count() > 1;
        match first.to_ascii_uppercase().as_str() {
            "DIRECT" => {
                found.push(None);
                continue;
            }
            "SOCKS" | "SOCKS4" | "SOCKS5" | "HTTPS" if is_keyword => continue,
            "PROXY" | "HTTP" if is_keyword => {
                words.next();
            }
            _ => {}
        }
        for word in words {
            let address = match word.split_once('=') {
                None => word,
                Some((kind, address)) if kind.eq_ignore_ascii_case("https") => address,
                Some(_) => continue,
            };
            let url = match address.contains("://") {
                true => address.to_owned(),
                false => format!("http://{address}"),
            };
            // Windows and scripts mean this port where they name none.
            if let Ok(proxy) = Proxy::with_port(&url, 80) {
                found.push(Some(Arc::new(Proxy { named_by, ..proxy })));
            }
        }
    }
    found
}

/// Whether a list names proxies for other protocols, so that HTTPS is meant to use none.
fn has_other_protocols_only(list: &str) -> bool {
    let mut words = list.split([';', ' ']).filter(|word| !word.is_empty());
    words.all(|word| {
        word.split_once('=').is_some_and(|(kind, _)| {
            !kind.eq_ignore_ascii_case("https") && !kind.eq_ignore_ascii_case("socks")
        })
    })
}

#[cfg(test)]
#[path = "system_tests.rs"]
mod tests;
