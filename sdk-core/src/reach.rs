//! Whether the marketplace can be reached, as far as the last attempts tell.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::answer::OFFLINE_RECHECK;
use crate::error::{Error, Result};
use crate::events::{Announcer, Event};
use crate::host::Host;
use crate::model::Code;

pub(crate) struct Reach {
    host: Arc<dyn Host>,
    announcer: Arc<Announcer>,
    offline: AtomicBool,
    /// Until when nobody asks again, in milliseconds of the monotonic clock.
    wait_until: AtomicU64,
}

impl Reach {
    pub(crate) fn new(host: Arc<dyn Host>, announcer: Arc<Announcer>) -> Self {
        Reach { host, announcer, offline: AtomicBool::new(false), wait_until: AtomicU64::new(0) }
    }

    /// Makes a call that can be answered from memory instead, unless one has failed just now.
    pub(crate) async fn attempt<T>(&self, call: impl AsyncFnOnce() -> Result<T>) -> Result<T> {
        if millis(self.host.monotonic()) < self.wait_until.load(Ordering::Relaxed) {
            return Err(Error::new(Code::Unavailable));
        }
        self.note(call().await)
    }

    /// Draws conclusions from the result of a call, and passes it on.
    pub(crate) fn note<T>(&self, result: Result<T>) -> Result<T> {
        let offline = matches!(&result, Err(error) if is_out_of_reach(error.code()));
        if offline {
            let until = millis(self.host.monotonic() + OFFLINE_RECHECK);
            self.wait_until.store(until, Ordering::Relaxed);
        } else {
            self.wait_until.store(0, Ordering::Relaxed);
        }
        if self.offline.swap(offline, Ordering::Relaxed) != offline {
            self.announcer.announce(if offline { Event::Offline } else { Event::Online });
        }
        result
    }
}

/// An error that no request got past, in contrast to one the marketplace has given.
fn is_out_of_reach(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::DeadlineExceeded)
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}
