//! JSON bodies, compressed or not, bounded, with errors that name the field.
//!
//! A body is bounded, and so are all together that are not whole yet: whoever sends half of one and waits
//! takes memory, and needs no credential for it. Usage, which is read for good credentials alone, has a
//! budget of its own, so that nobody without one keeps it out.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cloudnestle_marketplace::Code;
use futures_util::StreamExt;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_path_to_error::{Path, Segment};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::encoding::Encoding;
use super::problem::Failure;
use crate::market::Market;

/// The most bytes of a body of usage, compressed or not: 500 events of ordinary size, twice.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// The most bytes of any other body: five times the largest there is, an event to be consumed with
/// all the metadata it may have.
const MAX_SMALL_BODY_BYTES: usize = 64 * 1024;
/// What the bodies that are being read take together, of each kind: 64 full ones of usage, a thousand
/// of the others.
const BUDGET_BYTES: usize = 64 * 1024 * 1024;
/// What the budget is counted in: a connection that sends one byte takes as much.
const BLOCK_BYTES: usize = 4 * 1024;
/// How much of a body that is too large is read and thrown away. A connection that is closed while
/// its client still sends loses the answer, and this answer tells the client to send less.
const MAX_DRAINED_BYTES: usize = 16 * MAX_BODY_BYTES;

/// The memory for bodies that are being read, in blocks.
#[derive(Debug)]
pub(crate) struct Bodies {
    usage: Semaphore,
    other: Semaphore,
}

impl Default for Bodies {
    fn default() -> Bodies {
        let budget = || Semaphore::new(BUDGET_BYTES / BLOCK_BYTES);
        Bodies { usage: budget(), other: budget() }
    }
}

/// A body of usage, or of a token that somebody made up, which is judged and not refused: it may be
/// larger than others. For calls that ask for a credential before.
pub(crate) struct Large<T>(pub T);

/// A body of JSON, in or out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// A body of JSON that says what there is now and was not before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Created<T>(pub T);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, Json(self.0)).into_response()
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<Market>> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, market: &Arc<Market>) -> Result<Self, Failure> {
        let Object(value) = parse(request, MAX_SMALL_BODY_BYTES, &market.bodies.other).await?;
        Ok(Json(value))
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<Market>> for Large<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, market: &Arc<Market>) -> Result<Self, Failure> {
        parse(request, MAX_BODY_BYTES, &market.bodies.usage).await.map(Large)
    }
}

/// An object. Serde takes a list for a structure, too, its items for the fields in their order; nobody
/// means that.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<T>, D::Error> {
        struct AnObject<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for AnObject<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(AnObject(PhantomData))
    }
}

async fn parse<T: DeserializeOwned>(
    request: Request,
    most: usize,
    budget: &Semaphore,
) -> Result<T, Failure> {
    let (parts, body) = request.into_parts();
    if !is_json(&parts.headers) {
        return Err(Code::MediaTypeUnsupported.into());
    }
    let encoding = Encoding::of(&parts.headers)?;
    let (mut body, _held) = read(body, most, budget).await?;
    if let Some(encoding) = encoding {
        body = encoding.unpack(&body, most)?;
    }
    let mut json = serde_json::Deserializer::from_slice(&body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        // Where the text is no JSON, it is nobody's field that is wrong.
        match error.inner().is_data() {
            true => explain(error),
            false => Failure::new(Code::RequestInvalid, without_value(&error.inner().to_string())),
        }
    })?;
    json.end().map_err(|_| Failure::new(Code::RequestInvalid, "Something follows the JSON."))?;
    Ok(value)
}

/// Reads what was sent as a part of a body, and judged by nobody yet.
#[cfg(feature = "control")]
pub(crate) fn part<T: DeserializeOwned>(
    name: &str,
    value: serde_json::Value,
) -> Result<T, Failure> {
    serde_path_to_error::deserialize(value).map_err(|error| explain(error).within(name))
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(media_type)) = headers.get(header::CONTENT_TYPE).map(|value| value.to_str()) else {
        return false;
    };
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// The whole body, and its share of the budget.
async fn read<'b>(
    body: Body,
    most: usize,
    budget: &'b Semaphore,
) -> Result<(Vec<u8>, Option<SemaphorePermit<'b>>), Failure> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut held: Option<SemaphorePermit<'b>> = None;
    let mut length = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk =
            chunk.map_err(|_| Failure::new(Code::RequestInvalid, "The body ended early."))?;
        length += chunk.len();
        if length <= most {
            // Twice as much each time it grows: so much is paid for, and no more is taken.
            let room = length.next_power_of_two().clamp(BLOCK_BYTES, most);
            if room > bytes.capacity() {
                pay(budget, &mut held, room)?;
                bytes.reserve_exact(room - bytes.len());
            }
            bytes.extend_from_slice(&chunk);
        } else if length > MAX_DRAINED_BYTES {
            break;
        } else {
            (bytes, held) = (Vec::new(), None);
        }
    }
    if length > most {
        let detail = format!("A body of this call has at most {} KiB.", most / 1024);
        return Err(Failure::new(Code::RequestTooLarge, detail));
    }
    Ok((bytes, held))
}

