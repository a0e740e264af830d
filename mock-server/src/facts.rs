//! What is kept, and under which name: the marketplace's data model on one page.
//!
//! | table | partition | sort | holds |
//! |---|---|---|---|
//! | marketplace | `keys` | `1` | [`KeySeeds`] |
//! | marketplace | `audit/` day | `aud_…` | [`AuditEntry`] |
//! | marketplace | `founded` | `1` | [`Founded`] |
//! | solutions | `sol_…` | `solution` | [`Solution`] |
//! | users | `cus_…` | `customer` | [`Customer`] |
//! | users | `email/…` | `account` | [`Account`] |
//! | subscriptions | `cus_…` | `sol_…` | [`Subscription`] |
//! | api_keys | half its hash | `key` | [`ApiKey`] |
//! | api_keys | `sol_…` | half its hash | [`KeyOfSolution`], if it is secret |
//! | api_tokens | `tok_…` | `token` | [`IssuedToken`] |
//! | api_tokens | `fam_…` | `family` | [`Family`] |
//! | api_tokens | `fam_…` | `token/` when it ends `/` `tok_…` | [`FamilyToken`] |
//! | api_tokens | half its hash | `refresh` | [`KeptRefreshToken`] |
//! | api_tokens | `user/cus_…/sol_…` | `not_before` | [`NotBefore`] |
//! | api_tokens | `feed/sol_…` | `head` | [`FeedHead`] |
//! | api_tokens | `feed/sol_…` | `change/` version | a [`FeedEntry`] |
//! | api_tokens | half its hash | `launch` | [`KeptCode`] |
//! | idempotency_keys | a caller | hash of the key | [`Deed`] |
//! | usage_tracking | `producer/…` | `fence` | [`Fence`] |
//! | usage_tracking | `producer/…` | `leases` | how many it holds |
//! | usage_tracking | `leases/…` | `lse_…` | a [`Lease`], until it is used or given back |
//! | usage_tracking | `producer/…` | `ledger/` last number | [`LedgerPage`] |
//! | usage_tracking | `producer/…` | `corrected/` number | [`Corrected`] |
//! | usage_tracking | `event/…` | `event` | [`SingleEvent`] |
//! | usage_tracking | `events/cus_…/sol_…` | action `/` hour `/` when received `/` … | [`CountedEvents`] |
//! | usage_tracking | `event/…` | `corrected` | [`Corrected`] |
//! | usage_tracking | `key/…` | `idempotency` | [`IdempotencyRecord`] |
//! | usage_tracking | `pending` | `pnd_…` | [`PendingProjection`] |
//! | usage_tracking | `counters/cus_…/sol_…` | action `/` period | a number |
//! | usage_tracking | `forgiven/cus_…/sol_…` | action `/` period | a number |
//! | usage_tracking | `spent/cus_…/sol_…` | action `/` period | a number |
//! | usage_tracking | `leased/cus_…/sol_…` | action `/` period | a number: what of `spent` is leased |
//! | usage_tracking | `reset/cus_…/sol_…` | action `/` period | a [`Reset`] |
//!
//! [`Account`]: crate::domain::account::Account
//! [`KeptCode`]: crate::domain::launch::KeptCode
//! [`Founded`]: crate::market::Founded
//! [`Deed`]: crate::api::idempotency::Deed
//! [`Solution`]: crate::domain::catalogue::Solution
//! [`Customer`]: crate::domain::catalogue::Customer
//! [`Subscription`]: crate::domain::catalogue::Subscription
//! [`KeySeeds`]: crate::domain::keys::KeySeeds
//! [`Family`]: crate::domain::refresh::Family
//! [`KeptRefreshToken`]: crate::domain::refresh::KeptRefreshToken
//! [`NotBefore`]: crate::domain::revocation::NotBefore
//! [`FeedHead`]: crate::domain::feed::FeedHead
//! [`FeedEntry`]: cloudnestle_marketplace::model::FeedEntry
//! [`Fence`]: crate::domain::fence::Fence
//! [`Lease`]: crate::domain::lease::Lease
//! [`Corrected`]: crate::domain::correction::Corrected

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use cloudnestle_marketplace::model::{
    EventRef, EventResult, EventStatus, LossReason, Secret, Tier, Timestamp, UsageEvent, UsageRange,
};
use serde::{Deserialize, Serialize};

