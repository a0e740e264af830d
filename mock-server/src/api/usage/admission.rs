//! Whether an event counts, and what it takes of a hard quota.

use std::collections::{BTreeMap, BTreeSet};

use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{EventStatus, Tier, Timestamp, UsageEvent, WhenOffline};
use jiff::tz::TimeZone;

use super::correction::{Correction, Pardoned};
use super::draw::{Drawn, draw};
use crate::api::problem::Failure;
use crate::domain::calendar::day_began;
use crate::domain::catalogue::{Solution, Subscription};
use crate::domain::correction::Difference;
use crate::domain::limit::limits;
use crate::domain::principal::Principal;
use crate::domain::refresh::Family;
use crate::domain::usage::{Counter, Effect, Grant, deed_fingerprint, judge};
use crate::facts::{self, IdempotencyRecord, IssuedToken, LedgerLine};
use crate::planted::{Bug, planted};
use crate::store::{StoreError, Transaction};

/// What became of an event.
pub(super) struct Verdict {
    pub status: EventStatus,
    pub code: Option<Code>,
    /// What a correction counts as.
    pub difference: Option<Difference>,
    /// As that of a [`LedgerLine`].
    pub charged_at: Option<Timestamp>,
}

/// A place in what is counted under limits: which windows, and whether they may be full.
struct Charge<'p> {
    at: Timestamp,
    /// What a correction counts where resets have forgiven some of it.
    pardoned: &'p [Pardoned],
    is_beyond: bool,
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
                    return Ok(verdict(EventStatus::Duplicate));
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
            Some(named) => match Correction::of(tx, self.rules, event, named, earlier).await? {
                Ok(correction) => Some(correction),
                Err(code) => return Ok(rejected(code)),
            },
        };
        let difference = correction.as_ref().map(|it| it.difference);
        let drawn = match (earlier, &correction) {
            (Some(Earlier { producer, .. }), None) => draw(tx, self.rules, producer, event).await?,
            _ => None,
        };
        if let Some(Drawn { spent, .. }) = &drawn {
            self.spent_beside(spent, event.quantity as i64);
        } else {
            let charge = match &correction {
                Some(it) => Charge { at: it.charged_at, pardoned: &it.pardoned, is_beyond: false },
                None => {
                    let action = solution.action(&event.action);
                    let allowed = action.is_some_and(|it| it.when_offline == WhenOffline::Overage);
                    let is_beyond = event.overage && allowed;
                    Charge { at: event.occurred_at, pardoned: &[], is_beyond }
                }
            };
            if !self.spend(tx, Effect::of(event, difference), charge).await? {
                return Ok(rejected(Code::QuotaExceeded));
            }
        }
        if let Some(correction) = correction {
            correction.keep(tx)?;
        }
        if let Some(key) = &named {
            tx.put(key, &IdempotencyRecord { fingerprint: deed_fingerprint(event) })?;
        }
        let charged_at = drawn.and_then(|drawn| drawn.charged_at);
        Ok(Verdict { difference, charged_at, ..verdict(EventStatus::Accepted) })
    }

    /// Takes what is used from each of the hard quotas it comes under, or nothing if one has too
    /// little left and must not be exceeded.
    ///
    /// What is left is read without a condition, because the addition has one: if others were faster
    /// and the limit would be exceeded, the commit is refused and the attempt made again.
    async fn spend(
        &mut self,
        tx: &mut Transaction<'_>,
        effect: Effect<'a>,
        charge: Charge<'_>,
    ) -> Result<bool, Failure> {
        let Rules { solution, zone, .. } = self.rules;
        let Effect { customer_id, action, amount, .. } = effect;
        let Charge { at, pardoned, is_beyond } = charge;
        if solution.hard_windows(action).next().is_none() {
            return Ok(true);
        }
        let tier = self.tier(tx, customer_id).await?;
        let limits =
            limits(solution, tier, customer_id, action, at, zone).map_err(|_| Code::Internal)?;
        let amount_of = |counter: &Counter| {
            pardoned.iter().find(|it| it.counter == *counter).map_or(amount, |it| it.counts)
        };
        for limit in &limits {
            let used = match self.spent.get(&limit.counter) {
                Some(used) => *used,
                None => tx.number(&facts::spent(&limit.counter)).await?,
            };
            self.spent.insert(limit.counter.clone(), used);
            if !is_beyond && !limit.allows(used, amount_of(&limit.counter)) {
                return Ok(false);
            }
        }
        for limit in limits {
            let (key, ceiling) = (facts::spent(&limit.counter), limit.ceiling());
            let mut amount = amount_of(&limit.counter);
            // No more is given back than was used, should clocks disagree about what came before a reset.
            let leased = match amount < 0 {
                true => tx.number(&facts::leased(&limit.counter)).await?,
                false => 0,
            };
            let spent = self.spent.entry(limit.counter).or_default();
            amount = amount.max((leased - *spent).min(0));
            match amount {
                0 => {}
                1.. if is_beyond => tx.add_beyond(&key, amount)?,
                1.. if planted(Bug::LimitUnchecked) => tx.add(&key, amount)?,
                1.. => tx.add_within(&key, amount, i64::MIN..=ceiling)?,
                _ => tx.add_within(&key, amount, 0..=i64::MAX)?,
            }
            *spent += amount;
        }
        Ok(true)
    }

    /// Takes note of what was added to counters by others than [`spend`](Self::spend).
    fn spent_beside(&mut self, counters: &[Counter], amount: i64) {
        for counter in counters {
            // What is not known yet is read with what this attempt has added.
            self.spent.entry(counter.clone()).and_modify(|spent| *spent += amount);
        }
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

fn verdict(status: EventStatus) -> Verdict {
    Verdict { status, code: None, difference: None, charged_at: None }
}

fn rejected(code: Code) -> Verdict {
    Verdict { code: Some(code), ..verdict(EventStatus::Rejected) }
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
