//! The map of the hot cache. The rule about its entries (how long they may be believed) belongs to
//! [`Memory`](crate::memory::Memory); this only holds as many as fit.

#[cfg(feature = "native")]
use foldhash::fast::RandomState;

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

#[cfg(not(feature = "native"))]
mod plain;
#[cfg(not(feature = "native"))]
pub(crate) use plain::TokenCache;
