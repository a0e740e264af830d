//! Sends a producer's log, range by range, until the marketplace has answered for all of it.

use std::cmp;
use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use event_listener::EventListener;
use futures_util::future::select;
use serde::Deserialize;

use super::accounts::{Accounts, Failure};
use super::log::{Found, Most, RecordLog, Settled, Taken};
use super::pace::{Mark, Pace, Wait};
use super::range::{Losses as NotSent, Range, Told, with_counted};
use super::rejected::RejectedUsage;
use super::sender::Sender;
use super::stats::{Losses, UsageStats};
use crate::error::{Error, Result};
use crate::events::{Announcer, Event};
use crate::host::Host;
use crate::http::{Call, Clock, Credential, HttpClient};
use crate::json;
use crate::model::{Code, EventResult, LossReason, Timestamp, UsageEvent};
use crate::planted::{Bug, planted};
use crate::reach::Reach;
use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Signal};

/// How long one request may take: twice what a call has that somebody waits for.
const UPLOAD_WITHIN: Duration = Duration::from_secs(10);

/// What uploading needs of the rest of the SDK.
pub(crate) struct Uplink {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) http: Arc<HttpClient>,
    pub(crate) reach: Arc<Reach>,
    pub(crate) announcer: Arc<Announcer>,
    pub(crate) sender: Sender,
}

impl Uplink {
    /// What usage is sent with now.
    ///
    /// # Errors
    /// Why there is nothing to send it with.
    pub(super) fn credential(&self) -> Result<Credential<'_>> {
        self.sender.credential(&self.clock)
    }
}

/// What counts of a [`TrackUsageResult`](crate::model::TrackUsageResult): whose events these are asks for quotas by
/// itself.
#[derive(Deserialize)]
struct Answered {
    #[serde(default)]
    fence: Option<u64>,
    results: Vec<EventResult>,
}

/// A producer's log on its way to the marketplace.
pub(super) struct Pipeline {
    log: Arc<dyn RecordLog>,
    /// The last number that is answered for; the next range begins after it.
    answered: AtomicU64,
    accounts: Mutex<Accounts>,
    /// Another process has taken the log over, or this one has given it up.
    left: AtomicBool,
    /// How old an event may be that is sent.
    max_age: Option<Duration>,
    /// Up to which number somebody waits, so that the uploader does not linger.
    hurried: AtomicU64,
    /// How often somebody has been in a hurry: a pause ends when this moves.
    hurries: AtomicU64,
    hurry: Signal,
    progress: Signal,
}

impl Pipeline {
    pub(super) fn new(log: Arc<dyn RecordLog>, max_age: Option<Duration>) -> Self {
        let opened_after = log.opened_after();
        Pipeline {
            left: AtomicBool::new(false),
            max_age,
            log,
            answered: AtomicU64::new(opened_after.unwrap_or_default()),
            accounts: Mutex::new(Accounts::opened_after(opened_after)),
            hurried: AtomicU64::new(0),
            hurries: AtomicU64::new(0),
            hurry: Signal::new(),
            progress: Signal::new(),
        }
    }

    pub(super) fn append(&self, record: &[u8]) -> Result<Taken> {
        self.log.append(record)
    }

    /// Completes when the event of that number is counted.
    ///
    /// # Errors
    /// Why it will never be, or [`Code::Closed`] when nobody here sends it any more.
    pub(super) async fn answer(&self, number: u64) -> Result<()> {
        loop {
            let progress = self.progress.listen();
            if self.answered() >= number {
                return self.accounts().answer(number);
            }
            if self.has_left() {
                return Err(Error::new(Code::Closed));
            }
            progress.await;
        }
    }

    pub(super) fn log(&self) -> &dyn RecordLog {
        &*self.log
    }

    /// Completes when everything that is in the log now is answered for, without lingering.
    ///
    /// # Errors
    /// Why an attempt that began meanwhile has failed, if waiting does not mend it.
    pub(super) async fn delivered(&self) -> Result<()> {
        let last = self.log.numbered().await?;
        let hurries = self.hurry_up(last);
        loop {
            let progress = self.progress.listen();
            if self.answered() >= last || self.has_left() {
                return Ok(()); // or somebody else's to deliver
            }
            if let Some(error) = self.blocked_since(hurries) {
                return Err(error);
            }
            progress.await;
        }
    }

