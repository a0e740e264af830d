//! What an answer says: a value, or an error in the words of the catalogue.

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::clock::http_date;
use super::redaction::redacted;
use crate::error::{Error, Result};
use crate::host::Response;
use crate::json::{self, Unreadable};
use crate::model::{Code, Problem, Secret, Timestamp};
use crate::planted::{Bug, planted};

/// What whoever calls wants to have answered, without its type.
pub(super) trait AnyAnswer: Send {
    /// Takes the body of an answer, if it is one.
    fn take(&mut self, body: &[u8]) -> std::result::Result<(), Unreadable>;
}

/// An answer of this type, once it is there.
pub(super) struct Awaited<T>(pub(super) Option<T>);

impl<T: DeserializeOwned + Send> AnyAnswer for Awaited<T> {
    fn take(&mut self, body: &[u8]) -> std::result::Result<(), Unreadable> {
        self.0 = Some(json::read(body)?);
        Ok(())
    }
}

impl<T> Awaited<T> {
    /// The answer that was taken.
    pub(super) fn read(self) -> Result<T> {
        self.0.ok_or_else(|| Error::new(Code::AnswerInvalid))
    }
}

/// Reads the answer to a call that was made with `secrets`; `now` is the marketplace's time, for answers
/// without a `Date`.
pub(super) fn read(
    response: &Response,
    secrets: &[&Secret],
    now: Timestamp,
    awaited: &mut dyn AnyAnswer,
) -> Result<()> {
    if (200..300).contains(&response.status) {
        // An answer without a body is read as the value that says nothing.
        let body = if response.body.is_empty() { b"null".as_slice() } else { &response.body };
        return awaited.take(body).map_err(|error| {
            Error::because(Code::AnswerInvalid, format!("The answer is {error}."))
        });
    }
    let error = match json::read::<Problem>(&response.body) {
        Ok(problem) => worded(redacted(problem, secrets), response.status),
        Err(_) => unworded(response.status),
    };
    let should_retry = match response.header("x-should-retry") {
        Some("true") => Some(true),
        Some("false") => Some(false),
        _ => None,
    };
    Err(error.after(retry_after(response, now)).retryable(should_retry))
}

/// The marketplace's own words. Where they name no code that this release knows, and don't say
/// whether to try again, the status does.
fn worded(problem: Problem, status: u16) -> Error {
    let by_status = problem.code == Code::Unknown && problem.retryable.is_none();
    let error = Error::from_problem(problem);
    if by_status { error.retryable(Some(is_passing(status))) } else { error }
}

/// What a status means when whatever lies between us and the marketplace has not said.
fn unworded(status: u16) -> Error {
    let code = match Code::of_status(status) {
        // The marketplace says what is wrong with a request, and what went wrong in itself.
        Some(Code::RequestInvalid | Code::MethodNotAllowed) => Code::AnswerInvalid,
        Some(Code::Internal) => Code::Unavailable,
        Some(code) => code,
        None if status >= 500 => Code::Unavailable,
        None => Code::AnswerInvalid,
    };
    let words = format!("{} (status {status}, without an explanation)", code.reason());
    let error = match code {
        Code::Unavailable => Error::without_answer(code, words),
        _ => Error::because(code, words),
    };
    error.retryable(Some(is_passing(status)))
}

fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 409 | 429 | 500..)
}

/// How long to wait: `retry-after-ms` as OpenAI and Azure have it, or `Retry-After` (RFC 9110) in
/// seconds or until a date, which is measured by the clock of whoever wrote it.
fn retry_after(response: &Response, now: Timestamp) -> Option<Duration> {
    if planted(Bug::RetryAfterIgnored) {
        return None;
    }
    let number = |name| response.header(name)?.trim().parse().ok();
    if let Some(millis) = number("retry-after-ms") {
        return Some(Duration::from_millis(millis));
    }
    if let Some(seconds) = number("retry-after") {
        return Some(Duration::from_secs(seconds));
    }
    let until = http_date(response.header("retry-after")?)?;
    let written = response.header("date").and_then(http_date).unwrap_or(now);
    Some(until.since(written))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000); // 2027-01-15T08:00:00Z

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Error {
        let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        let response = Response { status, headers: headers.collect(), body: body.into() };
        read(&response, &[], NOW, &mut Awaited::<()>(None)).unwrap_err()
    }

    #[test]
    fn a_wait_is_read_in_seconds_milliseconds_and_as_a_date_of_the_server() {
        let wait = |headers: &[(&str, &str)]| answer(503, headers, "").retry_after();
        let millis = |millis| Some(Duration::from_millis(millis));
        assert_eq!(wait(&[("retry-after", "7")]), millis(7_000));
        assert_eq!(wait(&[("retry-after", "7"), ("retry-after-ms", "250")]), millis(250));
        let until = ("retry-after", "Fri, 15 Jan 2027 08:00:30 GMT");
        assert_eq!(wait(&[until]), millis(30_000), "by our clock, if the server shows none");
        let date = ("date", "Fri, 15 Jan 2027 07:59:00 GMT");
        assert_eq!(wait(&[until, date]), millis(90_000), "by the server's, which may be wrong");
        let past = ("retry-after", "Fri, 15 Jan 2027 07:00:00 GMT");
        assert_eq!(wait(&[past]), millis(0));
        for nonsense in ["", "-1", "soon", "99999999999999999999999"] {
            assert_eq!(wait(&[("retry-after", nonsense)]), None, "{nonsense}");
        }
    }

    #[test]
    fn trying_again_is_for_what_may_pass() {
        for status in [408, 409, 429, 500, 502, 503, 504] {
            assert!(answer(status, &[], "").is_retryable(), "{status}");
        }
        for status in [301, 400, 401, 403, 404, 410, 413, 451] {
            assert!(!answer(status, &[], "<h1>no</h1>").is_retryable(), "{status}");
        }
    }

    #[test]
    fn the_problem_knows_better_than_the_status_and_the_header_better_than_both() {
        let gap = r#"{"code": "sequence_gap"}"#;
        let conflict = r#"{"code": "conflict", "retryable": true}"#;
        let newer = r#"{"code": "a_code_of_tomorrow"}"#;
        assert!(!answer(409, &[], gap).is_retryable());
        assert!(answer(409, &[], conflict).is_retryable());
        assert!(answer(503, &[], newer).is_retryable());
        assert!(!answer(422, &[], newer).is_retryable());
        assert!(answer(409, &[("x-should-retry", "true")], gap).is_retryable());
        assert!(!answer(409, &[("x-should-retry", "false")], conflict).is_retryable());
        assert!(!answer(503, &[("x-should-retry", "false")], "").is_retryable());
        assert!(answer(503, &[("x-should-retry", "perhaps")], "").is_retryable());
    }
}
