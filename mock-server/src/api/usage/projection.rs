//! From the ledger to the counters, and to the events by customer.
//!
//! What usage adds to the counters, and its [index](super::index), is part of the commit that takes it,
//! if that has room: a single event, or a range of a few customers, is one commit, and nothing is left
//! to do. What has no room is committed as *notes* of what is to be done. Each note is worked off by
//! commits of its own, the last of which deletes it: wherever a process dies, nothing is lost and
//! nothing is added twice.
//!
//! Whoever reads a counter or the index lets the notes be worked off before ([`catch_up`]), so that
//! they show everything that was answered.

use std::collections::BTreeMap;

use cloudnestle_marketplace::model::Timestamp;
use futures_util::future::try_join_all;

use super::index::{Index, Written, index};
use crate::domain::usage::Counter;
use crate::facts::{self, LedgerPage, PageName, PendingProjection};
use crate::market::Market;
use crate::store::{Key, MAX_WRITES, Store, StoreError, Transaction, transact};

/// The most that a commit does of a note: one write is the note's.
const MAX_STEP: usize = MAX_WRITES - 1;
/// How many notes are looked for at once.
const PAGE: usize = 100;

/// What a commit has to make known beside the ledger.
pub(super) struct Projection<'l> {
    pub additions: BTreeMap<Counter, i64>,
    /// The events by customer, and the pages they are of.
    pub index: Index<'l>,
    pub pages: Vec<PageName>,
}

/// Makes a projection part of the commit, or notes of it: the last thing a transaction does, when it
/// is known how much room there is.
pub(super) fn project(
    tx: &mut Transaction<'_>,
    projection: Projection<'_>,
    new_id: impl Fn() -> String,
) -> Result<(), StoreError> {
    let Projection { additions, index, pages } = projection;
    if additions.len() + index.len() <= tx.room() {
        index.iter().try_for_each(|(key, events)| tx.put(key, events))?;
    } else if !index.is_empty() {
        let note = PendingProjection { pages, ..PendingProjection::default() };
        tx.create(&facts::pending(&new_id()), &note)?;
    }
    let room = tx.room();
    if additions.len() <= room {
        return additions
            .iter()
            .try_for_each(|(counter, amount)| tx.add(&facts::counter(counter), *amount));
    }
    // A note is best what one commit works off; where there is no room for so many, it is more.
    let each = MAX_STEP.max(additions.len().div_ceil(room.max(1)));
    let additions: Vec<_> = additions.into_iter().collect();
    for additions in additions.chunks(each) {
        let note =
            PendingProjection { additions: additions.to_vec(), ..PendingProjection::default() };
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
        let left = note.additions.split_off(note.additions.len().min(MAX_STEP));
        for (counter, amount) in &note.additions {
            tx.add(&facts::counter(counter), *amount)?;
        }
        let mut room = MAX_STEP - note.additions.len();
        note.additions = left;
        while let Some(page) = note.pages.first().filter(|_| room > 0) {
            let (source, received_at, lines) = read_page(tx, page).await?;
            let index = index(&page.principal, Some(&page.producer), &source, received_at, &lines);
            for (key, events) in index.iter().skip(note.indexed).take(room) {
                tx.put(key, events)?;
                note.indexed += 1;
                room -= 1;
            }
            if note.indexed >= index.len() {
                note.pages.remove(0);
                note.indexed = 0;
            }
        }
        if note.additions.is_empty() && note.pages.is_empty() {
            tx.delete(key);
            return Ok(true);
        }
        tx.put(key, &note)?;
        Ok(false)
    })
    .await
}

/// Where a page of the ledger lies, when it came, and its lines.
async fn read_page(
    tx: &Transaction<'_>,
    name: &PageName,
) -> Result<(Key, Timestamp, Vec<Written>), StoreError> {
    let PageName { principal, producer, last } = name;
    let key = facts::ledger_page(principal, producer, *last);
    let page: Option<LedgerPage> = tx.peek(&key).await?;
    let LedgerPage { received_at, lines } =
        page.ok_or(StoreError::Refused("a note names a page that is not there"))?;
    Ok((key, received_at, lines.into_iter().map(Written::of).collect::<Result<_, _>>()?))
}
