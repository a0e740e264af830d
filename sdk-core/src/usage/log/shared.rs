//! The record log on what the platform keeps itself: one log for all programs of a principal, such as the tabs of a
//! browser.
//!
//! A record's number is given out by the platform, in the transaction that writes it, so that an append has a
//! ticket and not yet a number: only who waits until it is [persisted](RecordLog::persisted) has an
//! acknowledgement. Each program sends whatever is in the log, and the marketplace counts each number once. What
//! it has answered is noted in the log, where the others find it.

mod refused;
mod state;

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, ready, select};

use super::{Found, Gap, Most, Record, RecordLog, Settled, Taken, Ticket};
use crate::error::{Error, Result};
use crate::events::{Announcer, Event};
use crate::host::{Host, LogError, LogPart, MemoryLog, PlatformLog, timeout};
use crate::model::{Code, LossReason};
use crate::sync::{AtomicBool, Mutex, MutexGuard, Signal};
use crate::usage::limits::{Overflow, SpoolLimits};
use crate::usage::rejected::RejectedUsage;
use refused::Refused;
use state::State;

/// How often a program looks for what others have left that are gone.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// How long a platform may take to open its log: a browser's waits for as long as another tab has it open that sleeps.
const OPEN_WITHIN: Duration = Duration::from_secs(5);

/// So many records are written at once, at most: as many as are sent.
const MAX_APPENDED: usize = Most::A_BATCH.records;

pub(crate) struct SharedLog {
    host: Arc<dyn Host>,
    announcer: Arc<Announcer>,
    limits: SpoolLimits,
    /// What serves if the platform has no room for a log at all, unless events must survive the process.
    instead: Option<MemoryLog>,
    state: Mutex<State>,
    /// Held while the log is opened.
    opening: futures_util::lock::Mutex<()>,
    /// It takes no more: it was given up, or the platform has failed.
    closed: AtomicBool,
    /// Told when records have numbers.
    news: Signal,
}

impl SharedLog {
    pub(crate) fn over(
        host: Arc<dyn Host>,
        announcer: Arc<Announcer>,
        limits: SpoolLimits,
        store: Arc<dyn PlatformLog>,
        in_memory: bool,
        instead: Option<MemoryLog>,
        refused: VecDeque<String>,
    ) -> Arc<Self> {
        let mut state = State::unopened(store, in_memory);
        state.is_written = !refused.is_empty();
        let begins = state.is_written;
        refused.into_iter().for_each(|record| state.take(record));
        let log = Arc::new(SharedLog {
            host,
            announcer,
            limits,
            instead,
            state: Mutex::new(state),
            opening: futures_util::lock::Mutex::new(()),
            closed: AtomicBool::new(false),
            news: Signal::new(),
        });
        if begins {
            log.host.spawn(log.clone().write().boxed());
        }
        log
    }

