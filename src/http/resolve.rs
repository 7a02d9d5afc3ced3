//! Host names to addresses, within the time limits of the call.
//!
//! The system's resolver cannot be interrupted. So a lookup runs on a thread of its own, which is abandoned if the call
//! stops first. Literal addresses and keep-alive connections need no lookup.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::failure::Failure;
use super::socket::wait_for;
use crate::os::io_error::reason;
use crate::os::thread;
use crate::status::Status;

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

/// The running lookups of one client. Each name has at most one thread, whose result all calls share.
#[derive(Debug, Default)]
pub(crate) struct Lookups(Mutex<Vec<(String, Arc<Lookup>)>>);

#[derive(Debug, Default)]
struct Lookup {
    answer: Mutex<Option<Answer>>,
    answered: Condvar,
}

#[derive(Clone, Debug)]
enum Answer {
    Addresses(Vec<IpAddr>),
    /// Why the system found none.
    Failed(String),
}

impl Lookups {
    /// The addresses of a host, in the system's order.
    pub(crate) fn addresses(
        self: &Arc<Lookups>,
        host: &str,
        port: u16,
        limit: Instant,
    ) -> Result<Vec<SocketAddr>, Failure> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let unresolved = |why: &str| {
            Failure::new(Status::Resolve, format!("the name `{host}` could not be resolved: {why}"))
        };
        let failed = |why: &str| unresolved(&format!("{why}; check the name and DNS"));
        let lookup = self.join(bare).map_err(|error| {
            let why = reason(&error);
            unresolved(&format!(
                "the system starts no thread for the lookup ({why}); check how many the process may have"
            ))
        })?;
        let answered = wait_for(limit, |slice| {
            let mut answer = lookup.answer.lock();
            if answer.is_none() {
                lookup.answered.wait_for(&mut answer, slice);
            }
            Ok(answer.clone())
        })?;
        match answered {
            None => Err(failed("no answer within `connect_timeout_ms`")),
            Some(Answer::Failed(why)) => Err(failed(&why)),
            Some(Answer::Addresses(addresses)) if addresses.is_empty() => {
                Err(failed("it has no address"))
            }
            Some(Answer::Addresses(addresses)) => {
                Ok(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect())
            }
        }
    }

    /// The running lookup of this name, or a new one.
    fn join(self: &Arc<Lookups>, name: &str) -> io::Result<Arc<Lookup>> {
        let mut running = self.0.lock();
        if let Some((_, lookup)) = running.iter().find(|(known, _)| known == name) {
            return Ok(Arc::clone(lookup));
        }
        let lookup = Arc::new(Lookup::default());
        let (lookups, own, name) = (Arc::clone(self), Arc::clone(&lookup), name.to_owned());
        let key = name.clone();
        thread::spawn("mde-resolve", move || {
            *own.answer.lock() = Some(match (name.as_str(), 0).to_socket_addrs() {
                Ok(found) => Answer::Addresses(found.map(|address| address.ip()).collect()),
                Err(error) => Answer::Failed(reason(&error)),
            });
            lookups.0.lock().retain(|(known, _)| *known != name);
            own.answered.notify_all();
        })?;
        running.push((key, Arc::clone(&lookup)));
        Ok(lookup)
    }
}
