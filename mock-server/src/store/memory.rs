//! A store in memory: the reference model. What it answers is what the other stores must answer; it
//! forgets everything when it is dropped, and makes no claim to speed.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures_util::future::BoxFuture;

use super::{
    Item, Key, Query, Store, StoreError, Value, Write,
    rules::{Change, Found, check_bounds, judge},
};

/// A store in memory.
#[derive(Debug, Default)]
pub struct Memory {
    items: Mutex<BTreeMap<Key, Item>>,
    turn: tokio::sync::Mutex<()>,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn items(&self) -> MutexGuard<'_, BTreeMap<Key, Item>> {
        // A commit judges all before it changes anything, so a panic can't have left half of one.
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn select(&self, query: Query) -> Vec<Item> {
        let Query { table, partition, sort, limit, descending } = query;
        if sort.is_empty() {
            return Vec::new(); // BTreeMap::range panics on what has its end before its start.
        }
        let (first, last) = sort.into_inner();
        let items = self.items();
        let found = items
            .range(Key::new(table, partition.clone(), first)..=Key::new(table, partition, last))
            .map(|(_, item)| item.clone());
        if descending { found.rev().take(limit).collect() } else { found.take(limit).collect() }
    }

    fn apply(&self, writes: &[Write]) -> Result<(), StoreError> {
        check_bounds(writes)?;
        let mut items = self.items();
        // No two writes name the same item, so none changes what another is judged by.
        let changes = writes
            .iter()
            .map(|write| Ok((write.key(), judge(write, items.get(write.key()).map(found))?)))
            .collect::<Result<Vec<_>, StoreError>>()?;
        for (key, change) in changes {
            let (version, value) = match change {
                Change::Nothing => continue,
                Change::Removed => {
                    items.remove(key);
                    continue;
                }
                Change::Document { version, bytes } => (version, Value::Bytes(bytes.into())),
                Change::Counter { version, number } => (version, Value::Number(number)),
            };
            items.insert(key.clone(), Item { key: key.clone(), version, value });
        }
        Ok(())
    }
}

impl Store for Memory {
    fn get(&self, key: Key) -> BoxFuture<'_, Result<Option<Item>, StoreError>> {
        Box::pin(async move { Ok(self.items().get(&key).cloned()) })
    }

    fn query(&self, query: Query) -> BoxFuture<'_, Result<Vec<Item>, StoreError>> {
        Box::pin(async move { Ok(self.select(query)) })
    }

    fn commit(&self, writes: Vec<Write>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let answer = self.apply(&writes);
            // Where a disk is, the loser of a race has to wait. Here two threads could keep step, and
            // one lose to the other a hundred times in a row.
            if answer == Err(StoreError::Conflict) {
                tokio::task::yield_now().await;
            }
            answer
        })
    }

    #[cfg(feature = "control")]
    fn dump(&self) -> BoxFuture<'_, Result<Vec<Item>, StoreError>> {
        Box::pin(async { Ok(self.items().values().cloned().collect()) })
    }

    #[cfg(feature = "control")]
    fn replace(&self, items: std::sync::Arc<[Item]>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let items = items.iter().map(|item| (item.key.clone(), item.clone())).collect();
            *self.items() = items;
            Ok(())
        })
    }

    fn turn(&self) -> &tokio::sync::Mutex<()> {
        &self.turn
    }
}

fn found(item: &Item) -> Found {
    let number = match item.value {
        Value::Bytes(_) => None,
        Value::Number(number) => Some(number),
    };
    Found { version: item.version, number }
}
