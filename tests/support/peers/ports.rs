//! Ports for programs that take no port 0.

/// A port of 127.0.0.1 that nothing has. It lies below those that the system gives to connections, of
/// which other tests take many.
pub fn unused_port() -> u16 {
    unused_ports(1)
}

/// The first of so many ports in a row that nothing has.
pub fn unused_ports(count: u16) -> u16 {
    loop {
        let first = fastrand::u16(20_000..32_000);
        let bind = |port| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
        if (first..first + count).all(bind) {
            return first;
        }
    }
}
