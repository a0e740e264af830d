//! Connections. This is written by hand, and not left to `axum::serve`, because a fault plan must be
//! able to reset a connection: to answer nothing, and let the client see it break.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt;

/// An answer with this extension is never sent; its connection is reset instead.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the connection is reset on purpose")]
pub(crate) struct ResetConnection;

/// How long a client may take to send its headers, and how long an idle connection is kept: longer
/// than reqwest keeps it (90 s), so that no call goes out on a connection we are just closing.
const HEADER_LIMIT: Duration = Duration::from_secs(100);
/// The most bytes of a request's line and headers: a token of 8 KB and room for the rest.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// How long calls under way may go on when the server is stopped.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long to wait when the process has no file descriptor left.
const BREATHER: Duration = Duration::from_millis(50);

/// Accepts and serves connections until `ended` is closed.
pub(super) async fn serve(listener: TcpListener, router: Router, mut ended: watch::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, router.clone(), ended.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "can't accept a connection");
                    tokio::time::sleep(BREATHER).await;
                }
            },
            Some(_) = connections.join_next() => {} // or the set would grow with each connection
            _ = ended.changed() => break,
        }
    }
    drop(listener);
    let all_done = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(FAREWELL, all_done).await;
    connections.shutdown().await;
}

/// One connection, from its first request to its last.
async fn converse(stream: TcpStream, router: Router, mut ended: watch::Receiver<()>) {
    let _ = stream.set_nodelay(true); // without it, it is only slower
    let service = service_fn(|request: Request<Incoming>| {
        let answer = router.clone().oneshot(request.map(Body::new));
        async {
            let Ok(response) = answer.await;
            match response.extensions().get::<ResetConnection>() {
                Some(reset) => Err(*reset),
                None => Ok(response),
            }
        }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_LIMIT)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service);

    let outcome = tokio::select! {
        outcome = &mut connection => outcome,
        _ = ended.changed() => {
            Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    // The service fails for one reason alone; whatever else went wrong is the client's affair.
    if outcome.is_err_and(|error| error.is_user()) {
        let stream = connection.into_parts().io.into_inner();
        let _ = stream.set_zero_linger(); // closing sends RST, and drops what was not sent yet
    }
}
