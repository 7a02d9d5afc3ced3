//! Ports for programs that take no port 0.

/// A port of 127.0.0.1 that nothing has. It lies below those that the system gives to connections, of
/// which other tests take many.
pub fn unused_port() -> u16 {
    loop {
        let port = fastrand::u16(20_000..32_000);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
