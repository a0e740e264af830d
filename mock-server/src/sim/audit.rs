//! The books, read from end to end: what the ledger says, and whether everything else that is made of it
//! agrees. Nothing here trusts a sum that somebody has kept.

use std::collections::{BTreeMap, BTreeSet};

use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{
    EventStatus, FeedChange, FeedEntry, LossReason, Timestamp, UsageEvent,
};
use jiff::tz::TimeZone;
use serde::de::DeserializeOwned;

use crate::api::usage::projection;
use crate::domain::catalogue::Solution;
use crate::domain::fence::Fence;
use crate::domain::lease::Lease;
use crate::domain::quota::period;
use crate::domain::refresh::Family;
use crate::domain::usage::{Counter, Effect, additions};
use crate::facts::{self, CountedEvents, IssuedToken, LedgerLine, LedgerPage, SingleEvent};
use crate::market::Market;
use crate::store::{Item, Key, StoreError, Table, Value};

/// What is in the books.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Audit {
    /// Every line of every producer's ledger, in the order of producers and numbers.
    pub lines: Vec<AuditedLine>,
    /// Where the books contradict each other.
    pub flaws: Vec<String>,
    /// What the ledger says was used of actions with a hard limit, without what may exceed it: by customer, solution, action, period.
    pub hard: BTreeMap<(String, String, String, String), i64>,
    /// How many customers there are.
    pub customers: usize,
}

/// A line of the ledger.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuditedLine {
    /// Whose log, and which number of it; `None` for an event that was sent alone.
    pub numbered: Option<(String, u64)>,
    /// What became of it.
    pub status: EventStatus,
    /// Why it was rejected.
    pub code: Option<Code>,
    /// Why there is no event.
    pub lost: Option<LossReason>,
    /// The event.
    pub event: Option<UsageEvent>,
}

/// The books while they are read.
struct Auditor<'i> {
    items: BTreeMap<&'i Key, &'i Value>,
    audit: Audit,
    counters: BTreeMap<Key, i64>,
    /// With what is leased.
    spent: BTreeMap<Key, i64>,
    leased: BTreeMap<Key, i64>,
    /// How many leases each producer holds.
    held: BTreeMap<Key, i64>,
    /// How many lines of the index each customer's usage of a solution must have.
    indexed: BTreeMap<String, usize>,
}

pub(super) async fn audit(market: &Market, items: &[Item]) -> Result<Audit, StoreError> {
    let mut auditor = Auditor {
        items: items.iter().map(|item| (&item.key, &item.value)).collect(),
        audit: Audit::default(),
        counters: BTreeMap::new(),
        spent: BTreeMap::new(),
        leased: BTreeMap::new(),
        held: BTreeMap::new(),
        indexed: BTreeMap::new(),
    };
    if projection::pending(market).await? > 0 {
        auditor.flaw("there are notes that nobody has worked off");
    }
    auditor.read_ledgers();
    auditor.read_leases();
    auditor.compare("counters/", "", &auditor.counters.clone());
    auditor.compare("spent/", "", &auditor.spent.clone());
    auditor.compare("leased/", "", &auditor.leased.clone());
    auditor.compare("producer/", "leases", &auditor.held.clone());
    auditor.compare_index();
    auditor.read_families();
    let customers = auditor.all::<serde_json::Value>(Table::Users, |key| key.sort == "customer");
    auditor.audit.customers = customers.len();
    Ok(auditor.audit)
}

