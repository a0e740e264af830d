//! Whether an event counts, and what it takes of a hard quota.

use std::collections::{BTreeMap, BTreeSet};

use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{EventRef, EventStatus, Tier, Timestamp, UsageEvent};
use jiff::tz::TimeZone;

use super::pardon::{Pardon, Pardoned, by_period};
use crate::api::problem::Failure;
use crate::domain::calendar::day_began;
use crate::domain::catalogue::{Solution, Subscription};
use crate::domain::correction::{Corrected, Difference, correct};
use crate::domain::limit::limits;
use crate::domain::refresh::Family;
use crate::domain::usage::{Counter, Effect, Grant, deed_fingerprint, judge};
use crate::facts::{
    self, IdempotencyRecord, IssuedToken, LedgerLine, LedgerPage, Principal, SingleEvent,
};
use crate::store::{StoreError, Transaction};

/// What became of an event.
pub(super) struct Verdict {
    pub status: EventStatus,
    pub code: Option<Code>,
    /// What a correction counts as.
    pub difference: Option<Difference>,
}

/// An event that a correction names, and when it came.
struct Original {
    event: UsageEvent,
    received_at: Timestamp,
}

/// What of the event's own producer is judged, and not yet in the store.
#[derive(Clone, Copy)]
pub(super) struct Earlier<'l> {
    pub producer: &'l str,
    pub lines: &'l [LedgerLine],
}

/// Under whose rules events are judged, and when.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub principal: &'a Principal,
    pub solution: &'a Solution,
    pub zone: &'a TimeZone,
    pub now: Timestamp,
}

/// Judges the events of one attempt of a transaction, one after the other.
pub(super) struct Admission<'a> {
    rules: Rules<'a>,
    /// When today began. What occurred before is late.
    today: Timestamp,
    grants: BTreeMap<&'a str, Grant>,
    tiers: BTreeMap<&'a str, Option<Tier>>,
    /// What is used of hard quotas, with what this attempt adds.
    spent: BTreeMap<Counter, i64>,
}

