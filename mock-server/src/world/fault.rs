//! What can go wrong on purpose: a [`Fault`] as a test writes it, in Rust or in JSON. What of it makes
//! sense is for `effect` to say, and which call meets it for `plan`.

mod delay;
mod effect;
mod plan;

use std::collections::BTreeMap;
use std::time::Duration;

use cloudnestle_marketplace::Code;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use delay::{Delay, Distribution};
pub(crate) use effect::{Answer, Content, Effect, Kind, Nonsense};
pub(crate) use plan::{Candidate, FaultPlan, Taken};
pub use plan::{FaultReport, PlannedFault, UnmetFaults, UsedFault};

/// What a fault of any call is planned `on`.
pub(crate) const ANY: &str = "*";

/// Something that goes wrong in a call: in the first one that it is meant for, and that no fault planned
/// before it has taken.
///
/// In JSON (or YAML) it reads `{"on": "POST /api/track-usage", "reset": "after_commit"}`,
/// `{"on": …, "status": 503, "headers": {"retry-after": "1"}}` or `{"on": …, "delay_ms": 50}`. It does
/// one thing; `delay_ms` and `date_offset_ms` may come with it, or be all.
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
    /// How much longer the call takes: milliseconds, `{"uniform": [20, 80]}`, or
    /// `{"lognormal": {"median": 40, "sigma": 0.5}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    delay_ms: Option<Delay>,
    /// How far the answer's header `Date` is ahead of the server's clock, or, below 0, behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = -3_155_760_000_000_i64, maximum = 3_155_760_000_000_i64)]
    date_offset_ms: Option<i64>,
    /// The status of an answer in place of the call, which has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 200, maximum = 599)]
    status: Option<u16>,
    /// The code of an error; without it, the one that goes with its status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<Code>,
    /// Headers of the answer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    /// The answer's body, as it is: a string is text, unless `content-type` says otherwise, anything else
    /// JSON. Without it, an error has that of an error and another answer none. At most 64 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Value>,
    /// That the connection is reset, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reset: Option<When>,
    /// That the connection is closed without an answer, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    empty: Option<When>,
    /// That the answer ends early, after this share of its body, and the connection with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1)]
    truncated: Option<f64>,
    /// That the answer is no HTTP, or its body no JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    malformed: Option<Malformed>,
    /// That the answer's body comes bit by bit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    drip: Option<Drip>,
    /// How long nothing more comes after half of the answer's body, until the connection is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 600_000)]
    stall_ms: Option<u64>,
    /// That the call is performed twice, as if something on the way had repeated it. The answer is the
    /// second one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    duplicate: Option<bool>,
    /// That the next signing key takes over while the call is under way, before or after its effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotate_key: Option<When>,
}

/// What an answer is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Malformed {
    /// Its first line is not one of HTTP.
    Http,
    /// Its body is half of what it was.
    Json,
}

/// How a body comes bit by bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drip {
    /// How many pieces of about the same length.
    #[schema(minimum = 2, maximum = 1_000)]
    pub pieces: u32,
    /// Milliseconds from the first to the last.
    #[schema(maximum = 600_000)]
    pub over_ms: u64,
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
            date_offset_ms: None,
            status: None,
            code: None,
            headers: BTreeMap::new(),
            body: None,
            reset: None,
            empty: None,
            truncated: None,
            malformed: None,
            drip: None,
            stall_ms: None,
            duplicate: None,
            rotate_key: None,
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
        self.delay_ms = Some(Delay::Fixed(millis(delay)));
        self
    }

    /// The call takes longer by a time that is drawn from all between these two.
    pub fn delay_between(mut self, shortest: Duration, longest: Duration) -> Fault {
        let bounds = [millis(shortest), millis(longest)];
        self.delay_ms = Some(Delay::Drawn(Distribution::Uniform(bounds)));
        self
    }

    /// The call takes longer by a time that is drawn as networks do it: half of the calls take no longer
    /// than the median, and the wider `sigma` (0.5 is usual), the longer a few of them.
    pub fn delay_lognormal(mut self, median: Duration, sigma: f64) -> Fault {
        let distribution = Distribution::Lognormal { median: millis(median), sigma };
        self.delay_ms = Some(Delay::Drawn(distribution));
        self
    }

    /// The answer's header `Date` is so many milliseconds ahead of the server's clock, or behind.
    pub fn date_offset_ms(mut self, millis: i64) -> Fault {
        self.date_offset_ms = Some(millis);
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

    /// The answer has this body, as it is: text, or any other JSON.
    ///
    /// ```
    /// # use cloudnestle_mock_server::Fault;
    /// let gateway = Fault::on_any().status(502).header("content-type", "text/html").body("<h1>Oh no</h1>");
    /// let newer = Fault::on("POST /api/validate-token").status(200)
    ///     .body(serde_json::json!({"valid": false, "code": "token_of_tomorrow"}));
    /// # let _ = (gateway, newer);
    /// ```
    pub fn body(mut self, body: impl Into<Value>) -> Fault {
        self.body = Some(body.into());
        self
    }

    /// The connection is reset.
    pub fn reset(mut self, when: When) -> Fault {
        self.reset = Some(when);
        self
    }

    /// The connection is closed without an answer, as by a server that is being stopped.
    pub fn empty(mut self, when: When) -> Fault {
        self.empty = Some(when);
        self
    }

    /// The answer ends after this share of its body, 0 until before 1, and the connection with it: less
    /// comes than its `Content-Length` says.
    pub fn truncated(mut self, share: f64) -> Fault {
        self.truncated = Some(share);
        self
    }

    /// The call is performed, and what comes back is no HTTP.
    pub fn malformed_http(mut self) -> Fault {
        self.malformed = Some(Malformed::Http);
        self
    }

    /// The call is performed, and its answer's body is half of what it was: no JSON.
    pub fn malformed_json(mut self) -> Fault {
        self.malformed = Some(Malformed::Json);
        self
    }

    /// The answer's body comes in so many pieces, the first at once and the last when this time is over.
    pub fn drip(mut self, pieces: u32, over: Duration) -> Fault {
        self.drip = Some(Drip { pieces, over_ms: millis(over) });
        self
    }

    /// After half of the answer's body nothing more comes for so long; then the connection is closed.
    pub fn stall(mut self, time: Duration) -> Fault {
        self.stall_ms = Some(millis(time));
        self
    }

    /// The call is performed twice, as if something on the way had repeated it; the answer is the
    /// second one.
    pub fn duplicate(mut self) -> Fault {
        self.duplicate = Some(true);
        self
    }

    /// The next signing key takes over while the call is under way.
    pub fn rotate_key(mut self, when: When) -> Fault {
        self.rotate_key = Some(when);
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

    /// As an account of what calls have met keeps it: bodies are large.
    fn without_body(&self) -> Fault {
        Fault { body: None, ..self.clone() }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
