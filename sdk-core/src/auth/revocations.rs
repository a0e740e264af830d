//! The revocation feed, kept up with: how old what is known of revocations is, and when to read on.
//!
//! The feed is read at most every 2 s, and only while tokens are being validated: each validation
//! looks at the time, and the one that finds it due begins a reading that nobody waits for. The age of
//! what is known counts from when the last successful reading was *sent*, since no revocation from
//! before that can be missing. Knowledge that is older than 5 s is renewed before it is used, by one
//! reading for all who wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use super::Keys;
use super::ended::Ended;
use super::verdict::{Subject, Verdict};
use crate::error::{Error, Result};
use crate::flights::Flights;
use crate::host::Host;
use crate::http::{Call, Clock, HttpClient, SecretKey};
use crate::memory::FRESH_FOR;
use crate::model::{Code, Revocations as Page};
use crate::planted::{Bug, planted};
use crate::reach::Reach;

/// How often the feed is read while tokens are validated: twice in the time an answer is fresh, so
/// that one reading may fail.
const READ_EVERY: Duration = Duration::from_secs(2);

/// How long a reading may take. Whoever waits can ask about the token instead.
const READ_WITHIN: Duration = Duration::from_secs(2);

/// After a failure nobody waits for a reading for this long.
const FAILURE_RECHECK: Duration = Duration::from_secs(1);

/// After a failure that does not pass by itself, such as a marketplace without a feed.
const REFUSAL_RECHECK: Duration = Duration::from_secs(30);

/// The most pages of one reading: ten times as many as tell all that is [kept](Ended).
const MOST_PAGES: usize = 1_000;

pub(crate) struct Revocations {
    host: Arc<dyn Host>,
    http: Arc<HttpClient>,
    clock: Arc<Clock>,
    reach: Arc<Reach>,
    keys: Arc<Keys>,
    secret_key: Arc<SecretKey>,
    read_within: Duration,
    ended: RwLock<Ended>,
    /// The epoch of `ended`, for the many who find it unchanged.
    epoch: AtomicU64,
    /// Likewise, what was learned before this epoch counts no longer.
    void_before: AtomicU64,
    /// When the last successful reading was sent, in nanoseconds of the monotonic clock; 0 is never.
    sent: AtomicU64,
    /// When the next reading is due, likewise.
    due: AtomicU64,
    /// Until when nobody waits for a reading, and why.
    failed: Mutex<Option<(Duration, Error)>>,
    flights: Flights<()>,
}

impl Revocations {
    pub(crate) fn new(
        host: Arc<dyn Host>,
        http: Arc<HttpClient>,
        clock: Arc<Clock>,
        reach: Arc<Reach>,
        keys: Arc<Keys>,
        secret_key: Arc<SecretKey>,
        deadline: Duration,
    ) -> Arc<Self> {
        Arc::new(Revocations {
            flights: Flights::new(host.clone()),
            host,
            http,
            clock,
            reach,
            keys,
            secret_key,
            read_within: deadline.min(READ_WITHIN),
            ended: RwLock::default(),
            epoch: AtomicU64::new(0),
            void_before: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            due: AtomicU64::new(0),
            failed: Mutex::default(),
        })
    }

    /// Whether what is known is at most 5 s old. Waits for nobody, and has the feed read if that is
    /// due. What [`epoch`](Self::epoch) says after this is at least as new.
    pub(crate) fn is_fresh(self: &Arc<Self>, now: Duration) -> bool {
        let now = nanos(now);
        if now >= self.due.load(Ordering::Relaxed) {
            self.read_in_background(now);
        }
        let sent = self.sent.load(Ordering::Acquire);
        sent != 0 && now < sent + nanos(FRESH_FOR)
    }

