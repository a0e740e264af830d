//! What can go wrong on purpose: a [`Fault`] as a test writes it, in Rust or in JSON. What of it makes
//! sense is for `effect` to say, and which call meets it for `plan`.

mod effect;
mod plan;

use std::collections::BTreeMap;
use std::time::Duration;

use cloudnestle_marketplace::Code;
use serde::{Deserialize, Serialize};

pub(crate) use effect::{Effect, Kind, Nonsense};
pub(crate) use plan::{Candidate, FaultPlan};
pub use plan::{FaultReport, PlannedFault, UnmetFaults, UsedFault};

/// What a fault of any call is planned `on`.
pub(crate) const ANY: &str = "*";

/// Something that goes wrong in a call: in the first one that it is meant for, and that no fault planned
/// before it has taken.
///
/// In JSON (or YAML) it reads `{"on": "POST /api/track-usage", "reset": "after_commit"}`,
/// `{"on": …, "status": 503, "headers": {"retry-after": "1"}}` or `{"on": …, "delay_ms": 50}`; a
/// delay may come before either of the others.
///
/// ```
/// use std::time::Duration;
/// use cloudnestle_mock_server::{Fault, When};
///
/// let unknown_result = Fault::on("POST /api/track-usage").reset(When::AfterCommit);
/// let busy = Fault::on("GET /api/user-context").status(503).header("retry-after", "1").times(3);
/// let slow = Fault::on("GET /.well-known/jwks.json").delay(Duration::from_millis(50));
/// let flaky = Fault::on_any().status(502).probability(0.1).times(1_000);
/// # let _ = (unknown_result, busy, slow, flaky);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The operation, as the API page names it, `POST /api/track-usage`, or `*` for any.
    on: String,
    /// Only calls of this solution's keys and tokens meet it; those without either, if they name the
    /// solution in `CloudNestle-Solution`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    solution: Option<String>,
    /// Only calls with this in their header `CloudNestle-Test` meet it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64)]
    test: Option<String>,
    /// How many calls meet it; one unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    times: Option<u32>,
    /// How many calls that could have met it are let through before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_000_000)]
    after: Option<u32>,
    /// How probable it is that a call meets it that could; certain unless given. Drawn from the
    /// server's randomness: the same seed draws the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1)]
    probability: Option<f64>,
    /// After how many milliseconds, by the server's clock, no call meets it any more, whatever became of
    /// the test that planned it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 86_400_000)]
    expires_ms: Option<u64>,
    /// How much longer the call takes, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 600_000)]
    delay_ms: Option<u64>,
    /// That the connection is reset, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reset: Option<When>,
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

/// On which side of a call's effect something happens. The client can't tell which it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Before: the call is not performed.
    BeforeCommit,
    /// After: the call is performed.
    AfterCommit,
}

impl Fault {
    /// A fault of the operation that the API page names so: method and path, with the path's
    /// parameters in braces. Say next what goes wrong.
    pub fn on(operation: impl Into<String>) -> Fault {
        Fault {
            on: operation.into(),
            solution: None,
            test: None,
            times: None,
            after: None,
            probability: None,
            expires_ms: None,
            delay_ms: None,
            reset: None,
            status: None,
            code: None,
            headers: BTreeMap::new(),
        }
    }

    /// A fault of any call of the API.
    pub fn on_any() -> Fault {
        Fault::on(ANY)
    }

    /// Only calls of this solution's keys and tokens meet it.
    pub fn solution(mut self, solution_id: impl Into<String>) -> Fault {
        self.solution = Some(solution_id.into());
        self
    }

    /// Only calls whose header `CloudNestle-Test` says so meet it: tests that share a server don't
    /// meet each other's faults.
    pub fn test(mut self, test: impl Into<String>) -> Fault {
        self.test = Some(test.into());
        self
    }

    /// So many calls meet it, one after the other; one unless this is said, at most a million.
    pub fn times(mut self, times: u32) -> Fault {
        self.times = Some(times);
        self
    }

    /// So many calls that could have met it are let through first.
    pub fn after(mut self, calls: u32) -> Fault {
        self.after = Some(calls);
        self
    }

    /// A call that could meet it does so with this probability, 0 to 1.
    pub fn probability(mut self, probability: f64) -> Fault {
        self.probability = Some(probability);
        self
    }

    /// After so long, by the server's clock, no call meets it any more; at most a day.
    pub fn expires_after(mut self, life: Duration) -> Fault {
        self.expires_ms = Some(millis(life));
        self
    }

    /// The call takes longer by this.
    pub fn delay(mut self, delay: Duration) -> Fault {
        self.delay_ms = Some(millis(delay));
        self
    }

    /// The connection is reset.
    pub fn reset(mut self, when: When) -> Fault {
        self.reset = Some(when);
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

    /// The operation it is for, unless it is for any.
    pub(crate) fn operation(&self) -> Option<&str> {
        (self.on != ANY).then_some(&self.on)
    }

    /// The solution it is for, unless it is for any.
    pub(crate) fn solution_id(&self) -> Option<&str> {
        self.solution.as_deref()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
