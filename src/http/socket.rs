//! A TCP socket whose every wait obeys the call that is under way on this thread.
//!
//! The HTTP library reads and writes through layers that know nothing of deadlines and cancel handles,
//! all of it on the calling thread. So the call in progress is noted for its thread, and the socket
//! waits in slices, between which it asks whether the call may go on. They are short, but for reads,
//! where a call spends its time: who stops the call ends those.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, recv};

use super::failure::Failure;
use crate::call::Call;
#[cfg(unix)]
use crate::os::descriptor::above_standard;
use crate::os::io_error::reason;
use crate::status::Status;
use crate::text::secret_line::SecretLine;

/// The longest a stop can go unnoticed while a call connects or sends, and on Windows while it reads.
const SLICE: Duration = Duration::from_millis(20);

/// How long the kernel lets a read wait on Unix. Who stops the call ends it sooner.
const READ_SLICE: Duration = Duration::from_secs(if cfg!(test) { 3_600 } else { 1 });

/// The kernel's bound is not exact. Where no more than this is left of the time, the rest is waited for to the moment.
const AMPLE: Duration = READ_SLICE.saturating_add(Duration::from_millis(250));

thread_local! {
    /// Innermost last: a token callback may use the library again.
    static CURRENT: RefCell<Vec<Rc<Exchange>>> = const { RefCell::new(Vec::new()) };
}

/// Header lines that are put into the request below the HTTP library: see [`super::transport`].
#[derive(Debug)]
pub(crate) struct Head {
    pub lines: Arc<str>,
    pub secret: Option<SecretLine>,
    /// Much is to be read: a connection that is opened for it gets large buffers.
    pub bulk: bool,
}

/// One request being carried out on this thread.
#[derive(Debug)]
pub(crate) struct Exchange {
    call: Arc<Call>,
    idle: Duration,
    connect: Duration,
    /// Until when name lookup, connecting, tunnel and handshake together must be done.
    connecting_until: Cell<Option<Instant>>,
    /// Whether there was no connection to use again.
    connected: Cell<bool>,
    head: RefCell<Option<Head>>,
    sent: Cell<bool>,
}

/// Ends the exchange when dropped.
pub(crate) struct Current(Rc<Exchange>);

impl Exchange {
    /// Makes this the exchange of the current thread until the result is dropped.
    pub(crate) fn enter(
        call: &Arc<Call>,
        connect: Duration,
        idle: Duration,
        head: Head,
    ) -> Current {
        let exchange = Rc::new(Exchange {
            call: Arc::clone(call),
            idle,
            connect,
            connecting_until: Cell::new(None),
            connected: Cell::new(false),
            head: RefCell::new(Some(head)),
            sent: Cell::new(false),
        });
        CURRENT.with_borrow_mut(|stack| stack.push(Rc::clone(&exchange)));
        Current(exchange)
    }

    fn current() -> Result<Rc<Exchange>, Failure> {
        CURRENT
            .with_borrow(|stack| stack.last().cloned())
            .ok_or_else(|| Failure::new(Status::Internal, "network use outside of a call"))
    }

    /// What is still missing in the head of the request at hand, to whoever asks first.
    pub(crate) fn take_head() -> Option<Head> {
        CURRENT.with_borrow(|stack| stack.last()?.head.borrow_mut().take())
    }

    /// Whether the request at hand, not sent yet, is for something large.
    pub(crate) fn is_bulk() -> bool {
        CURRENT.with_borrow(|stack| {
            let head = stack.last().map(|exchange| exchange.head.borrow());
            head.is_some_and(|head| head.as_ref().is_some_and(|head| head.bulk))
        })
    }

    /// Runs `open` under `connect_timeout_ms`; it is told when it must be done.
    pub(crate) fn connecting<T>(
        open: impl FnOnce(Instant) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let exchange = Exchange::current()?;
        let limit = Instant::now() + exchange.connect;
        exchange.connected.set(true);
        exchange.connecting_until.set(Some(limit));
        let opened = open(limit);
        exchange.connecting_until.set(None);
        opened
    }

