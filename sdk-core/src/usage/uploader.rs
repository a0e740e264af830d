//! Sends a producer's log, range by range, until the marketplace has answered for all of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_listener::Event as Signal;
use futures_util::future::select;
use serde::Serialize;
use serde_json::value::RawValue;

use super::log::{Most, Record, RecordLog, SegmentLog};
use super::spool::Producer;
use super::tracker::UsageStats;
use crate::error::{Error, Result};
use crate::events::{Announcer, Event};
use crate::host::Host;
use crate::http::{Call, Clock, HttpClient, RetryPolicy, full_jitter};
use crate::model::{Code, EventStatus, LossReason, Secret, TrackUsageResult, UsageEvent};
use crate::reach::Reach;

/// How long an event waits for others to travel with.
const LINGER: Duration = Duration::from_secs(1);

/// How long one request may take (`facts`: a usage batch has 10 s where a validation has 5).
const UPLOAD_WITHIN: Duration = Duration::from_secs(10);

/// How often the uploader looks whether what blocks it was mended, such as a rotated key.
const BLOCKED_RECHECK: Duration = Duration::from_secs(30);

/// What uploading needs of the rest of the SDK.
pub(crate) struct Uplink {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) http: Arc<HttpClient>,
    pub(crate) reach: Arc<Reach>,
    pub(crate) announcer: Arc<Announcer>,
    pub(crate) secret_key: Secret,
}

/// A producer's log on its way to the marketplace.
pub(super) struct Pipeline {
    producer: Producer,
    /// The last number that is answered for; the next range begins after it.
    answered: AtomicU64,
    accounts: Mutex<Accounts>,
    /// Up to which number somebody waits, so that the uploader does not linger.
    hurried: AtomicU64,
    appended: Signal,
    /// Told when somebody is in a hurry.
    wake: Signal,
    progress: Signal,
}

#[derive(Default)]
struct Accounts {
    /// The number before the first one of this log that is on our books.
    opened_after: u64,
    delivered: u64,
    rejected: u64,
    lost: u64,
    last_error: Option<Error>,
}

/// One entry of a range as it is sent: the record's own bytes, or word that it is gone.
#[derive(Serialize)]
struct Item<'a> {
    number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<LossReason>,
}

/// `model::UsageRange`, borrowed: what was written is sent byte for byte.
#[derive(Serialize)]
struct Range<'a> {
    producer: &'a str,
    epoch: u64,
    items: &'a [Item<'a>],
}

impl Pipeline {
    pub(super) fn new(producer: Producer) -> Self {
        let opened_after = producer.log.trimmed();
        Pipeline {
            producer,
            answered: AtomicU64::new(opened_after),
            accounts: Mutex::new(Accounts { opened_after, ..Accounts::default() }),
            hurried: AtomicU64::new(0),
            appended: Signal::new(),
            wake: Signal::new(),
            progress: Signal::new(),
        }
    }

    pub(super) fn append(&self, record: &[u8]) -> Result<super::log::Ticket> {
        let ticket = self.producer.log.append(record)?;
        self.appended.notify(1);
        Ok(ticket)
    }

    pub(super) fn log(&self) -> Arc<SegmentLog> {
        self.producer.log.clone()
    }

    pub(super) fn hurry(&self) {
        self.hurried.fetch_max(self.producer.log.last(), Ordering::Relaxed);
        self.wake.notify(usize::MAX);
    }

    /// Completes when everything that is in the log now is answered for.
    pub(super) async fn delivered(&self) {
        let last = self.producer.log.last();
        loop {
            let progress = self.progress.listen();
            if self.answered() >= last {
                return;
            }
            progress.await;
        }
    }

    pub(super) fn leave(&self) {
        self.producer.leave(self.answered());
    }

    pub(super) fn last_error(&self) -> Option<Error> {
        self.accounts().last_error.clone()
    }

    pub(super) fn stats(&self) -> UsageStats {
        let accounts = self.accounts();
        let Accounts { opened_after, delivered, rejected, lost, .. } = *accounts;
        let tracked = self.producer.log.last() - opened_after;
        let pending = tracked.saturating_sub(delivered + rejected + lost);
        UsageStats { tracked, delivered, pending, rejected, lost }
    }

    /// Ends when a log that was left behind is empty; may be stopped at any await.
    pub(super) async fn upload(&self, uplink: &Uplink) {
        let left_behind = self.producer.epoch > 0;
        let mut drained = true;
        loop {
            if drained && !left_behind {
                self.next_events(uplink).await;
            }
            match self.producer.log.scan(self.answered(), Most::A_BATCH).await {
                Ok(batch) if batch.is_empty() && left_behind => return self.leave(),
                Ok(batch) => {
                    drained = batch.len() < Most::A_BATCH.records;
                    self.deliver(uplink, batch).await;
                }
                Err(error) => self.blocked(uplink, error).await,
            }
        }
    }

