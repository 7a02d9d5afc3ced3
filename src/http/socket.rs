//! A TCP socket whose waits obey the call that runs on this thread.
//!
//! The layers of the HTTP library know nothing of deadlines and cancel handles, and all run on the calling thread. So
//! the current exchange is kept in a thread-local, and the socket waits in slices. Between slices it checks whether
//! the call was stopped. Slices of reads are long, since calls spend their time there; stopping a call interrupts its
//! read.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, Read, Write};
use std::mem::ManuallyDrop;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, recv};
use zeroize::Zeroizing;

use super::failure::Failure;
use super::location::Location;
use crate::call::Call;
#[cfg(unix)]
use crate::os::descriptor::above_standard;
use crate::status::Status;
use crate::text::secret_line::SecretLine;

/// The longest delay of a stop while a call connects or sends, and on Windows while it reads.
pub(super) const SLICE: Duration = Duration::from_millis(20);

/// The receive timeout of sockets on Unix. Stopping the call interrupts a read sooner.
const READ_SLICE: Duration = Duration::from_secs(if cfg!(test) { 3_600 } else { 1 });

/// The kernel's receive timeout is not exact. With less time than this left, the socket is polled instead.
const POLL_BELOW: Duration = READ_SLICE.saturating_add(Duration::from_millis(250));

thread_local! {
    /// The innermost exchange of this thread. It is never dropped, and so exists until the thread has ended: the host's
    /// own destructors for threads, and what it does in `atexit`, may use the library.
    static CURRENT: ManuallyDrop<RefCell<Option<Rc<Exchange>>>> =
        const { ManuallyDrop::new(RefCell::new(None)) };
}

/// Header lines that are put into the request below the HTTP library: see [`super::transport`].
#[derive(Debug)]
pub(crate) struct Head {
    pub lines: Arc<str>,
    pub secret: Option<SecretLine>,
    /// Path and query, if the query is a secret, which the HTTP library would log at its finest level.
    pub target: Option<Zeroizing<String>>,
    /// The reply is large: a connection that is opened for it gets large buffers.
    pub bulk: bool,
}

