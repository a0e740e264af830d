use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join;

use super::event::Usage;
use super::leases::{Holder, Leases};
use super::limits::Durability;
use super::log::Taken;
use super::pipelines::{After, Pipelines};
use super::receipt::Receipt;
use super::rejected::RejectedUsage;
use super::spool::Spool;
use super::stats::{CloseReport, SpoolHealth, UsageStats};
use super::uploader::Uplink;
use crate::auth::User;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::host::timeout;
use crate::json;
use crate::model::{Code, LossReason, UsageEvent, new_id};
use crate::planted::{Bug, planted};
use crate::sync::{AtomicBool, RwLock};

/// How long [`flush`](crate::MarketplaceSdk::flush) waits: as long as one upload may take.
pub(crate) const FLUSH_WITHIN: Duration = Duration::from_secs(10);

/// So many rejected events, and those that were rejected with them, are shown at once.
const MAX_SHOWN: usize = 10_000;

pub(crate) struct UsageTracker {
    pipelines: Arc<Pipelines>,
    pub(super) leases: Arc<Leases>,
    durability: Durability,
    /// This process's own log, begun with its first event, and its leases.
    pub(super) own: RwLock<Option<Arc<Holder>>>,
    /// No more events are taken.
    closed: AtomicBool,
}

impl UsageTracker {
    /// `deadline`: how long a call may take that somebody waits for.
    pub(crate) fn new(
        uplink: Arc<Uplink>,
        spool: Arc<dyn Spool>,
        durability: Durability,
        deadline: Duration,
    ) -> Self {
        let in_memory = if durability == Durability::Fast { spool.in_memory() } else { None };
        let pipelines = Pipelines::new(uplink, spool, in_memory);
        UsageTracker {
            leases: Leases::new(pipelines.clone(), deadline),
            pipelines,
            durability,
            own: RwLock::default(),
            closed: AtomicBool::new(false),
        }
    }

    pub(crate) async fn track(&self, user: &User, usage: Usage) -> Result<Receipt> {
        let receipt = self.note(self.event(user, usage)?)?;
        self.as_durable_as_asked(&receipt).await?;
        Ok(receipt)
    }

    /// As [`track`](Self::track), unless that [waits for the disk](Self::waits_for_the_disk).
    pub(crate) fn track_at_once(&self, user: &User, usage: Usage) -> Result<Receipt> {
        self.note(self.event(user, usage)?)
    }

    /// Whether an event is not acknowledged before it survives the loss of power.
    pub(crate) fn waits_for_the_disk(&self) -> bool {
        self.durability == Durability::Durable
    }

    pub(super) fn event(&self, user: &User, usage: Usage) -> Result<UsageEvent> {
        let uplink = &self.pipelines.uplink;
        let now = uplink.clock.now();
        let mut random = [0; 10];
        uplink.host.random(&mut random);
        usage.by(user, new_id("evt", now, random), now)
    }

    fn note(&self, event: UsageEvent) -> Result<Receipt> {
        let record = record(&event);
        let holder = self.own()?;
        if planted(Bug::AcknowledgedBeforeWrite) {
            return Ok(self.acknowledged_before_write(event, &holder, record));
        }
        let taken = holder.pipeline.append(&record)?;
        Ok(self.receipt(event.id, &holder, taken))
    }

    pub(super) fn receipt(&self, event_id: String, holder: &Holder, taken: Taken) -> Receipt {
        if let Taken { dropped: count @ 1.., .. } = taken {
            let reason = LossReason::Overflow;
            self.pipelines.uplink.announcer.announce(Event::UsageDropped { count, reason });
        }
        Receipt { event_id, pipeline: holder.pipeline.clone(), taken }
    }

    pub(super) async fn as_durable_as_asked(&self, receipt: &Receipt) -> Result<()> {
        let is_durable = self.waits_for_the_disk() && !planted(Bug::UnsyncedDurable);
        if is_durable && !receipt.taken.lost {
            receipt.persisted().await?;
        }
        Ok(())
    }

    /// What no tracker ever does.
    fn acknowledged_before_write(
        &self,
        event: UsageEvent,
        holder: &Holder,
        record: Vec<u8>,
    ) -> Receipt {
        let host = self.pipelines.uplink.host.clone();
        let soon = host.sleep(Duration::from_millis(20));
        let (writing, pipeline) = (holder.pipeline.clone(), holder.pipeline.clone());
        let ticket = pipeline.log().everything();
        host.spawn(soon.map(move |()| drop(writing.append(&record))).boxed());
        Receipt { event_id: event.id, pipeline, taken: Taken { ticket, lost: false, dropped: 0 } }
    }