impl<'a> Admission<'a> {
    pub(super) async fn of(
        tx: &mut Transaction<'_>,
        rules: Rules<'a>,
        events: impl Iterator<Item = &'a UsageEvent>,
    ) -> Result<Admission<'a>, Failure> {
        Ok(Admission {
            rules,
            today: day_began(rules.zone, rules.now).map_err(|_| Code::Internal)?,
            grants: grants(tx, events).await?,
            tiers: BTreeMap::new(),
            spent: BTreeMap::new(),
        })
    }

    /// Whether the event's day had ended.
    pub(super) fn is_late(&self, event: &UsageEvent) -> bool {
        event.occurred_at < self.today
    }

    /// Whether an event counts. When it does, its idempotency key is used up, if it has one, and so
    /// is what it takes of hard quotas; and what it corrects is corrected.
    pub(super) async fn admit(
        &mut self,
        tx: &mut Transaction<'_>,
        event: &'a UsageEvent,
        earlier: Option<Earlier<'_>>,
    ) -> Result<Verdict, Failure> {
        let Rules { principal, solution, now, .. } = self.rules;
        let well_formed = event.malformed().is_none();
        let named = event.idempotency_key.as_ref().filter(|_| well_formed);
        let named = named.map(|name| facts::idempotency(principal, name));
        // What counted before is a duplicate, though its token may have ended since. A key that was
        // used by an earlier entry of this very range is read back here.
        if let Some(key) = &named {
            match tx.get::<IdempotencyRecord>(key).await? {
                None => {}
                Some(before) if before.fingerprint == deed_fingerprint(event) => {
                    return Ok(verdict(EventStatus::Duplicate, None));
                }
                Some(_) => return Ok(rejected(Code::IdempotencyMismatch)),
            }
        }
        let grant = self.grants.get(event.token_id.as_str());
        if let Err(code) = judge(event, principal.sender(), solution, grant, now) {
            return Ok(rejected(code));
        }
        let correction = match event.amends.as_deref().or(event.voids.as_deref()) {
            None => None,
            Some(named) => {
                let original = self.original(tx, named, earlier).await?;
                let key = facts::corrected(principal, named);
                let before = tx.get::<Corrected>(&key).await?;
                let of = original.as_ref().map(|original| &original.event);
                let (after, difference) = match correct(event, of, before.as_ref(), now) {
                    Ok(corrected) => corrected,
                    Err(code) => return Ok(rejected(code)),
                };
                let received_at = original.map_or(now, |original| original.received_at);
                let pardon = Pardon { before: before.as_ref(), after: &after, difference };
                let pardoned = pardon.of(tx, self.rules, event, received_at).await?;
                Some((key, after, difference, pardoned))
            }
        };
        let difference = correction.as_ref().map(|(_, _, difference, _)| *difference);
        let pardoned = correction.as_ref().map(|(.., pardoned)| pardoned.as_slice());
        let pardoned = pardoned.unwrap_or_default();
        if !self.spend(tx, Effect::of(event, difference), pardoned).await? {
            return Ok(rejected(Code::QuotaExceeded));
        }
        for it in pardoned.iter().filter(|it| !it.is_hard) {
            tx.add(&facts::forgiven(&it.counter), it.whole - it.counts)?;
        }
        if let Some((key, after, _, pardoned)) = correction {
            tx.put(&key, &after.forgiven(by_period(pardoned)))?;
        }
        if let Some(key) = &named {
            tx.put(key, &IdempotencyRecord { fingerprint: deed_fingerprint(event) })?;
        }
        Ok(verdict(EventStatus::Accepted, difference))
    }

    /// The event that a correction names, if it counted.
    async fn original(
        &self,
        tx: &Transaction<'_>,
        named: &EventRef,
        earlier: Option<Earlier<'_>>,
    ) -> Result<Option<Original>, StoreError> {
        let principal = self.rules.principal;
        let (producer, number) = match named {
            EventRef::Single { id } => {
                // Kept only if it counted.
                let kept: Option<SingleEvent> =
                    tx.peek(&facts::single_event(principal, id)).await?;
                return Ok(kept.map(|SingleEvent { event, received_at, .. }| Original {
                    event,
                    received_at,
                }));
            }
            EventRef::Numbered { producer, number } => (producer, *number),
        };
        let counted = |line: &&LedgerLine| {
            line.result.number == Some(number) && line.result.status == EventStatus::Accepted
        };
        let own = earlier.filter(|earlier| earlier.producer == producer);
        if let Some(line) = own.and_then(|earlier| earlier.lines.iter().find(counted)) {
            let received_at = self.rules.now;
            return Ok(line.event.clone().map(|event| Original { event, received_at }));
        }
        // The ledger only grows, so what it says needs to be no condition of the commit.
        let pages = tx.query::<LedgerPage>(facts::ledger_page_with(principal, producer, number));
        let Some((_, LedgerPage { received_at, lines })) = pages.await?.into_iter().next() else {
            return Ok(None);
        };
        let line = lines.iter().find(counted).cloned();
        Ok(line.and_then(|line| line.event).map(|event| Original { event, received_at }))
    }

    /// Takes what is used from each of the hard quotas it comes under, or nothing if one has too
    /// little left. `pardoned` is what a correction counts where resets have forgiven some of it.
    ///
    /// What is left is read without a condition, because the addition has one: if others were faster
    /// and the limit would be exceeded, the commit is refused and the attempt made again.
    async fn spend(
        &mut self,
        tx: &mut Transaction<'_>,
        effect: Effect<'a>,
        pardoned: &[Pardoned],
    ) -> Result<bool, Failure> {
        let Rules { solution, zone, .. } = self.rules;
        let Effect { customer_id, action, amount, occurred_at } = effect;
        if solution.hard_windows(action).next().is_none() {
            return Ok(true);
        }
        let tier = self.tier(tx, customer_id).await?;
        let limits = limits(solution, tier, customer_id, action, occurred_at, zone)
            .map_err(|_| Code::Internal)?;
        let amount_of = |counter: &Counter| {
            pardoned.iter().find(|it| it.counter == *counter).map_or(amount, |it| it.counts)
        };
        for limit in &limits {
            let used = match self.spent.get(&limit.counter) {
                Some(used) => *used,
                None => tx.number(&facts::spent(&limit.counter)).await?,
            };
            self.spent.insert(limit.counter.clone(), used);
            if !limit.allows(used, amount_of(&limit.counter)) {
                return Ok(false);
            }
        }
        for limit in limits {
            let (key, ceiling) = (facts::spent(&limit.counter), limit.ceiling());
            let amount = amount_of(&limit.counter);
            let spent = self.spent.entry(limit.counter).or_default();
            // None goes below zero, should clocks disagree about what came before a reset.
            let amount = amount.max(-*spent);
            match amount {
                0 => {}
                1.. => tx.add_within(&key, amount, i64::MIN..=ceiling)?,
                _ => tx.add_within(&key, amount, 0..=i64::MAX)?,
            }
            *spent += amount;
        }
        Ok(true)
    }

    /// The tier the customer has; `None` for who has not subscribed.
    async fn tier(
        &mut self,
        tx: &Transaction<'_>,
        customer_id: &'a str,
    ) -> Result<Option<Tier>, StoreError> {
        if let Some(known) = self.tiers.get(customer_id) {
            return Ok(*known);
        }
        let key = facts::subscription(customer_id, &self.rules.solution.id);
        let tier = tx.peek::<Subscription>(&key).await?.map(|subscription| subscription.tier);
        self.tiers.insert(customer_id, tier);
        Ok(tier)
    }
}

fn verdict(status: EventStatus, difference: Option<Difference>) -> Verdict {
    Verdict { status, code: None, difference }
}

fn rejected(code: Code) -> Verdict {
    Verdict { code: Some(code), ..verdict(EventStatus::Rejected, None) }
}

/// The tokens that events name, as far as they were ever issued. Tokens do not change and a family
/// is revoked once, so nothing here needs to be a condition of the commit.
async fn grants<'e>(
    tx: &mut Transaction<'_>,
    events: impl Iterator<Item = &'e UsageEvent>,
) -> Result<BTreeMap<&'e str, Grant>, StoreError> {
    let mut grants = BTreeMap::new();
    for id in events.map(|event| event.token_id.as_str()).collect::<BTreeSet<_>>() {
        let Some(issued) = tx.peek::<IssuedToken>(&facts::issued_token(id)).await? else {
            continue;
        };
        let family: Option<Family> = tx.peek(&facts::family(&issued.family_id)).await?;
        let grant = Grant {
            customer_id: issued.customer_id,
            solution_id: issued.solution_id,
            issued_at: issued.issued_at,
            expires_at: issued.expires_at,
            revoked_at: family.and_then(|family| family.revoked_at),
        };
        grants.insert(id, grant);
    }
    Ok(grants)
}
