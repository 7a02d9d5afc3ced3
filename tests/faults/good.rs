//! What a peer answers where nothing is wrong.

use mde_tests::packages::package;
use serde_json::{Value, json};

use crate::step::Step;

pub const ACTION: &str = "5382f7ea-7557-4ab7-9782-d50480024a4e";
pub const MACHINE: &str = "49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9";

/// What may never be seen in a document. The secrets of all cells have it in them.
pub const CANARY: &str = "canary";
pub const TOKEN: &str = "canary-token";
pub const SECRET: &str = "canary-secret";

/// A whole reply.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Reply {
        Reply { status, headers: vec![("Content-Type".into(), kind.into())], body: body.into() }
    }

    pub fn json(status: u16, body: &Value) -> Reply {
        Reply::new(status, "application/json", body.to_string())
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Reply {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The same with another body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Reply {
        self.body = body.into();
        self
    }

    /// The head without its last line, and without a length.
    pub fn lines(&self) -> String {
        let mut lines = format!("HTTP/1.1 {} X\r\n", self.status);
        for (name, value) in &self.headers {
            lines.push_str(&format!("{name}: {value}\r\n"));
        }
        lines
    }

    pub fn head(&self) -> Vec<u8> {
        format!("{}Content-Length: {}\r\n\r\n", self.lines(), self.body.len()).into_bytes()
    }

    /// The whole in one chunk, whatever a range says.
    pub fn chunked(&self) -> Vec<u8> {
        let length = self.body.len();
        let head = format!("{}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n", self.lines());
        [head.as_bytes(), &self.body, b"\r\n0\r\n\r\n"].concat()
    }

    pub fn bytes(&self) -> Vec<u8> {
        [self.head(), self.body.clone()].concat()
    }
}

/// An action of the device in this state.
pub fn action(status: &str) -> Value {
    json!({"id": ACTION, "type": "CollectInvestigationPackage", "status": status, "machineId": MACHINE})
}

/// The zip that a good host has. It is small, since some cells loop over its bytes.
pub fn zip() -> Vec<u8> {
    package(24, 7)
}

/// The reply at a step. `link`: where packages are.
pub fn reply(step: Step, link: &str) -> Reply {
    match step {
        Step::Token => Reply::json(
            200,
            &json!({"token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN}),
        ),
        Step::Collect => Reply::json(201, &action("Pending")),
        Step::List => Reply::json(200, &json!({"value": [action("Pending")]})),
        Step::Cancel => Reply::json(201, &action("Cancelled")),
        Step::Link => Reply::json(200, &json!({"value": link})),
        Step::Download | Step::Verify | Step::Rename => {
            Reply::new(200, "application/zip", zip()).with("ETag", "\"1\"")
        }
        Step::Proxy => Reply { status: 200, headers: Vec::new(), body: Vec::new() },
        Step::Lookup | Step::Connect | Step::Tls | Step::Read | Step::Journal => {
            Reply::json(200, &action("Succeeded"))
        }
    }
}
