//! What goes over the connections of a peer, in which it plays its fault.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{Layer, Shared};
use crate::good::Reply;
use crate::play::{Play, Then, proxy_reply};
use crate::step::Step;

pub(super) fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for peer in listener.incoming().map_while(Result::ok) {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            let _ = peer.set_nodelay(true);
            let _ = serve(peer, &shared);
        });
    }
}

fn serve(peer: TcpStream, shared: &Shared) -> io::Result<()> {
    match &shared.layer {
        Layer::Plain => talk(&mut &peer, &peer, shared),
        Layer::Tls(config) => {
            if shared.step == Step::Tls {
                return handshake(peer, config, shared);
            }
            talk_tls(peer, config, shared)
        }
        Layer::Proxy(config) => {
            let play = if shared.step == Step::Proxy { shared.begin() } else { Play::Good };
            if let Some(reply) = before_reply(&peer, &mut &peer, play)? {
                let opened = say(&mut &peer, &peer, reply, proxy_reply())?;
                if !opened {
                    return Ok(());
                }
                return talk_tls(peer, config, shared);
            }
            Ok(())
        }
    }
}
fn reset(peer: &TcpStream) -> io::Result<()> {
    set_socket_linger(peer, Some(Duration::ZERO))?;
    Ok(())
}

/// Waits until the other side has closed the connection.
fn until_closed(stream: &mut dyn Read) {
    while stream.read(&mut [0; 4096]).is_ok_and(|amount| amount > 0) {}
}

/// Requests and replies, until a side ends the connection.
fn talk(stream: &mut dyn ReadWrite, peer: &TcpStream, shared: &Shared) -> io::Result<()> {
    loop {
        let is_plain = matches!(shared.layer, Layer::Plain);
        let mut first = String::new();
        if is_plain {
            // Looked at without being taken: a reset may have to come first.
            first = peek_line(peer)?;
            if first.is_empty() {
                return Ok(());
            }
        }
        let mut begun = None;
        if is_plain && shared.is_at_step(&first) {
            begun = Some(shared.begin());
        }
        shared.all.fetch_add(1, Ordering::SeqCst);
        match begun {
            Some(Play::ResetBefore) => return reset(peer),
            Some(Play::ResetWithin) => {
                stream.read_exact(&mut [0; 20])?;
                return reset(peer);
            }
            _ => {}
        }
        let Some(head) = read_request(stream)? else { return Ok(()) };
        let step = shared.step_of(&head);
        let play = begun.unwrap_or(Play::Good);
        let good = shared.good(step, &play);
        let reply = match play {
            Play::ResetAfter => return reset(peer),
            Play::CloseAfter => return Ok(()),
            Play::ShortRange => short_range(&good, &head),
            Play::Good if step == Step::Download && shared.chunked.load(Ordering::SeqCst) => {
                stream.write_all(&good.chunked())?;
                continue;
            }
            play => play,
        };
        if !say(stream, peer, reply, &good.bytes())? {
            return Ok(());
        }
    }
}

