//! A server on loopback that answers as the bytes of an input say.
//!
//! Each request gets the next answer. When there are no more, the server closes the connection.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::SECRET;
use super::input::Input;

pub const ACTION: &str = "5382f7ea-7557-4ab7-9782-d50480024a4e";
pub const MACHINE: &str = "49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9";

type Answers = Arc<Mutex<VecDeque<Vec<u8>>>>;

pub struct Server {
    port: u16,
    answers: Answers,
}

impl Server {
    pub fn start() -> Server {
        // Any address of this machine's own network reaches it, and each is a service of its own.
        let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let answers = Answers::default();
        let shared = Arc::clone(&answers);
        std::thread::spawn(move || {
            for peer in listener.incoming().flatten() {
                let answers = Arc::clone(&shared);
                std::thread::spawn(move || serve(peer, &answers));
            }
        });
        Server { port, answers }
    }

    /// The address of a service number so and so.
    pub fn url(&self, number: u32) -> String {
        let [_, second, third, fourth] = number.to_be_bytes();
        format!("http://127.{second}.{third}.{}:{}", fourth.max(1), self.port)
    }

    /// Takes the answers from the rest of an input, in place of those that are left.
    pub fn prepare(&self, input: &mut Input<'_>, url: &str) {
        let mut answers = VecDeque::new();
        while !input.is_empty() && answers.len() < 12 {
            answers.push_back(answer(input, url));
        }
        *self.answers.lock().unwrap_or_else(PoisonError::into_inner) = answers;
    }
}

fn serve(mut peer: TcpStream, answers: &Answers) {
    let _ = peer.set_nodelay(true);
    let _ = peer.set_read_timeout(Some(Duration::from_secs(2)));
    while read_request(&mut peer).is_some() {
        let answer = answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(answer) = answer else { return };
        // The first byte says whether the connection stays open.
        let (stays, bytes) = answer.split_first().expect("it is never empty");
        if peer.write_all(bytes).is_err() || *stays == 0 {
            return;
        }
    }
}

/// Reads a head, and a body of the length in it.
fn read_request(peer: &mut TcpStream) -> Option<()> {
    let mut head = Vec::new();
    let end = loop {
        let mut buffer = [0; 4096];
        let count = peer.read(&mut buffer).ok().filter(|count| *count > 0)?;
        head.extend_from_slice(&buffer[..count]);
        if let Some(at) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let text = String::from_utf8_lossy(&head[..end]).to_ascii_lowercase();
    let length = text.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
    let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    let mut body = vec![0; length.saturating_sub(head.len() - end)];
    peer.read_exact(&mut body).ok()
}

/// `which | more by which`
fn answer(input: &mut Input<'_>, url: &str) -> Vec<u8> {
    let which = input.byte();
    let stays = u8::from(which & 0x80 == 0);
    let action = |status: &str| {
        format!(
            "{{\"id\":\"{ACTION}\",\"type\":\"CollectInvestigationPackage\",\"status\":\"{status}\",\
             \"machineId\":\"{MACHINE}\",\"computerDnsName\":\"pc1\",\"requestorComment\":\"why\",\
             \"creationDateTimeUtc\":\"2026-01-24T22:17:02.36Z\"}}"
        )
    };
    let package = package();
    let bytes = match which & 0x7f {
        0 => {
            let length = input.word();
            input.take(length.into()).to_vec()
        }
        1 => reply("201 Created", "", action("Pending").as_bytes()),
        2 => reply("200 OK", "", action("Succeeded").as_bytes()),
        3 => reply("200 OK", "", action("InProgress").as_bytes()),
        4 => reply("200 OK", "", link(url).as_bytes()),
        5 => reply("200 OK", "ETag: \"1\"\r\n", &package),
        6 => {
            // The rest of the package from a position on, or what claims to be that.
            let from = usize::from(input.byte()).min(package.len());
            let range = format!(
                "ETag: \"1\"\r\nContent-Range: bytes {from}-{}/{}\r\n",
                package.len().saturating_sub(1),
                package.len()
            );
            reply("206 Partial Content", &range, &package[from..])
        }
        7 => {
            // Cut short.
            let mut whole = reply("200 OK", "ETag: \"1\"\r\n", &package);
            whole.truncate(usize::from(input.word()) % (whole.len() + 1));
            return [&[0][..], &whole].concat();
        }
        8 => {
            const STATUSES: [&str; 8] = [
                "200 OK",
                "201 Created",
                "400 Bad Request",
                "401 Unauthorized",
                "403 Forbidden",
                "404 Not Found",
                "500 Internal Server Error",
                "503 Service Unavailable",
            ];
            let status = STATUSES[usize::from(input.byte()) % STATUSES.len()];
            let length = input.word();
            reply(status, "", input.take(length.into()))
        }
        9 => {
            let list = format!("{{\"value\":[{}]}}", action("Succeeded"));
            reply("200 OK", "Date: Sat, 24 Jan 2026 22:17:05 GMT\r\n", list.as_bytes())
        }
        10 => reply("404 Not Found", "", b""),
        11 => {
            let to = String::from_utf8_lossy(input.part()).replace(['\r', '\n', '\0'], "");
            reply("302 Found", &format!("Location: {to}\r\n"), b"")
        }
        12 => {
            let wait = input.byte();
            reply("429 Too Many Requests", &format!("Retry-After: {wait}\r\n"), b"{}")
        }
        13 => reply(
            "400 Bad Request",
            "",
            b"{\"error\":{\"code\":\"ActiveRequestAlreadyExists\",\"message\":\"m\",\"target\":\"t\"}}",
        ),
        // Some actions end at once, which saves the time between two polls.
        15 => reply("201 Created", "", action("Succeeded").as_bytes()),
        14 => {
            let size = usize::from(input.byte()).max(1);
            let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for chunk in package.chunks(size) {
                chunked.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
                chunked.extend(chunk);
                chunked.extend(b"\r\n");
            }
            chunked.extend(b"0\r\n\r\n");
            chunked
        }
        _ => {
            // A usual answer with some bytes changed.
            let mut usual = match which & 3 {
                0 => reply("201 Created", "", action("Pending").as_bytes()),
                1 => reply("200 OK", "", action("Succeeded").as_bytes()),
                2 => reply("200 OK", "", link(url).as_bytes()),
                _ => reply("200 OK", "ETag: \"1\"\r\n", &package),
            };
            for _ in 0..input.byte() % 8 {
                let (at, byte) = (usize::from(input.word()), input.byte());
                let length = usual.len();
                usual[at % length] = byte;
            }
            usual
        }
    };
    [&[stays][..], &bytes].concat()
}

/// A link, which is a secret.
fn link(url: &str) -> String {
    format!("{{\"value\":\"{url}/{SECRET}.zip?sig={SECRET}\"}}")
}

fn reply(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

/// A package of one file.
pub fn package() -> Vec<u8> {
    super::zip_builder::build(&mut Input::new(
        b"\x01\x08\x00\x17Processes/Processes.csv\x0dname,pid\r\na,1\x00",
    ))
}
