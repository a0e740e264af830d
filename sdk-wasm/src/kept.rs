//! What the face holds by numbers.

use std::collections::HashMap;
#[cfg(feature = "backend")]
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cloudnestle_marketplace::{Code, Receipt, ReceiptLog, Result, TokenSource};
#[cfg(feature = "backend")]
use cloudnestle_marketplace::{HeldActor, HeldUser};

/// What the face holds by numbers.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) logs: Logs,
    pub(crate) sources: Numbered<TokenSource>,
    #[cfg(feature = "backend")]
    pub(crate) users: Numbered<Arc<HeldUser>>,
    #[cfg(feature = "backend")]
    pub(crate) actors: Numbered<Arc<HeldActor>>,
}

/// The logs that receipts are of, in the order in which they came. None is forgotten: there is one for a program,
/// or for each customer, and another only when one has failed.
#[derive(Default)]
pub(crate) struct Logs(Mutex<Vec<ReceiptLog>>);

impl Logs {
    /// The number of the log that the receipt's event is in.
    pub(crate) fn number_of(&self, receipt: &Receipt) -> usize {
        let (log, mut logs) = (receipt.log(), self.logs());
        logs.iter().position(|known| *known == log).unwrap_or_else(|| {
            logs.push(log);
            logs.len() - 1
        })
    }

    /// The receipt of that ticket, below 0 if it has none.
    ///
    /// # Errors
    /// [`Code::Closed`] when there is no such log.
    pub(crate) fn receipt(&self, event_id: String, log: usize, ticket: f64) -> Result<Receipt> {
        let ticket = (ticket >= 0.0).then_some(ticket as u64);
        let logs = self.logs();
        logs.get(log).map(|log| log.receipt(event_id, ticket)).ok_or_else(|| Code::Closed.into())
    }

    fn logs(&self) -> MutexGuard<'_, Vec<ReceiptLog>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Values by number.
pub(crate) struct Numbered<T>(Mutex<(u32, HashMap<u32, T>)>);

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Numbered(Mutex::new((0, HashMap::new())))
    }
}

impl<T: Clone> Numbered<T> {
    /// The number of a value from now on.
    pub(crate) fn keep(&self, value: T) -> u32 {
        let mut values = self.values();
        let (last, values) = &mut *values;
        *last = last.wrapping_add(1);
        values.insert(*last, value);
        *last
    }

    /// # Errors
    /// [`Code::Closed`] when it was forgotten: nobody asks about it any more.
    pub(crate) fn get(&self, number: u32) -> Result<T> {
        self.values().1.get(&number).cloned().ok_or_else(|| Code::Closed.into())
    }

    pub(crate) fn forget(&self, number: u32) {
        let value = self.values().1.remove(&number);
        drop(value);
    }

    fn values(&self) -> MutexGuard<'_, (u32, HashMap<u32, T>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
