//! What a fault does to a call, read from what a test has written: the one place that tells sense
//! from nonsense.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use cloudnestle_marketplace::Code;
use serde_json::Value;

use super::delay::{Delay, MAX_MS};
use super::{Drip, Fault, Malformed, When};

/// The longest life of a fault that ends by itself: no run of tests takes a day.
const MAX_LIFE_MS: u64 = 24 * 60 * 60 * 1000;
/// The most calls that one fault meets, or lets through before.
const MAX_CALLS: u32 = 1_000_000;
/// The longest name of a test.
const MAX_TEST_BYTES: usize = 64;
/// The most bytes of an answer's headers: what clients read at least, with room for those that each
/// answer has.
const MAX_HEADER_BYTES: usize = 4 * 1024;
/// The most bytes of an answer's body.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// The most pieces of a body.
const MAX_PIECES: u32 = 1_000;
/// How far a `Date` may be off: a hundred years.
const MAX_DATE_OFFSET_MS: u64 = 36_525 * 24 * 60 * 60 * 1000;

/// What a fault does to a call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Effect {
    /// How much longer the call takes.
    pub(super) delay: Option<Delay>,
    /// How far the answer's `Date` is off.
    pub date_offset_ms: i64,
    pub kind: Kind,
}

/// What a fault does to a call after its delay.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Nothing: the delay was all.
    Nothing,
    /// The call is not performed; this is its answer.
    Answer(Answer),
    Reset(When),
    /// The connection is closed without an answer.
    Empty(When),
    /// This share of the answer's body is sent.
    Truncated(f64),
    Malformed(Malformed),
    Drip {
        pieces: u32,
        over: Duration,
    },
    /// Half of the answer's body is sent, and nothing more for so long.
    Stall(Duration),
    /// The call is performed twice.
    Duplicate,
    RotateKey(When),
}

/// An answer in place of a call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    /// That of an error.
    Problem(Code),
    /// As it is; the headers say of which type.
    Given(Bytes),
}

/// Why a fault makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nonsense {
    /// The field it can be said of.
    pub field: Option<&'static str>,
    pub detail: &'static str,
}

fn nonsense<T>(field: &'static str, detail: &'static str) -> Result<T, Nonsense> {
    Err(Nonsense { field: Some(field), detail })
}

impl Effect {
    /// What the fault means, if it makes sense.
    pub(crate) fn of(fault: &Fault) -> Result<Effect, Nonsense> {
        check_scope(fault)?;
        if let Some(Err(detail)) = fault.delay_ms.map(Delay::check) {
            return nonsense("delay_ms", detail);
        }
        let date_offset_ms = fault.date_offset_ms.unwrap_or(0);
        if date_offset_ms.unsigned_abs() > MAX_DATE_OFFSET_MS {
            return nonsense("date_offset_ms", "`date_offset_ms` is at most a hundred years");
        }
        let effect = Effect { delay: fault.delay_ms, date_offset_ms, kind: Kind::of(fault)? };
        if effect.kind == Kind::Nothing && effect.delay.is_none() && date_offset_ms == 0 {
            let detail = "nothing goes wrong: give `status`, `reset`, `empty`, `truncated`, \
                `malformed`, `drip`, `stall_ms`, `duplicate`, `rotate_key`, `delay_ms` or `date_offset_ms`";
            return Err(Nonsense { field: None, detail });
        }
        Ok(effect)
    }
}

impl Kind {
    fn of(fault: &Fault) -> Result<Kind, Nonsense> {
        if fault.status.is_none() {
            let given = [
                ("code", fault.code.is_some()),
                ("headers", !fault.headers.is_empty()),
                ("body", fault.body.is_some()),
            ];
            if let Some((field, _)) = given.into_iter().find(|(_, is_given)| *is_given) {
                return nonsense(
                    field,
                    "`code`, `headers` and `body` are of an answer: give its `status`",
                );
            }
        }
        let kinds = [
            fault.status.map(|status| Answer::of(status, fault).map(Kind::Answer)),
            fault.reset.map(|when| Ok(Kind::Reset(when))),
            fault.empty.map(|when| Ok(Kind::Empty(when))),
            fault.truncated.map(truncated),
            fault.malformed.map(|what| Ok(Kind::Malformed(what))),
            fault.drip.map(drip),
            fault.stall_ms.map(stall),
            fault.duplicate.filter(|it| *it).map(|_| Ok(Kind::Duplicate)),
            fault.rotate_key.map(|when| Ok(Kind::RotateKey(when))),
        ];
        let mut kinds = kinds.into_iter().flatten();
        let kind = kinds.next().unwrap_or(Ok(Kind::Nothing))?;
        if kinds.next().is_some() {
            let detail = "a fault does one thing to a call: give one of `status`, `reset`, `empty`, \
                `truncated`, `malformed`, `drip`, `stall_ms`, `duplicate` and `rotate_key`";
            return Err(Nonsense { field: None, detail });
        }
        Ok(kind)
    }
}