/// Holds as many blocks as so many bytes take.
fn pay<'b>(
    budget: &'b Semaphore,
    held: &mut Option<SemaphorePermit<'b>>,
    bytes: usize,
) -> Result<(), Failure> {
    let already = held.as_ref().map_or(0, SemaphorePermit::num_permits);
    let missing = bytes.div_ceil(BLOCK_BYTES).saturating_sub(already);
    // At most as many as a body has blocks: 256.
    let more = budget.try_acquire_many(missing as u32).map_err(|_| {
        Failure::new(Code::Unavailable, "Too much is being sent at once. Try again in a moment.")
    })?;
    match held {
        Some(held) => held.merge(more),
        None => *held = Some(more),
    }
    Ok(())
}

/// What is wrong with which field.
pub(super) fn explain<E: std::error::Error>(error: serde_path_to_error::Error<E>) -> Failure {
    let field = field(error.path());
    let detail = without_value(&error.into_inner().to_string());
    match field.is_empty() {
        true => Failure::new(Code::RequestInvalid, detail),
        false => Failure::field(field, detail),
    }
}

/// `items[3].event.quantity`, as far as it is made of what may be the name of a field, if only a misspelt
/// one: our secrets have digits in them.
fn field(path: &Path) -> String {
    let mut field = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => field.push_str(&format!("[{index}]")),
            Segment::Map { key } if may_be_a_field(key) => {
                if !field.is_empty() {
                    field.push('.');
                }
                field.push_str(key);
            }
            _ => break,
        }
    }
    field
}

fn may_be_a_field(name: &str) -> bool {
    name.len() <= 32 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// serde quotes what it found, as in `invalid type: string "cnrt_test_…", expected a struct` or
/// ``unknown field `cnrt_test_…`, expected …``. It may be a secret in the wrong place, and errors are
/// logged.
fn without_value(message: &str) -> String {
    let Some((found, expected)) = message.rsplit_once(", expected ") else {
        // These quote names of ours: of what is missing, and of what our own types would have taken.
        let quotes_ours = ["missing field", "expected "].iter().any(|own| message.starts_with(own));
        let end = if quotes_ours { None } else { message.find(['`', '"']) };
        return message[..end.unwrap_or(message.len())].trim_end().to_owned();
    };
    let what = found.split(['`', '"']).next().unwrap_or_default().trim_end();
    // `integer -1` quotes without a mark.
    let what = what.split_once(": ").map_or(what.to_owned(), |(what, found)| {
        format!("{what}: {}", found.split(' ').next().unwrap_or_default())
    });
    format!("{what}, expected {expected}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body of that length that does not end.
    fn unfinished(length: usize) -> Body {
        let begun = futures_util::stream::iter([Ok::<_, std::io::Error>(vec![b'['; length])]);
        Body::from_stream(begun.chain(futures_util::stream::pending()))
    }

    #[tokio::test]
    async fn bodies_that_never_end_take_no_more_than_there_is_for_all() {
        let budget = Semaphore::new(32);
        let read = |body| read(body, MAX_SMALL_BODY_BYTES, &budget);
        // What is sent takes the next power of two: 16 blocks of 4 KiB each time.
        let mut waiting: Vec<_> = (0..2).map(|_| Box::pin(read(unfinished(40_000)))).collect();
        for body in &mut waiting {
            assert!(futures_util::poll!(body).is_pending());
        }
        assert_eq!(budget.available_permits(), 0);
        let refused = read(Body::from("{}")).await.expect_err("nothing is left");
        assert_eq!(refused.code, Code::Unavailable);

        // Who goes away, or sends too much, gives back what they had.
        waiting.pop();
        assert_eq!(budget.available_permits(), 16);
        let (body, held) = read(Body::from("{}")).await.expect("room");
        assert_eq!((body.as_slice(), budget.available_permits()), (&b"{}"[..], 15));
        drop(held);
        let too_much = read(Body::from(vec![b' '; MAX_SMALL_BODY_BYTES + 1])).await;
        assert_eq!(too_much.expect_err("too large").code, Code::RequestTooLarge);
        assert_eq!(budget.available_permits(), 16);
    }

    #[test]
    fn a_message_says_what_was_expected_and_nothing_of_what_was_found() {
        let message = |json: &str| {
            let error = serde_json::from_str::<Vec<u64>>(json).expect_err("not numbers");
            without_value(&error.to_string())
        };
        let found = message(r#"["cnrt_test_secret, expected by nobody"]"#);
        assert_eq!(found, "invalid type: string, expected u64 at line 1 column 39");
        assert_eq!(message("[-1]"), "invalid value: integer, expected u64 at line 1 column 3");
        assert_eq!(message("["), "EOF while parsing a list at line 1 column 1");
        let field = "unknown field `cnrt_test_secret`, expected `on` at line 1 column 2";
        assert_eq!(without_value(field), "unknown field, expected `on` at line 1 column 2");
        assert_eq!(
            without_value("unknown field `cnrt_test_secret`, there are none"),
            "unknown field"
        );
        assert_eq!(
            without_value("missing field `token` at line 1"),
            "missing field `token` at line 1"
        );
    }

    #[test]
    fn who_sent_too_much_is_told_how_much_may_be_sent() {
        let bound = format!("at most {} MiB", MAX_BODY_BYTES / (1024 * 1024));
        assert!(Code::RequestTooLarge.advice().contains(&bound), "{bound}");
    }
}
