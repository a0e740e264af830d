use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join;

use super::event::Usage;
use super::log::{RecordLog, SegmentLog, Ticket};
use super::pipelines::Pipelines;
use super::spool::Spool;
use super::uploader::{Pipeline, Uplink};
use crate::auth::User;
use crate::error::{Error, Result};
use crate::host::{Files, timeout};
use crate::model::{Code, EventRef, Timestamp, new_id};

/// How long [`flush`](crate::MarketplaceSdk::flush) waits: as long as one upload may take.
pub(crate) const FLUSH_WITHIN: Duration = Duration::from_secs(10);

pub(crate) struct UsageTracker {
    pipelines: Arc<Pipelines>,
    /// This process's own, begun with its first event.
    own: OnceLock<Arc<Pipeline>>,
    beginning: Mutex<()>,
    /// No more events are taken.
    closed: AtomicBool,
}

/// The acknowledgement of an event: it is written down and will be sent until it is answered.
#[derive(Clone)]
pub struct Receipt {
    event_id: String,
    producer: String,
    log: Arc<SegmentLog>,
    ticket: Ticket,
}

/// What became of usage since the SDK was built. For the events this process has tracked or taken
/// over: `tracked = delivered + pending + rejected + lost`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageStats {
    /// Acknowledged by `track_usage`, or found in the spool of a process that is gone.
    pub tracked: u64,
    /// Counted by the marketplace, now or before.
    pub delivered: u64,
    /// Waiting in the spool.
    pub pending: u64,
    /// Refused by the marketplace for good.
    pub rejected: u64,
    /// Damaged in the spool, and reported to the marketplace as lost.
    pub lost: u64,
}

/// How the spool is.
pub(crate) struct SpoolHealth {
    pub(crate) dir: PathBuf,
    pub(crate) not_writable: Option<Error>,
    pub(crate) pending: u64,
    /// What is kept of this process's own events.
    pub(crate) bytes: u64,
    /// When the oldest event that waits was made.
    pub(crate) oldest: Option<Timestamp>,
    /// Why the last attempt to deliver it failed.
    pub(crate) last_error: Option<Error>,
}

/// How the SDK was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseReport {
    /// The accounts at the end. What is pending stays in the spool for the next process.
    pub usage: UsageStats,
}

impl UsageTracker {
    pub(crate) fn new(uplink: Arc<Uplink>, files: Arc<dyn Files>, dir: PathBuf) -> Self {
        let spool = Spool { host: uplink.host.clone(), files, dir };
        UsageTracker {
            pipelines: Pipelines::new(uplink, spool),
            own: OnceLock::new(),
            beginning: Mutex::new(()),
            closed: AtomicBool::new(false),
        }
    }

    pub(crate) fn track(&self, user: &User, usage: Usage) -> Result<Receipt> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::new(Code::Closed));
        }
        let uplink = &self.pipelines.uplink;
        let now = uplink.clock.now();
        let mut random = [0; 10];
        uplink.host.random(&mut random);
        let event = usage.by(user, new_id("evt", now, random), now)?;
        let record = serde_json::to_vec(&event)
            .map_err(|error| Error::new(Code::RequestInvalid).caused_by(error))?;
        let pipeline = self.own()?;
        let ticket = pipeline.append(&record)?;
        let producer = pipeline.producer_id().to_owned();
        Ok(Receipt { event_id: event.id, producer, log: pipeline.log(), ticket })
    }

    /// Completes when everything that is in the spool now is answered for.
    pub(crate) async fn flush(&self) -> Result<()> {
        let delivered = async {
            self.pipelines.adopt().await;
            self.pipelines.delivered().await
        };
        match timeout(&*self.pipelines.uplink.host, FLUSH_WITHIN, delivered.boxed()).await {
            Some(result) => result,
            None => {
                let error = self.pipelines.last_error();
                Err(error.unwrap_or_else(|| Error::new(Code::DeadlineExceeded)))
            }
        }
    }

    /// Takes no more events, and delivers what it can within `deadline`.
    pub(crate) async fn close(&self, deadline: Duration) -> CloseReport {
        self.closed.store(true, Ordering::Relaxed);
        let done = join(self.pipelines.persisted(), self.pipelines.delivered());
        timeout(&*self.pipelines.uplink.host, deadline, done.boxed()).await;
        self.pipelines.leave();
        CloseReport { usage: self.stats() }
    }

    pub(crate) fn stats(&self) -> UsageStats {
        self.pipelines.stats()
    }

    pub(crate) async fn health(&self) -> SpoolHealth {
        self.pipelines.health().await
    }

    fn own(&self) -> Result<&Arc<Pipeline>> {
        if let Some(own) = self.own.get() {
            return Ok(own);
        }
        let _once = self.beginning.lock().unwrap_or_else(PoisonError::into_inner);
        match self.own.get() {
            Some(own) => Ok(own),
            None => {
                let own = self.pipelines.begin()?;
                Ok(self.own.get_or_init(|| own))
            }
        }
    }
}

impl Drop for UsageTracker {
    fn drop(&mut self) {
        self.pipelines.leave();
    }
}

impl UsageStats {
    pub(super) fn plus(self, other: UsageStats) -> UsageStats {
        UsageStats {
            tracked: self.tracked + other.tracked,
            delivered: self.delivered + other.delivered,
            pending: self.pending + other.pending,
            rejected: self.rejected + other.rejected,
            lost: self.lost + other.lost,
        }
    }
}

impl Receipt {
    /// The event's id, `evt_…`, as the marketplace will have it.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// let receipt = sdk.track_usage(token, "search").await?;
    /// assert!(receipt.event_id().starts_with("evt_"));
    /// # Ok(()) });
    /// ```
    pub fn event_id(&self) -> &str {
        &self.event_id
    }

    /// Completes when the event survives the loss of power, at once in place of within half a
    /// second.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// let receipt = sdk.track_usage(token, "search").await?;
    /// receipt.persisted().await?; // now you may ship the goods
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Code::SpoolFailed`] when the disk would not have it. It may still be delivered.
    pub async fn persisted(&self) -> Result<()> {
        self.log.persisted(self.ticket).await.map(drop)
    }

    /// What the event is called when it is to be corrected: see [`Usage::amends`]. Completes when the
    /// event is [`persisted`](Self::persisted), since it has no number before.
    ///
    /// # Errors
    /// [`Code::SpoolFailed`] when the disk would not have it.
    pub async fn reference(&self) -> Result<EventRef> {
        let number = self.log.persisted(self.ticket).await?;
        Ok(EventRef::Numbered { producer: self.producer.clone(), number })
    }
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receipt").field("event_id", &self.event_id).finish_non_exhaustive()
    }
}