/// One request and its reply on this thread.
#[derive(Debug)]
pub(crate) struct Exchange {
    call: Arc<Call>,
    idle: Duration,
    connect: Duration,
    /// Whether the request opened a connection of its own.
    connected: Cell<bool>,
    head: RefCell<Option<Head>>,
    location: Location,
    /// What to report about the client certificate if the server refuses the connection or the request.
    about_certificate: RefCell<Option<String>>,
    sent: Cell<bool>,
    /// The exchange in whose callback this one was begun.
    outer: RefCell<Option<Rc<Exchange>>>,
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
            connected: Cell::new(false),
            head: RefCell::new(Some(head)),
            location: Location::default(),
            about_certificate: RefCell::default(),
            sent: Cell::new(false),
            outer: RefCell::new(CURRENT.with(|current| current.take())),
        });
        CURRENT.with(|current| current.replace(Some(Rc::clone(&exchange))));
        Current(exchange)
    }

    fn current() -> Result<Rc<Exchange>, Failure> {
        CURRENT
            .with(|current| current.borrow().clone())
            .ok_or_else(|| Failure::new(Status::Internal, "network use outside of a call"))
    }

    /// The header lines that the current request lacks. They are taken once.
    pub(crate) fn take_head() -> Option<Head> {
        CURRENT.with(|current| {
            let current = current.borrow();
            let exchange = current.as_ref()?;
            let head = exchange.head.take()?;
            if head.target.is_some() {
                exchange.location.await_it();
            }
            Some(head)
        })
    }

    /// Hides the target of a redirect in bytes that the HTTP library is given.
    pub(crate) fn hide_location(bytes: &mut [u8]) {
        CURRENT.with(|current| {
            if let Some(exchange) = current.borrow().as_ref() {
                exchange.location.take_from(bytes);
            }
        });
    }

    /// A server asks for a client certificate while a connection to it is opened.
    pub(crate) fn certificate_asked(about: String) {
        if let Ok(exchange) = Exchange::current() {
            exchange.about_certificate.replace(Some(about));
        }
    }

    /// The connection failed for another reason than the client certificate.
    pub(super) fn certificate_is_no_reason() {
        if let Ok(exchange) = Exchange::current() {
            exchange.about_certificate.replace(None);
        }
    }

    /// Whether the current request, which is not sent yet, expects a large reply.
    pub(crate) fn is_bulk() -> bool {
        CURRENT.with(|current| {
            let current = current.borrow();
            let head = current.as_ref().map(|exchange| exchange.head.borrow());
            head.is_some_and(|head| head.as_ref().is_some_and(|head| head.bulk))
        })
    }

    /// The request needs a new connection. Returns the time limit for opening it, which `connect_timeout_ms` sets: for
    /// name lookup, connecting, tunnel and handshake together.
    pub(crate) fn connecting() -> Result<Instant, Failure> {
        let exchange = Exchange::current()?;
        exchange.connected.set(true);
        Ok(Instant::now() + exchange.connect)
    }

    /// How long opening a connection may take, for messages.
    pub(super) fn connect_limit() -> String {
        let connect = Exchange::current().map(|exchange| exchange.connect).unwrap_or_default();
        format!("{} ms, at most `connect_timeout_ms`", connect.as_millis())
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
                // A process that was suspended for long may have lost its slot in a shared quota.
                if kept.is_lost && !self.sent.get() {
                    let message =
                        "the slot in the shared quota was lost before the request was sent";
                    return Err(Failure::new(Status::Broken, message).transient(true));
                }
                longest = longest.min(kept.again_in);
                // Renewing the slot may have taken long.
                now = Instant::now();
            }
            if now >= limit {
                return Ok(None);
            }
            // At least a millisecond: waking up just before the limit would only repeat the wait.
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
    /// What to report about the client certificate. `None`: no server has asked for one.
    pub(crate) fn about_certificate(&self) -> Option<String> {
        self.0.about_certificate.borrow().clone()
    }

    /// The target of a redirect, if the HTTP library did not get it.
    pub(crate) fn location(&self) -> Option<Zeroizing<String>> {
        self.0.location.get()
    }

    /// Whether any part of the request may have reached the service.
    pub(crate) fn was_sent(&self) -> bool {
        self.0.sent.get()
    }

    /// Whether the request used the connection of an earlier one.
    pub(crate) fn used_keep_alive_connection(&self) -> bool {
        !self.0.connected.get()
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        CURRENT.with(|current| current.replace(self.0.outer.take()));
    }
}

/// Waits in slices until `ready` returns a value, the call is stopped, or `limit` has passed (`Ok(None)`).
pub(crate) fn wait_for<T>(
    limit: Instant,
    ready: impl FnMut(Duration) -> io::Result<Option<T>>,
) -> Result<Option<T>, Failure> {
    Exchange::current()?.wait(Instant::now(), limit, SLICE, ready)
}

/// A socket. While it connects it does not block, and reads and writes do not wait either. Once it is settled, each wait
/// is limited to a slice.
///
/// On Unix the kernel limits it (SO_RCVTIMEO, SO_SNDTIMEO, set once), so a read that waits costs one system call.
/// Windows rounds these timeouts up to half a second. There the socket never blocks and is polled.
#[derive(Debug)]
pub(crate) struct Socket {
    /// Shared with the call's signal during a read, so that stopping the call can interrupt it.
    stream: Arc<TcpStream>,
    is_settled: bool,
}

impl Socket {
    /// Starts connecting to an address.
    pub(super) fn begin(address: SocketAddr) -> io::Result<Socket> {
        Ok(Socket { stream: Arc::new(begin_connect(address)?), is_settled: false })
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// From now on reads and writes wait.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        #[cfg(unix)]
        limit_waits(&self.stream)?;
        self.is_settled = true;
        Ok(())
    }

