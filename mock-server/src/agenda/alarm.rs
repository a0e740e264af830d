//! How whoever attends to the agenda hears of what is planned: the market's store tells of each commit
//! that plans something. What plans needs to know of nothing but its transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use cloudnestle_marketplace::model::Timestamp;
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, Notify};

use crate::facts;
use crate::store::{Item, Key, Query, Store, StoreError, Write};

/// Wakes the one who attends.
pub(crate) struct Alarm {
    rung: Notify,
    /// The moment that is waited for, in milliseconds; what is planned for later needs no waking.
    set_for: AtomicI64,
    is_closed: AtomicBool,
}

impl Default for Alarm {
    fn default() -> Alarm {
        let set_for = AtomicI64::new(i64::MAX);
        Alarm { rung: Notify::new(), set_for, is_closed: AtomicBool::new(false) }
    }
}

impl Alarm {
    /// Lets whoever attends look at the agenda and the clock.
    pub(crate) fn ring(&self) {
        self.rung.notify_one();
    }

    /// As [`ring`](Self::ring), if that is earlier than what is waited for.
    fn planned(&self, at: Timestamp) {
        if at.as_millis() < self.set_for.load(Ordering::SeqCst) {
            self.ring();
        }
    }

    /// From now on, whatever is planned rings: for somebody who is going to look what is next.
    pub(super) fn listen(&self) {
        self.set_for.store(i64::MAX, Ordering::SeqCst);
    }

    /// From now on, what is planned for earlier rings.
    pub(super) fn set_for(&self, at: Timestamp) {
        self.set_for.store(at.as_millis(), Ordering::SeqCst);
    }

    /// Waits for it to ring; not at all, if it has rung since the last time.
    pub(super) async fn rung(&self) {
        self.rung.notified().await;
    }

    /// Lets whoever attends end.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.ring();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }
}

/// A store that rings when a commit has planned something.
pub(crate) struct Attended {
    store: Arc<dyn Store>,
    alarm: Arc<Alarm>,
}

impl Attended {
    pub(crate) fn new(store: Arc<dyn Store>, alarm: Arc<Alarm>) -> Attended {
        Attended { store, alarm }
    }
}

impl Store for Attended {
    fn get(&self, key: Key) -> BoxFuture<'_, Result<Option<Item>, StoreError>> {
        self.store.get(key)
    }

    fn query(&self, query: Query) -> BoxFuture<'_, Result<Vec<Item>, StoreError>> {
        self.store.query(query)
    }

    fn commit(&self, writes: Vec<Write>) -> BoxFuture<'_, Result<(), StoreError>> {
        let Some(first) = writes.iter().filter_map(planned_at).min() else {
            return self.store.commit(writes);
        };
        Box::pin(async move {
            self.store.commit(writes).await?;
            self.alarm.planned(first);
            Ok(())
        })
    }

    #[cfg(feature = "control")]
    fn dump(&self) -> BoxFuture<'_, Result<Vec<Item>, StoreError>> {
        self.store.dump()
    }

    #[cfg(feature = "control")]
    fn replace(&self, items: Arc<[Item]>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.store.replace(items).await?;
            self.alarm.ring();
            Ok(())
        })
    }

    fn turn(&self) -> &Mutex<()> {
        self.store.turn()
    }
}

fn planned_at(write: &Write) -> Option<Timestamp> {
    match write {
        Write::Put { key, .. } => facts::due_at(key),
        _ => None,
    }
}
