//! The revocation feed.

use serde::{Deserialize, Serialize};

use super::{Tier, Timestamp};

/// The answer of `GET /api/revocations?after=…`: what has changed about a solution's tokens since
/// `after`, for programs that judge tokens by themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Revocations {
    /// `gen_…`. Another one than before says that the marketplace may have another database: what
    /// was learned from the old one is void.
    pub generation: String,
    /// When the generation began. What the database knows of tokens that were issued before, only
    /// asking about them tells.
    pub began_at: Timestamp,
    /// How far this answer goes.
    pub version: u64,
    /// What to ask `after` the next time.
    pub cursor: String,
    /// Whether this begins with everything there is, because the cursor was of no use: it was too
    /// old, of another generation, or there was none.
    pub snapshot: bool,
    /// Whether there is more to be had at once, after `cursor`.
    pub more: bool,
    /// What has changed, in the order of their versions.
    pub changes: Vec<FeedEntry>,
}

/// A change of the revocation feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FeedEntry {
    /// Its place in the solution's feed: the first is 1, and none is left out.
    pub version: u64,
    /// When the last token it concerns has ended, and it may be forgotten.
    pub expires_at: Timestamp,
    /// What has changed.
    #[serde(flatten)]
    pub change: FeedChange,
}

/// What a change of the revocation feed says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum FeedChange {
    /// These tokens are good no longer.
    TokensRevoked {
        /// `tok_…`, the `jti` of each.
        token_ids: Vec<String>,
    },
    /// None of the customer's tokens that were issued before a moment is good any longer.
    UserRevoked {
        /// The customer, `cus_…`.
        customer_id: String,
        /// Tokens whose `iat` is less are revoked; in seconds since 1970, as `iat` is.
        not_before: u64,
    },
    /// The customer has another tier, whatever their tokens say.
    TierChanged {
        /// The customer, `cus_…`.
        customer_id: String,
        /// The tier from then on.
        tier: Tier,
        /// When it changed. Tokens that are not issued later may say another tier.
        changed_at: Timestamp,
    },
    /// A change this release does not know. What it concerns is unknown, too: ask about every token
    /// that was issued before.
    #[serde(other)]
    Unknown,
}
