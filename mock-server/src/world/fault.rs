//! The fault plan: what goes wrong, in which call, in which order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cloudnestle_marketplace::Code;
use serde::{Deserialize, Serialize};

/// The most faults a plan holds, used ones included.
const MAX_FAULTS: usize = 10_000;
/// The longest delay: no client of ours waits longer for anything.
const MAX_DELAY_MS: u64 = 10 * 60 * 1000;

/// Something that goes wrong in one call: the first one of its operation that finds it in the plan.
///
/// In JSON (or YAML) it reads `{"on": "POST /api/track-usage", "reset": "after_commit"}`,
/// `{"on": …, "status": 503, "headers": {"retry-after": "1"}}` or `{"on": …, "delay_ms": 50}`; a
/// delay may come before either of the others.
///
/// ```
/// use std::time::Duration;
/// use cloudnestle_mock_server::{Fault, Reset};
///
/// let unknown_result = Fault::on("POST /api/track-usage").reset(Reset::AfterCommit);
/// let busy = Fault::on("GET /api/user-context").status(503).header("retry-after", "1");
/// let slow = Fault::on("GET /.well-known/jwks.json").delay(Duration::from_millis(50));
/// # let _ = (unknown_result, busy, slow);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The operation, as the API page names it: `POST /api/track-usage`.
    pub(crate) on: String,
    /// How much longer the call takes, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 600_000)]
    delay_ms: Option<u64>,
    /// That the connection is reset, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reset: Option<Reset>,
    /// The status of an error that answers the call, which has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 400, maximum = 599)]
    status: Option<u16>,
    /// The answer's code; without it, the one that goes with its status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<Code>,
    /// Headers of the answer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
}

/// When a connection is reset: the client gets no answer either way, and can't tell which it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reset {
    /// The call has no effect.
    BeforeCommit,
    /// The call has its effect.
    AfterCommit,
}

/// What a fault does to a call, after its delay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing; the delay was all.
    Nothing,
    Reset(Reset),
    Answer {
        status: u16,
        code: Code,
        headers: BTreeMap<String, String>,
    },
}

impl Fault {
    /// A fault of the operation that the API page names so: method and path, with the path's
    /// parameters in braces. Say next what goes wrong.
    pub fn on(operation: impl Into<String>) -> Fault {
        Fault {
            on: operation.into(),
            delay_ms: None,
            reset: None,
            status: None,
            code: None,
            headers: BTreeMap::new(),
        }
    }

    /// The call takes longer by this.
    pub fn delay(mut self, delay: Duration) -> Fault {
        self.delay_ms = Some(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// The connection is reset.
    pub fn reset(mut self, reset: Reset) -> Fault {
        self.reset = Some(reset);
        self
    }

    /// The call is answered with this status instead, and has no effect.
    pub fn status(mut self, status: u16) -> Fault {
        self.status = Some(status);
        self
    }

    /// The answer has this code; without it, the one that goes with its status.
    pub fn code(mut self, code: Code) -> Fault {
        self.code = Some(code);
        self
    }

    /// The answer has this header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Fault {
        self.headers.insert(name.into(), value.into());
        self
    }

    pub(crate) fn delay_time(&self) -> Option<Duration> {
        self.delay_ms.map(Duration::from_millis)
    }

    pub(crate) fn effect(&self) -> Effect {
        match (self.reset, self.status) {
            (Some(reset), _) => Effect::Reset(reset),
            (None, Some(status)) => Effect::Answer {
                status,
                code: self.code.or(Code::of_status(status)).unwrap_or(Code::Unknown),
                headers: self.headers.clone(),
            },
            (None, None) => Effect::Nothing,
        }
    }

    /// What a journal says of it.
    pub(crate) fn summary(&self) -> String {
        let delay = self.delay_ms.map(|delay| format!("delay_ms {delay}"));
        let effect = match self.effect() {
            Effect::Nothing => None,
            Effect::Reset(Reset::BeforeCommit) => Some("reset before_commit".to_owned()),
            Effect::Reset(Reset::AfterCommit) => Some("reset after_commit".to_owned()),
            Effect::Answer { status, .. } => Some(format!("status {status}")),
        };
        delay.into_iter().chain(effect).collect::<Vec<_>>().join(", ")
    }

    /// Why it makes no sense, if it doesn't.
    fn check(&self) -> Result<(), &'static str> {
        if self.reset.is_some() && self.status.is_some() {
            return Err("a call is either reset or answered: give `reset` or `status`");
        }
        if self.status.is_none() && (self.code.is_some() || !self.headers.is_empty()) {
            return Err("`code` and `headers` are of an answer: give its `status` too");
        }
        if self.reset.is_none() && self.status.is_none() && self.delay_ms.is_none() {
            return Err("nothing goes wrong: give `status`, `reset` or `delay_ms`");
        }
        if self.status.is_some_and(|status| !(400..=599).contains(&status)) {
            return Err("`status` is one of an error, 400 to 599");
        }
        if self.delay_ms.is_some_and(|delay| delay > MAX_DELAY_MS) {
            return Err("`delay_ms` is at most ten minutes");
        }
        let valid = |(name, value): (&String, &String)| {
            axum::http::HeaderName::try_from(name).is_ok()
                && axum::http::HeaderValue::try_from(value).is_ok()
        };
        if !self.headers.iter().all(valid) {
            return Err("`headers` has what can't be a header");
        }
        Ok(())
    }
}