    /// What the platform has refused, for the log that comes after this one.
    pub(in crate::usage) fn take_refused(&self) -> VecDeque<String> {
        std::mem::take(&mut self.state().refused)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The platform's log, once it is known how far it has come: what is appended before has no place yet.
    ///
    /// # Errors
    /// Why there is none, if events must survive the process; the next call tries again.
    async fn open(&self) -> Result<Arc<dyn PlatformLog>> {
        let _one_at_a_time = self.opening.lock().await;
        let store = {
            let state = self.state();
            if state.opened_after.is_some() {
                return Ok(state.store.clone());
            }
            state.store.clone()
        };
        let read = timeout(&*self.host, OPEN_WITHIN, store.read(0, 1, 1)).await;
        let late = || LogError { is_full: false, words: "the log does not open".to_owned() };
        let (store, part) = match (read.unwrap_or_else(|| Err(late())), &self.instead) {
            (Ok(part), _) => (store, part),
            (Err(error), None) => return Err(failed(error)),
            (Err(error), Some(memory)) => {
                let error = failed(error);
                tracing::warn!(%error, "usage is kept in memory until it is delivered");
                self.announcer.announce(Event::SpoolInMemory { error });
                self.state().in_memory = true;
                let memory: Arc<dyn PlatformLog> = Arc::new(memory.clone());
                let part = memory.read(0, 1, 1).await.map_err(failed)?;
                (memory, part)
            }
        };
        let mut state = self.state();
        state.store = store.clone();
        (state.answered, state.last) = (part.answered, part.last);
        (state.producer, state.opened_after) = (part.producer, Some(part.answered));
        Ok(store)
    }

    /// Writes what is in the queue, as much of it at once as has gathered.
    async fn write(self: Arc<Self>) {
        loop {
            let store = self.open().await;
            let (records, skip, removed) = {
                let mut state = self.state();
                let many = state.queue.len().min(MAX_APPENDED);
                state.writing = many;
                state.is_written = many > 0;
                if many == 0 {
                    return;
                }
                let later = state.queue.split_off(many);
                let now = mem::replace(&mut state.queue, later);
                (Vec::from(now), state.skip, state.removed)
            };
            // Where events must survive the program, who tracks one waits, and is told.
            let kept = self.instead.is_some().then(|| records.clone());
            let written = match store {
                Ok(store) => self.write_to(&*store, records, skip, removed).await,
                Err(error) => Err(error),
            };
            let mut state = self.state();
            let many = std::mem::take(&mut state.writing);
            match &written {
                Ok(first) => {
                    state.pass_over(skip, *first);
                    state.last = state.last.max(first + many as u64 - 1);
                }
                Err(error) if error.code() != Code::SpoolFull => {
                    self.closed.store(true, Ordering::Release);
                    state.refused.extend(kept.into_iter().flatten());
                }
                Err(_) if kept.is_some() => {
                    state.unkept += many as u64;
                    let (count, reason) = (many as u64, LossReason::Overflow);
                    self.announcer.announce(Event::UsageDropped { count, reason });
                }
                Err(_) => {}
            }
            state.numbers.add(many as u64, written);
            drop(state);
            self.news.notify(usize::MAX);
        }
    }

    async fn write_to(
        self: &Arc<Self>,
        store: &dyn PlatformLog,
        records: Vec<String>,
        skip: u64,
        removed: u64,
    ) -> Result<u64> {
        if removed > 0 {
            store.remove(removed).await.map_err(failed)?;
        }
        store.append(records, skip).await.map_err(failed)
    }

    /// What is in the log, and how far it has come.
    async fn read(&self, after: u64, most: Most) -> Result<LogPart> {
        let part =
            self.open().await?.read(after, most.records, most.bytes).await.map_err(failed)?;
        let mut state = self.state();
        state.set_answered(part.answered);
        // What is being written may have its numbers already, and counts as not yet written.
        let writing = if state.writing == 0 { 0 } else { state.writing as u64 + state.skip };
        state.last = state.last.max(part.last.saturating_sub(writing));
        Ok(part)
    }

    /// The rejected events behind a number.
    pub(in crate::usage) async fn rejected_after(
        &self,
        number: u64,
    ) -> Result<Vec<(u64, RejectedUsage)>> {
        let part = self.read(number, Most { records: 1, bytes: 1 }).await?;
        let rejected = part.refused.iter();
        Ok(rejected.filter_map(|(number, note)| Some((*number, Refused::event(note)?))).collect())
    }

    /// Forgets what was refused under these numbers.
    pub(in crate::usage) async fn forget(&self, numbers: Vec<u64>) -> Result<()> {
        self.open().await?.forget(numbers).await.map_err(failed)
    }

    /// Only how far it has come.
    async fn look(&self) -> Result<u64> {
        let part = self.read(u64::MAX, Most { records: 1, bytes: 1 }).await?;
        Ok(part.last)
    }
}

impl RecordLog for Arc<SharedLog> {
    fn append(&self, record: &[u8]) -> Result<Taken> {
        let record = str::from_utf8(record).unwrap_or_default().to_owned(); // JSON is UTF-8
        let mut state = self.state();
        if self.takes_no_more() {
            return Err(Error::new(Code::Closed));
        }
        let mut dropped = 0;
        if state.is_full(self.limits, &record) {
            match self.limits.overflow {
                Overflow::Reject => return Err(Error::new(Code::SpoolFull)),
                Overflow::DropOldest => dropped = state.drop_oldest(),
                Overflow::DropNewest => {}
            }
            if dropped == 0 {
                state.skip += 1;
                return Ok(Taken { ticket: state.numbers.last(), lost: true, dropped: 1 });
            }
        }
        state.take(record);
        let ticket = state.numbers.last();
        let begins = !std::mem::replace(&mut state.is_written, true);
        drop(state);
        if begins {
            self.host.spawn(self.clone().write().boxed());
        }
        Ok(Taken { ticket, lost: false, dropped })
    }

    fn persisted(&self, ticket: Ticket) -> BoxFuture<'_, Result<u64>> {
        let number = async move {
            loop {
                let news = self.news.listen();
                if let Some(number) = self.state().numbers.of(ticket) {
                    return number;
                }
                news.await;
            }
        };
        number.boxed()
    }

    fn everything(&self) -> Ticket {
        self.state().numbers.last()
    }

