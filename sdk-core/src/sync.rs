//! The locks, atomics and signals of usage. Under the feature `shuttle` the core's own tests run them where one
//! thread at a time goes on, and which one is left to a seed: see `usage/proof/threads.rs`.

#[cfg(all(test, feature = "shuttle", feature = "native"))]
mod seeded;

#[cfg(all(test, feature = "shuttle", feature = "native"))]
pub(crate) use seeded::*;

#[cfg(not(all(test, feature = "shuttle", feature = "native")))]
pub(crate) use event_listener::Event as Signal;
#[cfg(not(all(test, feature = "shuttle", feature = "native")))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64};
#[cfg(not(all(test, feature = "shuttle", feature = "native")))]
pub(crate) use std::sync::{Mutex, MutexGuard, RwLock};
