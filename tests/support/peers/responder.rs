//! A server that answers every request as the test defines, and keeps the requests.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::listener::listener;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub target: String,
    /// By their names in lower case.
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Asked {
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    pub fn is_token_request(&self) -> bool {
        self.path().contains("/token")
    }

    /// The members of the query.
    pub fn query(&self) -> HashMap<String, String> {
        pairs(self.target.split_once('?').map_or("", |(_, query)| query))
    }

    /// The members of a form.
    pub fn form(&self) -> HashMap<String, String> {
        pairs(&self.body)
    }
}

fn pairs(text: &str) -> HashMap<String, String> {
    let decode = |part: &str| percent_decode_str(part).decode_utf8().unwrap().into_owned();
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

/// What to answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Answer {
    pub fn json(status: u16, body: &Value) -> Answer {
        let headers = vec![("Content-Type", "application/json".to_owned())];
        Answer { status, headers, body: body.to_string() }
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Answer {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// A token that lives an hour.
    pub fn token(token: &str) -> Answer {
        Answer::json(
            200,
            &serde_json::json!({"token_type": "Bearer", "expires_in": 3599, "access_token": token}),
        )
    }

    /// What Entra says when it refuses.
    pub fn refusal(status: u16, error: &str, number: u32, text: &str) -> Answer {
        Answer::json(
            status,
            &serde_json::json!({
                "error": error,
                "error_description": format!("AADSTS{number}: {text}\r\nTrace ID: t\r\nCorrelation ID: c"),
                "error_codes": [number],
                "trace_id": "7b6a4d0c-0000-4000-8000-000000000001",
                "correlation_id": "7b6a4d0c-0000-4000-8000-000000000002",
            }),
        )
    }
}

/// It answers calls of the API with an empty list unless the test has something else to say.
pub struct Responder {
    pub port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Responder {
    pub fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Responder {
        let listener = listener();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for peer in listener.incoming().map_while(Result::ok) {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                std::thread::spawn(move || serve(&peer, &kept, &*answer));
            }
        });
        Responder { port, asked }
    }

    /// It gives out this token, and an empty list to whoever has it.
    pub fn with_token(token: &'static str) -> Responder {
        Responder::start(move |asked| match asked.is_token_request() {
            true => Answer::token(token),
            false => Answer::json(200, &serde_json::json!({"value": []})),
        })
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn token_requests(&self) -> Vec<Asked> {
        self.asked().into_iter().filter(Asked::is_token_request).collect()
    }
}

fn serve(peer: &TcpStream, kept: &Mutex<Vec<Asked>>, answer: &dyn Fn(&Asked) -> Answer) {
    peer.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(peer);
    while let Some(asked) = read(&mut reader) {
        kept.lock().unwrap().push(asked.clone());
        let Answer { status, headers, body } = answer(&asked);
        let mut head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut peer = peer;
        if peer.write_all(format!("{head}\r\n{body}").as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { method, target, headers, body: String::from_utf8(body).unwrap() })
}
