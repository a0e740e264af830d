//! What a user may do: tier, entitlements, quotas.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// What a customer has subscribed to, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Tier {
    /// A visitor who has not registered.
    Anonymous,
    /// Registered, not paying.
    Registered,
    /// Paying.
    Pro,
    /// Paying by contract.
    Enterprise,
    /// A tier this release does not know. Treat it as the least.
    #[serde(other)]
    Unknown,
}

/// Who a token speaks for, and what they may do: the answer of `GET /api/user-context`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UserContext {
    /// The customer, `cus_…`.
    #[cfg_attr(feature = "openapi", schema(examples("cus_ravi")))]
    pub customer_id: String,
    /// The name the customer gave; absent for an anonymous visitor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(examples("Ravi Kulkarni")))]
    pub name: Option<String>,
    /// The solution the token is for, `sol_…`.
    #[cfg_attr(feature = "openapi", schema(examples("sol_faiss_search")))]
    pub solution_id: String,
    /// The customer's tier in this solution.
    pub tier: Tier,
    /// What the tier switches on, by the names the solution gave.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(examples(json!(["search"]))))]
    pub entitlements: Vec<String>,
    /// The customer's quotas in this solution, one for each limited action.
    #[serde(default)]
    pub quotas: Vec<Quota>,
    /// The token, `tok_…`.
    #[cfg_attr(feature = "openapi", schema(examples("tok_01KAPM5C1D9Q8Y3H6ZK2T7V4EF")))]
    pub token_id: String,
    /// When the token ends.
    pub expires_at: Timestamp,
}

/// `PUT /api/user-tier`: a customer gets another tier of a solution. The answer repeats it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UserTier {
    /// The customer, who has a subscription to the solution.
    #[cfg_attr(feature = "openapi", schema(examples("cus_ravi")))]
    pub customer_id: String,
    /// The solution, which has a plan for the tier.
    #[cfg_attr(feature = "openapi", schema(examples("sol_faiss_search")))]
    pub solution_id: String,
    /// The tier from now on.
    pub tier: Tier,
}

/// How much of an action a customer may use in a window of time, and has used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Quota {
    /// The action, by the name the solution gave.
    #[cfg_attr(feature = "openapi", schema(examples("search")))]
    pub action: String,
    /// The most that may be used in one window, in the action's unit; `None` is without limit.
    #[cfg_attr(feature = "openapi", schema(required, examples(100)))]
    pub limit: Option<u64>,
    /// What has been used in this window. May exceed a soft limit.
    #[cfg_attr(feature = "openapi", schema(examples(3)))]
    pub used: u64,
    /// What is promised to leases and not yet used.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(examples(0)))]
    pub leased: u64,
    /// What is left: limit − used − leased, not below zero; `None` is without limit.
    #[cfg_attr(feature = "openapi", schema(required, examples(97)))]
    pub remaining: Option<u64>,
    /// How long a window is.
    pub window: Window,
    /// When the next window begins, in the solution's time zone.
    pub resets_at: Timestamp,
    /// What happens at the limit.
    pub policy: QuotaPolicy,
}

/// A customer's quotas in a solution: the answer of `GET /api/quotas/{customer_id}/{solution_id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Quotas {
    /// One for each limited action.
    pub quotas: Vec<Quota>,
}

/// The length of a quota's window. Windows begin at midnight of the solution's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Window {
    /// A calendar day.
    Day,
    /// A calendar month.
    Month,
    /// A window this release does not know.
    #[serde(other)]
    Unknown,
}

/// What happens when a quota is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum QuotaPolicy {
    /// Use beyond the limit is counted; the solution decides what follows.
    Soft,
    /// Use beyond the limit is refused.
    Hard,
    /// A policy this release does not know.
    #[serde(other)]
    Unknown,
}
