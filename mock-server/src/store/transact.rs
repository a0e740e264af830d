//! Load, decide, commit, and begin again when others were faster: written once, here.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), cloudnestle_mock_server::store::StoreError> {
//! use cloudnestle_mock_server::store::{Key, Memory, StoreError, Table, transact};
//!
//! let store = Memory::new();
//! let key = Key::new(Table::Users, "cus_asha", "visits");
//! let visits = transact(&store, async |tx| {
//!     let visits = tx.get::<u64>(&key).await?.unwrap_or(0) + 1;
//!     tx.put(&key, &visits)?;
//!     Ok::<_, StoreError>(visits)
//! })
//! .await?;
//! assert_eq!(visits, 1);
//! # Ok(())
//! # }
//! ```
//!
//! What is promised: either every write of the closure happens while everything it read with
//! [`Transaction::get`] is still as it was read, or nothing happens. What is not: the closure runs
//! more than once, so it must do nothing but compute (and never call [`transact`] itself, which may
//! wait for its own turn); and several reads of one run are not of one moment unless there is a write
//! to commit, because only the commit verifies them.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    ops::RangeInclusive,
};

use serde::{
    Serialize,
    de::{DeserializeOwned, IntoDeserializer, value::I64Deserializer},
};

use super::{Expect, Item, Key, MAX_WRITES, Query, Store, StoreError, Value, Write};
use crate::planted::{Bug, planted};

/// How often a decision is made before the caller hears of the conflict. Far more than it takes: of
/// 128 tasks that did nothing but change one item of a file the unluckiest needed 16.
const MAX_ATTEMPTS: usize = 64;