    fn more(&self, answered: u64) -> BoxFuture<'_, ()> {
        let more = async move {
            loop {
                let news = self.news.listen();
                let store = {
                    let state = self.state();
                    if state.opened_after.is_none() || state.last > answered {
                        return;
                    }
                    state.store.clone()
                };
                let by_others = select(store.changed(), self.host.sleep(LOOK_EVERY));
                if let Either::Right(_) = select(news, by_others).await {
                    return;
                }
            }
        };
        more.boxed()
    }

    fn scan(&self, after: u64, most: Most) -> BoxFuture<'_, Result<Found>> {
        let found = async move {
            let part = self.read(after, most).await?;
            // Whoever reads this puts on the books what is answered.
            self.state().gone.forget_through(part.answered);
            let LogPart { answered, last, forgotten, records, refused, .. } = part;
            let records = records
                .into_iter()
                .filter(|(number, _)| *number > answered)
                .map(|(number, text)| Record { number, bytes: text.into_bytes() });
            let refused = refused.iter().filter_map(|(number, note)| Refused::told(*number, note));
            let (refused, records) = (refused.collect(), records.collect());
            Ok(Found { answered, refused, forgotten, records, last })
        };
        found.boxed()
    }

    fn settle<'a>(&'a self, settled: Settled<'a>) -> BoxFuture<'a, bool> {
        let Settled { answered, outcomes, rejected } = settled;
        let notes = Refused::notes(outcomes, rejected);
        let settling = async move {
            let store = self.state().store.clone();
            let noted = store.settle(answered, notes).await;
            if let Err(error) = &noted {
                tracing::warn!(%error, "what was delivered is delivered again by the next program");
            }
            let mut state = self.state();
            state.answered = state.answered.max(answered);
            state.gone.forget_through(answered);
            noted.is_ok()
        };
        settling.boxed()
    }

    fn trim(&self, _answered: u64) {}

    fn reopen(&self, fence: u64) -> BoxFuture<'_, ()> {
        let reopening = async move {
            let store = {
                let mut state = self.state();
                state.set_answered(fence);
                state.store.clone()
            };
            if let Err(error) = store.reopen(fence).await {
                tracing::warn!(%error, "the usage log could not be reopened");
            }
        };
        reopening.boxed()
    }

    fn last(&self) -> u64 {
        self.state().last
    }

    fn numbered(&self) -> BoxFuture<'_, Result<u64>> {
        let numbered = async move {
            self.open().await?;
            // Whoever waits for one that was refused is told.
            let _ = self.persisted(self.everything()).await;
            Ok(self.last())
        };
        numbered.boxed()
    }

    fn unnumbered(&self) -> u64 {
        let state = self.state();
        state.unwritten() + state.skip + state.refused.len() as u64 + state.unkept
    }

    fn has_given_out(&self, number: u64) -> BoxFuture<'_, bool> {
        if number <= self.last() {
            return ready(true).boxed();
        }
        // Another program may have appended meanwhile.
        self.look().map(move |last| last.is_ok_and(|last| number <= last)).boxed()
    }

    fn opened_after(&self) -> Option<u64> {
        self.state().opened_after
    }

    fn losses(&self, first: u64, last: u64) -> Vec<Gap> {
        // A platform that loses a log loses it whole. What has no record was dropped, unless the marketplace had
        // answered for it.
        let reopened = self.state().reopened;
        let damaged = Gap { first, last: last.min(reopened), lost: LossReason::Damaged };
        let dropped = Gap { first: first.max(reopened + 1), last, lost: LossReason::Overflow };
        [damaged, dropped].into_iter().filter(|gap| gap.first <= gap.last).collect()
    }

    fn lost_after(&self, number: u64, reason: LossReason) -> u64 {
        let state = self.state();
        match reason {
            LossReason::Overflow => {
                let removed = state.removed.saturating_sub(number);
                removed + state.gone_after(number.max(state.removed)) + state.skip + state.unkept
            }
            _ => 0,
        }
    }

    fn waiting_after(&self, number: u64) -> u64 {
        self.state().waiting_after(number)
    }

    fn producer(&self) -> String {
        self.state().producer.clone()
    }

    fn epoch(&self) -> u64 {
        0 // nobody takes over what is everybody's
    }

    fn is_in_memory(&self) -> bool {
        self.state().in_memory
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn bytes(&self) -> u64 {
        self.state().bytes()
    }

    fn takes_no_more(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn leave(&self, _answered: u64) {
        self.closed.store(true, Ordering::Release);
    }

    fn abandon(&self) {
        self.closed.store(true, Ordering::Release);
    }

    #[cfg(feature = "backend")]
    fn lessee(&self) -> Option<&crate::usage::spool::Producer> {
        None
    }
}

fn failed(error: LogError) -> Error {
    let code = if error.is_full { Code::SpoolFull } else { Code::SpoolFailed };
    Error::new(code).caused_by(error)
}
