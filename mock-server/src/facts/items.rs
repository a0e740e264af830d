//! What is kept, as far as it has no home in the domain.

use std::collections::BTreeMap;

use cloudnestle_marketplace::model::{
    EventResult, EventStatus, LossReason, Tier, Timestamp, UsageEvent,
};
use serde::{Deserialize, Serialize};

use crate::domain::correction::Difference;
use crate::domain::credential::Hash;
use crate::domain::principal::Principal;
use crate::domain::usage::{Counter, Effect};

/// What somebody did who may do more than others. Never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AuditEntry {
    pub at: Timestamp,
    pub actor: Actor,
    /// The call it was done by.
    pub request_id: String,
    #[serde(flatten)]
    pub deed: AuditedDeed,
}

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Actor {
    /// Whoever holds the admin key.
    AdminKey,
}

/// What was done, and to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "did", rename_all = "snake_case")]
pub(crate) enum AuditedDeed {
    ChangedTier {
        customer_id: String,
        solution_id: String,
        from: Tier,
        to: Tier,
    },
    /// What is taken off which counter.
    ResetQuota {
        customer_id: String,
        solution_id: String,
        taken_off: BTreeMap<String, i64>,
    },
}

/// A key of a solution, secret or publishable: the prefix, which is part of what was hashed, says
/// which.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ApiKey {
    pub hash: Hash,
    pub solution_id: String,
    /// Set when the key is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// That a solution has a key: by this its keys are found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeyOfSolution {
    pub hash: Hash,
}

/// An access token that was issued. Never changes; what ends it is its family.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct IssuedToken {
    pub customer_id: String,
    pub solution_id: String,
    pub family_id: String,
    /// When it was issued, by the marketplace's clock: its `iat` may lie a little later.
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
}

/// A token, where its family finds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FamilyToken {
    pub token_id: String,
    pub expires_at: Timestamp,
}

/// A page of a producer's ledger: consecutive numbers, and what became of each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LedgerPage {
    pub received_at: Timestamp,
    pub lines: Vec<LedgerLine>,
}

/// A number of a producer, and what became of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LedgerLine {
    #[serde(flatten)]
    pub result: EventResult,
    /// The event, unless it was too large to be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<UsageEvent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<LossReason>,
    /// The day it occurred in had ended when it arrived.
    #[serde(default, skip_serializing_if = "is_false")]
    pub late: bool,
    /// What the event counts as, if it corrects another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
    /// A moment of the windows it was charged in, if they are others than those it occurred in: those of
    /// its lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charged_at: Option<Timestamp>,
}

impl LedgerLine {
    /// What it counts as, if it does.
    pub(crate) fn effect(&self) -> Option<Effect<'_>> {
        let event = self.event.as_ref()?;
        let counts = self.result.status == EventStatus::Accepted;
        counts.then(|| Effect::of(event, self.difference))
    }
}

/// An event that was sent alone and counted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SingleEvent {
    pub fingerprint: String,
    pub received_at: Timestamp,
    pub event: UsageEvent,
    /// As that of a [`LedgerLine`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub late: bool,
    /// As that of a [`LedgerLine`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
}

impl SingleEvent {
    /// As a line of a ledger.
    pub(crate) fn into_line(self) -> LedgerLine {
        let SingleEvent { event, late, difference, .. } = self;
        let (status, lost, charged_at) = (EventStatus::Accepted, None, None);
        let result = EventResult { number: None, through: None, status, code: None };
        LedgerLine { result, event: Some(event), lost, late, difference, charged_at }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &usize) -> bool {
    *value == 0
}

/// What a customer did of one action in one hour, as far as it came in one commit: what of a
/// [`LedgerPage`] or a [`SingleEvent`] counted, where whoever looks for the customer's usage finds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CountedEvents {
    /// Whose log they are of; `None` for an event that was sent alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub producer: Option<String>,
    /// Whether the customer has sent them, and not the solution.
    #[serde(default, skip_serializing_if = "is_false")]
    pub from_customer: bool,
    #[serde(flatten)]
    pub page: LedgerPage,
}

/// That a counter was reset. What came no later is what the reset has forgiven.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Reset {
    /// The last time.
    pub at: Timestamp,
}

/// What was done under a caller's idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IdempotencyRecord {
    pub fingerprint: String,
}

/// Accepted usage that the counters don't show yet, because the commit that took it had no room for
/// more. Taken off in the very commits that add to the counters: each addition happens once, wherever
/// a process dies.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct PendingProjection {
    pub additions: Vec<(Counter, i64)>,
    /// Pages of the ledger whose events can't be found by their customers yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pages: Vec<PageName>,
    /// How many items of the first page are made.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub indexed: usize,
}

/// Names a page of the ledger.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PageName {
    pub principal: Principal,
    pub producer: String,
    /// Its last number.
    pub last: u64,
}
