//! One connection, from its first request to its last. This is written by hand, and not left to
//! `axum::serve`, because a fault plan must be able to reset a connection (to answer nothing, and let
//! the client see it break), because every answer has a body, and because clients may be slow.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tower::ServiceExt;

use super::wire::{Phase, Wire};
use crate::api::layers;
use crate::api::limits::Peer;
#[cfg(feature = "control")]
use crate::control::worlds::world_of;
use crate::market::Market;

/// An answer with this extension is never sent; this becomes of its connection instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection is broken off on purpose")]
pub(crate) enum BrokenOff {
    /// It is reset.
    #[cfg_attr(not(feature = "control"), expect(dead_code, reason = "made by faults alone"))]
    Reset,
    /// It is closed.
    #[cfg_attr(not(feature = "control"), expect(dead_code, reason = "made by faults alone"))]
    Closed,
    /// Something is said that is no HTTP, and it is closed.
    #[cfg_attr(not(feature = "control"), expect(dead_code, reason = "made by faults alone"))]
    Garbled,
}

/// What is said in place of HTTP.
const GARBLE: &[u8] = b"\x16\x03\x01 this is not the server you were looking for\r\n\r\n";

/// How long an idle connection is kept: longer than reqwest keeps it (90 s), so that no call goes out on
/// a connection we are just closing.
const IDLE_LIMIT: Duration = Duration::from_secs(100);
/// The most bytes of a request's line and headers: a token of 8 KB and room for the rest.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// How much is read, and for how long, of what a client still sends after it was refused: a connection
/// that is closed before loses the answer.
const MAX_DRAINED_BYTES: u64 = 1024 * 1024;
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// What connections are served with.
#[derive(Clone)]
pub(super) struct Host {
    pub(super) market: Arc<Market>,
    pub(super) router: Router,
    /// Closed when the server is to end.
    pub(super) ended: watch::Receiver<()>,
}

impl Host {
    /// Answers what a client asks, until either is done.
    pub(super) async fn converse(mut self, stream: TcpStream, peer: Peer, phase: Arc<Phase>) {
        let _ = stream.set_nodelay(true); // without it, it is only slower
        let service = service_fn(|request: Request<Incoming>| {
            phase.call_begins();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            let answer = answer(self.market.clone(), self.router.clone(), request);
            let phase = phase.clone();
            async move {
                let response = answer.await;
                phase.call_ends();
                match response.extensions().get::<BrokenOff>() {
                    Some(broken_off) => Err(*broken_off),
                    None => Ok(response),
                }
            }
        });
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_LIMIT)
            .max_buf_size(MAX_HEADER_BYTES)
            .auto_date_header(false) // ours is the world's
            .serve_connection(TokioIo::new(Wire::new(stream, phase.clone())), service);

        let outcome = tokio::select! {
            outcome = &mut connection => outcome,
            _ = self.ended.changed() => {
                Pin::new(&mut connection).graceful_shutdown();
                (&mut connection).await
            }
        };
        let Err(error) = outcome else {
            return;
        };
        let (mut stream, refusal) = connection.into_parts().io.into_inner().into_parts();
        let broken_off = error.source().and_then(|source| source.downcast_ref::<BrokenOff>());
        // Whatever goes wrong now is what was wanted.
        match broken_off {
            Some(BrokenOff::Reset) => {
                let _ = stream.set_zero_linger(); // closing sends RST, and drops what was not sent yet
                return;
            }
            Some(BrokenOff::Closed) => {
                let _ = tokio::time::timeout(DRAIN_LIMIT, hang_up(stream)).await;
                return;
            }
            Some(BrokenOff::Garbled) => {
                if stream.write_all(GARBLE).await.is_ok() {
                    let _ = tokio::time::timeout(DRAIN_LIMIT, hang_up(stream)).await;
                }
                return;
            }
            None => {}
        }
        if let Some(code) = refusal {
            let response = layers::refuse(&self.market, code.into());
            // Whatever goes wrong now is the client's affair.
            let _ = tokio::time::timeout(DRAIN_LIMIT, say(stream, response)).await;
        }
    }
}

/// The answer of the world that a request is for: the server's own, unless it names another.
#[cfg(feature = "control")]
async fn answer(server: Arc<Market>, own: Router, mut request: Request) -> Response {
    match world_of(&server, &mut request).await {
        Ok(hosted) => respond(hosted.unwrap_or(own), request).await,
        Err(failure) => layers::refuse(&server, failure),
    }
}

#[cfg(not(feature = "control"))]
async fn answer(_server: Arc<Market>, own: Router, request: Request) -> Response {
    respond(own, request).await
}

async fn respond(router: Router, request: Request) -> Response {
    router.oneshot(request).await.unwrap_or_else(|never| match never {})
}

/// Writes an answer on a connection that hyper has given up, and hears the client out.
async fn say(mut stream: TcpStream, response: Response) -> std::io::Result<()> {
    let (head, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let mut answer = format!("HTTP/1.1 {}\r\n", head.status).into_bytes();
    for (name, value) in &head.headers {
        answer.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    answer.extend(format!("connection: close\r\ncontent-length: {}\r\n\r\n", body.len()).bytes());
    answer.extend(body);
    stream.write_all(&answer).await?;
    hang_up(stream).await
}

/// Says that nothing more comes, and hears the client out: who closes with something unread resets.
async fn hang_up(mut stream: TcpStream) -> std::io::Result<()> {
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(MAX_DRAINED_BYTES), &mut tokio::io::sink()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sent_too_many_headers_is_told_how_much_is_read() {
        let bound = format!("within {} KiB", MAX_HEADER_BYTES / 1024);
        let advice = cloudnestle_marketplace::Code::HeadersTooLarge.advice();
        assert!(advice.contains(&bound), "{bound}");
    }
}
