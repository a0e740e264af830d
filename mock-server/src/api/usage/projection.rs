//! From the ledger to the counters.
//!
//! What usage adds to the counters is part of the commit that takes it, if that has room: a single
//! event, or a range of a few customers, is one commit, and nothing is left to do. What has no room is
//! committed as *notes* of what is to be added. Each note is worked off by a commit of its own, which
//! also deletes it: wherever a process dies, nothing is lost and nothing is added twice.
//!
//! Whoever reads a counter lets the notes be worked off before ([`catch_up`]), so that a
//! counter shows everything that was answered.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;

use crate::domain::usage::Counter;
use crate::facts::{self, PendingProjection};
use crate::market::Market;
use crate::store::{Key, MAX_WRITES, Store, StoreError, Transaction, transact};

/// The most additions of a commit that works off a note: one write is the note's.
const MAX_ADDITIONS: usize = MAX_WRITES - 1;
/// How many notes are looked for at once.
const PAGE: usize = 100;

/// Makes additions part of the commit, or notes of them: the last thing a transaction does, when it
/// is known how much room there is.
pub(super) fn project(
    tx: &mut Transaction<'_>,
    additions: BTreeMap<Counter, i64>,
    new_id: impl Fn() -> String,
) -> Result<(), StoreError> {
    let room = tx.room();
    if additions.len() <= room {
        return additions
            .iter()
            .try_for_each(|(counter, amount)| tx.add(&facts::counter(counter), *amount));
    }
    // A note is best what one commit works off; where there is no room for so many, it is more.
    let each = MAX_ADDITIONS.max(additions.len().div_ceil(room.max(1)));
    let additions: Vec<_> = additions.into_iter().collect();
    for additions in additions.chunks(each) {
        let note = PendingProjection { additions: additions.to_vec() };
        tx.create(&facts::pending(&new_id()), &note)?;
    }
    Ok(())
}

/// Brings all counters up to date with what was committed before.
pub(crate) async fn catch_up(market: &Market) -> Result<(), StoreError> {
    let store = &*market.store;
    if notes(store).await?.is_empty() {
        return Ok(());
    }
    // One caller at a time: the others wait, and find nothing left.
    let _turn = market.projecting.lock().await;
    loop {
        let notes = notes(store).await?;
        // At once, so that they share the wait for the disk.
        try_join_all(notes.iter().map(|note| work_off(store, note))).await?;
        if notes.len() < PAGE {
            return Ok(());
        }
    }
}

/// How many notes there are; of more than a page, a page.
pub(crate) async fn pending(market: &Market) -> Result<usize, StoreError> {
    Ok(notes(&*market.store).await?.len())
}

/// The oldest notes.
async fn notes(store: &dyn Store) -> Result<Vec<Key>, StoreError> {
    let notes = store.query(facts::oldest_pending(PAGE)).await?;
    Ok(notes.into_iter().map(|item| item.key).collect())
}

async fn work_off(store: &dyn Store, note: &Key) -> Result<(), StoreError> {
    while !step(store, note).await? {}
    Ok(())
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
