//! What a correction counts: the difference it makes to its original, in the windows that have charged
//! it, as far as no reset has forgiven it since.
//!
//! A reset has given back what was left of the original then. A correction gives that back no second
//! time, and charges it no second time: it counts what goes beyond.

use std::collections::BTreeMap;

use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{EventRef, EventStatus, Timestamp, UsageEvent};

use super::admission::{Earlier, Rules};
use crate::api::problem::Failure;
use crate::domain::correction::{Corrected, Difference, Forgiven, correct};
use crate::domain::quota::period;
use crate::domain::usage::Counter;
use crate::facts::{self, LedgerLine, LedgerPage, Reset, SingleEvent};
use crate::store::{Key, StoreError, Transaction};

/// A correction of an event that counted.
pub(super) struct Correction {
    /// Where it is kept what became of the original.
    key: Key,
    after: Corrected,
    pub difference: Difference,
    /// A moment of the windows in which hard quotas have charged the original: those in which it
    /// occurred, unless a lease paid for it.
    pub charged_at: Timestamp,
    pub pardoned: Vec<Pardoned>,
}

/// An event that a correction names, and when it came.
struct Original {
    event: UsageEvent,
    received_at: Timestamp,
    /// As that of a [`LedgerLine`].
    charged_at: Option<Timestamp>,
}

/// A quota of which a reset has forgiven some of the event that is corrected.
pub(super) struct Pardoned {
    pub counter: Counter,
    /// What the quota counts of the difference.
    pub counts: i64,
    /// The difference, as history counts it.
    whole: i64,
    is_hard: bool,
    forgiven: Forgiven,
}

impl Correction {
    /// What `event` makes of the one it names, or why it can't.
    pub(super) async fn of(
        tx: &mut Transaction<'_>,
        rules: Rules<'_>,
        event: &UsageEvent,
        named: &EventRef,
        earlier: Option<Earlier<'_>>,
    ) -> Result<Result<Correction, Code>, Failure> {
        let original = original(tx, rules, named, earlier).await?;
        let key = facts::corrected(rules.principal, named);
        let before = tx.get::<Corrected>(&key).await?;
        let of = original.as_ref().map(|original| &original.event);
        let (after, difference) = match correct(event, of, before.as_ref(), rules.now) {
            Ok(corrected) => corrected,
            Err(code) => return Ok(Err(code)),
        };
        let (received_at, charged_at) =
            original.map_or((rules.now, None), |it| (it.received_at, it.charged_at));
        let charged_at = charged_at.unwrap_or(difference.occurred_at);
        let mut correction =
            Correction { key, after, difference, charged_at, pardoned: Vec::new() };
        correction.pardoned =
            correction.pardons(tx, rules, event, before.as_ref(), received_at).await?;
        Ok(Ok(correction))
    }

    /// Commits what became of the original, and what quotas without a limit to keep count of it.
    pub(super) fn keep(self, tx: &mut Transaction<'_>) -> Result<(), StoreError> {
        for it in self.pardoned.iter().filter(|it| !it.is_hard) {
            tx.add(&facts::forgiven(&it.counter), it.whole - it.counts)?;
        }
        let by_period: BTreeMap<_, _> =
            self.pardoned.into_iter().map(|it| (it.counter.period, it.forgiven)).collect();
        tx.put(&self.key, &self.after.forgiven(by_period))
    }

    /// The quotas of the event that were reset since its original came. That none is reset in between is
    /// a condition of the commit.
    async fn pardons(
        &self,
        tx: &mut Transaction<'_>,
        rules: Rules<'_>,
        event: &UsageEvent,
        before: Option<&Corrected>,
        received_at: Timestamp,
    ) -> Result<Vec<Pardoned>, Failure> {
        let Rules { solution, zone, .. } = rules;
        let Difference { amount: whole, occurred_at } = self.difference;
        let left = self.after.left();
        let was_left = left.saturating_add_signed(-whole);
        let mut pardoned = Vec::new();
        for (action, window) in solution.limited().filter(|(action, _)| *action == event.action) {
            let is_hard = solution.is_hard(action, window);
            let at = if is_hard { self.charged_at } else { occurred_at };
            let period = period(window, zone, at).map_err(|_| Code::Internal)?.name;
            let known = match before {
                Some(Corrected::Forgiven { by_period, .. }) => by_period.get(&period).copied(),
                _ => None,
            };
            let counter = Counter {
                customer_id: event.customer_id.clone(),
                solution_id: solution.id.clone(),
                action: action.to_owned(),
                period,
            };
            let Some(Reset { at }) = tx.get(&facts::reset(&counter)).await? else { continue };
            if received_at > at {
                continue;
            }
            let forgiven = Forgiven::by(at, was_left, known);
            let counts = forgiven.change(was_left, left);
            pardoned.push(Pardoned { counter, is_hard, whole, counts, forgiven });
        }
        Ok(pardoned)
    }
}

/// The event that a correction names, if it counted.
async fn original(
    tx: &Transaction<'_>,
    rules: Rules<'_>,
    named: &EventRef,
    earlier: Option<Earlier<'_>>,
) -> Result<Option<Original>, StoreError> {
    let principal = rules.principal;
    let (producer, number) = match named {
        EventRef::Single { id } => {
            // Kept only if it counted.
            let kept: Option<SingleEvent> = tx.peek(&facts::single_event(principal, id)).await?;
            return Ok(kept.map(|SingleEvent { event, received_at, .. }| Original {
                event,
                received_at,
                charged_at: None,
            }));
        }
        EventRef::Numbered { producer, number } => (producer, *number),
    };
    let counted = |line: &&LedgerLine| {
        line.result.number == Some(number) && line.result.status == EventStatus::Accepted
    };
    let own = earlier.filter(|earlier| earlier.producer == producer);
    let original = |line: &LedgerLine, received_at| {
        let (event, charged_at) = (line.event.clone(), line.charged_at);
        event.map(|event| Original { event, received_at, charged_at })
    };
    if let Some(line) = own.and_then(|earlier| earlier.lines.iter().find(counted)) {
        return Ok(original(line, rules.now));
    }
    // The ledger only grows, so what it says needs to be no condition of the commit.
    let pages = tx.query::<LedgerPage>(facts::ledger_page_with(principal, producer, number));
    let Some((_, LedgerPage { received_at, lines })) = pages.await?.into_iter().next() else {
        return Ok(None);
    };
    Ok(lines.iter().find(counted).and_then(|line| original(line, received_at)))
}