/// What became of a fault plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FaultReport {
    /// The faults no call has met yet, in their order.
    pub left: Vec<Fault>,
    /// The faults that were met, in the order in which that happened.
    pub used: Vec<UsedFault>,
}

/// A fault that a call has met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct UsedFault {
    /// What was planned.
    #[serde(flatten)]
    pub fault: Fault,
    /// The call that met it.
    pub request_id: String,
}

/// The faults of one server, and whether it is out of reach altogether.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan {
    report: Mutex<FaultReport>,
    outage: AtomicBool,
}

impl FaultPlan {
    /// Plans one more fault, after the others.
    pub(crate) fn push(&self, fault: Fault) -> Result<(), &'static str> {
        fault.check()?;
        let mut report = self.report();
        if report.left.len() + report.used.len() >= MAX_FAULTS {
            return Err("the plan has 10,000 faults: clear it first");
        }
        report.left.push(fault);
        Ok(())
    }

    /// The first fault that is planned for an operation. It is used up by this.
    pub(crate) fn take(&self, operation: &str, request_id: &str) -> Option<Fault> {
        let mut report = self.report();
        let at = report.left.iter().position(|fault| fault.on == operation)?;
        let fault = report.left.remove(at);
        report.used.push(UsedFault { fault: fault.clone(), request_id: request_id.to_owned() });
        Some(fault)
    }

    pub(crate) fn report(&self) -> MutexGuard<'_, FaultReport> {
        // Nothing can panic half-way through a change of these lists.
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn clear(&self) {
        *self.report() = FaultReport::default();
    }

    pub(crate) fn set_outage(&self, on: bool) {
        self.outage.store(on, Ordering::SeqCst);
    }

    pub(crate) fn is_outage(&self) -> bool {
        self.outage.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(json: &str) -> Result<Fault, String> {
        let fault: Fault = serde_json::from_str(json).map_err(|error| error.to_string())?;
        fault.check().map_err(str::to_owned)?;
        Ok(fault)
    }

    #[test]
    fn a_fault_reads_in_json_as_it_does_in_rust() {
        let json = r#"{"on": "POST /a", "reset": "after_commit"}"#;
        assert_eq!(fault(json), Ok(Fault::on("POST /a").reset(Reset::AfterCommit)));
        let json = r#"{"on": "GET /b", "status": 503, "headers": {"retry-after": "1"}}"#;
        assert_eq!(fault(json), Ok(Fault::on("GET /b").status(503).header("retry-after", "1")));
        let json = r#"{"on": "GET /b", "delay_ms": 50}"#;
        assert_eq!(fault(json), Ok(Fault::on("GET /b").delay(Duration::from_millis(50))));
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
        ] {
            assert!(fault(json).is_err(), "{json}");
        }
    }

    #[test]
    fn each_fault_meets_one_call_of_its_operation_in_order() {
        let plan = FaultPlan::default();
        let first = Fault::on("GET /a").status(500);
        let second = Fault::on("GET /a").status(501);
        let elsewhere = Fault::on("GET /b").status(502);
        for fault in [&first, &elsewhere, &second] {
            plan.push(fault.clone()).expect("sense");
        }
        assert_eq!(plan.take("GET /a", "req_1"), Some(first));
        assert_eq!(plan.take("GET /a", "req_2"), Some(second));
        assert_eq!(plan.take("GET /a", "req_3"), None);
        let report = plan.report().clone();
        assert_eq!(report.left, [elsewhere]);
        let met: Vec<_> = report.used.iter().map(|used| used.request_id.as_str()).collect();
        assert_eq!(met, ["req_1", "req_2"]);
    }
}
