//! The words both sides of the wire use: the SDK sends them, the server answers with them.
//!
//! One definition for both, so that they cannot drift. Enums that come *from* the server have an
//! `Unknown` variant: an older SDK must survive a newer marketplace. Rules are here only where both
//! sides must come to the same verdict: what a token and an event look like.

mod account;
mod calendar;
mod code;
mod context;
mod feed;
mod history;
mod id;
mod jwt;
mod lease;
#[cfg(feature = "openapi")]
mod openapi;
mod page;
mod problem;
mod quota;
mod secret;
mod time;
mod token;
mod usage;

pub use account::{
    AddSolution, Customer, ExchangeCode, Launch, RegisterUser, RotateSecretKey, RotatedSecretKey,
    SignIn, StartLaunch, SubscriptionState, UserSolution,
};
pub(crate) use calendar::{Civil, number, two};
pub use code::Code;
pub use context::{Quota, QuotaPolicy, Quotas, Tier, UserContext, UserTier, Window};
pub use feed::{FeedChange, FeedEntry, Revocations};
pub use history::{Bucket, CountedEvent, UsageBucket};
pub(crate) use id::is_name;
pub use id::{is_id, new_id};
pub use jwt::UnverifiedToken;
pub use lease::{
    EndProducer, EndedProducer, Lease, LeaseAnswer, ReturnedLease, TakeLease, WhenOffline,
};
pub use page::Page;
pub use problem::Problem;
pub use quota::{Consume, Consumption, ResetQuota};
pub use secret::Secret;
pub use time::Timestamp;
pub use token::{
    Claims, Extensions, GenerateToken, Jwk, Jwks, RefreshToken, RevokeToken, RevokeUser,
    TokenHeader, TokenPair, TokenValidation, ValidateToken,
};
pub use usage::{
    CustomerQuota, Entry, EventRef, EventResult, EventStatus, LossReason, TrackUsage,
    TrackUsageResult, UsageEvent, UsageRange,
};

/// The version of the API's behaviour this release speaks, sent as `CloudNestle-Version`.
pub const API_VERSION: &str = "2026-11-01";