/// Runs `decide` on a fresh [`Transaction`] and commits what it wrote, again and again while others
/// change what it read.
///
/// Nothing is committed if `decide` returns an error or wrote nothing. The answer is
/// [`StoreError::Conflict`] when 64 attempts were in vain: most likely the condition can't come true
/// (a [`create`](Transaction::create) of what exists, an [`add_within`](Transaction::add_within)
/// beyond its limit), and `decide` should have read before.
// `AsyncFnOnce + Clone` means the same as `AsyncFn` here, but with `AsyncFn` a future that contains
// this one is not `Send` as soon as the closure borrows anything (rust-lang/rust#110338).
pub async fn transact<T, E, F>(store: &dyn Store, decide: F) -> Result<T, E>
where
    E: From<StoreError>,
    F: AsyncFnOnce(&mut Transaction<'_>) -> Result<T, E> + Clone,
{
    let mut turn = None;
    for _ in 0..MAX_ATTEMPTS {
        let mut transaction = Transaction::new(store);
        let decided = decide.clone()(&mut transaction).await?;
        let additions = planted(Bug::AddedTwiceOnConflict).then(|| transaction.additions());
        match transaction.commit().await {
            Ok(()) => return Ok(decided),
            Err(StoreError::Conflict) if additions.as_ref().is_some_and(|it| !it.is_empty()) => {
                store.commit(additions.unwrap_or_default()).await?;
            }
            // Who lost tries again when those have who lost before. In no order the winner of a busy
            // item, who alone knows what it has become, wins again and again: of 32 tasks some
            // needed 400 attempts.
            Err(StoreError::Conflict) if turn.is_none() => turn = Some(store.turn().lock().await),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Conflict.into())
}

/// What one attempt has read, and what it is going to write.
///
/// Documents are JSON, and a counter reads as an integer. Reads see what the transaction itself has
/// written, except for [`query`](Self::query). An item that was read with [`get`](Self::get) counts
/// as a write ([`MAX_WRITES`]), since the commit has to check it.
pub struct Transaction<'s> {
    store: &'s dyn Store,
    /// What the commit relies on, as it was first seen.
    seen: BTreeMap<Key, Option<Item>>,
    writes: BTreeMap<Key, Pending>,
}

/// A write whose condition is not known before the transaction ends.
enum Pending {
    Put(Vec<u8>),
    Delete,
    Add { amount: i64, within: RangeInclusive<i64> },
}

impl<'s> Transaction<'s> {
    fn new(store: &'s dyn Store) -> Self {
        Transaction { store, seen: BTreeMap::new(), writes: BTreeMap::new() }
    }

    /// The item of that name. That it is as it was read, or is still absent, becomes a condition of
    /// the commit.
    pub async fn get<T: DeserializeOwned>(&mut self, key: &Key) -> Result<Option<T>, StoreError> {
        if !self.seen.contains_key(key) {
            let item = self.store.get(key.clone()).await?;
            self.seen.insert(key.clone(), item);
        }
        self.read(key, self.seen.get(key).and_then(Option::as_ref))
    }

    /// The item of that name, whatever becomes of it until the commit: for what hardly ever changes.
    pub async fn peek<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, StoreError> {
        match self.seen.get(key) {
            Some(item) => self.read(key, item.as_ref()),
            None => self.read(key, self.store.get(key.clone()).await?.as_ref()),
        }
    }

    /// Where a counter stands, whatever becomes of it until the commit; 0 if it was never added to.
    pub async fn number(&self, key: &Key) -> Result<i64, StoreError> {
        Ok(self.peek(key).await?.unwrap_or(0))
    }

    /// Items of one partition as they are in the store, whatever becomes of them until the commit.
    pub async fn query<T: DeserializeOwned>(
        &self,
        query: Query,
    ) -> Result<Vec<(Key, T)>, StoreError> {
        let items = self.store.query(query).await?;
        items.into_iter().map(|item| Ok((item.key, decode(&item.value)?))).collect()
    }

    /// Creates or replaces a document. If it was read with [`get`](Self::get), on condition that it
    /// is as it was read; else whatever is there.
    pub fn put<T: Serialize + ?Sized>(
        &mut self,
        key: &Key,
        document: &T,
    ) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(document)
            .map_err(|_| StoreError::Refused("a document can't be written as JSON"))?;
        self.writes.insert(key.clone(), Pending::Put(bytes));
        Ok(())
    }

    /// Creates a document on condition that the store has no item of that name: without reading, for
    /// names drawn at random (the next attempt draws another).
    pub fn create<T: Serialize + ?Sized>(
        &mut self,
        key: &Key,
        document: &T,
    ) -> Result<(), StoreError> {
        self.put(key, document)?;
        self.seen.insert(key.clone(), None);
        Ok(())
    }

    /// Removes an item. If it was read with [`get`](Self::get), on condition that it is as it was
    /// read; else whatever is there, if anything is.
    pub fn delete(&mut self, key: &Key) {
        self.writes.insert(key.clone(), Pending::Delete);
    }

    /// Adds to a counter.
    pub fn add(&mut self, key: &Key, amount: i64) -> Result<(), StoreError> {
        self.add_within(key, amount, i64::MIN..=i64::MAX)
    }

    /// Adds to a counter on condition that what comes out is in `within`. What is added to one
    /// counter several times is added up and must be within each of the ranges.
    pub fn add_within(
        &mut self,
        key: &Key,
        amount: i64,
        within: RangeInclusive<i64>,
    ) -> Result<(), StoreError> {
        let mut entry = match self.writes.entry(key.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(Pending::Add { amount, within });
                return Ok(());
            }
            Entry::Occupied(entry) => entry,
        };
        let Pending::Add { amount: so_far, within: bounds } = entry.get_mut() else {
            return Err(StoreError::Refused("it adds to an item that it also puts or deletes"));
        };
        *so_far = so_far
            .checked_add(amount)
            .ok_or(StoreError::Refused("what it adds to a counter is more than 64 bits hold"))?;
        *bounds = both(bounds, &within);
        Ok(())
    }

    /// Adds to a counter beyond whatever bound other additions of this transaction have: what they must
    /// stay within moves along. For what is more than 0.
    pub fn add_beyond(&mut self, key: &Key, amount: i64) -> Result<(), StoreError> {
        if let Some(Pending::Add { within, .. }) = self.writes.get_mut(key) {
            *within = *within.start()..=within.end().saturating_add(amount);
        }
        self.add(key, amount)
    }

    /// How many more items the commit has room for.
    pub fn room(&self) -> usize {
        let only_seen = self.seen.keys().filter(|key| !self.writes.contains_key(key)).count();
        MAX_WRITES.saturating_sub(self.writes.len() + only_seen)
    }

    /// The item as this transaction will leave it, `stored` being how it found it.
    fn read<T: DeserializeOwned>(
        &self,
        key: &Key,
        stored: Option<&Item>,
    ) -> Result<Option<T>, StoreError> {
        match (self.writes.get(key), stored) {
            (Some(Pending::Put(bytes)), _) => decode_document(bytes).map(Some),
            (Some(Pending::Delete), _) | (None, None) => Ok(None),
            (Some(Pending::Add { amount, .. }), stored) => {
                decode_number(count(stored)?.saturating_add(*amount)).map(Some)
            }
            (None, Some(item)) => decode(&item.value).map(Some),
        }
    }

    /// What it adds to counters, without the rest: nobody commits that.
    fn additions(&self) -> Vec<Write> {
        let addition = |(key, pending): (&Key, &Pending)| match pending {
            Pending::Add { amount, within } => {
                let (key, within) = (key.clone(), within.clone());
                Some(Write::Add { key, amount: *amount, within })
            }
            Pending::Put(_) | Pending::Delete => None,
        };
        self.writes.iter().filter_map(addition).collect()
    }

    async fn commit(self) -> Result<(), StoreError> {
        if self.writes.is_empty() {
            return Ok(());
        }
        let store = self.store;
        store.commit(self.into_writes()?).await
    }

    fn into_writes(mut self) -> Result<Vec<Write>, StoreError> {
        let mut writes = Vec::with_capacity(self.writes.len() + self.seen.len());
        for (key, pending) in self.writes {
            let seen = self.seen.remove(&key);
            let expect = seen.as_ref().map_or(Expect::Any, as_seen);
            writes.push(match pending {
                Pending::Put(value) => Write::Put { key, value, expect },
                Pending::Delete => Write::Delete { key, expect },
                Pending::Add { amount, mut within } => {
                    // An addition has no other condition than its range; the one sum that comes of
                    // the number that was read says the same.
                    if let Some(item) = seen {
                        let sum = count(item.as_ref())?.saturating_add(amount);
                        within = both(&within, &(sum..=sum));
                    }
                    Write::Add { key, amount, within }
                }
            });
        }
        let relied_on = self.seen.into_iter();
        writes.extend(relied_on.map(|(key, item)| Write::Check { key, expect: as_seen(&item) }));
        Ok(writes)
    }
}