fn truncated(share: f64) -> Result<Kind, Nonsense> {
    match (0.0..1.0).contains(&share) {
        true => Ok(Kind::Truncated(share)),
        false => nonsense("truncated", "`truncated` is the share that is sent, 0 until before 1"),
    }
}

fn drip(Drip { pieces, over_ms }: Drip) -> Result<Kind, Nonsense> {
    match (2..=MAX_PIECES).contains(&pieces) && over_ms <= MAX_MS {
        true => Ok(Kind::Drip { pieces, over: Duration::from_millis(over_ms) }),
        false => {
            nonsense("drip", "`drip` has 2 to 1000 `pieces`, and `over_ms` of at most ten minutes")
        }
    }
}

fn stall(millis: u64) -> Result<Kind, Nonsense> {
    match millis <= MAX_MS {
        true => Ok(Kind::Stall(Duration::from_millis(millis))),
        false => nonsense("stall_ms", "`stall_ms` is at most ten minutes"),
    }
}

impl Answer {
    fn of(status: u16, fault: &Fault) -> Result<Answer, Nonsense> {
        if !(200..=599).contains(&status) {
            return nonsense("status", "`status` is 200 to 599");
        }
        let is_error = status >= 400;
        if fault.code.is_some() && (!is_error || fault.body.is_some()) {
            return nonsense(
                "code",
                "`code` is of an error, 400 to 599, without a `body` of yours",
            );
        }
        let mut headers = headers(&fault.headers)?;
        let content = match &fault.body {
            Some(_) if matches!(status, 204 | 205 | 304) => {
                return nonsense("body", "an answer of this `status` has no `body`");
            }
            Some(body) => {
                let (media_type, bytes) = written(body);
                if bytes.len() > MAX_BODY_BYTES {
                    return nonsense("body", "`body` has at most 64 KiB");
                }
                let media_type = HeaderValue::from_static(media_type);
                headers.entry(header::CONTENT_TYPE).or_insert(media_type);
                Content::Given(bytes)
            }
            None if is_error => {
                let code = fault.code.or(Code::of_status(status)).unwrap_or(Code::Unknown);
                Content::Problem(code)
            }
            None => Content::Given(Bytes::new()),
        };
        Ok(Answer { status, headers, content })
    }
}

/// A body as it is sent, and what it is unless somebody says otherwise.
fn written(body: &Value) -> (&'static str, Bytes) {
    match body {
        Value::String(text) => ("text/plain; charset=utf-8", text.clone().into()),
        json => ("application/json", json.to_string().into()),
    }
}

/// Which calls meet it, and how many.
fn check_scope(fault: &Fault) -> Result<(), Nonsense> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if let Some(test) = &fault.test
        && !((1..=MAX_TEST_BYTES).contains(&test.len()) && test.bytes().all(is_name))
    {
        return nonsense("test", "a test is named by 1 to 64 letters, digits, `-`, `_` and `.`");
    }
    if fault.times.is_some_and(|times| !(1..=MAX_CALLS).contains(&times)) {
        return nonsense("times", "`times` is 1 to 1,000,000");
    }
    if fault.after.is_some_and(|after| after > MAX_CALLS) {
        return nonsense("after", "`after` is at most 1,000,000");
    }
    // Neither is what is no number.
    if fault.probability.is_some_and(|it| !(it > 0.0 && it <= 1.0)) {
        return nonsense("probability", "`probability` is above 0 and at most 1, such as 0.05");
    }
    if fault.expires_ms.is_some_and(|life| !(1..=MAX_LIFE_MS).contains(&life)) {
        return nonsense("expires_ms", "`expires_ms` is 1 to 86400000, a day");
    }
    Ok(())
}

