use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use event_listener::Event as Signal;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, select};

use super::event::Usage;
use super::log::{RecordLog, SegmentLog, Ticket};
use super::spool::{Producer, Spool};
use super::uploader::{Pipeline, Uplink};
use crate::auth::User;
use crate::error::{Error, Result};
use crate::host::{Files, timeout};
use crate::model::{Code, new_id};

/// How long [`flush`](crate::MarketplaceSdk::flush) waits: as long as one upload may take.
pub(crate) const FLUSH_WITHIN: Duration = Duration::from_secs(10);

/// How often a program looks for logs that others have left.
const ADOPT_EVERY: Duration = Duration::from_secs(60);

pub(crate) struct UsageTracker {
    shared: Arc<Shared>,
    own: OnceLock<Arc<Pipeline>>,
}

/// What the tasks in the background have in common with the tracker.
struct Shared {
    uplink: Arc<Uplink>,
    spool: Spool,
    /// Own and adopted.
    pipelines: Mutex<Vec<Arc<Pipeline>>>,
    /// Held while logs are being adopted: whoever flushes waits for those, too.
    adopting: futures_util::lock::Mutex<()>,
    /// No more events are taken.
    closed: AtomicBool,
    /// The logs are given up, and the tasks end.
    left: AtomicBool,
    leaving: Signal,
}

/// The acknowledgement of an event: it is written down and will be sent until it is answered.
#[derive(Clone)]
pub struct Receipt {
    event_id: String,
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
        let shared = Arc::new(Shared {
            uplink,
            spool,
            pipelines: Mutex::default(),
            adopting: futures_util::lock::Mutex::new(()),
            closed: AtomicBool::new(false),
            left: AtomicBool::new(false),
            leaving: Signal::new(),
        });
        shared.spawn(|shared| async move { shared.keep_adopting().await }.boxed());
        UsageTracker { shared, own: OnceLock::new() }
    }

    pub(crate) fn track(&self, user: &User, usage: Usage) -> Result<Receipt> {
        if self.shared.closed.load(Ordering::Relaxed) {
            return Err(Error::new(Code::Closed));
        }
        let uplink = &self.shared.uplink;
        let now = uplink.clock.now();
        let mut random = [0; 10];
        uplink.host.random(&mut random);
        let event = usage.by(user, new_id("evt", now, random), now)?;
        let record = serde_json::to_vec(&event)
            .map_err(|error| Error::new(Code::RequestInvalid).caused_by(error))?;
        let pipeline = self.own()?;
        let ticket = pipeline.append(&record)?;
        Ok(Receipt { event_id: event.id, log: pipeline.log(), ticket })
    }

    /// Completes when everything that is in the spool now is answered for.
    pub(crate) async fn flush(&self) -> Result<()> {
        if self.shared.left.load(Ordering::Relaxed) {
            return Err(Error::new(Code::Closed));
        }
        let host = &*self.shared.uplink.host;
        match timeout(host, FLUSH_WITHIN, self.shared.delivered().boxed()).await {
            Some(()) => Ok(()),
            None => Err(self
                .shared
                .pipelines()
                .iter()
                .find_map(|pipeline| pipeline.last_error())
                .unwrap_or_else(|| Error::new(Code::DeadlineExceeded))),
        }
    }

    /// Takes no more events, and delivers what it can within `deadline`.
    pub(crate) async fn close(&self, deadline: Duration) -> CloseReport {
        self.shared.closed.store(true, Ordering::Relaxed);
        let host = &*self.shared.uplink.host;
        let _ = timeout(host, deadline, self.shared.delivered().boxed()).await;
        self.shared.leave();
        CloseReport { usage: self.stats() }
    }

    pub(crate) fn stats(&self) -> UsageStats {
        let mut sum = UsageStats::default();
        for pipeline in self.shared.pipelines().iter() {
            let stats = pipeline.stats();
            sum.tracked += stats.tracked;
            sum.delivered += stats.delivered;
            sum.pending += stats.pending;
            sum.rejected += stats.rejected;
            sum.lost += stats.lost;
        }
        sum
    }

    /// This process's own pipeline, begun with its first event.
    fn own(&self) -> Result<&Arc<Pipeline>> {
        if let Some(own) = self.own.get() {
            return Ok(own);
        }
        let mut pipelines = self.shared.pipelines();
        if let Some(own) = self.own.get() {
            return Ok(own);
        }
        let producer = self.shared.spool.begin(self.shared.uplink.clock.now())?;
        let own = self.shared.run(producer, &mut pipelines);
        Ok(self.own.get_or_init(|| own))
    }
}

impl Drop for UsageTracker {
    fn drop(&mut self) {
        self.shared.leave();
    }
}

impl Shared {
    /// Looks for what processes that are gone have left, and begins to deliver it.
    async fn adopt(self: &Arc<Self>) {
        let _one_at_a_time = self.adopting.lock().await;
        for producer in self.spool.adopt().await {
            self.run(producer, &mut self.pipelines());
        }
    }

    async fn keep_adopting(self: Arc<Self>) {
        loop {
            self.adopt().await;
            self.uplink.host.sleep(ADOPT_EVERY).await;
        }
    }

    fn run(
        self: &Arc<Self>,
        producer: Producer,
        pipelines: &mut Vec<Arc<Pipeline>>,
    ) -> Arc<Pipeline> {
        let pipeline = Arc::new(Pipeline::new(producer));
        pipelines.push(pipeline.clone());
        let uploading = pipeline.clone();
        self.spawn(|shared| async move { uploading.upload(&shared.uplink).await }.boxed());
        pipeline
    }

    /// Runs a task in the background, until it ends or is stopped.
    fn spawn(self: &Arc<Self>, task: impl FnOnce(Arc<Self>) -> BoxFuture<'static, ()>) {
        let (shared, task) = (self.clone(), task(self.clone()));
        let until_stopped = async move {
            let leaving = shared.leaving.listen();
            if !shared.left.load(Ordering::Relaxed) {
                select(leaving, task).await;
            }
        };
        self.uplink.host.spawn(until_stopped.boxed());
    }

    async fn delivered(self: &Arc<Self>) {
        self.adopt().await;
        let pipelines = self.pipelines().clone();
        for pipeline in &pipelines {
            pipeline.hurry();
        }
        for pipeline in &pipelines {
            pipeline.delivered().await;
        }
    }

    /// Ends the tasks, and gives the logs up to whoever comes next.
    fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
        self.leaving.notify(usize::MAX);
        for pipeline in self.pipelines().iter() {
            pipeline.leave();
        }
    }

    fn pipelines(&self) -> MutexGuard<'_, Vec<Arc<Pipeline>>> {
        self.pipelines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Receipt {
    /// The event's id, `evt_…`, as the marketplace will have it.
    pub fn event_id(&self) -> &str {
        &self.event_id
    }

    /// Completes when the event survives the loss of power, at once in place of within half a
    /// second.
    ///
    /// # Errors
    /// [`Code::SpoolFailed`] when the disk would not have it. It may still be delivered.
    pub async fn persisted(&self) -> Result<()> {
        self.log.persisted(self.ticket).await.map(drop)
    }
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receipt").field("event_id", &self.event_id).finish_non_exhaustive()
    }
}
