//! A host of one file. The test writes every reply, including the framing.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use rustix::net::sockopt::set_socket_linger;

use super::listener::listener;

/// Answers one request, whose head it is given, and its number from 0; the connection is closed afterwards.
type Answer = dyn Fn(usize, &str, &mut TcpStream) + Send + Sync;

pub struct FileHost {
    pub port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl FileHost {
    pub fn start(answer: impl Fn(usize, &str, &mut TcpStream) + Send + Sync + 'static) -> FileHost {
        let listener = listener();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (shared, answer): (_, Arc<Answer>) = (Arc::clone(&heads), Arc::new(answer));
        std::thread::spawn(move || {
            for peer in listener.incoming().map_while(Result::ok) {
                let (heads, answer) = (Arc::clone(&shared), Arc::clone(&answer));
                std::thread::spawn(move || serve(peer, &heads, &*answer));
            }
        });
        FileHost { port, heads }
    }

    /// A link to this host, with a query that must be left alone.
    pub fn link(&self) -> String {
        format!("http://127.0.0.1:{}/safedownload/p.zip?token=a%2fB%3d%3D;x%2b", self.port)
    }

    /// The heads of the requests, as they came.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn serve(mut peer: TcpStream, heads: &Mutex<Vec<String>>, answer: &Answer) {
    let mut reader = BufReader::new(peer.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let number = {
        let mut heads = heads.lock().unwrap();
        heads.push(head.clone());
        heads.len() - 1
    };
    answer(number, &head, &mut peer);
}

/// The value of a header.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (n, value) = line.split_once(':')?;
        n.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Where the request wants the file to begin.
pub fn first_byte(head: &str) -> Option<usize> {
    header(head, "range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}

/// A reply with a length and so many bytes of body. It says that the connection ends: a client that kept it might use it
/// again just before it sees the end, and its requests could not be counted.
pub fn send(peer: &mut TcpStream, status: &str, headers: &str, length: usize, body: &[u8]) {
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    let _ = peer.write_all(head.as_bytes()).and_then(|()| peer.write_all(body));
}

/// The whole file or what is missing of it, as a good host has it, cut off before position `until`.
pub fn send_file(peer: &mut TcpStream, head: &str, file: &[u8], etag: &str, until: usize) {
    let tag = format!("etag: {etag}\r\n");
    let same = header(head, "if-range").is_none_or(|version| version == etag);
    match first_byte(head).filter(|_| same) {
        None => send(peer, "200 OK", &tag, file.len(), &file[..until]),
        Some(first) => {
            let (last, total) = (file.len() - 1, file.len());
            let headers = format!("{tag}content-range: bytes {first}-{last}/{total}\r\n");
            let part = &file[first..until.max(first)];
            send(peer, "206 Partial Content", &headers, total - first, part);
        }
    }
}

/// Ends the connection with a reset instead of an orderly end.
pub fn reset(peer: &TcpStream) {
    set_socket_linger(peer, Some(std::time::Duration::ZERO)).unwrap();
}
