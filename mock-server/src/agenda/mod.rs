//! What is due later: kept as facts, each planned in the commit that makes it due.
//!
//! So it survives the process, belongs to what is backed up, and happens once. It is done in the order of
//! time by whoever comes first: [`attend`], as real time passes, or a test that moves the clock
//! ([`run_until`]). Each task runs in a transaction that takes it off the agenda, so that what fails is
//! still there. A task may plan others.

mod alarm;
mod attend;
mod run;
mod task;
#[cfg(all(test, feature = "control"))]
mod tests;

use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use cloudnestle_marketplace::model::Timestamp;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::facts;
use crate::market::Market;
use crate::store::{Key, StoreError, Transaction, transact};

pub(crate) use alarm::{Alarm, Attended};
pub(crate) use attend::attend;
#[cfg(feature = "control")]
pub(crate) use run::run_until;
pub use task::Task;

/// What a market has beside what is planned in its store.
#[derive(Default)]
pub(crate) struct Agenda {
    /// Tells whoever attends to the agenda that there is something to look at.
    pub alarm: Arc<Alarm>,
    /// The turn of who runs what is due, and of who moves the clock.
    pub turn: Mutex<()>,
    attendant: StdMutex<Option<JoinHandle<()>>>,
}

/// Something that was due, and happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[non_exhaustive]
pub struct Fired {
    /// When it was due.
    pub at: Timestamp,
    /// What it was.
    #[serde(flatten)]
    pub task: Task,
}

/// Lets a task be due at a moment, as part of the commit. The same planned again for the same moment is
/// one task.
pub(crate) fn plan(tx: &mut Transaction<'_>, at: Timestamp, task: &Task) -> Result<(), StoreError> {
    tx.put(&key(at, task), task)
}

/// Takes a task off the agenda, if it is there.
pub(crate) fn unplan(tx: &mut Transaction<'_>, at: Timestamp, task: &Task) {
    tx.delete(&key(at, task));
}

fn key(at: Timestamp, task: &Task) -> Key {
    facts::due(at, task.kind(), &task.whose())
}

/// What is due next, and when.
pub(crate) async fn next(market: &Market) -> Result<Option<(Timestamp, Task)>, StoreError> {
    let first = facts::due_until(Timestamp::from_millis(i64::MAX), 1);
    let first = transact(&*market.store, async |tx| tx.query::<Task>(first.clone()).await).await?;
    Ok(first.into_iter().find_map(|(key, task)| Some((facts::due_at(&key)?, task))))
}

impl Agenda {
    /// Ends the attendance, and returns when nothing of it is left.
    pub(crate) async fn close(&self) {
        self.alarm.close();
        let attendant = self.attendant.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(attendant) = attendant {
            // One that panicked has ended, too.
            let _ = attendant.await;
        }
    }
}

impl Drop for Agenda {
    fn drop(&mut self) {
        self.alarm.close();
    }
}
