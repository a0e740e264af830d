//! The logs this process sends: its own, and those that processes that are gone have left.

#[cfg(feature = "files")]
mod adopting;
#[cfg(not(feature = "files"))]
#[path = "pipelines/no_adopting.rs"]
mod adopting;

use std::io;
use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, select};

use super::limits::Overflow;
use super::log::RecordLog;
use super::spool::{Batch, Condition, Spool};
use super::stats::{SpoolHealth, UsageStats};
use super::together;
use super::uploader::{Pipeline, Uplink};
use crate::error::{Error, Result};
use crate::events::Event;
use crate::model::Code;
use crate::sync::{Mutex, MutexGuard, Signal};
use adopting::Stuck;

/// How often a program looks for logs that others have left.
const ADOPT_EVERY: Duration = Duration::from_secs(60);

pub(super) struct Pipelines {
    pub(super) uplink: Arc<Uplink>,
    spool: Arc<dyn Spool>,
    /// What serves where the spool's disk can't be written, unless events must survive the process.
    in_memory: Option<Arc<dyn Spool>>,
    /// Who built the SDK: a forked child has its parent's logs before it, and no right to them.
    process: u32,
    state: Mutex<State>,
    /// Held while logs are being adopted: whoever flushes waits for those, too.
    adopting: futures_util::lock::Mutex<()>,
    /// Told when the logs are given up.
    leaving: Signal,
}

#[derive(Default)]
struct State {
    running: Vec<Arc<Pipeline>>,
    /// The accounts of those that have ended.
    ended: UsageStats,
    /// Logs that others have left and that can't be taken over.
    stuck: Stuck,
    /// The logs are given up, and the tasks end.
    left: bool,
}

/// How much of what was refused was shown.
#[derive(Default)]
pub(super) struct After {
    place: usize,
    name: String,
}

impl Pipelines {
    pub(super) fn new(
        uplink: Arc<Uplink>,
        spool: Arc<dyn Spool>,
        in_memory: Option<Arc<dyn Spool>>,
    ) -> Arc<Self> {
        let process = uplink.host.process_id();
        let pipelines = Arc::new(Pipelines {
            uplink,
            spool,
            in_memory,
            process,
            state: Mutex::default(),
            adopting: futures_util::lock::Mutex::new(()),
            leaving: Signal::new(),
        });
        let adopting = pipelines.clone();
        pipelines.spawn(async move { adopting.keep_adopting().await }.boxed());
        pipelines
    }

    /// What new events go to: a log of this process's own that begins, or the one that all share.
    pub(super) fn open(self: &Arc<Self>) -> Result<Arc<Pipeline>> {
        if let Some(shared) = self.shared() {
            return Ok(shared);
        }
        let error = match self.spool.open(&self.uplink) {
            Ok(log) => return self.run(log),
            Err(error) => error,
        };
        let drops = self.spool.limits().overflow != Overflow::Reject;
        let gives_way = is_read_only(&error) || (drops && error.code() == Code::SpoolFull);
        let Some(in_memory) = self.in_memory.as_ref().filter(|_| gives_way) else {
            return Err(error);
        };
        tracing::warn!(%error, "usage is kept in memory until it is delivered");
        self.uplink.announcer.announce(Event::SpoolInMemory { error });
        self.run(in_memory.open(&self.uplink)?)
    }

    /// The log that all share, if it is open and takes events. One that has failed is given up.
    fn shared(&self) -> Option<Arc<Pipeline>> {
        let mut running = self.state().running.clone();
        running.retain(|pipeline| pipeline.log().is_shared());
        running.iter().filter(|shared| shared.takes_no_more()).for_each(|failed| failed.give_up());
        running.into_iter().find(|shared| !shared.takes_no_more())
    }

    /// Whether this is the process the SDK was built in.
    pub(super) fn is_at_home(&self) -> bool {
        self.uplink.host.process_id() == self.process
    }

    /// Looks for logs that were left, and begins to deliver them.
    pub(super) async fn adopt(self: &Arc<Self>) {
        let _one_at_a_time = self.adopting.lock().await;
        if self.spool.is_shared() {
            drop(self.open());
        }
        self.adopt_left().await;
    }

    async fn keep_adopting(self: &Arc<Self>) {
        loop {
            self.adopt().await;
            self.uplink.host.sleep(ADOPT_EVERY).await;
        }
    }

    fn run(self: &Arc<Self>, log: Arc<dyn RecordLog>) -> Result<Arc<Pipeline>> {
        let pipeline = Arc::new(Pipeline::new(log, self.spool.limits().age));
        {
            let mut state = self.state();
            if state.left {
                return Err(Error::new(Code::Closed));
            }
            state.running.push(pipeline.clone());
        }
        let (pipelines, uploading) = (self.clone(), pipeline.clone());
        self.spawn(async move { pipelines.upload(uploading).await }.boxed());
        Ok(pipeline)
    }

    async fn upload(&self, pipeline: Arc<Pipeline>) {
        pipeline.upload(&self.uplink).await;
        let mut state = self.state();
        state.ended = state.ended + pipeline.stats();
        state.running.retain(|running| !Arc::ptr_eq(running, &pipeline));
    }

