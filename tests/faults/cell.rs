//! One cell: a fault is played at a step, and what becomes of the call is observed.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use mde_tests::packages::Folder;
use mde_tests::peers::listener::listener;
use mde_tests::{Client, Outcome};
use rustix::net::{AddressFamily, SocketType, bind, listen, socket};
use serde_json::Value;

use crate::certificates::{Certificates, PROXIED};
use crate::fault::Fault;
use crate::good::{ACTION, CANARY, MACHINE, SECRET, TOKEN};
use crate::journal;
use crate::peer::{Layer, Peer};
use crate::play::{self, Form, Play};
use crate::step::Step;

/// What became of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    pub status: String,
    pub retryable: bool,
    /// `"outcome":"unknown"`
    pub unknown: bool,
    /// How many requests were sent, or tried to be sent.
    pub requests: u64,
    /// What is in the folder, without the name that they begin with.
    pub files: Vec<String>,
    pub wait_ms: Option<u64>,
}

/// A cell's observation, and what else has to hold.
pub struct Run {
    pub observed: Observed,
    pub text: String,
    /// What contradicts the contract whatever the cell is.
    pub broken: Vec<String>,
}

/// The options of a client, name and value.
pub type Options = Vec<(&'static str, String)>;

/// A tenant of its own: clients of one tenant share a quota.
fn tenant() -> String {
    let mut digits = [0; 16];
    fastrand::Rng::new().fill(&mut digits);
    let hex: String = digits.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// How often a cell's client tries again.
pub fn retries(fault: Fault) -> u32 {
    u32::from(!fault.is_loop())
}

/// The options for a peer at this address.
pub fn options(step: Step, fault: Fault, url: &str) -> Options {
    let mut options: Options = vec![
        ("tenant_id", tenant()),
        ("api_url", url.to_owned()),
        ("proxy", "none".to_owned()),
        ("max_retries", retries(fault).to_string()),
        ("poll_interval_ms", "100".to_owned()),
        ("wait_timeout_ms", "40000".to_owned()),
        ("timeout_ms", "60000".to_owned()),
        (
            "quota_limits",
            ["collect", "read", "list", "cancel", "link"]
                .map(|it| format!("{it}=10000/60"))
                .join(";"),
        ),
    ];
    match step {
        Step::Token => options.extend([
            ("client_id", "3a8f5d02-6b7c-4e19-9f48-c2d1708be563".to_owned()),
            ("client_secret", SECRET.to_owned()),
            ("login_url", url.to_owned()),
        ]),
        _ => options.push(("access_token", TOKEN.to_owned())),
    }
    let mut set = |name: &'static str, value: &str| {
        options.retain(|(known, _)| *known != name);
        options.push((name, value.to_owned()));
    };
    match fault {
        Fault::Unreachable => set("connect_timeout_ms", "400"),
        Fault::Stall | Fault::StallInBody => {
            set("idle_timeout_ms", "1000");
            if matches!(step, Step::Tls | Step::Proxy | Step::Lookup) {
                set("connect_timeout_ms", "800");
            }
        }
        Fault::EndlessDrip | Fault::EndlessInterim => {
            set("timeout_ms", "1500");
            set("wait_timeout_ms", "1500");
            if matches!(step, Step::Tls | Step::Proxy) {
                set("timeout_ms", "60000");
                set("connect_timeout_ms", "800");
            }
        }
        Fault::TooLong => set("max_package_bytes", "1000000"),
        // No time for the waits that are named.
        Fault::Http429 | Fault::Http429Silent => {
            set("timeout_ms", "5000");
            set("wait_timeout_ms", "5000");
        }
        // The service has no link yet, and is asked a few times.
        Fault::Http404 if step == Step::Link => set("timeout_ms", "6000"),
        _ => {}
    }
    options
}

pub fn client(options: &Options) -> Client {
    let options: Vec<_> = options.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Client::with(&options).unwrap_or_else(|outcome| panic!("no client: {}", outcome.text))
}

/// Plays one form of a fault.
pub fn run(step: Step, fault: Fault, form: &Form, certificates: &Certificates) -> Run {
    let layer = match (step, fault) {
        (Step::Tls, Fault::ClockAhead) => Layer::Tls(certificates.expired.clone()),
        (Step::Tls, Fault::ClockBehind) => Layer::Tls(certificates.early.clone()),
        (Step::Tls, _) => Layer::Tls(certificates.good.clone()),
        (Step::Proxy, _) => Layer::Proxy(certificates.good.clone()),
        _ => Layer::Plain,
    };
    let play = match step {
        // Its forms are contents of files.
        Step::Verify | Step::Journal => Play::Good,
        _ => form.play.clone(),
    };
    let peer = Peer::start(step, layer, play);
    if fault.is_loop() && step == Step::Collect {
        // Otherwise each byte would cost a search of ten seconds.
        peer.refuse_lists();
    }
    let nowhere = Nowhere::of(fault);
    let port = nowhere.as_ref().map_or(peer.port, |nowhere| nowhere.port);
    // Packages have a host of their own: a connection that is kept open would be used for both.
    let api = Peer::start(Step::Connect, Layer::Plain, Play::Good);
    api.lead_to(port);
    let (good, at) = (api.url(), format!("http://127.0.0.1:{port}"));
    let mut options = match step {
        Step::Download | Step::Verify | Step::Rename | Step::Token => options(step, fault, &good),
        Step::Tls => options(step, fault, &format!("https://127.0.0.1:{port}")),
        Step::Proxy => options(step, fault, &format!("https://{PROXIED}")),
        _ => options(step, fault, &at),
    };
    options.retain(|(name, _)| {
        (step, *name) != (Step::Token, "login_url") && (step, *name) != (Step::Proxy, "proxy")
    });
    match step {
        Step::Token => options.push(("login_url", at.clone())),
        Step::Proxy => options.push(("proxy", at.clone())),
        _ => {}
    }
    if matches!(step, Step::Tls | Step::Proxy) {
        options.push(("ca_file", certificates.authority()));
    }
    if step == Step::Verify
        && let Play::Raw(package) = &form.play
    {
        peer.set_package(package.clone());
    }
    let folder = Folder::new();
    let scene = Scene { step, fault, peer: &peer, folder: &folder, form };
    scene.prepare();
    let client = client(&options);
    let outcome = scene.call(&client);
    let mut run = scene.observe(&outcome);
    scene.check(&outcome, &mut run);
    let is_healable = nowhere.is_none() && (!fault.is_loop() || form.name.ends_with('1'));
    let is_soon = run.observed.wait_ms.is_none_or(|wait| wait < 2_000);
    if outcome.status != 0 && run.observed.retryable && is_healable && is_soon {
        peer.heal();
        scene.repair();
        let next = scene.call(&client);
        if next.status != 0 {
            run.broken.push(format!("it is `retryable`, but the next call fails: {}", next.text));
        }
    }
    run
}

/// Where no connection can be opened.
struct Nowhere {
    port: u16,
    _open: Option<(TcpListener, Vec<TcpStream>)>,
}

impl Nowhere {
    fn of(fault: Fault) -> Option<Nowhere> {
        match fault {
            Fault::Refused => {
                Some(Nowhere { port: listener().local_addr().unwrap().port(), _open: None })
            }
            // A queue that is full: nothing answers.
            Fault::Unreachable => {
                let port = listener().local_addr().unwrap().port();
                let address = SocketAddr::from(([127, 0, 0, 1], port));
                let full = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
                bind(&full, &address).unwrap();
                listen(&full, 0).unwrap();
                let connect =
                    || TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok();
                let queue = std::iter::from_fn(connect).collect();
                Some(Nowhere { port, _open: Some((TcpListener::from(full), queue)) })
            }
            _ => None,
        }
    }
}

struct Scene<'a> {
    step: Step,
    fault: Fault,
    peer: &'a Peer,
    folder: &'a Folder,
    form: &'a Form,
}