use crate::domain::account::Email;
use crate::domain::correction::Difference;
use crate::domain::credential::Hash;
use crate::domain::usage::{Counter, Effect, Sender};
use crate::store::{Key, Query, Table};

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

/// Who sends usage. Numbers, event ids and idempotency keys are the principal's: a user with a token
/// can't advance a backend's fence or use up its keys. They are not the key's or the token's, so that
/// changing either keeps the fence. In this release all are of the test environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Principal {
    SecretKey { solution_id: String },
    SolutionToken { customer_id: String, solution_id: String },
}

impl Principal {
    pub(crate) fn solution_id(&self) -> &str {
        match self {
            Principal::SecretKey { solution_id } => solution_id,
            Principal::SolutionToken { solution_id, .. } => solution_id,
        }
    }

    pub(crate) fn sender(&self) -> Sender<'_> {
        match self {
            Principal::SecretKey { .. } => Sender::Solution,
            Principal::SolutionToken { customer_id, .. } => Sender::Customer(customer_id),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Principal::SecretKey { solution_id } => write!(f, "{solution_id}/test/secret_key"),
            Principal::SolutionToken { customer_id, solution_id } => {
                write!(f, "{customer_id}/{solution_id}/test/token")
            }
        }
    }
}

pub(crate) fn keys() -> Key {
    Key::new(Table::Marketplace, "keys", "1")
}

/// Entries are kept by the day (in UTC) and in the order in which they were made.
pub(crate) fn audit_entry(at: Timestamp, id: &str) -> Key {
    let day: String = at.to_string().chars().take_while(|c| *c != 'T').collect();
    Key::new(Table::Marketplace, format!("audit/{day}"), id)
}

pub(crate) fn founded() -> Key {
    Key::new(Table::Marketplace, "founded", "1")
}

pub(crate) fn solution(id: &str) -> Key {
    Key::new(Table::Solutions, id, "solution")
}

pub(crate) fn customer(id: &str) -> Key {
    Key::new(Table::Users, id, "customer")
}

pub(crate) fn account(email: &Email) -> Key {
    Key::new(Table::Users, format!("email/{}", email.as_str()), "account")
}

pub(crate) fn launch_code(hash: &Hash) -> Key {
    Key::new(Table::ApiTokens, hash.index(), "launch")
}

/// A customer's subscriptions behind that of `after`, in the order of the solutions' ids.
pub(crate) fn subscriptions(customer_id: &str, after: &str, limit: usize) -> Query {
    Query {
        table: Table::Subscriptions,
        partition: customer_id.to_owned(),
        sort: format!("{after}\0")..="~".to_owned(),
        limit,
        descending: false,
    }
}

pub(crate) fn subscription(customer_id: &str, solution_id: &str) -> Key {
    Key::new(Table::Subscriptions, customer_id, solution_id)
}

pub(crate) fn api_key(hash: &Hash) -> Key {
    Key::new(Table::ApiKeys, hash.index(), "key")
}

pub(crate) fn key_of_solution(solution_id: &str, hash: &Hash) -> Key {
    Key::new(Table::ApiKeys, solution_id, hash.index())
}

/// The secret keys a solution has had.
pub(crate) fn keys_of_solution(solution_id: &str, limit: usize) -> Query {
    Query {
        table: Table::ApiKeys,
        partition: solution_id.to_owned(),
        sort: String::new()..="~".to_owned(),
        limit,
        descending: false,
    }
}

pub(crate) fn issued_token(id: &str) -> Key {
    Key::new(Table::ApiTokens, id, "token")
}

pub(crate) fn family(id: &str) -> Key {
    Key::new(Table::ApiTokens, id, "family")
}

pub(crate) fn refresh_token(hash: &Hash) -> Key {
    Key::new(Table::ApiTokens, hash.index(), "refresh")
}

/// What `caller` did under an idempotency key.
pub(crate) fn deed(caller: &str, idempotency_key: &str) -> Key {
    let hash = Hash::of(&Secret::new(idempotency_key));
    Key::new(Table::IdempotencyKeys, caller, hash.index())
}

