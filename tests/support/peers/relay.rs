//! A relay that cuts each connection at a different byte.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use fastrand::Rng;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::sockopt::set_socket_linger;

use super::listener::listener;

/// Cuts are spread evenly over so many bytes of a connection, both ways together: some five exchanges.
const SPREAD: usize = 12_000;

/// What became of the connections.
#[derive(Debug, Default)]
pub struct Counts {
    pub connections: AtomicUsize,
    /// Cut with a part of the request delivered, or none of it.
    pub in_request: AtomicUsize,
    /// Cut with a whole request delivered and nothing of its reply.
    pub after_request: AtomicUsize,
    pub in_reply: AtomicUsize,
    /// Cut after a whole reply, when the connection was free for the next request.
    pub after_reply: AtomicUsize,
    /// With a reset; the rest with an orderly end.
    pub resets: AtomicUsize,
}

impl Counts {
    pub fn cuts(&self) -> [usize; 4] {
        [&self.in_request, &self.after_request, &self.in_reply, &self.after_reply]
            .map(|count| count.load(Ordering::SeqCst))
    }
}

/// When and how one connection ends.
struct Plan {
    /// Bytes until then, both ways.
    left: usize,
    /// Deliver what is under way to its end, and cut then.
    whole: bool,
    reset: bool,
}

impl Plan {
    fn draw(rng: &mut Rng) -> Plan {
        let spread = if rng.u8(..8) == 0 { 10 * SPREAD } else { SPREAD };
        Plan { left: rng.usize(..spread), whole: rng.u8(..4) == 0, reset: rng.bool() }
    }
}

/// Passes connections on to a port of this machine until dropped.
pub struct Relay {
    pub port: u16,
    pub counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
}

impl Relay {
    pub fn start(to: u16, seed: u64) -> Relay {
        let listener = listener();
        let port = listener.local_addr().unwrap().port();
        let (counts, stop) = (Arc::new(Counts::default()), Arc::new(AtomicBool::new(false)));
        let (shared, stopped) = (Arc::clone(&counts), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut rng = Rng::with_seed(seed);
            for near in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let (plan, counts) = (Plan::draw(&mut rng), Arc::clone(&shared));
                std::thread::spawn(move || carry(near, to, plan, &counts));
            }
        });
        Relay { port, counts, stop }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// One thread owns both sockets, so that closing them is really the end: a reset needs that.
fn carry(near: TcpStream, to: u16, mut plan: Plan, counts: &Counts) {
    let Ok(far) = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], to))) else {
        return;
    };
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    let mut buffer = [0; 16 * 1024];
    loop {
        let mut ready = [PollFd::new(&near, PollFlags::IN), PollFd::new(&far, PollFlags::IN)];
        if poll(&mut ready, None).is_err() {
            continue;
        }
        let ready = ready.map(|fd| !fd.revents().is_empty());
        // What the service says goes first: nothing else is under way then.
        let (mut from, mut to) = if ready[1] { (&far, &near) } else { (&near, &far) };
        let Ok(amount @ 1..) = from.read(&mut buffer) else {
            return;
        };
        let cut = plan.left <= amount;
        let pass = if cut && !plan.whole { plan.left } else { amount };
        plan.left = plan.left.saturating_sub(amount);
        if to.write_all(&buffer[..pass]).is_err() {
            return;
        }
        if cut {
            let count = match (ready[1], pass == amount) {
                (false, false) => &counts.in_request,
                (false, true) => &counts.after_request,
                (true, false) => &counts.in_reply,
                (true, true) => &counts.after_reply,
            };
            count.fetch_add(1, Ordering::SeqCst);
            end(near, far, plan.reset, counts);
            return;
        }
    }
}

fn end(near: TcpStream, far: TcpStream, reset: bool, counts: &Counts) {
    for socket in [near, far] {
        if reset {
            counts.resets.fetch_add(1, Ordering::SeqCst);
            set_socket_linger(&socket, Some(Duration::ZERO)).unwrap();
        } else {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}