    /// Makes sure that what is known is at most 5 s old.
    ///
    /// # Errors
    /// When the feed can't be read: nobody knows then, and the marketplace must be asked.
    pub(crate) async fn catch_up(self: &Arc<Self>) -> Result<()> {
        if self.is_fresh(self.host.monotonic()) {
            return Ok(());
        }
        if let Some((until, error)) = &*self.failed()
            && self.host.monotonic() < *until
        {
            return Err(error.clone());
        }
        self.flights.join("", || self.clone().read()).await?;
        match self.is_fresh(self.host.monotonic()) {
            true => Ok(()),
            false => Err(Error::new(Code::DeadlineExceeded)), // it took longer than it is good for
        }
    }

    /// When the marketplace was last asked, with success.
    pub(crate) fn sent(&self) -> Option<Duration> {
        let sent = self.sent.load(Ordering::Acquire);
        (sent != 0).then(|| Duration::from_nanos(sent))
    }

    /// Moves on with each change.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// What is to be thought of a token since `epoch` ([`Ended::judge`]), and the epoch of this
    /// judgement.
    pub(crate) fn judge(&self, token: Subject<'_>, epoch: Option<u64>) -> (Verdict, u64) {
        let ended = self.ended();
        (ended.judge(token, epoch), ended.epoch())
    }

    /// Whether what was learned at that epoch still counts.
    pub(crate) fn counts(&self, epoch: u64) -> bool {
        epoch >= self.void_before.load(Ordering::Acquire)
    }

    /// Whether the feed tells if a token ends that was issued then.
    pub(crate) fn tells_of(&self, issued_at: u64) -> bool {
        self.ended().tells_of(issued_at)
    }

    #[cold]
    fn read_in_background(self: &Arc<Self>, now: u64) {
        let due = self.due.load(Ordering::Relaxed);
        let next = now + nanos(READ_EVERY);
        let changed = self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed);
        if now >= due && changed.is_ok() {
            self.flights.launch("", || self.clone().read());
        }
    }

    async fn read(self: Arc<Self>) -> Result<()> {
        let result = self.reach.attempt(self.read_all()).await;
        *self.failed() = result.as_ref().err().map(|error| {
            let recheck = match error.code().is_retryable() {
                true => FAILURE_RECHECK,
                false => REFUSAL_RECHECK,
            };
            (self.host.monotonic() + recheck, error.clone())
        });
        result
    }

    /// Reads to the end of the feed.
    async fn read_all(&self) -> Result<()> {
        for _ in 0..MOST_PAGES {
            let path = match self.ended().cursor() {
                Some(cursor) => format!("/api/revocations?after={cursor}"),
                None => "/api/revocations".to_owned(),
            };
            let sent = self.host.monotonic();
            let call = Call::get(&path).with_key(&self.secret_key);
            let page: Page = self.http.attempt(&call, self.read_within).await?;
            let more = page.more;
            self.learn(page)?;
            if !more {
                // After the changes, so that whoever finds this fresh finds them too.
                let now = self.host.monotonic();
                let sent = if planted(Bug::FeedAgedFromArrival) { now } else { sent };
                self.sent.store(nanos(sent).max(1), Ordering::Release);
                return Ok(());
            }
        }
        Err(Error::because(Code::AnswerInvalid, "The revocation feed has no end."))
    }

    fn learn(&self, page: Page) -> Result<()> {
        let mut ended = self.ended.write().unwrap_or_else(PoisonError::into_inner);
        let was_replaced = ended.learn(page, self.clock.both())?;
        if was_replaced {
            // Another database may have other keys. Before anybody hears of the epoch, so that nobody
            // verifies a token for it with the old ones.
            self.keys.forget();
        }
        self.void_before.store(ended.void_before(), Ordering::Release);
        self.epoch.store(ended.epoch(), Ordering::Release);
        Ok(())
    }

    fn ended(&self) -> RwLockReadGuard<'_, Ended> {
        self.ended.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self) -> std::sync::MutexGuard<'_, Option<(Duration, Error)>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As an atomic holds it: enough for 584 years.
fn nanos(duration: Duration) -> u64 {
    duration.as_secs() * 1_000_000_000 + u64::from(duration.subsec_nanos())
}