/// A token of a family, where the family finds it when it ends.
pub(crate) fn family_token(family_id: &str, token_id: &str, expires_at: Timestamp) -> Key {
    let sort = format!("{}/{token_id}", token_sort(expires_at));
    Key::new(Table::ApiTokens, family_id, sort)
}

/// The tokens of a family that are still alive, at most `limit` of them; who lives longest is first.
pub(crate) fn living_tokens(family_id: &str, now: Timestamp, limit: usize) -> Query {
    Query {
        table: Table::ApiTokens,
        partition: family_id.to_owned(),
        sort: token_sort(now)..="token/~".to_owned(),
        limit,
        descending: true,
    }
}

/// As many digits as a time has for the next 300 years, so that byte order is the order of time.
fn token_sort(expires_at: Timestamp) -> String {
    format!("token/{:013}", expires_at.as_millis().max(0))
}

pub(crate) fn not_before(customer_id: &str, solution_id: &str) -> Key {
    Key::new(Table::ApiTokens, format!("user/{customer_id}/{solution_id}"), "not_before")
}

pub(crate) fn feed_head(solution_id: &str) -> Key {
    Key::new(Table::ApiTokens, format!("feed/{solution_id}"), "head")
}

pub(crate) fn feed_change(solution_id: &str, version: u64) -> Key {
    Key::new(Table::ApiTokens, format!("feed/{solution_id}"), feed_sort(version))
}

/// The oldest changes of a feed after a version.
pub(crate) fn feed_changes(solution_id: &str, after: u64, limit: usize) -> Query {
    Query {
        table: Table::ApiTokens,
        partition: format!("feed/{solution_id}"),
        sort: feed_sort(after.saturating_add(1))..=feed_sort(u64::MAX),
        limit,
        descending: false,
    }
}

fn feed_sort(version: u64) -> String {
    format!("change/{version:020}")
}

pub(crate) fn fence(principal: &Principal, producer: &str) -> Key {
    Key::new(Table::UsageTracking, format!("producer/{principal}/{producer}"), "fence")
}

/// How many leases a producer holds.
pub(crate) fn leases_held(principal: &Principal, producer: &str) -> Key {
    Key::new(Table::UsageTracking, format!("producer/{principal}/{producer}"), "leases")
}

pub(crate) fn lease(principal: &Principal, producer: &str, id: &str) -> Key {
    Key::new(Table::UsageTracking, format!("leases/{principal}/{producer}"), id)
}

/// Some of the leases a producer holds.
pub(crate) fn leases(principal: &Principal, producer: &str, limit: usize) -> Query {
    Query {
        table: Table::UsageTracking,
        partition: format!("leases/{principal}/{producer}"),
        sort: "lse_".to_owned()..="lse_~".to_owned(),
        limit,
        descending: false,
    }
}

/// The page whose last number is `last`.
pub(crate) fn ledger_page(principal: &Principal, producer: &str, last: u64) -> Key {
    let partition = format!("producer/{principal}/{producer}");
    Key::new(Table::UsageTracking, partition, ledger_sort(last))
}

/// How many pages are read at once of what may be any number of them: each has up to 400 KB.
const MAX_PAGES: usize = 16;

/// The pages that end with a number from `first` to `last`, and if those are more numbers than a range
/// has entries, only a few pages. Pages are sorted by their last number.
pub(crate) fn ledger_pages(principal: &Principal, producer: &str, first: u64, last: u64) -> Query {
    let is_range = last - first < UsageRange::MAX_ITEMS as u64;
    Query {
        table: Table::UsageTracking,
        partition: format!("producer/{principal}/{producer}"),
        sort: ledger_sort(first)..=ledger_sort(last),
        limit: if is_range { UsageRange::MAX_ITEMS + 1 } else { MAX_PAGES },
        descending: false,
    }
}

/// The page that has `number`, if it comes first.
pub(crate) fn ledger_page_with(principal: &Principal, producer: &str, number: u64) -> Query {
    Query { limit: 1, ..ledger_pages(principal, producer, number, u64::MAX) }
}

/// Twenty digits are as many as a `u64` has, so that byte order is the order of numbers.
fn ledger_sort(number: u64) -> String {
    format!("ledger/{number:020}")
}