    /// What the marketplace has rejected, and was not replayed yet: the oldest.
    pub(crate) async fn rejected(&self) -> Result<Vec<RejectedUsage>> {
        let (mut rejected, mut after) = (Vec::<RejectedUsage>::new(), After::default());
        // A range that was cut differently when it was sent again is in two files.
        let mut known = BTreeSet::new();
        while rejected.len() < MAX_SHOWN
            && let Some(batch) = self.pipelines.rejected(&mut after).await?
        {
            let events = batch.events.into_iter();
            rejected.extend(events.filter(|kept| known.insert(kept.event.id.clone())));
        }
        Ok(rejected)
    }

    /// Notes rejected events again, and says how many. Each has an idempotency key from then on, so
    /// that one which is replayed twice, by two processes or by one that died in between, counts once.
    pub(crate) async fn replay_rejected(&self) -> Result<u64> {
        let (mut replayed, mut after) = (BTreeSet::new(), After::default());
        while let Some(mut batch) = self.pipelines.rejected(&mut after).await? {
            let mut noted = Vec::with_capacity(batch.events.len());
            for RejectedUsage { mut event, .. } in std::mem::take(&mut batch.events) {
                let key = event.idempotency_key.get_or_insert_with(|| event.id.clone());
                if !replayed.insert(key.clone()) {
                    continue; // it was in two ranges
                }
                if planted(Bug::ReplayUnnamed) {
                    event.idempotency_key = None;
                }
                noted.push(self.note(event)?);
            }
            for receipt in noted {
                receipt.persisted().await?; // a log may write them in several goes, each of which may fail
            }
            self.pipelines.forget(&after, &batch).await?;
        }
        Ok(replayed.len() as u64)
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

    /// Delivers what it can within `deadline`, and sees to it that the rest is on disk.
    pub(crate) async fn flush_within(&self, deadline: Duration) -> UsageStats {
        let done = join(self.pipelines.persisted(), self.pipelines.delivered());
        timeout(&*self.pipelines.uplink.host, deadline, done.boxed()).await;
        self.stats()
    }

    /// Has what could not be sent tried again at once: what was in the way may be mended.
    pub(crate) fn try_now(&self) {
        self.pipelines.try_now();
    }

    /// Takes no more events, and delivers what it can within `deadline`.
    pub(crate) async fn close(&self, deadline: Duration) -> CloseReport {
        self.closed.store(true, Ordering::Relaxed);
        let host = &*self.pipelines.uplink.host;
        let until = host.monotonic().saturating_add(deadline);
        self.flush_within(deadline).await;
        let left = until.saturating_sub(host.monotonic());
        timeout(host, left, self.pipelines.end(until).boxed()).await;
        self.pipelines.leave();
        let left = until.saturating_sub(host.monotonic());
        timeout(host, left, self.pipelines.has_let_go().boxed()).await;
        CloseReport { usage: self.stats() }
    }

    pub(crate) fn stats(&self) -> UsageStats {
        self.pipelines.stats()
    }

    pub(crate) async fn health(&self) -> SpoolHealth {
        self.pipelines.health().await
    }

    /// What new events go to.
    pub(super) fn own(&self) -> Result<Arc<Holder>> {
        if !self.pipelines.is_at_home() {
            return Err(Error::new(Code::Forked));
        }
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::new(Code::Closed));
        }
        let is_ours = |own: &&Arc<Holder>| !own.pipeline.takes_no_more();
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = own.as_ref().filter(is_ours) {
            return Ok(own.clone());
        }
        drop(own);
        let mut own = self.own.write().unwrap_or_else(PoisonError::into_inner);
        match own.as_ref().filter(is_ours) {
            Some(own) => Ok(own.clone()),
            None => {
                let host = self.pipelines.uplink.host.clone();
                let holder = Holder::new(host, self.pipelines.open()?);
                Ok(own.insert(Arc::new(holder)).clone())
            }
        }
    }
}

impl Drop for UsageTracker {
    fn drop(&mut self) {
        self.pipelines.leave();
    }
}

/// An event as it is written.
pub(super) fn record(event: &UsageEvent) -> Vec<u8> {
    json::write(event).into_bytes()
}