    /// Whether the connection is open and no unexpected data has arrived.
    pub(crate) fn is_idle_and_open(&self) -> bool {
        let mut probe = [0u8; 1];
        #[cfg(unix)]
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        #[cfg(windows)]
        let flags = RecvFlags::PEEK;
        matches!(recv(&self.stream, &mut probe, flags), Err(e) if e == Errno::WOULDBLOCK)
    }

    /// Repeats a read or write in slices until bytes were transferred.
    fn transfer(
        &self,
        exchange: &Exchange,
        longest: Duration,
        mut once: impl FnMut(Duration) -> io::Result<Option<usize>>,
    ) -> io::Result<usize> {
        let now = Instant::now();
        let transferred =
            exchange.wait(now, now + exchange.idle, longest, |slice| match once(slice) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(None),
                other => other,
            })?;
        transferred.ok_or_else(|| {
            let limit = exchange.idle.as_millis();
            let late = format!(
                "the peer was silent for too long (`idle_timeout_ms={limit}`); check the network, firewall and proxy"
            );
            Failure::new(Status::Broken, late).into()
        })
    }
}

/// Reads and writes return a [`Failure`] if the call is stopped or the peer is silent for too long. Each one checks
/// the call first, so a peer that never pauses cannot outrun the deadline.
impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.is_settled {
            return (&*self.stream).read(buffer);
        }
        let exchange = Exchange::current()?;
        let longest = if cfg!(unix) { POLL_BELOW } else { SLICE };
        let amount = self.transfer(&exchange, longest, |slice| {
            let _reading;
            // On Windows an interruption could lose data, and its slices are short.
            if cfg!(unix) {
                let Some(reading) = exchange.call.signal().reading(&self.stream) else {
                    return Ok(None);
                };
                _reading = reading;
            }
            let is_bounded = cfg!(unix) && slice >= POLL_BELOW;
            if !is_bounded && !poll_one(&self.stream, PollFlags::IN, slice)? {
                return Ok(None);
            }
            (&*self.stream).read(buffer).map(Some)
        })?;
        if amount == 0 {
            // Stopping the call ends a read in the same way as the peer does.
            exchange.call.check().map_err(Failure::from)?;
        }
        Ok(amount)
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if !self.is_settled {
            return (&*self.stream).write(buffer);
        }
        let exchange = Exchange::current()?;
        let written = self.transfer(&exchange, SLICE, |slice| {
            if cfg!(windows) && !poll_one(&self.stream, PollFlags::OUT, slice)? {
                return Ok(None);
            }
            (&*self.stream).write(buffer).map(Some)
        })?;
        if written > 0 {
            exchange.sent.set(true);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(unix)]
fn limit_waits(stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(READ_SLICE))?;
    stream.set_write_timeout(Some(SLICE))?;
    stream.set_nonblocking(false)
}

fn poll_one(stream: &TcpStream, flags: PollFlags, slice: Duration) -> io::Result<bool> {
    let timeout = Timespec::try_from(slice).map_err(|_| ErrorKind::InvalidInput)?;
    let mut fds = [PollFd::new(stream, flags)];
    // Errors and hang-ups count as ready: the next read or write reports them.
    Ok(poll(&mut fds, Some(&timeout))? > 0)
}

/// Starts connecting without waiting for the result.
fn begin_connect(address: SocketAddr) -> io::Result<TcpStream> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let stream = TcpStream::from(open(family)?);
    // One write carries a whole request, so Nagle's algorithm would only delay it.
    stream.set_nodelay(true)?;
    match rustix::net::connect(&stream, &address) {
        Err(e) if e != Errno::INPROGRESS && e != Errno::WOULDBLOCK => Err(e.into()),
        _ => Ok(stream),
    }
}

// Close-on-exec, because the host may start other programs. A write to a closed connection must return an error instead
// of raising SIGPIPE; Linux decides this at each write.
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
    // Only the standard library's own sockets start Winsock.
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

/// The size of buffers for large replies: fewer system calls, and fewer moments when both sides wait.
pub(super) const BULK: usize = 256 * 1024;
