//! The service, the sign-in service, the download host and the proxy in one: a peer that plays a fault at one step and
//! is good at all others.

mod talk;

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use mde_tests::peers::listener::listener;
use rustls::ServerConfig;
use serde_json::json;

use crate::good::{self, Reply, action};
use crate::play::Play;
use crate::step::Step;

/// What a client has to do before it can send a request.
#[derive(Clone, Debug)]
pub enum Layer {
    Plain,
    Tls(Arc<ServerConfig>),
    /// A tunnel, and then TLS.
    Proxy(Arc<ServerConfig>),
}

#[derive(Debug)]
struct Shared {
    step: Step,
    layer: Layer,
    play: Mutex<Play>,
    /// Where packages are.
    link_port: AtomicU16,
    /// Nothing is played any more.
    healed: AtomicBool,
    /// How many requests at the step have begun to arrive.
    begun: AtomicUsize,
    /// How many requests of any kind have arrived.
    all: AtomicUsize,
    /// Collections and cancellations that were carried out.
    collected: AtomicUsize,
    cancelled: AtomicBool,
    /// The list of actions is refused.
    list_is_refused: AtomicBool,
    package: Mutex<Vec<u8>>,
    /// The package is sent in chunks.
    chunked: AtomicBool,
    ended: AtomicBool,
}

/// It listens until it is dropped.
#[derive(Debug)]
pub struct Peer {
    pub port: u16,
    shared: Arc<Shared>,
}

impl Peer {
    pub fn start(step: Step, layer: Layer, play: Play) -> Peer {
        let listener = listener();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            step,
            layer,
            play: Mutex::new(play),
            link_port: AtomicU16::new(port),
            healed: AtomicBool::new(false),
            begun: AtomicUsize::new(0),
            all: AtomicUsize::new(0),
            collected: AtomicUsize::new(0),
            cancelled: AtomicBool::new(false),
            list_is_refused: AtomicBool::new(false),
            package: Mutex::new(good::zip()),
            chunked: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        });
        let peer = Peer { port, shared: Arc::clone(&shared) };
        std::thread::spawn(move || talk::accept(&listener, &shared));
        peer
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Ends the fault.
    pub fn heal(&self) {
        self.shared.healed.store(true, Ordering::SeqCst);
    }

    pub fn is_healed(&self) -> bool {
        self.shared.healed.load(Ordering::SeqCst)
    }

    pub fn begun(&self) -> usize {
        self.shared.begun.load(Ordering::SeqCst)
    }

    pub fn all(&self) -> usize {
        self.shared.all.load(Ordering::SeqCst)
    }

    pub fn collected(&self) -> usize {
        self.shared.collected.load(Ordering::SeqCst)
    }

    pub fn refuse_lists(&self) {
        self.shared.list_is_refused.store(true, Ordering::SeqCst);
    }

    pub fn set_package(&self, package: Vec<u8>) {
        *self.shared.package.lock().unwrap() = package;
    }

    /// Links lead to this port.
    pub fn lead_to(&self, port: u16) {
        self.shared.link_port.store(port, Ordering::SeqCst);
    }

    pub fn send_chunks(&self) {
        self.shared.chunked.store(true, Ordering::SeqCst);
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}
impl Shared {
    /// Counts a request at the step, and says what to do with it.
    fn begin(&self) -> Play {
        self.begun.fetch_add(1, Ordering::SeqCst);
        if self.healed.load(Ordering::SeqCst) {
            return Play::Good;
        }
        let mut play = self.play.lock().unwrap();
        match &*play {
            Play::Once(reply) => {
                let reply = reply.clone();
                *play = Play::Good;
                Play::Raw(reply)
            }
            play => play.clone(),
        }
    }

    /// Which step a request belongs to.
    fn step_of(&self, line: &str) -> Step {
        let path = line.split(' ').nth(1).unwrap_or_default();
        if path.contains("/oauth2/") {
            Step::Token
        } else if path.contains("collectInvestigationPackage") {
            Step::Collect
        } else if path.contains("/cancel") {
            Step::Cancel
        } else if path.contains("getPackageUri") {
            Step::Link
        } else if path.starts_with("/safedownload") {
            Step::Download
        } else if path.contains("machineactions?") {
            Step::List
        } else {
            Step::Read
        }
    }

    fn link(&self) -> String {
        let port = self.link_port.load(Ordering::SeqCst);
        format!("http://127.0.0.1:{port}/safedownload/p.zip?token=canary-link")
    }

    /// Whether a request belongs to the step at which the fault is played.
    fn is_at_step(&self, line: &str) -> bool {
        let of_request = self.step_of(line);
        match self.step {
            Step::Lookup | Step::Connect => of_request == Step::Read,
            Step::Verify | Step::Rename => of_request == Step::Download,
            Step::Journal => of_request == Step::Collect,
            step => of_request == step,
        }
    }

    /// The reply of a good peer.
    fn good(&self, step: Step, play: &Play) -> Reply {
        let reply = good::reply(step, &self.link());
        match step {
            Step::List if self.list_is_refused.load(Ordering::SeqCst) => {
                Reply::new(403, "text/plain", "")
            }
            // Of collections the list shows those that were carried out.
            Step::List if self.step != Step::List => {
                let all = match self.collected() {
                    0 => json!({"value": []}),
                    _ => json!({"value": [action("Pending")]}),
                };
                Reply::json(200, &all)
            }
            Step::Collect => {
                if matches!(play, Play::Good | Play::Drip(_) | Play::Before(_)) {
                    self.collected.fetch_add(1, Ordering::SeqCst);
                }
                reply
            }
            Step::Cancel => {
                if carries_out(play) {
                    self.cancelled.store(true, Ordering::SeqCst);
                }
                reply
            }
            Step::Read if self.step == Step::Cancel => {
                let done = self.cancelled.load(Ordering::SeqCst);
                Reply::json(200, &action(if done { "Cancelled" } else { "Pending" }))
            }
            // A host without ranges sends the whole package.
            Step::Download => reply.body(self.package.lock().unwrap().clone()),
            _ => reply,
        }
    }

    fn collected(&self) -> usize {
        self.collected.load(Ordering::SeqCst)
    }
}
/// Whether a peer that plays this has done what was asked for: it says so by its status.
fn carries_out(play: &Play) -> bool {
    match play {
        Play::Good | Play::Drip(_) | Play::Before(_) | Play::Cut { .. } => true,
        Play::Raw(reply) => reply.starts_with(b"HTTP/1.1 20"),
        Play::Endless { first, .. } => !first.is_empty(),
        _ => false,
    }
}
