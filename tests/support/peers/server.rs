//! A service that answers from memory, and closes connections as a test defines.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

use super::listener::listener;
use crate::Client;

pub const ID: &str = "5382f7ea-7557-4ab7-9782-d50480024a4e";

/// The id of a device.
pub fn machine(n: usize) -> String {
    format!("{n:040x}")
}

/// A client for which there is no quota.
pub fn client_of(url: &str, more: &[(&str, &str)]) -> Client {
    let usual = [
        ("access_token", "t"),
        ("api_url", url),
        ("proxy", "none"),
        ("quota_limits", "collect=1000000/1;list=1000000/1;read=1000000/1"),
    ];
    Client::with(&[&usual, more].concat()).unwrap_or_else(|outcome| panic!("{}", outcome.text))
}

/// What happens to a connection with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It is answered.
    Answer,
    /// It is answered after so many seconds.
    AnswerAfter(u64),
    /// It is answered, and the connection closed.
    AnswerAndClose,
    /// It is answered, and the connection closed with a reply that nobody asked for.
    AnswerAndTimeOut,
    /// The connection is closed without an answer.
    Close,
    /// The same with a reset.
    Reset,
}

pub struct Server {
    pub port: u16,
    requests: Arc<Mutex<Vec<(usize, String)>>>,
    ended: Receiver<()>,
}

impl Server {
    /// `then` is told the number of the request on its connection, from 0.
    pub fn start(then: impl Fn(usize) -> Then + Send + Sync + 'static) -> Server {
        let listener = listener();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (ends, ended) = channel();
        let (shared, then) = (Arc::clone(&requests), Arc::new(then));
        std::thread::spawn(move || {
            for (number, peer) in listener.incoming().map_while(Result::ok).enumerate() {
                let (requests, then, ends) = (Arc::clone(&shared), Arc::clone(&then), ends.clone());
                std::thread::spawn(move || serve(number, peer, &requests, &*then, ends));
            }
        });
        Server { port, requests, ended }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Connection and first line of each request, in order of arrival.
    pub fn requests(&self) -> Vec<(usize, String)> {
        self.requests.lock().unwrap().clone()
    }

    pub fn count(&self, method: &str) -> usize {
        self.requests().iter().filter(|(_, line)| line.starts_with(method)).count()
    }

    /// Waits until one more connection has been closed by the server.
    pub fn wait_for_an_end(&self) {
        self.ended.recv_timeout(Duration::from_secs(20)).unwrap();
    }
}

fn serve(
    number: usize,
    peer: TcpStream,
    requests: &Mutex<Vec<(usize, String)>>,
    then: &(dyn Fn(usize) -> Then + Sync),
    ends: Sender<()>,
) {
    peer.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(&peer);
    for request in 0.. {
        let Some(line) = read_request(&mut reader) else { return };
        requests.lock().unwrap().push((number, line.clone()));
        let then = then(request);
        if let Then::AnswerAfter(seconds) = then {
            std::thread::sleep(Duration::from_secs(seconds));
        }
        if !matches!(then, Then::Close | Then::Reset) {
            let body = answer(&line);
            let reply = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            if (&peer).write_all(reply.as_bytes()).is_err() {
                return;
            }
        }
        match then {
            Then::Answer | Then::AnswerAfter(_) => continue,
            Then::AnswerAndClose | Then::Close => {}
            Then::AnswerAndTimeOut => {
                let unasked = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n";
                (&peer).write_all(unasked).unwrap();
            }
            Then::Reset => set_socket_linger(&peer, Some(Duration::ZERO)).unwrap(),
        }
        if then != Then::Reset {
            let _ = peer.shutdown(Shutdown::Both);
        }
        break;
    }
    drop(peer);
    let _ = ends.send(());
}

/// Reads a whole request; its first line.
fn read_request(reader: &mut impl BufRead) -> Option<String> {
    let (mut first, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if first.is_empty() {
            line.clone_into(&mut first);
        } else if line.is_empty() {
            break;
        } else if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(first)
}

fn answer(line: &str) -> String {
    if line.starts_with("GET /api/machineactions?") {
        return r#"{"value":[]}"#.to_owned();
    }
    let machine = line.split('/').nth(3).unwrap_or_default();
    format!(
        r#"{{"id":"{ID}","status":"Pending","type":"CollectInvestigationPackage","machineId":"{machine}"}}"#
    )
}
