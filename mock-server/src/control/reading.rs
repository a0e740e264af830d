//! A recorded call as it is shown: decoded, and without secrets.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::cut_json;
use crate::api::encoding::Encoding;
use crate::world::{
    Because, JournalCall, KeptBody, MAX_BODY_BYTES, Message, NotShown, Recorded, RecordedAnswer,
    RecordedRequest, Redactor,
};

/// How far a compressed body is unpacked: as far as the API itself unpacks one.
const MAX_UNPACKED_BYTES: usize = 1024 * 1024;

/// Headers that tell of a connection and not of a call; or of a body as it was before secrets were taken
/// out of it. They would make one call look like two.
const OF_THE_CONNECTION: [&str; 9] = [
    "host",
    "connection",
    "keep-alive",
    "transfer-encoding",
    "content-length",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-real-ip",
];

/// The whole call.
pub(super) fn read(call: &Recorded, redactor: &Redactor<'_>) -> JournalCall {
    let (path, query) = call.uri.split_once('?').unwrap_or((&call.uri, ""));
    let (headers, body, not_shown) = message(&call.request, redactor);
    let request = RecordedRequest {
        method: call.method.to_owned(),
        path: redactor.text(&percent_decode_str(path).decode_utf8_lossy()),
        query: parameters(query, redactor),
        headers,
        body,
        not_shown,
    };
    let answer = call.answer.as_ref().map(|answer| {
        let (headers, body, not_shown) = message(answer, redactor);
        RecordedAnswer { headers, body, not_shown }
    });
    JournalCall { entry: call.entry.clone(), request, answer }
}

fn message(
    message: &Message,
    redactor: &Redactor<'_>,
) -> (BTreeMap<String, String>, Option<Value>, Option<NotShown>) {
    let lines = message.headers.lines().filter_map(|line| line.split_once(": "));
    let mut headers = BTreeMap::new();
    let mut raw = HeaderMap::new();
    for (name, value) in lines {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            raw.append(name, value);
        }
        if !OF_THE_CONNECTION.contains(&name) {
            join(&mut headers, redactor.text(name), redactor.header(name, value));
        }
    }
    let (body, not_shown) = body(&message.body, &raw, redactor);
    (headers, body, not_shown)
}

/// What is shown of a body, and what is not.
fn body(
    kept: &KeptBody,
    headers: &HeaderMap,
    redactor: &Redactor<'_>,
) -> (Option<Value>, Option<NotShown>) {
    let not_shown = |because| Some(NotShown { bytes: kept.bytes, because });
    let is_cut = kept.bytes > kept.begin.len() as u64;
    let missing = match () {
        () if !kept.has_ended => Some(Because::Unread),
        () if is_cut => Some(Because::TooLong),
        () => None,
    };
    if kept.begin.is_empty() {
        return (None, missing.and_then(not_shown));
    }
    let unpacked = match Encoding::of(headers) {
        Ok(None) => Some(kept.begin.clone()),
        // What is cut can't be unpacked.
        Ok(Some(encoding)) if missing.is_none() => {
            encoding.unpack(&kept.begin, MAX_UNPACKED_BYTES).ok()
        }
        _ => None,
    };
    let Some(bytes) = unpacked else {
        return (None, not_shown(missing.unwrap_or(Because::NotJson)));
    };
    let is_long = bytes.len() > MAX_BODY_BYTES;
    let missing = missing.or(is_long.then_some(Because::TooLong));
    let begin = &bytes[..bytes.len().min(MAX_BODY_BYTES)];
    let json = match missing {
        None => serde_json::from_slice(begin).ok(),
        Some(_) => cut_json::beginning(begin),
    };
    if let Some(json) = json {
        return (Some(redactor.json("", json)), missing.and_then(not_shown));
    }
    let is_text = headers.get("content-type").is_some_and(|it| it.as_bytes().starts_with(b"text/"));
    match String::from_utf8(begin.to_vec()) {
        Ok(text) if is_text && redactor.is_harmless(&text) => {
            (Some(Value::String(text)), missing.and_then(not_shown))
        }
        _ => (None, not_shown(missing.unwrap_or(Because::NotJson))),
    }
}

fn parameters(query: &str, redactor: &Redactor<'_>) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        join(&mut parameters, redactor.text(&name), redactor.field(&name, &value));
    }
    parameters
}

/// One after the other, as repeated headers are joined.
fn join(all: &mut BTreeMap<String, String>, name: String, value: String) {
    let known = all.entry(name).or_default();
    if !known.is_empty() {
        known.push_str(", ");
    }
    known.push_str(&value);
}
