//! Doing what is due, in the order of time.

use std::sync::Arc;

use cloudnestle_marketplace::model::Timestamp;

use super::{Fired, Task};
use crate::domain::lease::Lease;
use crate::domain::principal::Principal;
use crate::facts;
use crate::market::Market;
use crate::store::{Key, MAX_WRITES, StoreError, Transaction, transact};

/// A task, and where it lies on the agenda.
type Due = (Key, Task);

/// Does what is due up to a moment, one after the other in the order of time and, where that is the
/// same, of kind and name. The clock shows at least a task's moment when it runs. What the tasks plan for
/// before the moment is done as well: when this returns, nothing is left that was due.
///
/// For whoever has the [turn](super::Agenda::turn). After an error, what failed and what comes after it
/// is still on the agenda.
#[cfg(feature = "control")]
pub(crate) async fn run_until(
    market: &Arc<Market>,
    until: Timestamp,
) -> Result<Vec<Fired>, StoreError> {
    let mut fired = Vec::new();
    while let Some(some) = run_some(market, until).await? {
        fired.extend(some);
    }
    Ok(fired)
}

/// As much as one commit takes; `None` if nothing is due.
pub(super) async fn run_some(
    market: &Arc<Market>,
    until: Timestamp,
) -> Result<Option<Vec<Fired>>, StoreError> {
    let first = facts::due_until(until, MAX_WRITES);
    let mut due: Vec<Due> =
        transact(&*market.store, async |tx| tx.query(first.clone()).await).await?;
    // Those that change nothing, as far as they follow each other; any other runs alone.
    let alike = due.iter().take_while(|(_, task)| task.is_only_told()).count();
    due.truncate(alike.max(1));
    if due.is_empty() {
        return Ok(None);
    }
    #[cfg(feature = "control")]
    due.iter()
        .filter_map(|(key, _)| facts::due_at(key))
        .for_each(|at| market.world.clock.reach(at));
    transact(&*market.store, async |tx| {
        let mut fired = Vec::new();
        for (key, task) in &due {
            // Somebody may have taken it off.
            if tx.get::<Task>(key).await?.is_none() {
                continue;
            }
            tx.delete(key);
            let at = facts::due_at(key).unwrap_or(until);
            if happens(tx, task).await? {
                fired.push(Fired { at, task: task.clone() });
            }
        }
        Ok(Some(fired))
    })
    .await
}

/// Does a task, as part of the commit that takes it off the agenda. Whether there is something to tell
/// of: what it is about may have ended before.
async fn happens(tx: &mut Transaction<'_>, task: &Task) -> Result<bool, StoreError> {
    match task {
        Task::TokenExpires { .. } => Ok(true),
        Task::LeaseEnds { solution_id, producer, lease_id } => {
            let principal = Principal::SecretKey { solution_id: solution_id.clone() };
            let lease = facts::lease(&principal, producer, lease_id);
            Ok(tx.peek::<Lease>(&lease).await?.is_some())
        }
    }
}
