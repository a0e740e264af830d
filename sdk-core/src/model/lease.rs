//! Leases: blocks of a hard quota that a program spends without asking.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::{Code, Quota};

/// `POST /api/quotas/{customer_id}/{solution_id}/leases`: sets a block of the customer's quotas aside
/// for one producer, in every window the action is limited in for good.
///
/// What is granted is charged at once. It stays charged until the producer has reported what it used
/// of it and gives the rest back, or until the window ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TakeLease {
    /// `lse_…`, made by the caller: who asks again under the same id gets the same lease.
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 64, examples("lse_01KAPM7B2C5D8E1F3G6H9J0K4M"))
    )]
    pub id: String,
    /// The producer, `prd_…`, in whose log the usage will be that names the lease.
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 64, examples("prd_01KAPM4A7B2C5D8E1F3G6H9J0K"))
    )]
    pub producer: String,
    /// How often the producer's log has been taken over: who was taken over gets no more leases.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(examples(0)))]
    pub epoch: u64,
    /// The token the customer was identified by: its `jti`, never the token itself.
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 64, examples("tok_01KAPM5C1D9Q8Y3H6ZK2T7V4EF"))
    )]
    pub token_id: String,
    /// What will be done, by the name the solution gave.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 64, examples("export")))]
    pub action: String,
    /// The least that is of use, in the action's unit: a lease has that much or is not granted.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1_000_000_000, examples(1)))]
    pub least: u64,
    /// The most that is of use. A lease has less where less is left: the nearer the limit, the smaller
    /// the blocks, so that no program sits on what another needs.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1_000_000_000, examples(20)))]
    pub wanted: u64,
}

impl TakeLease {
    /// How much may be asked for: what one event may stand for.
    pub const AMOUNT: RangeInclusive<u64> = super::UsageEvent::QUANTITY;
}

/// The answer to [`TakeLease`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LeaseAnswer {
    /// The lease; absent if there is not enough left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// Why there is none: [`Code::QuotaExceeded`], or [`Code::TokenNotForCustomer`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// The action's quotas, with the lease in them; none if it has no limit.
    #[serde(default)]
    pub quotas: Vec<Quota>,
    /// What the solution wants done when the marketplace can't be reached and no lease is left.
    #[serde(default)]
    pub when_offline: WhenOffline,
    /// Where the customer gets a higher tier, if the solution has said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(examples("https://faiss-search.example/plans")))]
    pub upgrade_url: Option<String>,
}

/// A block of a quota.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Lease {
    /// Its id, as the caller made it.
    pub id: String,
    /// How much may be used of it in all; `None` is without limit.
    #[cfg_attr(feature = "openapi", schema(required, examples(20)))]
    pub granted: Option<u64>,
    /// How long it may be used, in milliseconds from this answer. A client counts from when it sent the
    /// request, so that its end comes no later than the marketplace's.
    #[cfg_attr(feature = "openapi", schema(examples(300_000)))]
    pub ttl_ms: u64,
    /// Whether the marketplace keeps it, and it has to be given back. What has no hard limit in any plan
    /// is not set aside.
    #[serde(default = "yes")]
    #[cfg_attr(feature = "openapi", schema(examples(true)))]
    pub kept: bool,
}

fn yes() -> bool {
    true
}

/// What becomes of what is [consumed](crate::model::UsageEvent) when the marketplace can't be reached
/// and no lease is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WhenOffline {
    /// It is refused.
    #[default]
    Deny,
    /// It is allowed, and recorded as overage: counted, be it beyond the limit.
    Overage,
    /// A policy this release does not know. Treat it as [`Deny`](Self::Deny).
    #[serde(other)]
    Unknown,
}

/// The answer of `DELETE /api/quotas/{customer_id}/{solution_id}/leases/{lease_id}`, which gives back
/// what was not used of a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReturnedLease {
    /// How much of it can be used by others now; 0 if nothing was left, or it was given back before.
    #[cfg_attr(feature = "openapi", schema(examples(12)))]
    pub returned: u64,
}

/// `POST /api/producers/{producer_id}/end`: nothing more comes of a producer, whose log is delivered to
/// its end. Gives back what was not used of its leases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EndProducer {
    /// How often its log has been taken over.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(examples(0)))]
    pub epoch: u64,
    /// The last number of its log; 0 if it had none.
    #[cfg_attr(feature = "openapi", schema(examples(1_041)))]
    pub through: u64,
}

/// The answer to [`EndProducer`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EndedProducer {
    /// How many leases are still charged: those an earlier owner of the log took and may still be
    /// using. The call is made again to give them back.
    pub open: u64,
    /// After how many milliseconds; absent if none is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}
