//! The journal over HTTP: its list, which can be searched, and each of its calls.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, NoContent, Response};
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::UnverifiedToken;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::reading;
use crate::api::Json;
use crate::api::openapi::{Answer, Shape, Success};
use crate::api::problem::Failure;
use crate::api::query::Query;
use crate::market::Market;
use crate::world::{JournalCall, JournalEntry, Recorded, Redactor};

type TheMarket = State<Arc<Market>>;

/// How many calls are looked through before others get their turn: a millisecond's.
const STRIDE: usize = 64;

/// Which calls of the journal are meant: those that are all of what is said.
///
/// ```
/// use cloudnestle_mock_server::Search;
///
/// let refused = Search::default().operation("POST /api/track-usage").status(429).customer("cus_ravi");
/// # let _ = refused;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Search {
    /// Method and path, with the path's parameters in braces: `POST /api/track-usage`.
    operation: Option<String>,
    /// The status it was answered with.
    #[param(maximum = 65535)]
    status: Option<u16>,
    /// The code it was refused with.
    code: Option<String>,
    /// The call's id.
    request_id: Option<String>,
    /// The test that made it, as its header `CloudNestle-Test` says.
    test: Option<String>,
    /// A customer whom the path, the query, a body or the token names.
    customer: Option<String>,
    /// Calls after this number alone.
    after: Option<u64>,
    /// The most that are answered, the oldest first.
    limit: Option<u32>,
    /// What is in the body that was sent or answered, as it is shown: without secrets.
    #[serde(rename = "body~")]
    #[param(rename = "body~")]
    body: Option<String>,
    /// Whether headers and bodies are told, too.
    #[serde(default)]
    bodies: bool,
}

impl Search {
    /// Calls of an operation: method and path, with the path's parameters in braces.
    pub fn operation(mut self, operation: impl Into<String>) -> Search {
        self.operation = Some(operation.into());
        self
    }

    /// Calls that were answered with this status.
    pub fn status(mut self, status: u16) -> Search {
        self.status = Some(status);
        self
    }

    /// Calls that were refused with this code.
    pub fn code(mut self, code: Code) -> Search {
        self.code = Some(code.to_string());
        self
    }

    /// The call of this id.
    pub fn request_id(mut self, id: impl Into<String>) -> Search {
        self.request_id = Some(id.into());
        self
    }

    /// Calls of this test, as their header `CloudNestle-Test` says.
    pub fn test(mut self, test: impl Into<String>) -> Search {
        self.test = Some(test.into());
        self
    }

    /// Calls whose path, query, bodies or token name this customer.
    pub fn customer(mut self, customer_id: impl Into<String>) -> Search {
        self.customer = Some(customer_id.into());
        self
    }

    /// Calls after the one of this number.
    pub fn after(mut self, seq: u64) -> Search {
        self.after = Some(seq);
        self
    }

    /// At most so many, the oldest first.
    pub fn limit(mut self, calls: u32) -> Search {
        self.limit = Some(calls);
        self
    }

    /// Calls with this text in the body that was sent or answered, as it is shown.
    pub fn body_contains(mut self, text: impl Into<String>) -> Search {
        self.body = Some(text.into());
        self
    }

    fn limit_or_all(&self) -> usize {
        self.limit.map_or(usize::MAX, |calls| calls as usize)
    }

    /// Whether it is a call of those, as far as can be said without looking into it.
    pub(super) fn fits(&self, entry: &JournalEntry) -> bool {
        fn is<T: PartialEq>(wanted: &Option<T>, found: Option<T>) -> bool {
            wanted.is_none() || *wanted == found
        }
        is(&self.operation, Some(entry.operation.clone()))
            && is(&self.status, entry.status)
            && is(&self.code, entry.code.map(|code| code.to_string()))
            && is(&self.request_id, Some(entry.request_id.clone()))
            && is(&self.test, entry.test.clone())
    }

    /// Whether one has to look into a call to say whether it is one of those.
    fn looks_inside(&self) -> bool {
        self.customer.is_some() || self.body.is_some()
    }

    fn fits_inside(&self, recorded: &Recorded, call: &JournalCall) -> bool {
        let bodies = || bodies(call);
        let about = |customer: &String| names(recorded, call, customer);
        let contains = |text: &String| bodies().any(|body| text_of(body).contains(text));
        self.customer.as_ref().is_none_or(about) && self.body.as_ref().is_none_or(contains)
    }
}

fn bodies(call: &JournalCall) -> impl Iterator<Item = &Value> {
    let answer = call.answer.as_ref().and_then(|answer| answer.body.as_ref());
    call.request.body.iter().chain(answer)
}

/// A text as it is, anything else as JSON.
fn text_of(body: &Value) -> String {
    body.as_str().map_or_else(|| body.to_string(), str::to_owned)
}

