//! What the face holds by numbers.

use std::collections::HashMap;
#[cfg(feature = "backend")]
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[cfg(feature = "backend")]
use cloudnestle_marketplace::HeldUser;
use cloudnestle_marketplace::{Code, Receipt, Result, TokenSource};

/// What the face holds by numbers.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) receipts: Numbered<Receipt>,
    pub(crate) sources: Numbered<TokenSource>,
    #[cfg(feature = "backend")]
    pub(crate) users: Numbered<Arc<HeldUser>>,
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
