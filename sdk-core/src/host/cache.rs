//! The map of the hot cache. The rule about its entries (how long they may be believed) belongs to
//! [`Memory`](crate::memory::Memory); this only holds as many as fit.

#[cfg(feature = "backend")]
use foldhash::fast::RandomState;
#[cfg(not(feature = "backend"))]
use std::hash::RandomState;

/// Tokens that a cache holds at most, of those the marketplace has signed. A token is at most 4 KB, so
/// this bounds its keys at 40 MB; real tokens are a tenth of that. An SDK has three: signatures, users
/// and contexts.
pub(crate) const TOKENS: usize = 10_000;

#[cfg(feature = "native")]
pub(crate) struct TokenCache<V>(moka::sync::Cache<Box<str>, V, RandomState>)
where
    V: Clone + Send + Sync + 'static;

#[cfg(feature = "native")]
impl<V: Clone + Send + Sync + 'static> TokenCache<V> {
    /// A cache that holds so many.
    pub(crate) fn new(capacity: usize) -> Self {
        TokenCache(
            moka::sync::Cache::builder()
                .max_capacity(capacity as u64)
                .build_with_hasher(RandomState::default()),
        )
    }

    pub(crate) fn get(&self, token: &str) -> Option<V> {
        self.0.get(token)
    }

    pub(crate) fn insert(&self, token: &str, value: V) {
        self.0.insert(token.into(), value);
    }
}

/// A token is long, and looked up several times: the standard library's hash takes longer than all else. It is there
/// anyway, though, and a client looks up few.
#[cfg(not(feature = "native"))]
type Map<V> = std::collections::HashMap<Box<str>, V, RandomState>;

// moka panics on wasm32, which has no clock of its own.
#[cfg(not(feature = "native"))]
pub(crate) struct TokenCache<V> {
    map: std::sync::Mutex<Map<V>>,
    capacity: usize,
}

#[cfg(not(feature = "native"))]
impl<V: Clone> TokenCache<V> {
    pub(crate) fn new(capacity: usize) -> Self {
        TokenCache { map: Default::default(), capacity }
    }

    pub(crate) fn get(&self, token: &str) -> Option<V> {
        self.map().get(token).cloned()
    }

    pub(crate) fn insert(&self, token: &str, value: V) {
        let mut map = self.map();
        if map.len() >= self.capacity {
            map.clear(); // a full cache starts over: tokens die young anyway
        }
        map.insert(token.into(), value);
    }

    fn map(&self) -> std::sync::MutexGuard<'_, Map<V>> {
        self.map.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