/// Whether a call is about a customer: the path, the query or a body has the id, or the token is the
/// customer's.
fn names(recorded: &Recorded, call: &JournalCall, customer_id: &str) -> bool {
    fn has(value: &Value, text: &str) -> bool {
        match value {
            Value::String(it) => it == text,
            Value::Array(items) => items.iter().any(|item| has(item, text)),
            Value::Object(fields) => fields.values().any(|field| has(field, text)),
            _ => false,
        }
    }
    let mut lines = recorded.request.headers.lines();
    let token = lines.find_map(|line| line.strip_prefix("authorization: Bearer "));
    // It is for a search alone: the word of a forged token is good enough.
    let claims = token
        .and_then(|it| UnverifiedToken::parse(it, UnverifiedToken::ACCESS).ok()?.claims(true).ok());
    call.request.path.split('/').any(|part| part == customer_id)
        || call.request.query.values().any(|value| value == customer_id)
        || bodies(call).any(|body| has(body, customer_id))
        || claims.is_some_and(|claims| claims.sub == customer_id)
}

/// Looks through the journal: for each of its calls, the call if it is one of those, read if one had to look
/// into it.
fn look_through(
    market: &Market,
    search: &Search,
) -> impl Iterator<Item = Option<(Arc<Recorded>, Option<JournalCall>)>> {
    let redactor = Redactor::new(&market.world.random, &market.url);
    let calls = market.world.journal.after(search.after.unwrap_or_default());
    calls.into_iter().map(move |recorded| {
        if !search.fits(&recorded.entry) {
            return None;
        }
        if !search.looks_inside() {
            return Some((recorded, None));
        }
        let call = reading::read(&recorded, &redactor);
        search.fits_inside(&recorded, &call).then_some((recorded, Some(call)))
    })
}

/// The calls that are searched for, whole.
pub(super) fn find(market: &Market, search: &Search) -> Vec<JournalCall> {
    let redactor = Redactor::new(&market.world.random, &market.url);
    let found = look_through(market, search).flatten().take(search.limit_or_all());
    let whole = found.map(|(it, call)| call.unwrap_or_else(|| reading::read(&it, &redactor)));
    whole.collect()
}

/// What of a call is told in a list.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Listed {
    /// As long as nobody asks for more.
    Head(JournalEntry),
    /// With `bodies=true`.
    Whole(Box<JournalCall>),
}

#[derive(Serialize, ToSchema)]
pub(super) struct JournalAnswer {
    entries: Vec<Listed>,
}

/// `GET /mock/journal`
pub(super) async fn list(
    State(market): TheMarket,
    Query(search): Query<Search>,
) -> Json<JournalAnswer> {
    let redactor = Redactor::new(&market.world.random, &market.url);
    let limit = search.limit_or_all();
    let mut entries = Vec::new();
    for (n, found) in look_through(&market, &search).enumerate() {
        if entries.len() >= limit {
            break;
        }
        if n % STRIDE == STRIDE - 1 {
            tokio::task::yield_now().await;
        }
        entries.extend(found.map(|(recorded, call)| match search.bodies {
            false => Listed::Head(recorded.entry.clone()),
            true => {
                let whole = call.unwrap_or_else(|| reading::read(&recorded, &redactor));
                Listed::Whole(Box::new(whole))
            }
        }));
    }
    Json(JournalAnswer { entries })
}

/// The call of a number, whole.
pub(super) fn call(market: &Market, seq: &str) -> Result<JournalCall, Failure> {
    let recorded = seq.parse().ok().and_then(|seq| market.world.journal.get(seq));
    let none = || Failure::new(Code::NotFound, "The journal has no call of that number.");
    let redactor = Redactor::new(&market.world.random, &market.url);
    Ok(reading::read(&*recorded.ok_or_else(none)?, &redactor))
}

/// `GET /mock/journal/{seq}`
pub(super) async fn read(
    State(market): TheMarket,
    Path(seq): Path<String>,
) -> Result<Json<JournalCall>, Failure> {
    call(&market, &seq).map(Json)
}

/// `GET /mock/journal/{seq}/curl`
pub(super) async fn curl(
    State(market): TheMarket,
    Path(seq): Path<String>,
) -> Result<Command, Failure> {
    let detail = "The journal has not all of this call's body.";
    let command = call(&market, &seq)?.to_curl();
    command.map(Command).ok_or_else(|| Failure::new(Code::NotFound, detail))
}

/// A line for a shell.
pub(super) struct Command(String);

impl IntoResponse for Command {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

impl Answer for Command {
    fn describe(shape: &mut Shape) {
        let content = Some(("text/plain", String::schema()));
        shape.answer = Success { status: 200, content };
    }
}

/// `DELETE /mock/journal`
pub(super) async fn clear(State(market): TheMarket) -> NoContent {
    market.world.journal.clear();
    NoContent
}
