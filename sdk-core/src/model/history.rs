//! What was used, by time and event by event.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{EventRef, Timestamp};

/// How long the buckets of a usage history are. All begin by the clocks of the solution's time zone:
/// an hour in India begins at half past, in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Bucket {
    /// An hour.
    Hour,
    /// A calendar day.
    #[default]
    Day,
    /// A calendar month.
    Month,
    /// A bucket this release does not know.
    #[serde(other)]
    Unknown,
}

impl Bucket {
    /// Its name on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Bucket::Hour => "hour",
            Bucket::Day => "day",
            Bucket::Month => "month",
            Bucket::Unknown => "unknown",
        }
    }
}

/// What a customer used of an action in a bucket of time. Usage counts where it occurred, however late
/// it arrived; a bucket without usage is not listed.
///
/// `GET /api/usage/{customer_id}` answers with [`Page`](super::Page)s of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageBucket {
    /// The action, by the name the solution gave.
    pub action: String,
    /// The bucket's first moment.
    pub begins_at: Timestamp,
    /// The first moment of the next.
    pub ends_at: Timestamp,
    /// How much was used, in the action's unit.
    pub quantity: u64,
}

/// An event that counted, and what it counts as. What is counted in a bucket of the history is the sum
/// of what `counts` in it.
///
/// `GET /api/usage/{customer_id}/events` answers with [`Page`](super::Page)s of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CountedEvent {
    /// The event's id, `evt_…`.
    pub id: String,
    /// What it is called when it is put right.
    pub reference: EventRef,
    /// The action, by the name the solution gave.
    pub action: String,
    /// How much of it, as the event said. That of a void says nothing.
    pub quantity: u64,
    /// When it occurred, as the event said.
    pub occurred_at: Timestamp,
    /// When the marketplace took it.
    pub received_at: Timestamp,
    /// What it adds to what was used: its quantity, or the difference it makes to the event it puts
    /// right.
    pub counts: i64,
    /// In the buckets of when: those in which it occurred, or the event it puts right.
    pub counts_at: Timestamp,
    /// The day it occurred in had ended when it arrived.
    #[serde(default, skip_serializing_if = "is_false")]
    pub late: bool,
    /// It was allowed while the marketplace could not be reached, and counts beyond the limit, too.
    #[serde(default, skip_serializing_if = "is_false")]
    pub overage: bool,
    /// What amendments and voids have left of its quantity; absent if it was never put right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<u64>,
    /// The event whose quantity it puts right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amends: Option<EventRef>,
    /// The event it takes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voids: Option<EventRef>,
    /// The caller's own name for it; told to the solution alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// What the solution noted with it; told to the solution alone.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::json::facts"
    )]
    #[cfg_attr(feature = "openapi", schema(schema_with = super::openapi::metadata))]
    pub metadata: Option<Map<String, Value>>,
}

fn is_false(value: &bool) -> bool {
    !value
}