    /// Waits for an event, and for those that come soon after it.
    async fn next_events(&self, uplink: &Uplink) {
        let appended = self.appended.listen();
        if self.producer.log.last() == self.answered() {
            appended.await;
        }
        let wake = self.wake.listen();
        if self.hurried.load(Ordering::Relaxed) <= self.answered() {
            select(wake, uplink.host.sleep(LINGER)).await;
        }
    }

    /// Sends a range until it is answered for, however long that takes.
    async fn deliver(&self, uplink: &Uplink, batch: Vec<Record>) {
        let mut batch = &batch[..];
        let mut delays = RetryPolicy::UPLOAD.delays();
        while !batch.is_empty() {
            match uplink.reach.note(self.send(uplink, batch).await) {
                Ok(result) => return self.absorb(uplink, batch, result),
                Err(error) if error.code() == Code::RequestTooLarge && batch.len() > 1 => {
                    batch = &batch[..batch.len() / 2];
                }
                Err(error) if error.is_retryable() => {
                    let delay = full_jitter(&*uplink.host, delays.next().unwrap_or_default());
                    let delay = delay.max(error.retry_after().unwrap_or_default());
                    self.accounts().last_error = Some(error);
                    self.pause(uplink, delay).await;
                }
                Err(error) => self.blocked(uplink, error).await,
            }
        }
    }

    async fn send(&self, uplink: &Uplink, batch: &[Record]) -> Result<TrackUsageResult> {
        let items = self.items(batch);
        let Producer { id, epoch, .. } = &self.producer;
        let range = Range { producer: id, epoch: *epoch, items: &items };
        let call = Call::post("/api/track-usage", &range)?.bearer(&uplink.secret_key);
        let result: TrackUsageResult = uplink.http.attempt(&call, UPLOAD_WITHIN).await?;
        match (result.fence, items.last()) {
            (Some(fence), Some(last)) if fence >= last.number => Ok(result),
            _ => Err(Error::because(Code::AnswerInvalid, "The answer leaves usage unanswered.")),
        }
    }

    /// The batch, with every number that is missing before or in it declared as lost.
    fn items<'a>(&self, batch: &'a [Record]) -> Vec<Item<'a>> {
        let mut items = Vec::with_capacity(batch.len());
        let mut next = self.answered() + 1;
        for record in batch {
            let damaged = (next..record.number).map(Item::damaged);
            items.extend(damaged);
            let event = serde_json::from_slice(&record.bytes).ok();
            items.push(match event {
                Some(event) => Item { number: record.number, event: Some(event), lost: None },
                None => Item::damaged(record.number),
            });
            next = record.number + 1;
        }
        items
    }

    fn absorb(&self, uplink: &Uplink, batch: &[Record], result: TrackUsageResult) {
        let Some(last) = batch.last().map(|record| record.number) else { return };
        let sent = last - self.answered();
        let with = |status| result.results.iter().filter(move |outcome| outcome.status == status);
        for outcome in with(EventStatus::Rejected) {
            let record = batch.iter().find(|record| Some(record.number) == outcome.number);
            announce_rejected(uplink, record, outcome.code.unwrap_or(Code::Unknown));
        }
        let rejected = (with(EventStatus::Rejected).count() as u64).min(sent);
        let lost = (with(EventStatus::Lost).count() as u64).min(sent - rejected);
        let delivered = sent - rejected - lost;
        {
            let mut accounts = self.accounts();
            accounts.delivered += delivered;
            accounts.rejected += rejected;
            accounts.lost += lost;
            accounts.last_error = None;
        }
        self.answered.store(last, Ordering::Release);
        if let Err(error) = self.producer.log.trim(last) {
            tracing::warn!(%error, "the spool keeps what was delivered");
        }
        if delivered > 0 {
            uplink.announcer.announce(Event::UsageDelivered { count: delivered });
        }
        self.progress.notify(usize::MAX);
    }

    /// Raises the alarm about something that waiting alone does not mend, and waits.
    async fn blocked(&self, uplink: &Uplink, error: Error) {
        let known = self.last_error().is_some_and(|last| last.code() == error.code());
        self.accounts().last_error = Some(error.clone());
        if !known {
            uplink.announcer.announce(Event::UsageBlocked { error });
        }
        self.pause(uplink, BLOCKED_RECHECK).await;
    }

    /// Waits before another attempt; one that somebody hurries comes at once.
    async fn pause(&self, uplink: &Uplink, limit: Duration) {
        select(self.wake.listen(), uplink.host.sleep(limit)).await;
    }

    fn answered(&self) -> u64 {
        self.answered.load(Ordering::Acquire)
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Item<'_> {
    fn damaged(number: u64) -> Self {
        Item { number, event: None, lost: Some(LossReason::Damaged) }
    }
}

fn announce_rejected(uplink: &Uplink, record: Option<&Record>, code: Code) {
    let event = record.and_then(|record| serde_json::from_slice::<UsageEvent>(&record.bytes).ok());
    if let Some(event) = event {
        uplink.announcer.announce(Event::UsageRejected { event, code });
    }
}