    /// Has what is in the log up to `last` sent without lingering. How often somebody has been in a hurry.
    fn hurry_up(&self, last: u64) -> u64 {
        self.hurried.fetch_max(last, Ordering::Relaxed);
        let hurries = self.hurries.fetch_add(1, Ordering::AcqRel) + 1;
        self.hurry.notify(usize::MAX);
        hurries
    }

    /// Has what is in the log now sent without lingering, and waits for nobody.
    pub(super) fn hurry(&self) {
        self.hurry_up(self.log.last());
    }

    /// Told when something more is answered for, could not be sent, or is another's to send.
    pub(super) fn progress(&self) -> EventListener {
        self.progress.listen()
    }

    /// Whether these numbers, which are answered, were all counted.
    pub(super) fn has_counted(&self, numbers: &RangeInclusive<u64>) -> bool {
        self.accounts().has_counted(numbers)
    }

    fn blocked_since(&self, hurries: u64) -> Option<Error> {
        let accounts = self.accounts();
        let failure = accounts.failure.as_ref()?;
        let is_blocked = failure.hurries >= hurries && !failure.error.is_retryable();
        is_blocked.then(|| failure.error.clone())
    }

    pub(super) fn leave(&self) {
        let answered = match planted(Bug::CloseForgetsTheRest) {
            true => u64::MAX,
            false => self.answered(),
        };
        self.log.leave(answered);
        self.left.store(true, Ordering::Release);
        self.progress.notify(usize::MAX);
    }

    /// Whether new events need another log.
    pub(super) fn takes_no_more(&self) -> bool {
        self.has_left() || self.log.takes_no_more()
    }

    pub(super) fn has_left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    pub(super) fn last_error(&self) -> Option<Error> {
        Some(self.accounts().failure.as_ref()?.error.clone())
    }

    /// When the oldest event that waits was made, if it can be read.
    pub(super) async fn waiting_since(&self) -> Option<Timestamp> {
        let first = Most { records: 1, ..Most::A_BATCH };
        let found = self.log.scan(self.answered(), first).await.ok()?;
        let event: UsageEvent = json::read(&found.records.first()?.bytes).ok()?;
        Some(event.occurred_at)
    }

    pub(super) fn stats(&self) -> UsageStats {
        let log = self.log();
        let accounts = self.accounts();
        let UsageStats { delivered, rejected, mut lost, .. } = accounts.stats();
        if accounts.given_away {
            return accounts.stats();
        }
        for reason in [LossReason::Overflow, LossReason::Unacknowledged] {
            lost = lost + Losses::many(log.lost_after(self.answered(), reason), reason);
        }
        let tracked = accounts.tracked(log.last()) + log.unnumbered();
        let pending = tracked.saturating_sub(delivered + rejected + lost.total());
        let in_memory = if log.is_in_memory() { pending } else { 0 };
        UsageStats { tracked, delivered, pending, in_memory, rejected, lost }
    }

    /// Makes what was acknowledged survive the loss of power.
    pub(super) async fn persisted(&self) {
        if !self.was_left_behind() {
            let _ = self.log.persisted(self.log.everything()).await; // logged where it failed
        }
    }

    /// Ends when a log that was left behind is empty; may be stopped at any await.
    pub(super) async fn upload(&self, uplink: &Uplink) {
        let mut pace = Pace::default();
        while !self.has_left() {
            if self.was_left_behind() && self.answered() >= self.log.last() {
                if self.end(uplink, Duration::MAX).await {
                    return self.leave();
                }
                continue;
            }
            if !pace.is_retrying() {
                self.gather(uplink, &pace).await;
            }
            let hurries = self.hurries();
            match self.log.scan(self.answered(), Most::A_BATCH).await {
                Ok(found) => match self.next_range(uplink, found) {
                    Some(range) => self.deliver(uplink, range, &mut pace).await,
                    // Others have sent it.
                    None => pace.answered(self.mark(uplink), 0, 0),
                },
                Err(error) => {
                    let wait = pace.failed(&*uplink.host, self.mark(uplink), &error);
                    self.wait(uplink, error, wait, hurries).await;
                }
            }
        }
    }

