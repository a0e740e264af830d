//! Quotas that are spent and reset by calls of their own.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Code, Quota};

/// `POST /api/quotas/{customer_id}/{solution_id}/consume`: may they do this, and if so note that they
/// did it, in one call.
///
/// Give it an `id`, or the call an `Idempotency-Key`: a call that is made again under the same name
/// takes nothing more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Consume {
    /// `evt_…`, made by the caller: the id of the event that is noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(examples("evt_01KAPM6T9Z3X8N5V2QJ7R4W1BC")))]
    pub id: Option<String>,
    /// The token the customer was identified by: its `jti`, never the token itself.
    #[cfg_attr(feature = "openapi", schema(examples("tok_01KAPM5C1D9Q8Y3H6ZK2T7V4EF")))]
    pub token_id: String,
    /// What is about to be done, by the name the solution gave.
    #[cfg_attr(feature = "openapi", schema(examples("export")))]
    pub action: String,
    /// How much of it, in the action's unit; 1 unless said.
    #[serde(default = "one")]
    #[cfg_attr(feature = "openapi", schema(examples(1)))]
    pub quantity: u64,
    /// A few bounded facts about it; no free text.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::json::facts"
    )]
    pub metadata: Option<Map<String, Value>>,
}

fn one() -> u64 {
    1
}

/// The answer to [`Consume`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Consumption {
    /// Whether they may, and it was noted. What is beyond a soft limit is allowed.
    pub allowed: bool,
    /// Why not: [`Code::QuotaExceeded`], or [`Code::TokenNotForCustomer`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// The action's quotas after it; none if it has no limit.
    #[serde(default)]
    pub quotas: Vec<Quota>,
}

/// `POST /api/reset-quota`: nothing is used of the quotas of these windows any more. What was done
/// stays in the ledger and in the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResetQuota {
    /// Whose.
    pub customer_id: String,
    /// Of which solution.
    pub solution_id: String,
    /// The action; all of them if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
}