    /// Runs a task in the background, until it ends or the logs are given up.
    pub(super) fn spawn(self: &Arc<Self>, task: BoxFuture<'static, ()>) {
        let pipelines = self.clone();
        let until_left = async move {
            let leaving = pipelines.leaving.listen();
            if !pipelines.has_left() {
                select(leaving, task).await;
            }
        };
        self.uplink.host.spawn(until_left.boxed());
    }

    /// Completes when everything that is in the logs now is answered for.
    ///
    /// # Errors
    /// [`Code::Closed`] when the logs are given up meanwhile; else why one of them can't be delivered,
    /// if waiting does not mend that.
    pub(super) async fn delivered(&self) -> Result<()> {
        if !self.is_at_home() {
            return Err(Error::new(Code::Forked));
        }
        let leaving = self.leaving.listen();
        let running = {
            let state = self.state();
            if state.left {
                return Err(Error::new(Code::Closed));
            }
            state.running.clone()
        };
        // All of them, whatever becomes of one: `close` gives each its chance.
        let delivered = running.iter().map(|pipeline| pipeline.delivered().boxed());
        let delivered = pin!(together::all(delivered));
        match select(delivered, leaving).await {
            Either::Left((delivered, _)) if !self.has_left() => delivered,
            _ => Err(Error::new(Code::Closed)),
        }
    }

    /// Has what could not be sent tried again soon.
    pub(super) fn try_now(&self) {
        let running = self.state().running.clone();
        let waiting = running.iter().filter(|pipeline| pipeline.last_error().is_some());
        waiting.for_each(|pipeline| pipeline.hurry());
    }

    /// Makes what was acknowledged survive the loss of power.
    pub(super) async fn persisted(&self) {
        let running = self.state().running.clone();
        for pipeline in running {
            pipeline.persisted().await;
        }
    }

    /// Ends the producers that had leases and whose logs are delivered, as far as that can be done `until`
    /// then.
    pub(super) async fn end(&self, until: Duration) {
        if self.is_at_home() {
            let running = self.state().running.clone();
            let ends = running.iter().map(|pipeline| {
                let end = pipeline.end_if_delivered(&self.uplink, until);
                end.map(|_| Ok(())).boxed()
            });
            let _none_fails = together::all(ends).await;
        }
    }

    /// Ends the tasks, and gives the logs up to whoever comes next.
    pub(super) fn leave(&self) {
        if !self.is_at_home() {
            return; // the parent's logs are not ours to give up
        }
        let running = {
            let mut state = self.state();
            state.left = true;
            state.running.clone()
        };
        self.leaving.notify(usize::MAX);
        running.iter().for_each(|pipeline| pipeline.leave());
    }

    /// Completes when no log is being taken over any more: whoever comes next finds each of them free.
    pub(super) async fn has_let_go(&self) {
        drop(self.adopting.lock().await);
    }

    pub(super) fn has_left(&self) -> bool {
        self.state().left
    }

    pub(super) fn stats(&self) -> UsageStats {
        let state = self.state();
        state.running.iter().fold(state.ended, |sum, pipeline| sum + pipeline.stats())
    }

    /// What the marketplace has refused for good, and was not forgotten: what is kept in memory comes last.
    pub(super) async fn rejected(&self, after: &mut After) -> Result<Option<Batch>> {
        let spools = std::iter::once(&self.spool).chain(&self.in_memory);
        for (place, spool) in spools.enumerate().skip(after.place) {
            if after.place != place {
                *after = After { place, name: String::new() };
            }
            if let Some(batch) = spool.rejected_after(&after.name).await? {
                after.name.clone_from(&batch.name);
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// Forgets what was refused.
    pub(super) async fn forget(&self, after: &After, batch: &Batch) -> Result<()> {
        match self.in_memory.as_ref().filter(|_| after.place > 0) {
            Some(in_memory) => in_memory.forget(batch).await,
            None => self.spool.forget(batch).await,
        }
    }

    /// How the spool is.
    pub(super) async fn health(&self) -> SpoolHealth {
        let running = self.state().running.clone();
        let mut oldest = None;
        for pipeline in &running {
            let since = pipeline.waiting_since().await;
            oldest = oldest.into_iter().chain(since).min();
        }
        let stuck = self.state().stuck.first();
        let Condition { dir, not_writable, elsewhere, rejected_files } = self.spool.condition();
        SpoolHealth {
            dir,
            not_writable,
            pending: self.stats().pending,
            in_memory: self.stats().in_memory,
            stuck,
            elsewhere,
            rejected_files,
            bytes: running.iter().map(|pipeline| pipeline.log().bytes()).sum(),
            oldest,
            last_error: self.last_error(),
        }
    }

    pub(super) fn last_error(&self) -> Option<Error> {
        self.state().running.iter().find_map(|pipeline| pipeline.last_error())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_read_only(error: &Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};

    matches!(error.io_kind(), Some(PermissionDenied | ReadOnlyFilesystem))
}