    /// What is to be sent of what was found, if there is something, once it is on the books what others have
    /// sent.
    fn next_range(&self, uplink: &Uplink, found: Found) -> Option<Range> {
        let Found { answered, refused, forgotten, records, last } = found;
        if self.log.is_shared() {
            self.learn(uplink, answered, refused, forgotten);
        }
        if records.is_empty() && last <= answered {
            return None;
        }
        let missing = |first, last| self.log.losses(first, last);
        let now = uplink.clock.now();
        let losses = NotSent { missing, expired_before: self.max_age.map(|age| now - age) };
        let range = Range::after(answered, records, last, &losses);
        // Of a log that is nobody else's, what waits and can't be told is refused, and that is said.
        (!range.is_empty() || !self.log.is_shared()).then_some(range)
    }

    /// Takes what became of numbers that others have sent, in a log that is shared.
    fn learn(&self, uplink: &Uplink, through: u64, refused: Vec<Told>, forgotten: u64) {
        let mut accounts = self.accounts();
        let answered = match accounts.is_open() {
            true => self.answered(),
            false => accounts.open(self.log.opened_after().unwrap_or(through)),
        };
        let delivered = match through.cmp(&answered) {
            cmp::Ordering::Less => accounts.reopen(through, answered),
            // What is in the way of our own range still is.
            cmp::Ordering::Equal => 0,
            cmp::Ordering::Greater => {
                accounts.note(with_counted(answered, through, refused, forgotten))
            }
        };
        self.answered.store(through, Ordering::Release);
        drop(accounts);
        if delivered > 0 {
            uplink.announcer.announce(Event::UsageDelivered { count: delivered });
        }
        self.progress.notify(usize::MAX);
    }

    /// Waits for an event, and for those that come soon after it or for its turn.
    async fn gather(&self, uplink: &Uplink, pace: &Pace) {
        self.log.more(self.answered()).await;
        let hurry = self.hurry.listen();
        let hurried = self.hurried.load(Ordering::Relaxed) > self.answered();
        // Nothing comes soon in a log that was left behind.
        let waiting = if self.was_left_behind() { u64::MAX } else { self.waiting() };
        let pause = pace.pause(self.mark(uplink), waiting);
        if !hurried && !pause.is_zero() {
            select(hurry, uplink.host.sleep(pause)).await;
        }
    }

    /// Sends a range, or waits where that fails. The next one is read anew: what has come meanwhile
    /// goes along with it.
    async fn deliver(&self, uplink: &Uplink, mut range: Range, pace: &mut Pace) {
        loop {
            let hurries = self.hurries();
            pace.send(uplink.host.monotonic());
            if pace.is_retrying() && planted(Bug::RenumberedRetry) {
                range.renumber();
            }
            let error = match uplink.reach.note(self.send(uplink, &range).await) {
                Ok(result) => {
                    let before = self.answered();
                    let taken = self.absorb(uplink, &range, result).await.saturating_sub(before);
                    return pace.answered(self.mark(uplink), taken, self.waiting());
                }
                Err(error) => error,
            };
            if matches!(error.code(), Code::RequestTooLarge | Code::RequestInvalid) {
                // By halves, what can't be taken is soon alone, and holds up no other.
                if range.len() > 1 {
                    range.truncate(range.len() / 2);
                    continue;
                }
                if range.gives_up_what_is_no_event() {
                    continue;
                }
            }
            if let Some(fence) = error.fence().filter(|fence| *fence < self.answered()) {
                self.log.reopen(fence).await;
                return self.go_back_to(uplink, fence, error);
            }
            if error.code() == Code::EpochSuperseded {
                return self.make_way(uplink, error);
            }
            let wait = pace.failed(&*uplink.host, self.mark(uplink), &error);
            return self.wait(uplink, error, wait, hurries).await;
        }
    }

    async fn send(&self, uplink: &Uplink, range: &Range) -> Result<Vec<Told>> {
        let producer = self.log.producer();
        let wire = range.wire(&producer, self.log.epoch());
        let call = Call::post_json("/api/track-usage", wire).by(uplink.credential()?);
        let call = call.without_effect(); // the fence counts it once
        let result: Result<Answered> = uplink.http.attempt(&call, UPLOAD_WITHIN).await;
        let result = result.inspect_err(|error| uplink.sender.learn(&call, error))?;
        let outcomes = range.outcomes(&result.results);
        let told = outcomes.last().map(|(numbers, _)| *numbers.end());
        if !self.is_possible(told, result.fence).await {
            return Err(Error::because(Code::AnswerInvalid, "The answer leaves usage unanswered."));
        }
        Ok(outcomes)
    }

