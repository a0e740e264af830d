//! What is kept, and under which name: the marketplace's data model on one page.
//!
//! | table | partition | sort | holds |
//! |---|---|---|---|
//! | marketplace | `keys` | `1` | [`KeySeeds`] |
//! | marketplace | `audit/` day | `aud_…` | [`AuditEntry`] |
//! | marketplace | `founded` | `1` | [`Founded`] |
//! | marketplace | `agenda` | when it is due `/` kind `/` whose | a [`Task`] |
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
//! [`Task`]: crate::agenda::Task
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

mod items;

use std::ops::RangeInclusive;

use cloudnestle_marketplace::model::{EventRef, Secret, Timestamp, UsageRange};

use crate::domain::account::Email;
use crate::domain::credential::Hash;
use crate::domain::principal::Principal;
use crate::domain::usage::{Counter, Effect};
use crate::store::{Key, Query, Table};

pub(crate) use items::{
    Actor, ApiKey, AuditEntry, AuditedDeed, CountedEvents, FamilyToken, IdempotencyRecord,
    IssuedToken, KeyOfSolution, LedgerLine, LedgerPage, PageName, PendingProjection, Reset,
    SingleEvent,
};

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

/// What is due at a moment. The same planned twice is one item.
pub(crate) fn due(at: Timestamp, kind: &str, whose: &str) -> Key {
    Key::new(Table::Marketplace, AGENDA, format!("{}/{kind}/{whose}", due_sort(at)))
}

/// What is due first, up to a moment.
pub(crate) fn due_until(until: Timestamp, limit: usize) -> Query {
    Query {
        table: Table::Marketplace,
        partition: AGENDA.to_owned(),
        sort: String::new()..=format!("{}/~", due_sort(until)),
        limit,
        descending: false,
    }
}

/// When an item of the agenda is due; `None` for all other items.
pub(crate) fn due_at(key: &Key) -> Option<Timestamp> {
    if key.table != Table::Marketplace || key.partition != AGENDA {
        return None;
    }
    let millis = key.sort.split('/').next()?.parse().ok()?;
    Some(Timestamp::from_millis(millis))
}

const AGENDA: &str = "agenda";

/// As many digits as a time has for the next 300 years, so that byte order is the order of time.
fn due_sort(at: Timestamp) -> String {
    format!("{:013}", at.as_millis().max(0))
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
