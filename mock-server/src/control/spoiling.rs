//! What a fault does to an answer on its way out: around the layer that gives every answer its form, so that
//! errors are spoiled as other answers are, and the journal knows what would have been sent.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use cloudnestle_marketplace::model::Timestamp;
use futures_util::{StreamExt, stream};

use crate::api::encoding::Encoding;
use crate::api::layers::http_date;

/// How an answer's body comes. It goes with the answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Spoiled {
    /// This share of it, and then the connection ends.
    Truncated(f64),
    /// Half of it, as if that were all.
    Half,
    /// In so many pieces.
    Drip { pieces: u32, over: Duration },
    /// Half of it, and then nothing for so long.
    Stall(Duration),
}

/// By how many milliseconds an answer's `Date` is off. It goes with the answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct DateOffset(pub i64);

/// Puts the answer's `Date` off, if a fault says so.
pub(super) fn put_date_off(response: &mut Response, now: Timestamp) {
    if let Some(DateOffset(millis)) = response.extensions().get().copied() {
        let moved = Timestamp::from_millis(now.as_millis().saturating_add(millis));
        if let Some(date) = http_date(moved) {
            response.headers_mut().insert(header::DATE, date);
        }
    }
}

/// Spoils the answer's body, if a fault says so.
pub(super) async fn spoil(mut response: Response) -> Response {
    let Some(spoiled) = response.extensions_mut().remove::<Spoiled>() else {
        return response;
    };
    let (mut parts, body) = response.into_parts();
    // The API's answers are in memory: this neither waits nor fails.
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let body = as_it_is_read(&mut parts.headers, body);
    let whole = body.len();
    // What to wait before each piece; without one, the connection ends there.
    let pieces: Vec<(Duration, Option<Bytes>)> = match spoiled {
        Spoiled::Half => return Response::from_parts(parts, Body::from(body.slice(..whole / 2))),
        Spoiled::Truncated(share) => {
            let sent = body.slice(..(whole as f64 * share) as usize);
            vec![(Duration::ZERO, Some(sent)), (Duration::ZERO, None)]
        }
        Spoiled::Stall(time) => {
            vec![(Duration::ZERO, Some(body.slice(..whole / 2))), (time, None)]
        }
        Spoiled::Drip { pieces, over } => {
            let end = |n: u32| (whole as u64 * u64::from(n) / u64::from(pieces)) as usize;
            // From the first to the last, so there is one wait less.
            let wait = |n| if n == 0 { Duration::ZERO } else { over / (pieces - 1) };
            (0..pieces).map(|n| (wait(n), Some(body.slice(end(n)..end(n + 1))))).collect()
        }
    };
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole));
    let pieces = stream::iter(pieces).then(async |(wait, piece)| {
        tokio::time::sleep(wait).await;
        piece.ok_or_else(|| Error::new(ErrorKind::ConnectionAborted, "it ends early on purpose"))
    });
    Response::from_parts(parts, Body::from_stream(pieces))
}

/// A body without its compression: half of what is compressed would be no JSON for another reason.
fn as_it_is_read(headers: &mut HeaderMap, body: Bytes) -> Bytes {
    let plain = match Encoding::of(headers) {
        Ok(Some(encoding)) => encoding.unpack(&body, usize::MAX / 2).ok().map(Bytes::from),
        _ => None,
    };
    headers.remove(header::CONTENT_LENGTH);
    match plain {
        Some(plain) => {
            headers.remove(header::CONTENT_ENCODING);
            plain
        }
        None => body,
    }
}
