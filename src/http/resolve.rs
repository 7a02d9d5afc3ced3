//! Names to addresses, without blocking longer than the call may.
//!
//! The system's resolver cannot be interrupted. So a lookup runs on a thread of its own, which is
//! abandoned when the call is stopped first; literal addresses need none, and a connection that is
//! kept open needs no lookup at all.

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

/// Tells the HTTP library nothing: the connector resolves, and only when it has to connect.
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

/// The lookups of one client that are under way: one thread per name, however many calls wait for it and
/// however often they gave up.
#[derive(Debug, Default)]
pub(crate) struct Lookups(Mutex<Vec<(String, Arc<Lookup>)>>);

#[derive(Debug, Default)]
struct Lookup {
    answer: Mutex<Option<Result<Vec<IpAddr>, String>>>,
    answered: Condvar,
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
            Some(Err(why)) => Err(failed(&why)),
            Some(Ok(addresses)) if addresses.is_empty() => Err(failed("it has no address")),
            Some(Ok(addresses)) => {
                Ok(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect())
            }
        }
    }

    /// The lookup of this name that is under way, or a new one.
    fn join(self: &Arc<Lookups>, name: &str) -> io::Result<Arc<Lookup>> {
        let mut under_way = self.0.lock();
        if let Some((_, lookup)) = under_way.iter().find(|(known, _)| known == name) {
            return Ok(Arc::clone(lookup));
        }
        let lookup = Arc::new(Lookup::default());
        let (lookups, own, name) = (Arc::clone(self), Arc::clone(&lookup), name.to_owned());
        let key = name.clone();
        thread::spawn("mde-resolve", move || {
            let found = (name.as_str(), 0).to_socket_addrs();
            let answer = found.map(|all| all.map(|a| a.ip()).collect()).map_err(|e| reason(&e));
            *own.answer.lock() = Some(answer);
            lookups.0.lock().retain(|(known, _)| *known != name);
            own.answered.notify_all();
        })?;
        under_way.push((key, Arc::clone(&lookup)));
        Ok(lookup)
    }
}
