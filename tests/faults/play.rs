//! The forms of each fault: what a peer does in the place of a good reply.

use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::fault::Fault;
use crate::good::{Reply, zip};
use crate::step::Step;

/// How a connection ends that is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Reset,
    Close,
    Silence,
}

/// What a peer does with a request.
#[derive(Clone, Debug)]
pub enum Play {
    Good,
    ResetBefore,
    ResetWithin,
    ResetAfter,
    CloseAfter,
    Silence,
    /// The good reply up to this byte.
    Cut {
        at: usize,
        then: Then,
    },
    /// The good reply, a byte at a time, with a pause before each.
    Drip(Duration),
    /// These bytes, and then the good reply.
    Before(Vec<u8>),
    /// These bytes, and then the end of the connection.
    Raw(Vec<u8>),
    /// The first bytes, and then the others without end.
    Endless {
        first: Vec<u8>,
        again: Vec<u8>,
    },
    /// Once, and then good replies.
    Once(Vec<u8>),
    /// Half of the package, and then less of the rest than the reply says.
    ShortRange,
}

/// One form of a fault.
#[derive(Clone, Debug)]
pub struct Form {
    pub name: String,
    pub play: Play,
    /// The time to wait that the error has to name.
    pub wait_ms: Option<u64>,
}

impl Form {
    fn new(name: impl Into<String>, play: Play) -> Form {
        Form { name: name.into(), play, wait_ms: None }
    }

    /// The peer says that it ends the connection, since a client could use it once more just before that.
    fn raw(name: impl Into<String>, reply: &Reply) -> Form {
        Form::new(name, Play::Raw(reply.clone().with("Connection", "close").bytes()))
    }
}

/// How many forms are played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    Sample,
    All,
}

