//! What an event takes of the lease it was allowed by.

use cloudnestle_marketplace::model::{Timestamp, UsageEvent};

use super::admission::Rules;
use crate::agenda;
use crate::api::leases::its_end;
use crate::domain::lease::Lease;
use crate::domain::quota::period;
use crate::domain::usage::Counter;
use crate::facts;
use crate::planted::{Bug, planted};
use crate::store::{StoreError, Transaction};

/// An event that is paid for by a lease.
pub(super) struct Drawn {
    /// What is added now to which of the counters that are kept under a limit: nothing, unless the lease
    /// is without limit and charged as it is used.
    pub spent: Vec<Counter>,
    /// A moment of the lease's windows, if the event occurred in others.
    pub charged_at: Option<Timestamp>,
}

/// Draws what the event stands for from the lease it names, of its own producer. `None` if there is no
/// such lease, or too little left of it: the event is then judged as one that names none.
pub(super) async fn draw(
    tx: &mut Transaction<'_>,
    rules: Rules<'_>,
    producer: &str,
    event: &UsageEvent,
) -> Result<Option<Drawn>, StoreError> {
    let Rules { principal, solution, zone, .. } = rules;
    let Some(id) = &event.lease else { return Ok(None) };
    let key = facts::lease(principal, producer, id);
    // What is not there was given back for good, so that it is not needs to be no condition.
    if tx.peek::<Lease>(&key).await?.is_none() {
        return Ok(None);
    }
    let Some(mut lease) = tx.get::<Lease>(&key).await?.filter(|lease| lease.pays(event)) else {
        return Ok(None);
    };
    if planted(Bug::LeaseUnpaidAfterItsEnd) && lease.ends_at <= rules.now {
        return Ok(None);
    }
    // `judge` has bounded the quantity.
    let quantity = event.quantity as i64;
    let occurred_in = |name: &String| {
        let windows = solution.hard_windows(&event.action);
        let mut names = windows.filter_map(|it| period(it, zone, event.occurred_at).ok());
        names.any(|period| period.name == *name)
    };
    let charged_at = (!lease.periods.iter().all(occurred_in)).then(|| lease.charged_at());
    let counters: Vec<_> = lease.counters(&solution.id).collect();
    if lease.granted.is_none() {
        for counter in &counters {
            tx.add_beyond(&facts::spent(counter), quantity)?;
        }
        return Ok(Some(Drawn { spent: counters, charged_at }));
    }
    for counter in &counters {
        tx.add(&facts::leased(counter), -quantity)?;
    }
    lease.used += event.quantity;
    match lease.left() {
        Some(0) => {
            tx.delete(&key);
            agenda::unplan(tx, lease.ends_at, &its_end(principal, producer, id));
            tx.add(&facts::leases_held(principal, producer), -1)?;
        }
        _ => tx.put(&key, &lease)?,
    }
    Ok(Some(Drawn { spent: Vec::new(), charged_at }))
}
