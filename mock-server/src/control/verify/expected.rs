//! What a test expects to have been asked.

use std::collections::BTreeMap;
use std::fmt;

use cloudnestle_marketplace::Code;
use serde::Deserialize;
use serde_json::Value;

use super::matcher;
use crate::api::problem::Failure;
use crate::api::routes;
use crate::world::{JournalCall, JournalEntry};

/// Calls that a test expects to find in the journal: those that are all of what is said. Unless it is said how
/// often, one is enough.
///
/// What is expected of a header, a parameter of the query or a body is a value, of an object only the fields that
/// matter; or conditions in place of any value: `{"$exists": true}`, `{"$contains": "evt_"}` of a text or a list,
/// `{"$gt": 1}`, and `$gte`, `$lt`, `$lte`. Secrets are in the journal as it shows them, `[secret key 3f9a1c]`.
///
/// ```
/// use cloudnestle_mock_server::Expected;
/// use serde_json::json;
///
/// let once = Expected::call("POST /api/track-usage").times(1).body(json!({"event": {"quantity": 3}}));
/// let never_refused = Expected::call("POST /api/track-usage").times(0).status(429);
/// # let _ = (once, never_refused);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Method and path, with the path's parameters in braces: `POST /api/track-usage`.
    operation: String,
    /// Exactly so many calls.
    #[serde(default)]
    times: Option<u32>,
    /// So many calls or more; 1 unless another number of them is given.
    #[serde(default)]
    at_least: Option<u32>,
    /// So many calls or fewer.
    #[serde(default)]
    at_most: Option<u32>,
    /// The status they were answered with.
    #[serde(default)]
    #[schema(maximum = 65535)]
    status: Option<u16>,
    /// The code they were refused with.
    #[serde(default)]
    code: Option<String>,
    /// The test that made them, as their header `CloudNestle-Test` says.
    #[serde(default)]
    test: Option<String>,
    /// Calls after this number of the journal alone.
    #[serde(default)]
    after: Option<u64>,
    /// Headers that were sent.
    #[serde(default)]
    headers: BTreeMap<String, Value>,
    /// Parameters of the query.
    #[serde(default)]
    query: BTreeMap<String, Value>,
    /// The body that was sent.
    #[serde(default)]
    body: Option<Value>,
}

impl Expected {
    /// Calls of an operation: method and path, with the path's parameters in braces.
    pub fn call(operation: impl Into<String>) -> Expected {
        Expected { operation: operation.into(), ..Expected::default() }
    }

    /// Exactly so many.
    pub fn times(mut self, calls: u32) -> Expected {
        self.times = Some(calls);
        self
    }

    /// So many or more.
    pub fn at_least(mut self, calls: u32) -> Expected {
        self.at_least = Some(calls);
        self
    }

    /// So many or fewer.
    pub fn at_most(mut self, calls: u32) -> Expected {
        self.at_most = Some(calls);
        self
    }

    /// That were answered with this status.
    pub fn status(mut self, status: u16) -> Expected {
        self.status = Some(status);
        self
    }

    /// That were refused with this code.
    pub fn code(mut self, code: Code) -> Expected {
        self.code = Some(code.to_string());
        self
    }

    /// Of this test, as their header `CloudNestle-Test` says.
    pub fn test(mut self, test: impl Into<String>) -> Expected {
        self.test = Some(test.into());
        self
    }

    /// After the call of this number of the journal: so one tells in which order calls came.
    pub fn after(mut self, seq: u64) -> Expected {
        self.after = Some(seq);
        self
    }

    /// That were sent with a header like this.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Value>) -> Expected {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// With a parameter like this in their query.
    pub fn query(mut self, name: impl Into<String>, value: impl Into<Value>) -> Expected {
        self.query.insert(name.into(), value.into());
        self
    }

    /// That were sent with a body like this.
    pub fn body(mut self, body: impl Into<Value>) -> Expected {
        self.body = Some(body.into());
        self
    }

    /// Refuses what no call could ever be, so that no slip of the pen passes for "never".
    pub(super) fn check(&self) -> Result<(), Failure> {
        if !routes::api().iter().any(|route| route.operation() == self.operation) {
            let detail = "Name an operation as the API page does, such as `POST /api/track-usage`.";
            return Err(Failure::field("operation", detail));
        }
        if self.times.is_some() && (self.at_least.is_some() || self.at_most.is_some()) {
            return Err(Failure::field("times", "That is how often exactly, and needs no bounds."));
        }
        let (least, most) = self.bounds();
        if most.is_some_and(|most| most < least) {
            return Err(Failure::field("at_most", "That is fewer than `at_least`."));
        }
        let parts = [("headers", &self.headers), ("query", &self.query)];
        let named = parts.iter().flat_map(|(part, values)| {
            values.iter().map(move |(name, value)| (format!("{part}.{name}"), value))
        });
        let body = self.body.iter().map(|value| ("body".to_owned(), value));
        for (place, value) in named.chain(body) {
            matcher::check(value, &place)
                .map_err(|(place, detail)| Failure::field(place, detail))?;
        }
        Ok(())
    }

    pub(super) fn first_number(&self) -> u64 {
        self.after.unwrap_or_default()
    }

    pub(super) fn is_of(&self, entry: &JournalEntry) -> bool {
        entry.operation == self.operation
    }

    pub(super) fn is_met_by(&self, calls: usize) -> bool {
        let (least, most) = self.bounds();
        calls >= least as usize && most.is_none_or(|most| calls <= most as usize)
    }

    fn bounds(&self) -> (u32, Option<u32>) {
        match (self.times, self.at_least, self.at_most) {
            (Some(times), ..) => (times, Some(times)),
            (None, Some(least), most) => (least, most),
            // "At most three" is met by none.
            (None, None, Some(most)) => (0, Some(most)),
            (None, None, None) => (1, None),
        }
    }

    /// In what a call of the operation is other than expected; nothing, if it is one of those.
    pub(super) fn differences(&self, call: &JournalCall) -> Vec<String> {
        let mut told = Vec::new();
        let entry = &call.entry;
        let mut compare = |place: &str, expected: Option<Value>, found: Option<Value>| {
            if let Some(expected) = expected {
                matcher::differences(&expected, found.as_ref(), place, &mut told);
            }
        };
        compare("status", self.status.map(Value::from), entry.status.map(Value::from));
        let code = entry.code.map(|code| Value::from(code.as_str()));
        compare("code", self.code.clone().map(Value::from), code);
        compare("test", self.test.clone().map(Value::from), entry.test.clone().map(Value::from));
        for (name, expected) in &self.headers {
            let found = call.request.headers.get(&name.to_ascii_lowercase());
            let place = format!("headers.{name}");
            compare(&place, Some(expected.clone()), found.cloned().map(Value::from));
        }
        for (name, expected) in &self.query {
            let found = call.request.query.get(name).cloned().map(Value::from);
            compare(&format!("query.{name}"), Some(expected.clone()), found);
        }
        compare("body", self.body.clone(), call.request.body.clone());
        told
    }
}

/// `POST /api/track-usage once`
impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.operation)?;
        match self.bounds() {
            (0, Some(0)) => f.write_str("never"),
            (1, Some(1)) => f.write_str("once"),
            (least, Some(most)) if least == most => write!(f, "{least} times"),
            (1, None) => f.write_str("at least once"),
            (least, None) => write!(f, "at least {least} times"),
            (0, Some(most)) => write!(f, "at most {most} times"),
            (least, Some(most)) => write!(f, "{least} to {most} times"),
        }
    }
}