/// The forms of a fault at a step, whose good reply is `good`.
pub fn forms(step: Step, fault: Fault, good: &Reply, extent: Extent) -> Vec<Form> {
    use Fault::*;
    let one = |play| vec![Form::new("", play)];
    let raw = |reply: &Reply| vec![Form::raw("", reply)];
    match fault {
        ResetBefore => one(Play::ResetBefore),
        ResetWithin => one(Play::ResetWithin),
        ResetAfter => one(Play::ResetAfter),
        ClosedAfter => one(Play::CloseAfter),
        ResetInHead | ResetInBody | Truncated => cuts(step, fault, good, extent),
        Stall => one(Play::Silence),
        StallInBody => {
            let at = match step {
                Step::Tls => 100,
                Step::Proxy => proxy_reply().len() / 2,
                _ => good.head().len() + good.body.len() / 2,
            };
            one(Play::Cut { at, then: Then::Silence })
        }
        Drip => one(Play::Drip(Duration::from_micros(200))),
        EndlessDrip => one(Play::Drip(Duration::from_millis(200))),
        TooLong => one(endless_body(good)),
        HeadTooLong => raw(&good.clone().with("X-Long", "x".repeat(100_000))),
        ShortLength => {
            let length = good.body.len().saturating_sub(7);
            let head = format!("{}Content-Length: {length}\r\n\r\n", good.lines());
            one(Play::Raw([head.into_bytes(), good.body.clone()].concat()))
        }
        OddLength => odd_lengths(good),
        BrokenChunks => broken_chunks(good),
        ShortRange => one(Play::ShortRange),
        Garbage => garbage(),
        Interim => {
            let before =
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
            one(Play::Before(before.to_vec()))
        }
        EndlessInterim => one(Play::Endless {
            first: Vec::new(),
            again: b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(),
        }),
        Compressed => raw(&good.clone().body(gzip(&good.body)).with("Content-Encoding", "gzip")),
        Html => {
            let page = "<html><head><title>Log in</title></head><body>portal</body></html>";
            raw(&Reply::new(200, "text/html", page))
        }
        Deep => {
            let brackets = ["[".repeat(100_000), "]".repeat(100_000)].concat();
            let deep = added(good, "deep", &brackets);
            match step {
                Step::List => {
                    raw(&deep.clone().body([b"{\"value\":[", &*deep.body, b"]}"].concat()))
                }
                _ => raw(&deep),
            }
        }
        Huge => raw(&added(good, "huge", &format!("[{}{{}}]", "{},".repeat(60_000)))),
        Extra if step == Step::Verify => {
            raw(&good.clone().body([zip(), b"more".to_vec()].concat()))
        }
        Extra => raw(&added(good, "new", r#"{"a":[1,null]}"#)),
        Missing => raw(&good.clone().body(lacking(step, false))),
        Null => raw(&good.clone().body(lacking(step, true))),
        Empty => raw(&good.clone().body("")),
        Redirect => redirects(),
        Http400 => shapes(400, extent),
        Http401 => shapes(401, extent),
        Http403 => shapes(403, extent),
        Http404 => shapes(404, extent),
        Http407 => shapes(407, extent),
        Http408 => shapes(408, extent),
        Http410 => shapes(410, extent),
        Http412 => shapes(412, extent),
        Other4xx => others(400..500, extent),
        Http5xx => others(500..600, extent),
        Http429 => named_waits(step),
        Http429Silent => unnamed_waits(),
        Http429Once => {
            let busy = shaped(429, SERVICE).with("Retry-After", "1");
            one(Play::Once(busy.bytes()))
        }
        ClockAhead => dated(good, true),
        ClockBehind => dated(good, false),
        Refused | Unreachable | DiskFull | ReadOnly | FileGone | NameTaken | NoDescriptors
        | NoThread => one(Play::Good),
    }
}

/// The content of a package that is bad though its host is good.
pub fn packages(fault: Fault) -> Vec<Vec<u8>> {
    let whole = zip();
    match fault {
        Fault::Truncated => (1..whole.len()).step_by(9).map(|at| whole[..at].to_vec()).collect(),
        Fault::Garbage => vec![b"no zip at all".to_vec(), vec![0; 300], b"PK\x03\x04".to_vec()],
        Fault::Html => vec![b"<html>blocked</html>".to_vec()],
        Fault::Extra => vec![[whole, b"more".to_vec()].concat()],
        _ => vec![whole],
    }
}

fn cuts(step: Step, fault: Fault, good: &Reply, extent: Extent) -> Vec<Form> {
    let (head, body) = match step {
        // What a server sends in a handshake is about this long.
        Step::Tls => (1_200, 0),
        Step::Proxy => (proxy_reply().len() - 1, 0),
        _ => (good.head().len(), good.body.len()),
    };
    let then = if fault == Fault::Truncated { Then::Close } else { Then::Reset };
    let positions = match fault {
        Fault::ResetInHead => 0..head + usize::from(body > 0),
        // With the last byte the reply is whole.
        Fault::Truncated if step != Step::Download => 0..head + body,
        _ if body > 0 => head + 1..head + body,
        _ => 0..head,
    };
    let step = match (extent, step) {
        (Extent::All, _) => 1,
        (Extent::Sample, Step::Tls) => 97,
        (Extent::Sample, _) => 11,
    };
    let form = |at| Form::new(format!("byte {at}"), Play::Cut { at, then });
    positions.step_by(step).map(form).collect()
}

/// What opens a tunnel.
pub fn proxy_reply() -> &'static [u8] {
    b"HTTP/1.1 200 Connection established\r\n\r\n"
}

fn endless_body(good: &Reply) -> Play {
    let first = format!("{}Transfer-Encoding: chunked\r\n\r\n", good.lines()).into_bytes();
    let again = [b"10000\r\n".to_vec(), vec![b'['; 0x10000], b"\r\n".to_vec()].concat();
    Play::Endless { first, again }
}

fn odd_lengths(good: &Reply) -> Vec<Form> {
    let length = good.body.len();
    let lines = [
        "Content-Length: x".to_owned(),
        "Content-Length: -5".to_owned(),
        "Content-Length: 99999999999999999999999".to_owned(),
        format!("Content-Length: {length}\r\nContent-Length: {}", length + 1),
    ];
    let form = |line: String| {
        let head = format!("{}{line}\r\n\r\n", good.lines()).into_bytes();
        Form::new(line, Play::Raw([head, good.body.clone()].concat()))
    };
    lines.map(form).into()
}

fn broken_chunks(good: &Reply) -> Vec<Form> {
    let bodies =
        ["zz\r\n{}\r\n0\r\n\r\n", "2\r\n{}{}\r\n0\r\n\r\n", "ffffffffffffffffffff\r\n{}\r\n"];
    let form = |body: &str| {
        let head = format!("{}Transfer-Encoding: chunked\r\n\r\n{body}", good.lines());
        Form::new(body.trim(), Play::Raw(head.into_bytes()))
    };
    bodies.map(form).into()
}

fn garbage() -> Vec<Form> {
    let texts: [&[u8]; 5] = [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\x15\x03\x03\x00\x02\x02\x28\r\n\r\n",
        b"\x00\x01\x02\x03\xff\xfe\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
    ];
    let form = |text: &[u8]| Form::new(String::from_utf8_lossy(text), Play::Raw(text.to_vec()));
    texts.map(form).into()
}

/// A member more, behind the others.
fn added(good: &Reply, name: &str, value: &str) -> Reply {
    let text = String::from_utf8(good.body.clone()).unwrap();
    let open = text.strip_suffix('}').unwrap();
    good.clone().body(format!("{open},\"{name}\":{value}}}"))
}

/// The reply without the member that counts, or with null there.
fn lacking(step: Step, null: bool) -> String {
    let member = match step {
        Step::Token => "access_token",
        Step::List | Step::Link => "value",
        _ => "id",
    };
    if null {
        json!({ member: null }).to_string()
    } else {
        json!({"status": "Pending"}).to_string()
    }
}

/// A gzip of one stored block.
fn gzip(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u16).to_le_bytes();
    let inverse = (!(data.len() as u16)).to_le_bytes();
    let mut made = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x01".to_vec();
    made.extend([length, inverse].concat());
    made.extend(data);
    made.extend(crc32fast::hash(data).to_le_bytes());
    made.extend((data.len() as u32).to_le_bytes());
    made
}

