//! A client's socket between TCP and hyper: here the patience with slow clients ends, and what hyper
//! would answer by itself is held back.
//!
//! hyper answers what is not HTTP, or too much of it, with a bare status. Our answers have a body that
//! says what is wrong, so the bare one is taken out of the stream and remembered, and whoever owns the
//! connection answers in its place.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use cloudnestle_marketplace::Code;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// How long a client may take to send the rest of a request's headers once they have begun.
pub(super) const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// How long a client may not read any of an answer.
const STALL_LIMIT: Duration = Duration::from_secs(30);

/// What hyper writes by itself, and what we say instead.
const BARE: [(&[u8], Code); 3] = [
    (b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", Code::HttpMalformed),
    (b"HTTP/1.1 414 URI Too Long\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", Code::UriTooLong),
    (
        b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        Code::HeadersTooLarge,
    ),
];

/// What a connection is doing: known to its socket, to its service and to those who look for room.
#[derive(Debug, Default)]
pub(super) struct Phase(AtomicU8);

const IDLE: u8 = 0;
const HEAD: u8 = 1;
const CALL: u8 = 2;
const ANSWER: u8 = 3;

impl Phase {
    /// Nothing has begun: it may be closed, as any client expects of a connection it doesn't use.
    pub(super) fn is_idle(&self) -> bool {
        self.0.load(Ordering::Relaxed) == IDLE
    }

    pub(super) fn call_begins(&self) {
        self.0.store(CALL, Ordering::Relaxed);
    }

    pub(super) fn call_ends(&self) {
        self.0.store(ANSWER, Ordering::Relaxed);
    }

    fn moves(&self, from: u8, to: u8) {
        let _ = self.0.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn is_head(&self) -> bool {
        self.0.load(Ordering::Relaxed) == HEAD
    }
}

pub(super) struct Wire {
    stream: TcpStream,
    phase: Arc<Phase>,
    /// What is to be answered in hyper's place.
    refusal: Option<Code>,
    head_ends: Limit,
    stall_ends: Limit,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, phase: Arc<Phase>) -> Wire {
        let (head_ends, stall_ends) = (Limit::new(HEAD_LIMIT), Limit::new(STALL_LIMIT));
        Wire { stream, phase, refusal: None, head_ends, stall_ends }
    }

    /// The socket, and what is to be answered on it.
    pub(super) fn into_parts(self) -> (TcpStream, Option<Code>) {
        (self.stream, self.refusal)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Ready(outcome) => {
                if buf.filled().len() > before {
                    this.phase.moves(IDLE, HEAD);
                }
                Poll::Ready(outcome)
            }
            Poll::Pending if this.phase.is_head() => this.head_ends.poll(cx).map(Err),
            Poll::Pending => {
                this.head_ends.forget();
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        for (bare, code) in BARE {
            match bytes.strip_suffix(bare) {
                Some([]) => {
                    this.refusal = Some(code);
                    return Poll::Ready(Ok(bare.len()));
                }
                // An answer that hyper has not written yet comes first.
                Some(before) => bytes = before,
                None => {}
            }
        }
        match Pin::new(&mut this.stream).poll_write(cx, bytes) {
            Poll::Ready(outcome) => {
                this.stall_ends.forget();
                Poll::Ready(outcome)
            }
            Poll::Pending => this.stall_ends.poll(cx).map(Err),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.phase.moves(ANSWER, IDLE);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.refusal {
            Some(_) => Poll::Ready(Ok(())), // there is still something to say
            None => Pin::new(&mut self.stream).poll_shutdown(cx),
        }
    }
}

/// A time limit that costs nothing until there is something to wait for.
struct Limit {
    length: Duration,
    end: Option<Pin<Box<Sleep>>>,
}

impl Limit {
    fn new(length: Duration) -> Limit {
        Limit { length, end: None }
    }

    /// Ready when it is over; it begins with the first time this is asked.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let length = self.length;
        let end = self.end.get_or_insert_with(|| Box::pin(sleep(length)));
        end.as_mut().poll(cx).map(|()| ErrorKind::TimedOut.into())
    }

    fn forget(&mut self) {
        self.end = None;
    }
}