impl Scene<'_> {
    fn beside(&self, ending: &str) -> PathBuf {
        self.folder.0.join(format!("package.zip{ending}"))
    }

    /// Files that are there before the call.
    fn prepare(&self) {
        match (self.step, self.fault) {
            (Step::Download, Fault::NameTaken) => fs::write(self.folder.file(), "mine").unwrap(),
            (Step::Journal, Fault::NameTaken) => {
                fs::create_dir(self.beside(".fetch.json")).unwrap()
            }
            (Step::Journal, _) => {
                if let Play::Raw(content) = &self.form.play {
                    let mut own = fs::OpenOptions::new();
                    let file = own.write(true).create_new(true).mode(0o600);
                    let mut file = file.open(self.beside(".fetch.json")).unwrap();
                    std::io::Write::write_all(&mut file, content).unwrap();
                }
            }
            _ => {}
        }
    }

    /// What a user does before the next call.
    fn repair(&self) {
        if let (Step::Rename, Fault::NameTaken) = (self.step, self.fault) {
            fs::remove_file(self.folder.file()).unwrap();
        }
    }

    fn call(&self, client: &Client) -> Outcome {
        match self.step {
            Step::Lookup | Step::Connect | Step::Tls | Step::Proxy | Step::Token | Step::Read => {
                client.action(ACTION)
            }
            Step::Collect => client.collect(MACHINE, "case"),
            Step::List => client.list(""),
            Step::Cancel => client.cancel(ACTION, "case"),
            Step::Link => client.package_uri(ACTION),
            Step::Download | Step::Verify | Step::Rename => {
                client.download_until(ACTION, &self.folder.file(), None, |event| self.on(&event))
            }
            Step::Journal => client.fetch(MACHINE, "case", &self.folder.path()),
        }
    }

    /// What happens to files while the call is at work.
    fn on(&self, event: &Value) -> i32 {
        if self.peer.is_healed() {
            return 0;
        }
        let is_checked = event["stage"] == "verify" && event["bytes"] == event["total"];
        match (self.step, self.fault) {
            (Step::Download, Fault::FileGone) if event["stage"] == "download" => {
                let _ = fs::remove_file(self.beside(".part"));
            }
            (Step::Rename, Fault::FileGone) if is_checked => {
                let _ = fs::remove_file(self.beside(".part"));
            }
            (Step::Rename, Fault::NameTaken) if is_checked => {
                fs::write(self.folder.file(), "mine").unwrap();
            }
            _ => {}
        }
        0
    }

    fn observe(&self, outcome: &Outcome) -> Run {
        let files =
            self.folder.names().iter().map(|name| name.replacen("package.zip", "", 1)).collect();
        observe(outcome, self.peer.begun() as u64, files)
    }

    /// What holds for every cell.
    fn check(&self, outcome: &Outcome, run: &mut Run) {
        let mut broken = Vec::new();
        if outcome.text.contains(CANARY) && !(self.step == Step::Link && outcome.status == 0) {
            broken.push("the document shows a secret".to_owned());
        }
        if self.form.wait_ms.is_some() && run.observed.wait_ms != self.form.wait_ms {
            broken.push(format!(
                "it waits {:?} ms and not {:?}",
                run.observed.wait_ms, self.form.wait_ms
            ));
        }
        let begun = self.peer.begun() as u64;
        let expected = if self.fault.reaches_peer() { run.observed.requests } else { 0 };
        if begun != expected {
            broken.push(format!("the peer saw {begun} requests, and the document says {expected}"));
        }
        let is_files_only = self.step == Step::Journal && run.observed.status == "file";
        if is_files_only && self.peer.all() > 0 {
            broken.push("a request was sent though the state file cannot be used".to_owned());
        }
        let final_file = fs::read(self.folder.file()).ok();
        let has_name = outcome.status == 0 && matches!(self.step, Step::Download | Step::Rename);
        if has_name && final_file != Some(crate::good::zip()) {
            broken.push("the package is not the host's".to_owned());
        }
        run.broken.extend(broken);
    }
}

