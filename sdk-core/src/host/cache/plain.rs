//! The map where there is no moka, which panics on wasm32: that has no clock of its own.

use std::any::Any;
use std::collections::HashMap;
#[cfg(not(feature = "backend"))]
use std::hash::RandomState;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

// A token is long, and looked up several times: the standard library's hash takes longer than all else. It is there
// anyway, though, and a client looks up few.
#[cfg(feature = "backend")]
use foldhash::fast::RandomState;

/// Whatever is remembered: one map's code serves all.
type Entry = Arc<dyn Any + Send + Sync>;

type Map = HashMap<Box<str>, Entry, RandomState>;

pub(crate) struct TokenCache<V> {
    entries: Entries,
    of: PhantomData<fn() -> V>,
}

struct Entries {
    map: Mutex<Map>,
    capacity: usize,
}

impl<V: Clone + Send + Sync + 'static> TokenCache<V> {
    /// A cache that holds so many.
    pub(crate) fn new(capacity: usize) -> Self {
        TokenCache { entries: Entries { map: Mutex::default(), capacity }, of: PhantomData }
    }

    pub(crate) fn get(&self, token: &str) -> Option<V> {
        self.entries.get(token)?.downcast_ref().cloned()
    }

    pub(crate) fn insert(&self, token: &str, value: V) {
        self.entries.insert(token, Arc::new(value));
    }
}

impl Entries {
    fn get(&self, token: &str) -> Option<Entry> {
        self.map().get(token).cloned()
    }

    fn insert(&self, token: &str, entry: Entry) {
        let mut map = self.map();
        if map.len() >= self.capacity {
            map.clear(); // a full cache starts over: tokens die young anyway
        }
        map.insert(token.into(), entry);
    }

    fn map(&self) -> MutexGuard<'_, Map> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
