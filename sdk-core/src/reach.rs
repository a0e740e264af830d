//! Whether the marketplace can be reached, as far as the last attempts tell.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::events::{Announcer, Event};
use crate::host::Host;
use crate::model::Code;

/// How long nobody asks after the marketplace was found out of reach.
const RECHECK: Duration = Duration::from_secs(1);

pub(crate) struct Reach {
    host: Arc<dyn Host>,
    announcer: Arc<Announcer>,
    offline: AtomicBool,
    /// Until when nobody asks, in milliseconds of the monotonic clock.
    wait_until: AtomicU64,
    /// Somebody is finding out whether the marketplace is back.
    probing: AtomicBool,
}

impl Reach {
    pub(crate) fn new(host: Arc<dyn Host>, announcer: Arc<Announcer>) -> Self {
        Reach {
            host,
            announcer,
            offline: AtomicBool::new(false),
            wait_until: AtomicU64::new(0),
            probing: AtomicBool::new(false),
        }
    }

    /// Makes a call that can do without an answer. In an outage one caller a second finds out
    /// whether it is over, and the others are told at once that there is no answer: an outage that
    /// swallows requests must not cost every call its whole deadline.
    pub(crate) async fn attempt<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        if !self.offline.load(Ordering::Relaxed) {
            return self.note(call.await);
        }
        let early = millis(self.host.monotonic()) < self.wait_until.load(Ordering::Relaxed);
        if early || self.probing.swap(true, Ordering::Relaxed) {
            let code = Code::Unavailable;
            return Err(Error::without_answer(code, code.reason()));
        }
        let _probe = Probe(&self.probing);
        self.note(call.await)
    }

    /// Draws conclusions from the result of a call, and passes it on.
    pub(crate) fn note<T>(&self, result: Result<T>) -> Result<T> {
        let offline = matches!(&result, Err(error) if error.is_without_answer());
        if offline {
            let until = millis(self.host.monotonic() + RECHECK);
            self.wait_until.store(until, Ordering::Relaxed);
        }
        if self.offline.swap(offline, Ordering::Relaxed) != offline {
            self.announcer.announce(if offline { Event::Offline } else { Event::Online });
        }
        result
    }
}

/// Over when it is dropped: a probe whose caller gives up must not be the last one.
struct Probe<'a>(&'a AtomicBool);

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

#[cfg(all(test, feature = "native"))]
mod tests {
    use futures_util::future::{Either, join, pending, ready, select};

    use super::*;
    use crate::host::native;

    fn reach() -> Reach {
        Reach::new(native("http://localhost").unwrap(), Arc::default())
    }

    async fn silence() -> Result<()> {
        Err(Error::without_answer(Code::Unavailable, "silence"))
    }

    #[tokio::test]
    async fn in_an_outage_nobody_asks_for_a_second() {
        let reach = reach();
        reach.attempt(silence()).await.unwrap_err();
        let never_polled = async { panic!("asked at once") };
        let error = reach.attempt::<()>(never_polled).await.unwrap_err();
        assert_eq!(error.code(), Code::Unavailable);
    }

    #[tokio::test]
    async fn one_caller_finds_out_and_the_others_are_told_at_once() {
        let reach = reach();
        reach.attempt(silence()).await.unwrap_err();
        reach.wait_until.store(0, Ordering::Relaxed);
        let prober = Box::pin(reach.attempt(pending::<Result<()>>()));
        let other = Box::pin(reach.attempt(async { panic!("asked as well") }));
        let Either::Right((told, prober)) = select(prober, other).await else {
            panic!("silence has no end")
        };
        let error: Error = Result::<()>::unwrap_err(told);
        assert_eq!(error.code(), Code::Unavailable);
        drop(prober);
        reach.attempt(ready(Ok(()))).await.unwrap(); // a prober that gave up is not the last one
        assert!(!reach.offline.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn an_error_the_marketplace_itself_gave_is_no_outage() {
        let reach = reach();
        let busy = || ready(Err::<(), _>(Error::new(Code::Unavailable)));
        let (first, second) = join(reach.attempt(busy()), reach.attempt(busy())).await;
        assert!(first.is_err() && second.is_err());
        assert!(!reach.offline.load(Ordering::Relaxed));
    }
}