    /// Repeats `ready` in slices, none of them longer than `longest`.
    fn wait<T>(
        &self,
        mut now: Instant,
        limit: Instant,
        longest: Duration,
        mut ready: impl FnMut(Duration) -> io::Result<Option<T>>,
    ) -> Result<Option<T>, Failure> {
        let until = self.call.deadline().map_or(limit, |at| at.min(limit));
        loop {
            self.call.check_at(now).map_err(Failure::from)?;
            let mut longest = longest;
            if let Some(kept) = self.call.keep() {
                // A process that was stopped for long may wake up without its slot in a shared quota.
                if kept.is_lost && !self.sent.get() {
                    let message =
                        "the slot in the shared quota was lost before the request was sent";
                    return Err(Failure::new(Status::Broken, message).transient(true));
                }
                longest = longest.min(kept.again_in);
                // That may have taken long.
                now = Instant::now();
            }
            if now >= limit {
                return Ok(None);
            }
            // A little too long is better than waking up just before the moment.
            let slice = until.saturating_duration_since(now).min(longest);
            match ready(slice.max(Duration::from_millis(1))) {
                Ok(Some(value)) => return Ok(Some(value)),
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::from_io(error)),
            }
            now = Instant::now();
        }
    }
}

impl Current {
    /// Whether any part of the request may have reached the service.
    pub(crate) fn was_sent(&self) -> bool {
        self.0.sent.get()
    }

    /// Whether the request went over a connection of an earlier one.
    pub(crate) fn used_kept_connection(&self) -> bool {
        !self.0.connected.get()
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        CURRENT.with_borrow_mut(|stack| {
            stack.pop();
        });
    }
}

/// Waits in slices until `ready` answers, the call is stopped, or `limit` has passed (`Ok(None)`).
pub(crate) fn wait_for<T>(
    limit: Instant,
    ready: impl FnMut(Duration) -> io::Result<Option<T>>,
) -> Result<Option<T>, Failure> {
    Exchange::current()?.wait(Instant::now(), limit, SLICE, ready)
}

/// A connected socket whose every single wait is bounded by a slice.
///
/// On Unix the kernel bounds it (SO_RCVTIMEO, SO_SNDTIMEO, set once), so that a read that has to wait is one
/// system call. Windows rounds such bounds up to half a second, so there the socket does not block and
/// is polled.
#[derive(Debug)]
pub(crate) struct Socket {
    /// Shared with who stops the call that reads from it, while it does.
    stream: Arc<TcpStream>,
}

impl Socket {
    /// Connects to one address until `limit`; `Ok(None)` when the time was too short.
    pub(crate) fn connect(address: SocketAddr, limit: Instant) -> Result<Option<Socket>, Failure> {
        let refused = |error: io::Error| {
            let why = reason(&error);
            let advice = "check the address, firewall and proxy";
            Failure::new(Status::Connect, format!("{address} did not accept: {why}; {advice}"))
        };
        let stream = begin_connect(address).map_err(|error| {
            let why = reason(&error);
            Failure::new(Status::Connect, format!("cannot open a connection to {address}: {why}"))
        })?;
        let connected = wait_for(limit, |slice| {
            let ready = poll_one(&stream, PollFlags::OUT, slice)?;
            match stream.take_error()? {
                // Windows before 2004 does not tell of a connection that was refused, so it is asked each time.
                None if !ready => Ok(None),
                outcome => Ok(Some(outcome)),
            }
        })?;
        match connected {
            None => Ok(None),
            Some(Some(error)) => Err(refused(error)),
            Some(None) => {
                bound_waits(&stream).map_err(refused)?;
                Ok(Some(Socket { stream: Arc::new(stream) }))
            }
        }
    }

    /// Whether the peer neither closed the connection nor sent anything unasked.
    pub(crate) fn is_idle_and_open(&self) -> bool {
        let mut probe = [0u8; 1];
        #[cfg(unix)]
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        #[cfg(windows)]
        let flags = RecvFlags::PEEK;
        matches!(recv(&self.stream, &mut probe, flags), Err(e) if e == Errno::WOULDBLOCK)
    }

    /// Repeats a read or write in slices until something was transferred.
    fn transfer(
        &self,
        exchange: &Exchange,
        longest: Duration,
        mut once: impl FnMut(Duration) -> io::Result<Option<usize>>,
    ) -> io::Result<usize> {
        let now = Instant::now();
        let (limit, late) = match exchange.connecting_until.get() {
            Some(limit) => (limit, "this took too long (`connect_timeout_ms`)"),
            None => (now + exchange.idle, "the peer was silent for too long (`idle_timeout_ms`)"),
        };
        let transferred = exchange.wait(now, limit, longest, |slice| match once(slice) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(None),
            other => other,
        })?;
        transferred.ok_or_else(|| Failure::new(Status::Broken, late).into())
    }
}

