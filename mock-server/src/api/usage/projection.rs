//! From the ledger to the counters.
//!
//! A range is committed with a note of what it adds to which counter. The counters follow in
//! commits of their own, each of which also takes from the note what it has added: wherever a
//! process dies, nothing is lost and nothing is added twice. Whoever wants to read a counter brings
//! all counters up to date first.

use crate::facts::{self, PendingProjection};
use crate::store::{Key, MAX_WRITES, Store, StoreError, transact};

/// The most additions of a commit: one write is the note's.
const MAX_ADDITIONS: usize = MAX_WRITES - 1;
/// How many notes are looked for at once.
const PAGE: usize = 100;

/// Brings all counters up to date.
pub(crate) async fn run(store: &dyn Store) -> Result<(), StoreError> {
    loop {
        let page = transact(store, async |tx| {
            tx.query::<PendingProjection>(facts::oldest_pending(PAGE)).await
        })
        .await?;
        for (key, _) in &page {
            while !step(store, key).await? {}
        }
        if page.len() < PAGE {
            return Ok(());
        }
    }
}

/// One commit. Whether nothing of the note is left.
pub(super) async fn step(store: &dyn Store, key: &Key) -> Result<bool, StoreError> {
    transact(store, async |tx| {
        let Some(mut note) = tx.get::<PendingProjection>(key).await? else {
            return Ok(true); // somebody else was faster
        };
        let left = note.additions.split_off(note.additions.len().min(MAX_ADDITIONS));
        for (counter, amount) in &note.additions {
            tx.add(&facts::counter(counter), *amount)?;
        }
        if left.is_empty() {
            tx.delete(key);
            return Ok(true);
        }
        tx.put(key, &PendingProjection { additions: left })?;
        Ok(false)
    })
    .await
}
