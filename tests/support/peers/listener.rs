//! Listeners of servers.

use std::net::TcpListener;

/// A listener on a port of 127.0.0.1 that no server of this process had before: tests count requests by address, and so
/// does the library for its quota.
pub fn listener() -> TcpListener {
    mde_simulator::listen(([127, 0, 0, 1], 0).into()).unwrap()
}
