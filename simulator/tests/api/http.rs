//! A minimal client, which shows exactly what the simulator sends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use mde_simulator::{DEFAULT_CLIENT, DEFAULT_SECRET, DEFAULT_TENANT, Simulator};
use serde_json::{Value, json};

pub struct Got {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the body ended as its head had promised.
    pub complete: bool,
}

impl Got {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or("none").to_owned()
    }

    pub fn message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap_or("none").to_owned()
    }
}

/// Everything that is received until the connection ends.
pub fn raw(origin: &str, request: &str) -> Vec<u8> {
    let mut socket = TcpStream::connect(origin.strip_prefix("http://").unwrap()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    let mut out = Vec::new();
    if let Err(why) = socket.read_to_end(&mut out) {
        // A connection may be reset, but it must not be left open.
        assert_eq!(why.kind(), std::io::ErrorKind::ConnectionReset);
    }
    out
}

/// One request on a new connection; `None` if it ends without a reply.
pub fn send(
    origin: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> Option<Got> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = body {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    request.push_str(body.unwrap_or_default());
    parse(&raw(origin, &request))
}

fn parse(reply: &[u8]) -> Option<Got> {
    let end = reply.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&reply[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect();
    let rest = &reply[end + 4..];
    let mut got = Got { status, headers, body: rest.to_vec(), complete: true };
    if got.header("transfer-encoding") == Some("chunked") {
        (got.body, got.complete) = unchunk(rest);
    } else {
        let length: usize = got.header("content-length").unwrap_or("0").parse().unwrap();
        got.complete = rest.len() == length;
    }
    Some(got)
}

fn unchunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    while let Some(line) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = String::from_utf8_lossy(&rest[..line]).into_owned();
        let size = usize::from_str_radix(&size, 16).unwrap();
        rest = &rest[line + 2..];
        if size == 0 {
            return (out, rest == b"\r\n");
        }
        if rest.len() < size + 2 {
            out.extend(&rest[..rest.len().min(size)]);
            break;
        }
        out.extend(&rest[..size]);
        rest = &rest[size + 2..];
    }
    (out, false)
}

pub fn form(pairs: &[(&str, &str)]) -> String {
    let encode =
        |text: &str| {
            text.bytes()
                .map(|b| {
                    if b.is_ascii_alphanumeric() {
                        char::from(b).into()
                    } else {
                        format!("%{b:02X}")
                    }
                })
                .collect::<String>()
        };
    let pairs: Vec<_> = pairs.iter().map(|(n, v)| format!("{n}={}", encode(v))).collect();
    pairs.join("&")
}

pub const SCOPE: &str = "https://api.securitycenter.microsoft.com/.default";

pub fn ask_token(origin: &str, tenant: &str, pairs: &[(&str, &str)]) -> Got {
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    let path = format!("/{tenant}/oauth2/v2.0/token");
    send(origin, "POST", &path, &[kind], Some(&form(pairs))).unwrap()
}

pub fn sign_in(origin: &str, tenant: &str, client: &str, secret: &str) -> String {
    let got = ask_token(
        origin,
        tenant,
        &[
            ("grant_type", "client_credentials"),
            ("client_id", client),
            ("client_secret", secret),
            ("scope", SCOPE),
        ],
    );
    assert_eq!(got.status, 200, "{}", got.text());
    got.json()["access_token"].as_str().unwrap().to_owned()
}

/// A caller who has signed in.
pub struct Caller<'a> {
    pub sim: &'a Simulator,
    pub origin: String,
    authorization: String,
}

impl<'a> Caller<'a> {
    pub fn new(sim: &'a Simulator) -> Self {
        Caller::with(sim, &sign_in(sim.origin(), DEFAULT_TENANT, DEFAULT_CLIENT, DEFAULT_SECRET))
    }

    pub fn with(sim: &'a Simulator, token: &str) -> Self {
        let authorization = format!("Bearer {token}");
        Caller { sim, origin: sim.origin().to_owned(), authorization }
    }

    pub fn get(&self, path: &str) -> Got {
        self.send("GET", path, &[], None).unwrap()
    }

    pub fn post(&self, path: &str, body: &Value) -> Got {
        let kind = ("Content-Type", "application/json");
        self.send("POST", path, &[kind], Some(&body.to_string())).unwrap()
    }

    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Option<Got> {
        let mut all = vec![("Authorization", self.authorization.as_str())];
        all.extend(headers);
        send(&self.origin, method, path, &all, body)
    }

    pub fn collect(&self, machine: usize) -> Got {
        let path =
            format!("/api/machines/{}/collectInvestigationPackage", self.sim.machine_id(machine));
        self.post(&path, &json!({"Comment": "why"}))
    }

    /// Starts a collection and returns the action's id.
    pub fn collected(&self, machine: usize) -> String {
        let got = self.collect(machine);
        assert_eq!(got.status, 201, "{}", got.text());
        got.json()["id"].as_str().unwrap().to_owned()
    }

    /// A link to the package of an action, without its quotation marks, as a path.
    pub fn link(&self, action: &str) -> String {
        let got = self.get(&format!("/api/machineactions/{action}/getPackageUri"));
        assert_eq!(got.status, 200, "{}", got.text());
        let value = got.json()["value"].as_str().unwrap().trim_matches('"').to_owned();
        value.strip_prefix(&self.origin).unwrap().to_owned()
    }
}