fn headers(given: &BTreeMap<String, String>) -> Result<HeaderMap, Nonsense> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value))
        else {
            return nonsense("headers", "`headers` has what can't be a header");
        };
        let of_the_connection = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
        if of_the_connection.contains(&name) {
            let detail = "a body's length and form are for the server to say; see `truncated`";
            return nonsense("headers", detail);
        }
        if name == header::DATE {
            return nonsense("headers", "the answer's `date` is moved by `date_offset_ms`");
        }
        headers.insert(name, value);
    }
    let bytes = given.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    match bytes <= MAX_HEADER_BYTES {
        true => Ok(headers),
        false => nonsense("headers", "`headers` have at most 4 KiB"),
    }
}

impl Effect {
    /// How long the body is that it brings.
    pub(super) fn body_bytes(&self) -> usize {
        match &self.kind {
            Kind::Answer(Answer { content: Content::Given(body), .. }) => body.len(),
            _ => 0,
        }
    }

    /// What it does, in the words of its JSON, with the delay as it is or as it was drawn.
    pub(super) fn told(&self, delay: Option<impl fmt::Display>) -> String {
        let delay = delay.map(|delay| format!("delay_ms {delay}"));
        let is_off = (self.date_offset_ms != 0).then_some(self.date_offset_ms);
        let date = is_off.map(|offset| format!("date_offset_ms {offset}"));
        let kind = (self.kind != Kind::Nothing).then(|| self.kind.to_string());
        [delay, date, kind].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Nothing => Ok(()),
            Kind::Answer(Answer { status, .. }) => write!(f, "status {status}"),
            Kind::Reset(when) => write!(f, "reset {when}"),
            Kind::Empty(when) => write!(f, "empty {when}"),
            Kind::Truncated(share) => write!(f, "truncated {share}"),
            Kind::Malformed(Malformed::Http) => f.write_str("malformed http"),
            Kind::Malformed(Malformed::Json) => f.write_str("malformed json"),
            Kind::Drip { pieces, over } => write!(f, "drip {pieces} over_ms {}", over.as_millis()),
            Kind::Stall(time) => write!(f, "stall_ms {}", time.as_millis()),
            Kind::Duplicate => f.write_str("duplicate"),
            Kind::RotateKey(when) => write!(f, "rotate_key {when}"),
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            When::BeforeCommit => "before_commit",
            When::AfterCommit => "after_commit",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(json: &str) -> Result<Fault, String> {
        let fault: Fault = serde_json::from_str(json).map_err(|error| error.to_string())?;
        Effect::of(&fault).map_err(|nonsense| nonsense.detail.to_owned())?;
        Ok(fault)
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_fault_reads_in_json_as_it_does_in_rust() {
        for (json, written) in [
            (r#""reset": "after_commit""#, Fault::on("GET /b").reset(When::AfterCommit)),
            (
                r#""status": 503, "headers": {"retry-after": "1"}"#,
                Fault::on("GET /b").status(503).header("retry-after", "1"),
            ),
            (r#""delay_ms": 50"#, Fault::on("GET /b").delay(Duration::from_millis(50))),
            (
                r#""status": 503, "solution": "sol_a", "test": "checkout-7", "times": 3, "after": 2,
                   "probability": 0.5, "expires_ms": 60000"#,
                Fault::on("GET /b")
                    .status(503)
                    .solution("sol_a")
                    .test("checkout-7")
                    .times(3)
                    .after(2)
                    .probability(0.5)
                    .expires_after(Duration::from_secs(60)),
            ),
            (
                r#""status": 502, "body": "<h1>Oh no</h1>""#,
                Fault::on("GET /b").status(502).body("<h1>Oh no</h1>"),
            ),
            (
                r#""status": 200, "body": {"a": [1]}"#,
                Fault::on("GET /b").status(200).body(serde_json::json!({"a": [1]})),
            ),
            (
                r#""delay_ms": {"uniform": [20, 80]}"#,
                Fault::on("GET /b").delay_between(ms(20), ms(80)),
            ),
            (
                r#""delay_ms": {"lognormal": {"median": 40, "sigma": 0.5}}"#,
                Fault::on("GET /b").delay_lognormal(ms(40), 0.5),
            ),
            (r#""date_offset_ms": -60000"#, Fault::on("GET /b").date_offset_ms(-60_000)),
            (r#""empty": "before_commit""#, Fault::on("GET /b").empty(When::BeforeCommit)),
            (r#""truncated": 0.5"#, Fault::on("GET /b").truncated(0.5)),
            (r#""malformed": "http""#, Fault::on("GET /b").malformed_http()),
            (r#""malformed": "json""#, Fault::on("GET /b").malformed_json()),
            (r#""drip": {"pieces": 5, "over_ms": 100}"#, Fault::on("GET /b").drip(5, ms(100))),
            (r#""stall_ms": 100"#, Fault::on("GET /b").stall(ms(100))),
            (r#""duplicate": true"#, Fault::on("GET /b").duplicate()),
            (r#""rotate_key": "after_commit""#, Fault::on("GET /b").rotate_key(When::AfterCommit)),
        ] {
            assert_eq!(fault(&format!(r#"{{"on": "GET /b", {json}}}"#)), Ok(written));
        }
    }

    #[test]
    fn a_fault_that_makes_no_sense_is_refused() {
        for json in [
            r#"{"on": "GET /b"}"#,
            r#"{"on": "GET /b", "status": 199}"#,
            r#"{"on": "GET /b", "status": 600}"#,
            r#"{"on": "GET /b", "status": 200, "code": "unavailable"}"#,
            r#"{"on": "GET /b", "status": 503, "code": "unavailable", "body": "a"}"#,
            r#"{"on": "GET /b", "status": 204, "body": "a"}"#,
            r#"{"on": "GET /b", "reset": "after_commit", "body": "a"}"#,
            r#"{"on": "GET /b", "status": 503, "headers": {"content-length": "1"}}"#,
            r#"{"on": "GET /b", "status": 503, "headers": {"date": "today"}}"#,
            r#"{"on": "GET /b", "reset": "after_commit", "empty": "after_commit"}"#,
            r#"{"on": "GET /b", "duplicate": false}"#,
            r#"{"on": "GET /b", "truncated": 1}"#,
            r#"{"on": "GET /b", "malformed": "xml"}"#,
            r#"{"on": "GET /b", "drip": {"pieces": 1, "over_ms": 1}}"#,
            r#"{"on": "GET /b", "stall_ms": 600001}"#,
            r#"{"on": "GET /b", "date_offset_ms": 3155760000001}"#,
            r#"{"on": "GET /b", "delay_ms": {"uniform": [2, 1]}}"#,
            r#"{"on": "GET /b", "delay_ms": {"lognormal": {"median": 0, "sigma": 1}}}"#,
            r#"{"on": "GET /b", "delay_ms": {"lognormal": {"median": 1, "sigma": 4}}}"#,
            r#"{"on": "GET /b", "status": 503, "reset": "before_commit"}"#,
            r#"{"on": "GET /b", "reset": "sometimes"}"#,
            r#"{"on": "GET /b", "reset": "before_commit", "headers": {"a": "b"}}"#,
            r#"{"on": "GET /b", "status": 503, "headers": {"a b": "c"}}"#,
            r#"{"on": "GET /b", "status": 503, "header": {}}"#,
            r#"{"on": "GET /b", "delay_ms": 600001}"#,
            r#"{"on": "GET /b", "delay_ms": 1, "test": "a b"}"#,
            r#"{"on": "GET /b", "delay_ms": 1, "test": ""}"#,
            r#"{"on": "GET /b", "delay_ms": 1, "times": 0}"#,
            r#"{"on": "GET /b", "delay_ms": 1, "times": 1000001}"#,
            r#"{"on": "GET /b", "delay_ms": 1, "after": -1}"#,
            r#"{"on": "GET /b", "delay_ms": 1, "probability": 0}"#,
            r#"{"on": "GET /b", "delay_ms": 1, "probability": 1.1}"#,
            r#"{"on": "GET /b", "delay_ms": 1, "expires_ms": 0}"#,
        ] {
            assert!(fault(json).is_err(), "{json}");
        }
        let no_number = Fault::on("GET /b").status(503).probability(f64::NAN);
        assert!(Effect::of(&no_number).is_err());
        let long = Fault::on("GET /b").status(503).body("a".repeat(MAX_BODY_BYTES + 1));
        assert_eq!(Effect::of(&long).expect_err("too long").field, Some("body"));
    }
}
