//! What a correction counts in quotas that were reset after its original came.
//!
//! A reset has given back what was left of the original then. A correction gives that back no second
//! time, and charges it no second time: it counts what goes beyond.

use std::collections::BTreeMap;

use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{Timestamp, UsageEvent};

use super::admission::Rules;
use crate::api::problem::Failure;
use crate::domain::correction::{Corrected, Difference, Forgiven};
use crate::domain::quota::period;
use crate::domain::usage::Counter;
use crate::facts::{self, Reset};
use crate::store::Transaction;

/// What is left of an event before and after a correction, and the difference that makes.
pub(super) struct Pardon<'a> {
    pub before: Option<&'a Corrected>,
    pub after: &'a Corrected,
    pub difference: Difference,
    /// A moment of the windows in which hard quotas have charged the original: those in which it
    /// occurred, unless a lease paid for it.
    pub charged_at: Timestamp,
}

/// A quota of which a reset has forgiven some of the event that is corrected.
pub(super) struct Pardoned {
    pub counter: Counter,
    pub is_hard: bool,
    /// The difference, as history counts it.
    pub whole: i64,
    /// What the quota counts of it.
    pub counts: i64,
    forgiven: Forgiven,
}

impl Pardon<'_> {
    /// The quotas of `event`, a correction, that were reset since its original came. That none is
    /// reset in between is a condition of the commit.
    pub(super) async fn of(
        self,
        tx: &mut Transaction<'_>,
        rules: Rules<'_>,
        event: &UsageEvent,
        received_at: Timestamp,
    ) -> Result<Vec<Pardoned>, Failure> {
        let Rules { solution, zone, .. } = rules;
        let Difference { amount: whole, occurred_at } = self.difference;
        let after = self.after.left();
        let before = after.saturating_add_signed(-whole);
        let mut pardoned = Vec::new();
        for (action, window) in solution.limited().filter(|(action, _)| *action == event.action) {
            let is_hard = solution.is_hard(action, window);
            let at = if is_hard { self.charged_at } else { occurred_at };
            let period = period(window, zone, at).map_err(|_| Code::Internal)?.name;
            let known = match self.before {
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
            let forgiven = Forgiven::by(at, before, known);
            let counts = forgiven.change(before, after);
            pardoned.push(Pardoned { counter, is_hard, whole, counts, forgiven });
        }
        Ok(pardoned)
    }
}

/// What resets have forgiven of an event, by the names of their periods.
pub(super) fn by_period(pardoned: Vec<Pardoned>) -> BTreeMap<String, Forgiven> {
    pardoned.into_iter().map(|it| (it.counter.period, it.forgiven)).collect()
}
