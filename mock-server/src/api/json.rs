//! JSON bodies, compressed or not, bounded, with errors that name the field.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cloudnestle_marketplace::Code;
use futures_util::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use super::encoding::Encoding;
use super::problem::Failure;

/// The most bytes of a body, compressed or not: 500 events of ordinary size, twice.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// How much of a body that is too large is read and thrown away. A connection that is closed while
/// its client still sends loses the answer, and this answer tells the client to send less.
const MAX_DRAINED_BYTES: usize = 16 * MAX_BODY_BYTES;

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

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) {
            return Err(Code::MediaTypeUnsupported.into());
        }
        let encoding = Encoding::of(&parts.headers)?;
        let mut body = read(body).await?;
        if let Some(encoding) = encoding {
            body = encoding.unpack(&body, MAX_BODY_BYTES)?;
        }
        let mut json = serde_json::Deserializer::from_slice(&body);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            // Where the text is no JSON, it is nobody's field that is wrong.
            match error.inner().is_data() {
                true => explain(error),
                false => {
                    Failure::new(Code::RequestInvalid, without_value(&error.inner().to_string()))
                }
            }
        })?;
        json.end()
            .map_err(|_| Failure::new(Code::RequestInvalid, "Something follows the JSON."))?;
        Ok(Json(value))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(media_type)) = headers.get(header::CONTENT_TYPE).map(|value| value.to_str()) else {
        return false;
    };
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

async fn read(body: Body) -> Result<Vec<u8>, Failure> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut length = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk =
            chunk.map_err(|_| Failure::new(Code::RequestInvalid, "The body ended early."))?;
        length += chunk.len();
        if length <= MAX_BODY_BYTES {
            bytes.extend_from_slice(&chunk);
        } else if length > MAX_DRAINED_BYTES {
            break;
        }
    }
    if length > MAX_BODY_BYTES {
        return Err(Failure::from(Code::RequestTooLarge));
    }
    Ok(bytes)
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
