//! A proxy whose tunnels a test controls.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};

use super::listener::listener;

pub struct StubProxy {
    pub port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl StubProxy {
    /// Reads each request for a tunnel, keeps its head, and hands over the connection and the port that
    /// was asked for.
    pub fn start(then: impl Fn(TcpStream, u16) + Send + Sync + 'static) -> StubProxy {
        let listener = listener();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (shared, then) = (Arc::clone(&heads), Arc::new(then));
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let (heads, then) = (Arc::clone(&shared), Arc::clone(&then));
                std::thread::spawn(move || {
                    let Some(head) = read_head(&near) else { return };
                    let target = target(&head).to_owned();
                    heads.lock().unwrap().push(head);
                    let port = target.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
                    then(near, port.unwrap_or_default());
                });
            }
        });
        StubProxy { port, heads }
    }

    /// Every tunnel leads to this port of this machine, whatever was asked for.
    pub fn to(port: u16) -> StubProxy {
        StubProxy::start(move |mut near, _| {
            if near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").is_ok() {
                tunnel(near, port);
            }
        })
    }

    /// Every request is answered with this, and the connection closed.
    pub fn answering(reply: impl AsRef<[u8]> + Send + Sync + 'static) -> StubProxy {
        StubProxy::start(move |mut near, _| {
            let _ = near.write_all(reply.as_ref());
        })
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The heads of all requests so far.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// Which tunnels were asked for, in order.
    pub fn targets(&self) -> Vec<String> {
        let heads = self.heads();
        heads.iter().map(|head| target(head).to_owned()).collect()
    }
}

fn target(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or_default()
}

fn read_head(mut near: &TcpStream) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0; 1]);
    while !head.ends_with(b"\r\n\r\n") {
        if near.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.extend_from_slice(&byte);
    }
    String::from_utf8(head).ok()
}

/// Passes everything on until both ends are closed.
pub fn tunnel(near: TcpStream, port: u16) {
    let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { return };
    let pairs = [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)];
    std::thread::scope(|scope| {
        for (mut from, mut to) in pairs {
            scope.spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
        }
    });
}
