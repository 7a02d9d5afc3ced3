//! Host names to addresses, within the time limits of the call.
//!
//! The system's resolver cannot be interrupted. So a lookup runs on a thread of its own, which is abandoned if the call
//! stops first. Literal addresses and keep-alive connections need no lookup.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::aside::Aside;
use super::failure::Failure;
use super::race;
use super::socket::Exchange;
use crate::os::io_error::reason;
use crate::status::Status;
use crate::text::url::{is_loopback, without_brackets};

/// Returns no address to the HTTP library: the dialer resolves names itself, when it has to connect.
#[derive(Debug)]
pub(crate) struct OnConnect;

impl Resolver for OnConnect {
    fn resolve(
        &self,
        _: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}

/// How long the address that was usable is tried first.
const REMEMBERED: Duration = Duration::from_secs(600);
/// How many are remembered. A client talks to fewer hosts.
const MOST_REMEMBERED: usize = 16;

/// The lookups of one client.
#[derive(Debug, Default)]
pub(crate) struct Lookups {
    /// Each name has at most one thread, whose result all calls share.
    running: Arc<Aside<Answer>>,
    /// The address of a name that was usable last, and until when to try it first. The newest is last.
    usable: Mutex<Vec<(String, SocketAddr, Instant)>>,
}

#[derive(Clone, Debug)]
enum Answer {
    Addresses(Vec<IpAddr>),
    /// Why the system found none.
    Failed(String),
}

impl Lookups {
    /// The addresses of a host, in the order in which to try them. `advice` follows the reason
    /// why a name is not found.
    pub(crate) fn addresses(
        &self,
        host: &str,
        port: u16,
        limit: Instant,
        advice: &str,
    ) -> Result<Vec<SocketAddr>, Failure> {
        let bare = without_brackets(host);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let unresolved = |why: &str| {
            Failure::new(Status::Resolve, format!("the name `{host}` could not be resolved: {why}"))
        };
        let failed = |why: &str| unresolved(&format!("{why}{advice}"));
        let name = bare.to_owned();
        let look_up = move || match (name.as_str(), 0).to_socket_addrs() {
            Ok(found) => Answer::Addresses(found.map(|address| address.ip()).collect()),
            // The standard library says once more what failed.
            Err(error) => {
                Answer::Failed(reason(&error).replace("failed to lookup address information: ", ""))
            }
        };
        let (lookup, _) = self.running.join("mde-resolve", bare, Box::new(look_up)).map_err(|error| {
            let why = reason(&error);
            unresolved(&format!(
                "the system starts no thread for the lookup ({why}); check how many the process may have"
            ))
        })?;
        match lookup.wait(limit)? {
            None => Err(failed(&format!("no answer in time ({})", Exchange::connect_limit()))),
            Some(Answer::Failed(why)) => Err(failed(&why)),
            Some(Answer::Addresses(addresses)) if addresses.is_empty() => {
                Err(failed("it has no address"))
            }
            Some(Answer::Addresses(mut addresses)) => {
                if is_loopback(bare) {
                    keep_loopback(host, &mut addresses)?;
                }
                let mut addresses: Vec<_> =
                    addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect();
                self.put_usable_first(bare, &mut addresses);
                Ok(race::order(addresses))
            }
        }
    }

    /// Records which address of a name was usable. It is tried first for ten minutes.
    pub(crate) fn remember(&self, name: &str, address: SocketAddr) {
        let mut usable = self.usable.lock();
        usable.retain(|(known, old, _)| known != name || old.port() != address.port());
        if usable.len() >= MOST_REMEMBERED {
            usable.remove(0);
        }
        usable.push((name.to_owned(), address, Instant::now() + REMEMBERED));
    }

    fn put_usable_first(&self, name: &str, addresses: &mut [SocketAddr]) {
        let usable = self.usable.lock();
        let is_usable = |address: &SocketAddr| {
            usable.iter().any(|(known, best, until)| {
                known == name && best == address && Instant::now() < *until
            })
        };
        let at = addresses.iter().position(is_usable);
        if let Some(before) = at.and_then(|at| addresses.get_mut(..=at)) {
            before.rotate_right(1);
        }
    }
}

/// Plain HTTP is accepted for a loopback name, so it must lead to this machine.
fn keep_loopback(host: &str, addresses: &mut Vec<IpAddr>) -> Result<(), Failure> {
    let other = addresses.first().copied();
    addresses.retain(|address| address.to_canonical().is_loopback());
    match other.filter(|_| addresses.is_empty()) {
        None => Ok(()),
        Some(other) => {
            let message = format!(
                "the name `{host}` leads to {other}, which is no loopback address; correct the hosts file or DNS, \
                 or use 127.0.0.1"
            );
            Err(Failure::new(Status::Resolve, message).transient(false))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 443))
    }

    #[test]
    fn the_usable_address_comes_first_and_the_rest_keeps_its_order() {
        let lookups = Lookups::default();
        let order = |name: &str, port| {
            let mut all: Vec<_> = (1..=4).map(|last| (at(last).ip(), port).into()).collect();
            lookups.put_usable_first(name, &mut all);
            all.into_iter().map(|address| address.to_string()).collect::<String>()
        };
        let as_found = order("a.test", 443);
        lookups.remember("a.test", at(3));
        let moved = "192.0.2.3:443192.0.2.1:443192.0.2.2:443192.0.2.4:443";
        assert_eq!(order("a.test", 443), moved);
        // Other names and ports have their own.
        assert_eq!(order("b.test", 443), as_found);
        assert!(order("a.test", 80).starts_with("192.0.2.1:80"));
        // The last one counts. One that the name has lost is of no consequence.
        lookups.remember("a.test", at(9));
        assert_eq!(order("a.test", 443), as_found);
        lookups.remember("a.test", at(4));
        assert!(order("a.test", 443).starts_with("192.0.2.4:443192.0.2.1"));
        assert_eq!(lookups.usable.lock().len(), 1);
    }

    #[test]
    fn few_addresses_are_remembered_and_not_for_long() {
        let lookups = Lookups::default();
        for n in 0..3 * MOST_REMEMBERED {
            lookups.remember(&format!("{n}.test"), at(1));
        }
        assert_eq!(lookups.usable.lock().len(), MOST_REMEMBERED);
        lookups.remember("a.test", at(2));
        let mut found = [at(1), at(2)];
        lookups.put_usable_first("a.test", &mut found);
        assert_eq!(found, [at(2), at(1)]);
        if let Some((_, _, until)) = lookups.usable.lock().last_mut() {
            *until = Instant::now();
        }
        let mut found = [at(1), at(2)];
        lookups.put_usable_first("a.test", &mut found);
        assert_eq!(found, [at(1), at(2)]);
    }
}