    /// Whether the marketplace may have accepted so much: all that it has `told` of, and of a log that is
    /// ours nothing that was never in it. Else it would take what comes later for what it knows.
    async fn is_possible(&self, told: Option<u64>, fence: Option<u64>) -> bool {
        let (Some(told), Some(fence)) = (told, fence) else { return false };
        told <= fence && self.log.has_given_out(fence).await
    }

    /// Takes what became of numbers; the last of them is the answer.
    async fn absorb(&self, uplink: &Uplink, range: &Range, outcomes: Vec<Told>) -> u64 {
        let answered = outcomes.last().map_or(self.answered(), |(numbers, _)| *numbers.end());
        let rejected = range.rejected(&outcomes);
        let settled = Settled { answered, outcomes: &outcomes, rejected: &rejected };
        let kept = self.log.settle(settled).await;
        let delivered = {
            let mut accounts = self.accounts();
            self.answered.store(answered, Ordering::Release);
            accounts.note(outcomes)
        };
        self.log.trim(answered);
        for (_, RejectedUsage { event, code }) in rejected {
            uplink.announcer.announce(Event::UsageRejected { event, code, kept });
        }
        if delivered > 0 {
            uplink.announcer.announce(Event::UsageDelivered { count: delivered });
        }
        self.progress.notify(usize::MAX);
        answered
    }

    /// Another process has taken the log over: what is in it is that one's to send, and new events
    /// get a log of their own.
    pub(super) fn make_way(&self, uplink: &Uplink, error: Error) {
        uplink.announcer.announce(Event::UsageWaiting { error });
        self.log.abandon();
        self.accounts().give_away(Losses::default());
        self.left.store(true, Ordering::Release);
        self.progress.notify(usize::MAX);
    }

    /// The log takes no more: what is in it is sent by others who have it, or when it is opened anew.
    pub(super) fn give_up(&self) {
        let unkept = self.log.lost_after(u64::MAX, LossReason::Overflow);
        self.accounts().give_away(Losses::many(unkept, LossReason::Overflow));
        self.left.store(true, Ordering::Release);
        self.hurry.notify(usize::MAX);
        self.progress.notify(usize::MAX);
    }

    /// The marketplace has less of this log than it had answered for, or than was here when the log
    /// was found. What is still in the log is sent again; what is not is declared lost.
    pub(super) fn go_back_to(&self, uplink: &Uplink, fence: u64, error: Error) {
        let mut accounts = self.accounts();
        accounts.reopen(fence, self.answered());
        self.answered.store(fence, Ordering::Release);
        drop(accounts);
        uplink.announcer.announce(Event::UsageWaiting { error });
    }

    /// Raises the alarm, once for each kind of failure in a row, and waits before another attempt: no
    /// longer than it must if somebody has been in a hurry since `hurries` was read.
    pub(super) async fn wait(&self, uplink: &Uplink, error: Error, wait: Wait, hurries: u64) {
        if self.last_error().map(|last| last.code()) != Some(error.code()) {
            uplink.announcer.announce(Event::UsageWaiting { error: error.clone() });
        }
        self.accounts().failure = Some(Failure { error, hurries });
        self.progress.notify(usize::MAX);
        let Wait { whole, least } = wait;
        uplink.host.sleep(least).await;
        let hurry = self.hurry.listen();
        if self.hurries() == hurries {
            select(hurry, uplink.host.sleep(whole - least)).await;
        }
    }

    fn was_left_behind(&self) -> bool {
        self.log.epoch() > 0
    }

    /// How many events are not answered for.
    fn waiting(&self) -> u64 {
        self.log.waiting_after(self.answered())
    }

    pub(super) fn mark(&self, uplink: &Uplink) -> Mark {
        Mark { at: uplink.host.monotonic(), last: self.log.last() }
    }

    pub(super) fn hurries(&self) -> u64 {
        self.hurries.load(Ordering::Acquire)
    }

    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Acquire)
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
