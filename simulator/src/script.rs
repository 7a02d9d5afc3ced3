//! Scripted replies, which replace the real reply or follow it.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::body::{Body, Cut};

/// The rules in force, in order.
#[derive(Debug, Default)]
pub struct Script(Vec<Rule>);

/// The parts of a request that rules match.
#[derive(Debug)]
pub struct Asked<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub body: &'a str,
}

/// The effect of a rule.
#[derive(Debug, Clone)]
pub struct Act {
    /// Whether the request is performed for real before the outcome.
    pub process: bool,
    pub delay: Duration,
    /// The request arrives so much later than its outcome.
    pub late: Option<Duration>,
    pub outcome: Outcome,
}

/// How a scripted request ends.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// With the real reply.
    Real,
    /// With this reply.
    Reply(Box<ScriptedReply>),
    /// The connection is closed without a byte.
    Close,
    /// It never ends.
    Stall,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(default, rename = "match")]
    matches: Match,
    #[serde(default = "once")]
    times: u64,
    #[serde(default)]
    skip: u64,
    #[serde(default)]
    process: bool,
    #[serde(default)]
    delay_ms: u64,
    reply: Option<ReplySpec>,
    close: Option<Close>,
    #[serde(default)]
    stall: bool,
}

fn once() -> u64 {
    1
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Match {
    method: Option<String>,
    path_contains: Option<String>,
    query_contains: Option<String>,
    body_contains: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Close {
    BeforeReply,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplySpec {
    status: Option<u16>,
    #[serde(default)]
    headers: Map<String, Value>,
    body: Option<String>,
    json: Option<Value>,
    body_base64: Option<String>,
    repeat: Option<Repeat>,
    truncate_after: Option<u64>,
    drip: Option<DripSpec>,
    #[serde(default)]
    chunked: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Repeat {
    text: String,
    count: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct DripSpec {
    bytes: usize,
    every_ms: u64,
}

/// A reply whose parts have been checked.
#[derive(Debug, Clone)]
pub struct ScriptedReply {
    pub status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    count: u64,
    truncate_after: Option<u64>,
    drip: Option<(usize, Duration)>,
    chunked: bool,
}

impl Script {
    /// Adds one rule or an array of rules behind those in force. Nothing is added if one is wrong.
    pub fn add(&mut self, rules: Value) -> Result<(), String> {
        let list = if let Value::Array(list) = rules { list } else { vec![rules] };
        let mut checked = Vec::new();
        for (number, rule) in list.into_iter().enumerate() {
            let rule: Rule =
                serde_json::from_value(rule).map_err(|e| format!("rule {number}: {e}"))?;
            rule.act().map_err(|e| format!("rule {number}: {e}"))?;
            checked.push(rule);
        }
        self.0.extend(checked);
        Ok(())
    }

    /// Drops all rules.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The first rule that applies to a request. A rule that lets a request pass leaves it to the
    /// rules behind; only requests that reach a rule count for its `skip` and `times`.
    pub fn take(&mut self, asked: &Asked<'_>) -> Option<Act> {
        let at = self.0.iter_mut().position(|rule| {
            if !rule.matches.fits(asked) {
                return false;
            }
            let passes = rule.skip > 0;
            rule.skip -= u64::from(passes);
            !passes
        })?;
        let rule = self.0.get_mut(at)?;
        let act = rule.act().ok();
        match rule.times {
            0 => {}
            1 => {
                self.0.remove(at);
            }
            _ => rule.times -= 1,
        }
        act
    }
}

impl Match {
    fn fits(&self, asked: &Asked<'_>) -> bool {
        let has = |wanted: &Option<String>, text: &str| {
            wanted.as_ref().is_none_or(|wanted| {
                text.to_ascii_lowercase().contains(&wanted.to_ascii_lowercase())
            })
        };
        self.method.as_ref().is_none_or(|m| m.eq_ignore_ascii_case(asked.method))
            && has(&self.path_contains, asked.path)
            && has(&self.query_contains, asked.query)
            && has(&self.body_contains, asked.body)
    }
}

impl Rule {
    fn act(&self) -> Result<Act, String> {
        let outcome = match (&self.reply, self.close, self.stall) {
            (None, None, false) => Outcome::Real,
            (Some(spec), None, false) => Outcome::Reply(Box::new(spec.check()?)),
            (None, Some(Close::BeforeReply), false) => Outcome::Close,
            (None, None, true) => Outcome::Stall,
            _ => return Err("only one of `reply`, `close` and `stall` can happen".to_owned()),
        };
        let delay = Duration::from_millis(self.delay_ms);
        Ok(Act { process: self.process, delay, late: None, outcome })
    }
}

impl ReplySpec {
    fn check(&self) -> Result<ScriptedReply, String> {
        let status = StatusCode::from_u16(self.status.unwrap_or(200))
            .ok()
            .filter(|status| status.as_u16() >= 200)
            .ok_or("`status` must lie between 200 and 999")?;
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let values = if let Value::Array(all) = value {
                all.as_slice()
            } else {
                std::slice::from_ref(value)
            };
            for value in values {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                headers.append(
                    HeaderName::from_bytes(name.as_bytes()).map_err(|e| format!("{name}: {e}"))?,
                    HeaderValue::from_str(&text).map_err(|e| format!("{name}: {e}"))?,
                );
            }
        }
        let (body, count, kind) = match (&self.body, &self.json, &self.body_base64, &self.repeat) {
            (None, None, None, None) => (Vec::new(), 1, None),
            (Some(text), None, None, None) => (text.clone().into_bytes(), 1, None),
            (None, Some(json), None, None) => {
                (json.to_string().into_bytes(), 1, Some("application/json; charset=utf-8"))
            }
            (None, None, Some(text), None) => {
                (STANDARD.decode(text).map_err(|e| format!("`body_base64`: {e}"))?, 1, None)
            }
            (None, None, None, Some(repeat)) => {
                (repeat.text.clone().into_bytes(), repeat.count, None)
            }
            _ => return Err("only one of `body`, `json`, `body_base64` and `repeat`".to_owned()),
        };
        if let Some(kind) = kind {
            headers.entry("content-type").or_insert(HeaderValue::from_static(kind));
        }
        Ok(ScriptedReply {
            status,
            headers,
            body,
            count,
            truncate_after: self.truncate_after,
            drip: self.drip.as_ref().map(|d| (d.bytes, Duration::from_millis(d.every_ms))),
            chunked: self.chunked,
        })
    }
}

impl ScriptedReply {
    /// A status alone.
    pub fn empty(status: StatusCode) -> Self {
        ScriptedReply {
            status,
            headers: HeaderMap::new(),
            body: Vec::new(),
            count: 1,
            truncate_after: None,
            drip: None,
            chunked: false,
        }
    }

    /// The reply as hyper sends it; `cut` belongs to the connection it goes out on.
    pub fn into_response(self, cut: Cut) -> Response<Body> {
        let mut body = if self.count == 1 {
            Body::whole(self.body.into(), self.chunked)
        } else {
            Body::repeated(&self.body, self.count, self.chunked)
        };
        if let Some((bytes, every)) = self.drip {
            body = body.dripping(bytes, every);
        }
        if let Some(bytes) = self.truncate_after {
            body = body.cut_after(bytes, cut);
        }
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ask(script: &mut Script, method: &str, path: &str) -> Option<u16> {
        script.take(&Asked { method, path, query: "", body: "" }).map(|act| match act.outcome {
            Outcome::Reply(reply) => reply.status.as_u16(),
            _ => 0,
        })
    }

    #[test]
    fn skip_and_times_are_counted() {
        let mut script = Script::default();
        script
            .add(json!([
                {"match": {"method": "get", "path_contains": "/A"}, "skip": 1, "times": 2,
                 "reply": {"status": 503}},
                {"match": {"path_contains": "/a"}, "times": 0, "reply": {"status": 500}},
            ]))
            .unwrap();
        let seen: Vec<_> = (0..5).map(|_| ask(&mut script, "GET", "/a/b")).collect();
        assert_eq!(seen, [Some(500), Some(503), Some(503), Some(500), Some(500)]);
        assert_eq!(ask(&mut script, "GET", "/c"), None);
        script.clear();
        assert_eq!(ask(&mut script, "GET", "/a"), None);
    }

    #[test]
    fn wrong_rules_are_refused_as_a_whole() {
        let mut script = Script::default();
        for wrong in [
            json!({"mtach": {}}),
            json!({"reply": {"status": 99}}),
            json!({"reply": {"body": "a", "json": {}}}),
            json!({"reply": {}, "stall": true}),
            json!({"close": "sometime"}),
            json!({"reply": {"headers": {"a b": "c"}}}),
            json!({"reply": {"body_base64": "***"}}),
            json!("text"),
        ] {
            let message = script.add(json!([{"stall": true}, wrong])).unwrap_err();
            assert!(message.starts_with("rule 1: "), "{message}");
        }
        assert_eq!(ask(&mut script, "GET", "/"), None);
    }
}
