//! What a fault does to a call, read from what a test has written: the one place that tells sense
//! from nonsense.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use cloudnestle_marketplace::Code;

use super::{Fault, When};

/// The longest delay: no client of ours waits longer for anything.
const MAX_DELAY_MS: u64 = 10 * 60 * 1000;
/// The longest life of a fault that ends by itself: no run of tests takes a day.
const MAX_LIFE_MS: u64 = 24 * 60 * 60 * 1000;
/// The most calls that one fault meets, or lets through before.
const MAX_CALLS: u32 = 1_000_000;
/// The longest name of a test.
const MAX_TEST_BYTES: usize = 64;
/// The most bytes of an answer's headers: what clients read at least, with room for those that each
/// answer has.
const MAX_HEADER_BYTES: usize = 4 * 1024;

/// What a fault does to a call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Effect {
    /// How much longer the call takes.
    pub delay: Option<Duration>,
    pub kind: Kind,
}

/// What a fault does to a call after its delay.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Nothing: the delay was all.
    Nothing,
    Reset(When),
    Answer {
        status: u16,
        code: Code,
        headers: HeaderMap,
    },
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
        if fault.delay_ms.is_some_and(|delay| delay > MAX_DELAY_MS) {
            return nonsense("delay_ms", "`delay_ms` is at most ten minutes");
        }
        let delay = fault.delay_ms.map(Duration::from_millis);
        let kind = Kind::of(fault)?;
        if kind == Kind::Nothing && delay.is_none() {
            let detail = "nothing goes wrong: give `status`, `reset` or `delay_ms`";
            return Err(Nonsense { field: None, detail });
        }
        Ok(Effect { delay, kind })
    }
}

impl Kind {
    fn of(fault: &Fault) -> Result<Kind, Nonsense> {
        let Some(status) = fault.status else {
            if fault.code.is_some() {
                return nonsense("code", "`code` is of an answer: give its `status` too");
            }
            if !fault.headers.is_empty() {
                return nonsense("headers", "`headers` are of an answer: give its `status` too");
            }
            return Ok(fault.reset.map_or(Kind::Nothing, Kind::Reset));
        };
        if fault.reset.is_some() {
            let detail = "a call is either reset or answered: give `reset` or `status`";
            return Err(Nonsense { field: None, detail });
        }
        if !(400..=599).contains(&status) {
            return nonsense("status", "`status` is one of an error, 400 to 599");
        }
        let code = fault.code.or(Code::of_status(status)).unwrap_or(Code::Unknown);
        Ok(Kind::Answer { status, code, headers: headers(&fault.headers)? })
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
        headers.insert(name, value);
    }
    let bytes = given.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    match bytes <= MAX_HEADER_BYTES {
        true => Ok(headers),
        false => nonsense("headers", "`headers` have at most 4 KiB"),
    }
}

/// What a journal says of it: `delay_ms 50, status 503`.
impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(delay) = self.delay {
            let comma = if self.kind == Kind::Nothing { "" } else { ", " };
            write!(f, "delay_ms {}{comma}", delay.as_millis())?;
        }
        match &self.kind {
            Kind::Nothing => Ok(()),
            Kind::Reset(when) => write!(f, "reset {when}"),
            Kind::Answer { status, .. } => write!(f, "status {status}"),
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
        ] {
            assert_eq!(fault(&format!(r#"{{"on": "GET /b", {json}}}"#)), Ok(written));
        }
    }

    #[test]
    fn a_fault_that_makes_no_sense_is_refused() {
        for json in [
            r#"{"on": "GET /b"}"#,
            r#"{"on": "GET /b", "status": 200}"#,
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
    }
}
