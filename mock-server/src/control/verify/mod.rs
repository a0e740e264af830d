//! Whether the API was asked what a test expects; and if not, what came nearest.

mod expected;
mod matcher;

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;

pub use expected::Expected;

use super::handle::ControlError;
use super::reading;
use crate::api::Json;
use crate::api::problem::Failure;
use crate::market::Market;
use crate::world::{JournalCall, Redactor};

/// So many calls are told that were nearly what was expected.
const MAX_NEAR_MISSES: usize = 5;
/// And of each, so many differences.
const MAX_DIFFERENCES: usize = 10;
/// Of the calls that were as expected, so many numbers are told in words.
const MAX_SHOWN_CALLS: usize = 10;
/// How many calls are looked through before others get their turn: a millisecond's.
const STRIDE: usize = 64;

/// Why a test's expectation does not hold.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Unverified {
    /// The journal has fewer such calls, or more.
    #[error(transparent)]
    Calls(UnmetCalls),
    /// No call could ever be like that.
    #[error(transparent)]
    Senseless(ControlError),
}

/// Calls that were expected, and not made so often. Its text is the whole report.
///
/// ```text
/// expected POST /api/track-usage once; found 0, and these come near:
/// call 3: body.event.quantity is 2, expected 3
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("expected {expected}; found {}{}", Found(.matched), Near(.near_misses))]
#[non_exhaustive]
pub struct UnmetCalls {
    /// What was expected, and how often: `POST /api/track-usage once`.
    pub expected: String,
    /// The numbers of the calls that were as expected.
    pub matched: Vec<u64>,
    /// Calls of the operation that were not, the nearest first; at most five.
    pub near_misses: Vec<NearMiss>,
}

/// A call that was nearly what was expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[non_exhaustive]
pub struct NearMiss {
    /// Its number in the journal.
    pub seq: u64,
    /// In what it was other than expected, at most ten of it: `body.event.quantity is 2, expected 3`.
    pub because: Vec<String>,
}

/// What was found in the journal.
#[derive(Default, Serialize, utoipa::ToSchema)]
pub(super) struct Verdict {
    /// Whether it is what was expected.
    verified: bool,
    /// The numbers of the calls that were as expected.
    matched: Vec<u64>,
    /// If it is not what was expected: calls of the operation that were others, the nearest first; at most five.
    near_misses: Vec<NearMiss>,
    /// If it is not what was expected: what was, and what came near, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<String>,
}

/// `POST /mock/verify`
pub(super) async fn verify(
    State(market): State<Arc<Market>>,
    Json(expected): Json<Expected>,
) -> Result<Json<Verdict>, Failure> {
    expected.check()?;
    let mut seen = Seen::default();
    for (n, call) in calls(&market, &expected).enumerate() {
        if n % STRIDE == STRIDE - 1 {
            tokio::task::yield_now().await;
        }
        seen.look(&expected, &call);
    }
    Ok(Json(match seen.verdict(&expected) {
        Ok(matched) => Verdict { verified: true, matched, ..Verdict::default() },
        Err(unmet) => {
            let report = Some(unmet.to_string());
            let UnmetCalls { matched, near_misses, .. } = unmet;
            Verdict { verified: false, matched, near_misses, report }
        }
    }))
}

/// The same at once: the numbers of the calls that were as expected.
pub(super) fn verify_now(market: &Market, expected: &Expected) -> Result<Vec<u64>, Unverified> {
    expected.check().map_err(|failure| Unverified::Senseless(failure.into()))?;
    let mut seen = Seen::default();
    calls(market, expected).for_each(|call| seen.look(expected, &call));
    seen.verdict(expected).map_err(Unverified::Calls)
}

/// The calls of the operation, as the journal shows them.
fn calls(market: &Market, expected: &Expected) -> impl Iterator<Item = JournalCall> {
    let redactor = Redactor::new(&market.world.random, &market.url);
    let recorded = market.world.journal.after(expected.first_number()).into_iter();
    let recorded = recorded.filter(|recorded| expected.is_of(&recorded.entry));
    recorded.map(move |recorded| reading::read(&recorded, &redactor))
}

#[derive(Default)]
struct Seen {
    matched: Vec<u64>,
    near_misses: Vec<NearMiss>,
}

impl Seen {
    fn look(&mut self, expected: &Expected, call: &JournalCall) {
        let (seq, mut because) = (call.entry.seq, expected.differences(call));
        if because.is_empty() {
            return self.matched.push(seq);
        }
        // Of two that are as near, the later one.
        let nearer = |miss: &NearMiss| miss.because.len() < because.len();
        let place = self.near_misses.partition_point(nearer);
        if place < MAX_NEAR_MISSES {
            because.truncate(MAX_DIFFERENCES);
            self.near_misses.insert(place, NearMiss { seq, because });
            self.near_misses.truncate(MAX_NEAR_MISSES);
        }
    }

    fn verdict(self, expected: &Expected) -> Result<Vec<u64>, UnmetCalls> {
        match expected.is_met_by(self.matched.len()) {
            true => Ok(self.matched),
            false => Err(UnmetCalls {
                expected: expected.to_string(),
                matched: self.matched,
                near_misses: self.near_misses,
            }),
        }
    }
}

/// `2 (calls 3, 5)`
struct Found<'a>(&'a [u64]);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.len())?;
        for (n, seq) in self.0.iter().take(MAX_SHOWN_CALLS).enumerate() {
            write!(f, "{}{seq}", if n == 0 { " (calls " } else { ", " })?;
        }
        match self.0.len() {
            0 => Ok(()),
            n if n > MAX_SHOWN_CALLS => f.write_str(", …)"),
            _ => f.write_str(")"),
        }
    }
}

struct Near<'a>(&'a [NearMiss]);

impl fmt::Display for Near<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.is_empty() {
            f.write_str(", and these come near:")?;
        }
        self.0.iter().try_for_each(|NearMiss { seq, because }| {
            write!(f, "\ncall {seq}: {}", because.join("; "))
        })
    }
}
