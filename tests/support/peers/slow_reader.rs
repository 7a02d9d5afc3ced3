//! A peer that reads requests slowly or not at all, over a connection with small buffers.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

pub struct SlowReader {
    pub port: u16,
    finish: Arc<AtomicBool>,
    received: Receiver<usize>,
}

impl SlowReader {
    /// Reads so many bytes every 100 ms. `tls` is the port of a service of this machine that performs the
    /// handshakes.
    pub fn start(bytes: usize, tls: Option<u16>) -> SlowReader {
        let listener = narrow_listener();
        let port = listener.local_addr().unwrap().port();
        let finish = Arc::new(AtomicBool::new(false));
        let (counts, received) = channel();
        let finished = Arc::clone(&finish);
        std::thread::spawn(move || {
            let mut first = Some(counts);
            for near in listener.incoming().map_while(Result::ok) {
                let (finished, counts) = (Arc::clone(&finished), first.take());
                std::thread::spawn(move || serve(near, bytes, tls, &finished, counts));
            }
        });
        SlowReader { port, finish, received }
    }

    /// All that the caller has got rid of on its first connection, which it must have closed: what was read,
    /// and what still lay in the kernel, which is read to the end now.
    pub fn received(self) -> usize {
        self.finish.store(true, Ordering::SeqCst);
        self.received.recv_timeout(Duration::from_secs(20)).unwrap()
    }
}

/// A sender's kernel makes room for ten segments and more. On loopback each has 64 KiB, so that it would
/// take any request of ours whole, and sending would never wait. Connections inherit both options.
fn narrow_listener() -> TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(1024).unwrap();
    socket.set_tcp_mss(200).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(16).unwrap();
    socket.into()
}

fn serve(
    near: TcpStream,
    bytes: usize,
    tls: Option<u16>,
    finish: &AtomicBool,
    counts: Option<Sender<usize>>,
) {
    let far = tls.map(|port| shake_hands(&near, port));
    let (mut piece, mut count) = (vec![0; bytes], 0);
    near.set_nonblocking(true).unwrap();
    while !finish.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(100));
        match (&near).read(&mut piece) {
            Ok(amount) => count += amount,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    near.set_nonblocking(false).unwrap();
    // Faster than through the small one.
    SockRef::from(&near).set_recv_buffer_size(1 << 20).unwrap();
    count += usize::try_from(io::copy(&mut &near, &mut io::sink()).unwrap()).unwrap();
    if let Some(counts) = counts {
        let _ = counts.send(count);
    }
    if let Some(far) = far {
        let _ = far.shutdown(Shutdown::Both);
    }
}

/// Passes on the first message, and the answers. A client of TLS 1.3 then says no more than that it is
/// done, and does not wait for anybody to hear it.
fn shake_hands(mut near: &TcpStream, port: u16) -> TcpStream {
    let mut far = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut head = [0; 5];
    near.read_exact(&mut head).unwrap();
    let mut hello = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    near.read_exact(&mut hello).unwrap();
    far.write_all(&[&head, hello.as_slice()].concat()).unwrap();
    let (mut from, mut to) = (far.try_clone().unwrap(), near.try_clone().unwrap());
    std::thread::spawn(move || io::copy(&mut from, &mut to));
    far
}