/// What is left of an event that was corrected.
pub(crate) fn corrected(principal: &Principal, event: &EventRef) -> Key {
    let (partition, sort) = match event {
        EventRef::Numbered { producer, number } => {
            (format!("producer/{principal}/{producer}"), format!("corrected/{number:020}"))
        }
        EventRef::Single { id } => (format!("event/{principal}/{id}"), "corrected".to_owned()),
    };
    Key::new(Table::UsageTracking, partition, sort)
}

pub(crate) fn single_event(principal: &Principal, id: &str) -> Key {
    Key::new(Table::UsageTracking, format!("event/{principal}/{id}"), "event")
}

/// What of one action a customer did in one hour, as it came in the commit of the item `source`. Its
/// name is that of the item, so that an index that is made again is the same.
pub(crate) fn counted_events(
    solution_id: &str,
    effect: &Effect<'_>,
    received_at: Timestamp,
    source: &Key,
) -> Key {
    let Effect { customer_id, action, occurred_at, .. } = effect;
    let received = received_at.as_millis().max(0);
    // The number of a ledger's page is part of its name.
    let number = source.sort.strip_prefix("ledger/").map(|number| format!("/{number}"));
    let source = format!("{}{}", source.partition, number.unwrap_or_default());
    let sort = format!("{action}/{}/{received:013}/{source}", hour(*occurred_at));
    Key::new(Table::UsageTracking, format!("events/{customer_id}/{solution_id}"), sort)
}

/// What counts of an action, newest first, as far as its names lie between two behind the action.
pub(crate) fn events_counted(
    customer_id: &str,
    solution_id: &str,
    action: &str,
    tails: &RangeInclusive<String>,
    limit: usize,
) -> Query {
    Query {
        table: Table::UsageTracking,
        partition: format!("events/{customer_id}/{solution_id}"),
        sort: format!("{action}/{}", tails.start())..=format!("{action}/{}", tails.end()),
        limit,
        descending: true,
    }
}

/// The hour that contains a moment, in UTC: `2026-11-22T07`. Hours sort by time.
pub(crate) fn hour(at: Timestamp) -> String {
    at.to_string().chars().take("2026-11-22T07".len()).collect()
}

pub(crate) fn idempotency(principal: &Principal, idempotency_key: &str) -> Key {
    Key::new(Table::UsageTracking, format!("key/{principal}/{idempotency_key}"), "idempotency")
}

pub(crate) fn pending(id: &str) -> Key {
    Key::new(Table::UsageTracking, "pending", id)
}

/// The oldest projections that are pending.
pub(crate) fn oldest_pending(limit: usize) -> Query {
    Query {
        table: Table::UsageTracking,
        partition: "pending".to_owned(),
        sort: String::new()..="~".to_owned(),
        limit,
        descending: false,
    }
}

/// What was used, as far as the projection of the ledger has come.
pub(crate) fn counter(counter: &Counter) -> Key {
    count("counters", counter)
}

/// What was used of an action, as far as it was counted under names between two (both included).
pub(crate) fn counters(
    customer_id: &str,
    solution_id: &str,
    action: &str,
    names: RangeInclusive<String>,
    limit: usize,
) -> Query {
    let (first, last) = names.into_inner();
    Query {
        table: Table::UsageTracking,
        partition: format!("counters/{customer_id}/{solution_id}"),
        sort: format!("{action}/{first}")..=format!("{action}/{last}"),
        limit,
        descending: false,
    }
}

/// What was used of an action with a hard limit: added to in the commit that takes the event.
pub(crate) fn spent(counter: &Counter) -> Key {
    count("spent", counter)
}

/// What of `spent` is leased, and no event has drawn yet.
pub(crate) fn leased(counter: &Counter) -> Key {
    count("leased", counter)
}

/// What resets took off a counter before a limit is compared with it. The counter itself tells what
/// was used.
pub(crate) fn forgiven(counter: &Counter) -> Key {
    count("forgiven", counter)
}

/// When a counter was reset for the last time.
pub(crate) fn reset(counter: &Counter) -> Key {
    count("reset", counter)
}

fn count(kind: &str, counter: &Counter) -> Key {
    let Counter { customer_id, solution_id, action, period } = counter;
    let partition = format!("{kind}/{customer_id}/{solution_id}");
    Key::new(Table::UsageTracking, partition, format!("{action}/{period}"))
}
