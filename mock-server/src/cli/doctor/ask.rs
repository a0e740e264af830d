//! A question to a server that may be another's, or none at all.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::request::Builder;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// For what is on this machine, or beside it.
const PATIENCE: Duration = Duration::from_secs(3);
/// More than any answer asked for has.
const MOST_BYTES: usize = 1024 * 1024;

pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Null, where it is no JSON.
    pub body: Value,
}

impl Answer {
    /// The code of a problem.
    pub(super) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("no code")
    }

    /// Whether a marketplace of ours gave it.
    pub(super) fn is_of_marketplace(&self) -> bool {
        self.headers.contains_key("cloudnestle-version")
    }
}

/// Asks whoever listens at `http://authority`.
///
/// # Errors
/// What a person needs to know of why there is no answer.
pub(super) async fn ask(url: &Uri, request: Builder, body: Value) -> Result<Answer, String> {
    match tokio::time::timeout(PATIENCE, converse(url, request, body)).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

async fn converse(
    url: &Uri,
    request: Builder,
    body: Value,
) -> Result<Answer, Box<dyn std::error::Error>> {
    let authority = url.authority().ok_or("it names no host")?;
    let host = authority.host().trim_matches(['[', ']']);
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = http1::handshake::<_, Body>(TokioIo::new(stream)).await?;
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let request = request
        .header(header::HOST, authority.as_str())
        .header(header::CONTENT_TYPE, "application/json")
        .body(body)?;
    let answering = async move {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let bytes = to_bytes(Body::new(body), MOST_BYTES).await?;
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Ok::<_, Box<dyn std::error::Error>>(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    };
    tokio::pin!(answering);
    tokio::select! {
        answer = &mut answering => answer,
        // A connection that has ended has told all; what is left of the answer is at hand.
        ended = connection => match ended {
            Ok(()) => answering.await,
            Err(error) => Err(error.into()),
        },
    }
}