/// Reads and writes return an error of ours when the call is stopped or the peer stays silent. That the
/// call is asked before each of them keeps a peer that never pauses from outrunning the deadline.
impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let exchange = Exchange::current()?;
        let longest = if cfg!(unix) { AMPLE } else { SLICE };
        let amount = self.transfer(&exchange, longest, |slice| {
            let _reading;
            // Windows would lose what has come, and looks often enough.
            if cfg!(unix) {
                let Some(reading) = exchange.call.signal().reading(&self.stream) else {
                    return Ok(None);
                };
                _reading = reading;
            }
            let is_bounded = cfg!(unix) && slice >= AMPLE;
            if !is_bounded && !poll_one(&self.stream, PollFlags::IN, slice)? {
                return Ok(None);
            }
            (&*self.stream).read(buffer).map(Some)
        })?;
        if amount == 0 {
            // The peer's end or ours.
            exchange.call.check().map_err(Failure::from)?;
        }
        Ok(amount)
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let exchange = Exchange::current()?;
        let written = self.transfer(&exchange, SLICE, |slice| {
            if cfg!(windows) && !poll_one(&self.stream, PollFlags::OUT, slice)? {
                return Ok(None);
            }
            (&*self.stream).write(buffer).map(Some)
        })?;
        // Tunnel and handshake write too, but nothing of the request itself.
        if written > 0 && exchange.connecting_until.get().is_none() {
            exchange.sent.set(true);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn bound_waits(stream: &TcpStream) -> io::Result<()> {
    // One write carries a whole request; waiting for more to send would only delay it.
    stream.set_nodelay(true)?;
    #[cfg(unix)]
    {
        stream.set_read_timeout(Some(READ_SLICE))?;
        stream.set_write_timeout(Some(SLICE))?;
        stream.set_nonblocking(false)?;
    }
    Ok(())
}

fn poll_one(stream: &TcpStream, flags: PollFlags, slice: Duration) -> io::Result<bool> {
    let timeout = Timespec::try_from(slice).map_err(|_| ErrorKind::InvalidInput)?;
    let mut fds = [PollFd::new(stream, flags)];
    // Errors and hang-ups count as ready: the next read or write tells which.
    Ok(poll(&mut fds, Some(&timeout))? > 0)
}

/// Starts connecting without waiting for the outcome.
fn begin_connect(address: SocketAddr) -> io::Result<TcpStream> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = open(family)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) => {}
        Err(e) if e == Errno::INPROGRESS || e == Errno::WOULDBLOCK => {}
        Err(e) => return Err(e.into()),
    }
    Ok(TcpStream::from(socket))
}

// Close-on-exec, because the host starts programs of its own; and a write to a closed connection must be
// an error, not a SIGPIPE that ends the host (where there is a choice; Linux chooses at each write).
#[cfg(all(unix, not(target_vendor = "apple")))]
fn open(family: AddressFamily) -> io::Result<std::os::fd::OwnedFd> {
    let flags = rustix::net::SocketFlags::NONBLOCK | rustix::net::SocketFlags::CLOEXEC;
    above_standard(rustix::net::socket_with(family, rustix::net::SocketType::STREAM, flags, None)?)
}

#[cfg(target_vendor = "apple")]
fn open(family: AddressFamily) -> io::Result<std::os::fd::OwnedFd> {
    let socket = rustix::net::socket(family, rustix::net::SocketType::STREAM, None)?;
    rustix::io::ioctl_fioclex(&socket)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    rustix::net::sockopt::set_socket_nosigpipe(&socket, true)?;
    above_standard(socket)
}

#[cfg(windows)]
fn open(family: AddressFamily) -> io::Result<std::os::windows::io::OwnedSocket> {
    // Winsock must be started by everybody who uses it without the standard library's help.
    static STARTED: std::sync::Once = std::sync::Once::new();
    STARTED.call_once(|| {
        let _ = rustix::net::wsa_startup();
    });
    let socket = crate::os::windows::tcp_socket(family.as_raw().into())?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;

/// The same where much is to be read: fewer system calls, and fewer moments at which both sides wait.
pub(super) const BULK: usize = 256 * 1024;