impl Auditor<'_> {
    fn flaw(&mut self, words: impl Into<String>) {
        self.audit.flaws.push(words.into());
    }

    /// All documents of a table with such a name.
    fn all<T: DeserializeOwned>(
        &mut self,
        table: Table,
        named: impl Fn(&Key) -> bool,
    ) -> Vec<(Key, T)> {
        let mut found = Vec::new();
        let mut flaws = Vec::new();
        for (key, value) in &self.items {
            if key.table != table || !named(key) {
                continue;
            }
            let Value::Bytes(bytes) = value else { continue };
            match serde_json::from_slice(bytes) {
                Ok(document) => found.push(((*key).clone(), document)),
                Err(error) => flaws.push(format!("{key:?} can't be read: {error}")),
            }
        }
        self.audit.flaws.extend(flaws);
        found
    }

    fn read_ledgers(&mut self) {
        let solutions = self.all::<Solution>(Table::Solutions, |key| key.sort == "solution");
        let solutions: BTreeMap<_, _> =
            solutions.into_iter().map(|(_, solution)| (solution.id.clone(), solution)).collect();
        let usage = Table::UsageTracking;
        let pages = self.all::<LedgerPage>(usage, |key| key.sort.starts_with("ledger/"));
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        for (key, page) in pages {
            let producer = key.partition.rsplit('/').next().unwrap_or_default().to_owned();
            for line in page.lines {
                let number = line.result.number.unwrap_or_default();
                let through = line.result.last().unwrap_or_default();
                let before = last.insert(key.partition.clone(), through).unwrap_or_default();
                if number != before + 1 {
                    self.flaw(format!("{}: {number} follows {before}", key.partition));
                }
                self.count(&key.partition, Some((producer.clone(), number)), line, &solutions);
            }
        }
        let fences = self.all::<Fence>(usage, |key| key.sort == "fence");
        for (key, fence) in &fences {
            let ledger = last.remove(&key.partition).unwrap_or_default();
            if ledger != fence.number {
                let number = fence.number;
                self.flaw(format!("{}: fence {number}, ledger {ledger}", key.partition));
            }
        }
        for producer in last.keys() {
            self.flaw(format!("{producer} has a ledger and no fence"));
        }
        let alone = self.all::<SingleEvent>(usage, |key| {
            key.partition.starts_with("event/") && key.sort == "event"
        });
        for (key, event) in alone {
            self.count(&key.partition, None, event.into_line(), &solutions);
        }
    }

    /// Adds a line to what the other books must say.
    fn count(
        &mut self,
        partition: &str,
        numbered: Option<(String, u64)>,
        line: LedgerLine,
        solutions: &BTreeMap<String, Solution>,
    ) {
        let solution = partition.split('/').find_map(|part| solutions.get(part));
        if let (Some(effect), Some(solution)) = (line.effect(), solution) {
            let is_beyond = line.event.as_ref().is_some_and(|event| event.overage);
            self.count_effect(effect, line.charged_at, is_beyond, solution);
        }
        let LedgerLine { result, event, lost, .. } = line;
        let (status, code) = (result.status, result.code);
        self.audit.lines.push(AuditedLine { numbered, status, code, lost, event });
    }

    fn count_effect(
        &mut self,
        effect: Effect<'_>,
        charged_at: Option<Timestamp>,
        is_beyond: bool,
        solution: &Solution,
    ) {
        let Ok(zone) = TimeZone::get(&solution.time_zone) else { return };
        let Effect { customer_id, action, amount, occurred_at } = effect;
        let partition = format!("events/{customer_id}/{}", solution.id);
        *self.indexed.entry(partition).or_default() += 1;
        for (counter, amount) in additions([effect], solution, &zone).unwrap_or_default() {
            *self.counters.entry(facts::counter(&counter)).or_default() += amount;
        }
        for window in solution.hard_windows(action) {
            let charged_at = charged_at.unwrap_or(occurred_at);
            let Ok(period) = period(window, &zone, charged_at) else { continue };
            let counter = Counter {
                customer_id: customer_id.to_owned(),
                solution_id: solution.id.clone(),
                action: action.to_owned(),
                period: period.name,
            };
            *self.spent.entry(facts::spent(&counter)).or_default() += amount;
            if is_beyond {
                continue;
            }
            let Counter { customer_id, solution_id, action, period } = counter;
            let names = (customer_id, solution_id, action, period);
            *self.audit.hard.entry(names).or_default() += amount;
        }
    }

    /// What no event has drawn of leases is spent as well.
    fn read_leases(&mut self) {
        let leases =
            self.all::<Lease>(Table::UsageTracking, |key| key.partition.starts_with("leases/"));
        for (key, lease) in leases {
            let solution = key.partition.split('/').find(|part| part.starts_with("sol_"));
            let solution = solution.unwrap_or_default().to_owned();
            let producer = key.partition.replacen("leases/", "producer/", 1);
            let held = Key::new(Table::UsageTracking, producer, "leases");
            *self.held.entry(held).or_default() += 1;
            let left = lease.left().unwrap_or_default() as i64;
            for counter in lease.counters(&solution) {
                *self.leased.entry(facts::leased(&counter)).or_default() += left;
                *self.spent.entry(facts::spent(&counter)).or_default() += left;
            }
        }
    }

    /// Whether the numbers of a kind that are kept are those of the ledger.
    fn compare(&mut self, partition: &str, sort: &str, expected: &BTreeMap<Key, i64>) {
        let is_of_kind = |key: &Key| {
            let named = sort.is_empty() || key.sort == sort;
            key.table == Table::UsageTracking && key.partition.starts_with(partition) && named
        };
        let mut flaws = Vec::new();
        for (key, value) in &self.items {
            let Value::Number(kept) = value else { continue };
            let of_ledger = expected.get(key).copied().unwrap_or_default();
            if is_of_kind(key) && *kept != of_ledger {
                let (partition, sort) = (&key.partition, &key.sort);
                flaws.push(format!("{partition}/{sort}: {kept} kept, {of_ledger} in the ledger"));
            }
        }
        let unkept =
            expected.iter().filter(|(key, sum)| **sum != 0 && !self.items.contains_key(key));
        flaws
            .extend(unkept.map(|(key, sum)| format!("{key:?}: {sum} in the ledger, and not kept")));
        self.audit.flaws.extend(flaws);
    }

    fn compare_index(&mut self) {
        let listed = self
            .all::<CountedEvents>(Table::UsageTracking, |key| key.partition.starts_with("events/"));
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for (key, events) in listed {
            *found.entry(key.partition).or_default() += events.page.lines.len();
        }
        if found != self.indexed {
            let words = format!("the index has {found:?}, and the ledger {:?}", self.indexed);
            self.flaw(words);
        }
    }

    /// Whether the feed has told of every token that ended before its time.
    fn read_families(&mut self) {
        let families = self.all::<Family>(Table::ApiTokens, |key| key.sort == "family");
        let ended: BTreeMap<String, Family> = families
            .into_iter()
            .filter(|(_, family)| family.revoked_at.is_some())
            .map(|(key, family)| (key.partition, family))
            .collect();
        let told: BTreeSet<String> = self
            .all::<FeedEntry>(Table::ApiTokens, |key| key.sort.starts_with("change/"))
            .into_iter()
            .flat_map(|(_, entry)| match entry.change {
                FeedChange::TokensRevoked { token_ids } => token_ids,
                _ => Vec::new(),
            })
            .collect();
        let tokens = self.all::<IssuedToken>(Table::ApiTokens, |key| key.sort == "token");
        for (key, token) in tokens {
            let Some(family) = ended.get(&token.family_id) else { continue };
            let was_alive = family.revoked_at.is_some_and(|at| token.expires_at > at);
            let of_solution = family.solution_id.starts_with("sol_");
            if was_alive && of_solution && !told.contains(&key.partition) {
                self.flaw(format!("{} has ended, and the feed does not say so", key.partition));
            }
        }
    }
}