/// Takes an outcome apart. `begun`: the requests that the peer saw, for documents that name none.
pub fn observe(outcome: &Outcome, begun: u64, files: Vec<String>) -> Run {
    let error = &outcome.document["error"];
    let is_ok = outcome.status == 0;
    let observed = Observed {
        status: if is_ok { "ok" } else { error["name"].as_str().unwrap() }.to_owned(),
        retryable: error["retryable"] == true,
        unknown: error["outcome"] == "unknown",
        requests: error["attempts"].as_u64().unwrap_or(begun),
        files,
        wait_ms: error["retry_after_ms"].as_u64(),
    };
    Run { observed, text: outcome.text.clone(), broken: Vec::new() }
}

/// The forms of a fault at a step.
pub fn forms(step: Step, fault: Fault, extent: play::Extent) -> Vec<Form> {
    let raw = |content: Vec<u8>| Form {
        name: format!("{} bytes", content.len()),
        play: Play::Raw(content),
        wait_ms: None,
    };
    match step {
        Step::Verify => play::packages(fault).into_iter().map(raw).collect(),
        Step::Journal if !journal::contents(fault).is_empty() => {
            journal::contents(fault).into_iter().map(raw).collect()
        }
        Step::Journal | Step::Rename | Step::Lookup | Step::Connect => {
            vec![Form { name: String::new(), play: Play::Good, wait_ms: None }]
        }
        _ => {
            let good = crate::good::reply(
                step,
                "http://127.0.0.1:65535/safedownload/p.zip?token=canary-link",
            );
            let mut forms = play::forms(step, fault, &good, extent);
            if step == Step::Proxy {
                forms.retain(|form| form.name != "milliseconds");
            }
            forms
        }
    }
}
