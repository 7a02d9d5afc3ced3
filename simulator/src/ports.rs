//! Ports that were not had before.

use std::collections::HashSet;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Mutex, PoisonError};

static HAD: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

/// Listens on this address. If its port is 0, on one that this function has not given in this process before: clients
/// count a quota by address, and the system gives the port of a server that has ended to another one.
///
/// # Errors
/// The address cannot be listened on.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    // Kept until a new port is found, so that none is given twice meanwhile.
    let mut others = Vec::new();
    loop {
        let listener = TcpListener::bind(address)?;
        let port = listener.local_addr()?.port();
        let mut had = HAD.lock().unwrap_or_else(PoisonError::into_inner);
        if had.get_or_insert_default().insert(port) || address.port() != 0 {
            return Ok(listener);
        }
        others.push(listener);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let first = listen(any).unwrap().local_addr().unwrap();
        let ports: HashSet<u16> =
            (0..5_000).map(|_| listen(any).unwrap().local_addr().unwrap().port()).collect();
        assert_eq!(ports.len(), 5_000);
        assert!(!ports.contains(&first.port()));
        // Who asks for a port by its number gets it again.
        assert!(listen(first).is_ok());
    }
}