/// Sends a reply as it is played. Returns whether the connection goes on.
fn say(stream: &mut dyn ReadWrite, peer: &TcpStream, play: Play, good: &[u8]) -> io::Result<bool> {
    match play {
        Play::Good => {
            stream.write_all(good)?;
            stream.flush()?;
            return Ok(true);
        }
        Play::Before(bytes) => {
            stream.write_all(&[&bytes, good].concat())?;
            stream.flush()?;
            return Ok(true);
        }
        Play::Silence => until_closed(stream),
        Play::Cut { at, then } => {
            stream.write_all(&good[..at.min(good.len())])?;
            stream.flush()?;
            match then {
                Then::Reset => reset(peer)?,
                Then::Close => {}
                Then::Silence => until_closed(stream),
            }
        }
        Play::Drip(pause) => {
            for byte in good {
                std::thread::sleep(pause);
                stream.write_all(&[*byte])?;
                stream.flush()?;
            }
            return Ok(true);
        }
        Play::Raw(bytes) => {
            stream.write_all(&bytes)?;
            stream.flush()?;
            let _ = peer.shutdown(Shutdown::Write);
            until_closed(stream);
        }
        Play::Endless { first, again } => {
            stream.write_all(&first)?;
            while stream.write_all(&again).is_ok() {
                if again.len() < 1_000 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
        Play::ResetBefore
        | Play::ResetWithin
        | Play::ResetAfter
        | Play::CloseAfter
        | Play::ShortRange
        | Play::Once(_) => unreachable!("played before the reply"),
    }
    Ok(false)
}

/// What answers a request for a package: to one without a range half of it, to one with a range half of that. Only the
/// range says that bytes are missing, since the chunks end as they should.
fn short_range(good: &Reply, request: &str) -> Play {
    let length = good.body.len();
    let request = request.to_ascii_lowercase();
    let range = request.split_once("\r\nrange: bytes=").map(|(_, range)| range);
    let Some(at) = range.and_then(|range| range.split_once('-')?.0.parse::<usize>().ok()) else {
        return Play::Cut { at: good.head().len() + length / 2, then: Then::Close };
    };
    let range = format!("bytes {at}-{}/{length}", length - 1);
    let reply = Reply { status: 206, ..good.clone() }.with("Content-Range", range);
    Play::Raw(reply.body(&good.body[at..(at + length) / 2]).chunked())
}

/// The first line of what has arrived. It is empty if the connection has ended.
fn peek_line(peer: &TcpStream) -> io::Result<String> {
    let mut seen = [0; 1024];
    loop {
        let amount = peer.peek(&mut seen)?;
        if amount == 0 {
            return Ok(String::new());
        }
        let text = String::from_utf8_lossy(&seen[..amount]);
        if let Some((line, _)) = text.split_once("\r\n") {
            return Ok(line.to_owned());
        }
        if amount == seen.len() {
            return Ok(text.into_owned());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Reads a whole request; its head. `None`: the connection has ended.
fn read_request(stream: &mut dyn Read) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
    });
    stream.read_exact(&mut vec![0; length.unwrap_or(0)])?;
    Ok(Some(head))
}

/// What happens before a reply to a handshake or a request for a tunnel. Returns the rest of the play, if there is any.
fn before_reply(
    peer: &TcpStream,
    stream: &mut dyn ReadWrite,
    play: Play,
) -> io::Result<Option<Play>> {
    match play {
        Play::ResetBefore => {
            peer.peek(&mut [0])?;
            reset(peer)?;
        }
        Play::ResetWithin => {
            stream.read_exact(&mut [0; 20])?;
            reset(peer)?;
        }
        play => {
            if read_request(stream)?.is_none() {
                return Ok(None);
            }
            match play {
                Play::ResetAfter => reset(peer)?,
                Play::CloseAfter => {}
                play => return Ok(Some(play)),
            }
        }
    }
    Ok(None)
}

fn talk_tls(peer: TcpStream, config: &Arc<ServerConfig>, shared: &Shared) -> io::Result<()> {
    let socket = peer.try_clone()?;
    let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    talk(&mut StreamOwned::new(connection, peer), &socket, shared)
}

/// A handshake in which a fault is played.
fn handshake(peer: TcpStream, config: &Arc<ServerConfig>, shared: &Shared) -> io::Result<()> {
    let play = shared.begin();
    let mut connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    match play {
        Play::ResetBefore => {
            peer.peek(&mut [0])?;
            return reset(&peer);
        }
        Play::ResetWithin => {
            (&peer).read_exact(&mut [0; 20])?;
            return reset(&peer);
        }
        _ => {}
    }
    // Until the first message is whole, and there is an answer.
    while !connection.wants_write() {
        if connection.read_tls(&mut &peer)? == 0 {
            return Ok(());
        }
        connection.process_new_packets().map_err(io::Error::other)?;
    }
    match play {
        Play::ResetAfter => return reset(&peer),
        Play::CloseAfter => return Ok(()),
        _ => {}
    }
    let mut flight = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut flight)?;
    }
    // A cut leaves out one byte at least.
    let play = match play {
        Play::Cut { at, then } => Play::Cut { at: at.min(flight.len() - 1), then },
        play => play,
    };
    if say(&mut &peer, &peer, play, &flight)? {
        let socket = peer.try_clone()?;
        return talk(&mut StreamOwned::new(connection, peer), &socket, shared);
    }
    Ok(())
}

/// A stream in both directions.
pub trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}
