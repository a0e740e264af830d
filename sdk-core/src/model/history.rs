use serde::{Deserialize, Serialize};

use super::Timestamp;

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