fn as_seen(item: &Option<Item>) -> Expect {
    item.as_ref().map_or(Expect::Absent, |item| Expect::Version(item.version))
}

fn both(one: &RangeInclusive<i64>, other: &RangeInclusive<i64>) -> RangeInclusive<i64> {
    *one.start().max(other.start())..=*one.end().min(other.end())
}

fn count(item: Option<&Item>) -> Result<i64, StoreError> {
    match item.map(|item| &item.value) {
        None => Ok(0),
        Some(Value::Number(number)) => Ok(*number),
        Some(Value::Bytes(_)) => Err(StoreError::Refused("it adds to a document")),
    }
}

pub(super) fn decode<T: DeserializeOwned>(value: &Value) -> Result<T, StoreError> {
    match value {
        Value::Bytes(bytes) => decode_document(bytes),
        Value::Number(number) => decode_number(*number),
    }
}

fn decode_document<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(unreadable)
}

fn decode_number<T: DeserializeOwned>(number: i64) -> Result<T, StoreError> {
    let number: I64Deserializer<serde_json::Error> = number.into_deserializer();
    T::deserialize(number).map_err(unreadable)
}

fn unreadable(error: serde_json::Error) -> StoreError {
    StoreError::Failed(format!("an item is not what the reader takes it for: {error}"))
}