fn redirects() -> Vec<Form> {
    let to = |status| {
        let reply =
            Reply::new(status, "text/html", "").with("Location", "http://elsewhere.example/");
        Form::raw(status.to_string(), &reply)
    };
    let mut all: Vec<_> = [301, 302, 303, 307, 308].map(to).into();
    all.push(Form::raw("302 to nowhere", &Reply::new(302, "text/html", "")));
    all
}

/// The shapes of an error's body.
const SHAPES: usize = 10;
const SERVICE: usize = 0;

fn shaped(status: u16, shape: usize) -> Reply {
    let json = |body| Reply::json(status, &body);
    match shape {
        SERVICE => json(json!({"error": {"code": "Odd", "message": "No.", "target": "|a.b."}})),
        1 => json(json!({"error": {"code": "", "message": "query", "details": []}})),
        2 => json(json!({"error": "odd", "error_description": "AADSTS1: no", "error_codes": [1]})),
        3 => json(json!({"statusCode": status, "message": "No."})),
        4 => json(json!({"type": "about:blank", "title": "No", "status": status})),
        5 => json(json!({"error": null})),
        6 => Reply::new(status, "text/html", "<html><title>No</title></html>"),
        7 => Reply::new(
            status,
            "application/xml",
            "<Error><Code>Odd</Code><Message>No</Message></Error>",
        ),
        8 => Reply::new(status, "text/plain", b"no \xff\xfe".to_vec()),
        _ => Reply::new(status, "text/plain", ""),
    }
}

fn shapes(status: u16, extent: Extent) -> Vec<Form> {
    let form = |shape| Form::raw(format!("{status}, shape {shape}"), &shaped(status, shape));
    let step = if extent == Extent::All { 1 } else { 3 };
    (0..SHAPES).step_by(step).map(form).collect()
}

/// Every status of a class that has no row of its own.
fn others(class: std::ops::Range<u16>, extent: Extent) -> Vec<Form> {
    const OWN: [u16; 9] = [400, 401, 403, 404, 407, 408, 410, 412, 429];
    const USUAL: [u16; 14] = [402, 405, 409, 413, 415, 416, 422, 431, 451, 500, 501, 502, 503, 504];
    let statuses = class.filter(|status| !OWN.contains(status));
    match extent {
        Extent::All => statuses.flat_map(|status| shapes(status, Extent::All)).collect(),
        Extent::Sample => statuses
            .filter(|status| USUAL.contains(status))
            .map(|status| {
                let shape = usize::from(status) % SHAPES;
                Form::raw(format!("{status}, shape {shape}"), &shaped(status, shape))
            })
            .collect(),
    }
}

fn date(later: Duration) -> String {
    httpdate::fmt_http_date(SystemTime::now() + later)
}

/// 429 with a time to wait, in every form. All are longer than a cell lasts, so there is no second request.
fn named_waits(step: Step) -> Vec<Form> {
    let busy = || shaped(429, SERVICE);
    let hour = Duration::from_secs(3_600);
    let mut forms = vec![
        ("seconds", busy().with("Retry-After", "70"), 70_000),
        ("a fraction", busy().with("Retry-After", "70.5"), 71_000),
        ("a date", busy().with("Date", date(hour)).with("Retry-After", date(2 * hour)), 3_600_000),
        ("absurd", busy().with("Retry-After", "99999999999999999999"), 86_400_000),
        ("milliseconds", busy().with("x-ms-retry-after-ms", "70500"), 71_000),
    ];
    if is_of_service(step) {
        let said = json!({"error": {"code": "429", "message": "You can send requests again in 70 seconds."}});
        forms.push(("in the message", busy().body(said.to_string()), 70_000));
        forms.push(("in a gateway's words", busy().body("Slow down, retry after 70 sec"), 70_000));
    }
    let form = |(name, reply, wait_ms): (&str, Reply, u64)| Form {
        wait_ms: Some(wait_ms),
        ..Form::raw(name, &reply)
    };
    forms.into_iter().map(form).collect()
}

fn unnamed_waits() -> Vec<Form> {
    let busy = || shaped(429, SERVICE);
    [
        ("nothing", busy()),
        ("no body", shaped(429, 9)),
        ("words", busy().with("Retry-After", "soon")),
        ("below zero", busy().with("Retry-After", "-5")),
    ]
    .map(|(name, reply)| Form::raw(name, &reply))
    .into()
}

/// Whether the step is a request to the API.
pub fn is_of_service(step: Step) -> bool {
    matches!(step, Step::Collect | Step::List | Step::Read | Step::Cancel | Step::Link)
}

fn dated(good: &Reply, ahead: bool) -> Vec<Form> {
    let day = Duration::from_secs(86_400);
    let date = match ahead {
        true => date(day),
        false => httpdate::fmt_http_date(SystemTime::now() - day),
    };
    vec![Form::raw("", &good.clone().with("Date", date))]
}
