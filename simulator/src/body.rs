//! Bodies as they are sent, and connections that can be cut in the middle of one.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Bytes, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::package::Package;

const BLOCK: usize = 64 * 1024;

/// A text, perhaps repeated, or a package, perhaps slow, perhaps cut off.
#[derive(Debug)]
pub struct Body {
    source: Source,
    position: u64,
    total: u64,
    chunked: bool,
    drip: Option<Drip>,
    cut: Option<(u64, Cut)>,
}

#[derive(Debug)]
enum Source {
    /// One block, repeated.
    Block(Bytes),
    /// A package, from this position on.
    Package(Arc<Package>, u64),
}

/// The size of the pieces that are sent, and the pause between them.
#[derive(Debug)]
pub struct Drip {
    bytes: usize,
    every: Duration,
    next: Option<Pin<Box<Sleep>>>,
}

impl Body {
    pub fn whole(bytes: Bytes, chunked: bool) -> Self {
        let total = bytes.len() as u64;
        Body { source: Source::Block(bytes), position: 0, total, chunked, drip: None, cut: None }
    }

    /// `total` bytes of a package, from `first` on.
    pub fn package(package: Arc<Package>, first: u64, total: u64, chunked: bool) -> Self {
        let source = Source::Package(package, first);
        Body { source, position: 0, total, chunked, drip: None, cut: None }
    }

    /// `pattern`, `count` times over, without holding all of it.
    pub fn repeated(pattern: &[u8], count: u64, chunked: bool) -> Self {
        // A block holds many patterns, so that long bodies are not sent in tiny pieces.
        let times = (BLOCK / pattern.len().max(1)).max(1);
        let total = (pattern.len() as u64).saturating_mul(count);
        Body { total, ..Body::whole(pattern.repeat(times).into(), chunked) }
    }

    /// Sends `bytes` at a time with a pause of `every` in front of each but the first.
    pub fn dripping(mut self, bytes: usize, every: Duration) -> Self {
        self.drip = Some(Drip { bytes: bytes.max(1), every, next: None });
        self
    }

    /// Announces the whole length, sends this much, and cuts the connection.
    pub fn cut_after(mut self, bytes: u64, cut: Cut) -> Self {
        self.cut = Some((bytes, cut));
        self
    }

    fn end(&self) -> u64 {
        self.cut.as_ref().map_or(self.total, |(bytes, _)| self.total.min(*bytes))
    }

    fn next_chunk(&mut self) -> Bytes {
        let most = self.drip.as_ref().map_or(BLOCK, |drip| drip.bytes);
        let left = usize::try_from(self.end() - self.position).unwrap_or(usize::MAX);
        let most = most.min(left);
        let chunk = match &self.source {
            Source::Package(package, first) => package.part(first + self.position, most),
            Source::Block(block) => {
                let offset = self.position.checked_rem(block.len() as u64).unwrap_or(0);
                // The position is inside of the block, whose length is a usize.
                let offset = usize::try_from(offset).unwrap_or(0);
                block.slice(offset..offset + most.min(block.len() - offset))
            }
        };
        self.position += chunk.len() as u64;
        chunk
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.position >= self.end() {
            return match &self.cut {
                Some((_, cut)) => {
                    // It is never ready again: the connection breaks when the bytes before have been flushed.
                    cut.0.store(true, Ordering::SeqCst);
                    Poll::Pending
                }
                None => Poll::Ready(None),
            };
        }
        if let Some(drip) = &mut self.drip {
            if let Some(sleep) = &mut drip.next {
                ready!(sleep.as_mut().poll(cx));
            }
            drip.next = Some(Box::pin(tokio::time::sleep(drip.every)));
        }
        Poll::Ready(Some(Ok(Frame::data(self.next_chunk()))))
    }

    fn is_end_stream(&self) -> bool {
        self.cut.is_none() && self.position >= self.total
    }

    fn size_hint(&self) -> SizeHint {
        if self.chunked {
            SizeHint::default()
        } else {
            SizeHint::with_exact(self.total - self.position.min(self.total))
        }
    }
}

/// Set by a body to have its connection cut after the next flush.
#[derive(Debug, Clone, Default)]
pub struct Cut(Arc<AtomicBool>);

/// A connection that fails when its [`Cut`] is set and everything before has been flushed.
#[derive(Debug)]
pub struct Wire<S> {
    inner: S,
    cut: Cut,
}

impl<S> Wire<S> {
    pub fn new(inner: S, cut: Cut) -> Self {
        Wire { inner, cut }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        if self.cut.0.load(Ordering::SeqCst) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
