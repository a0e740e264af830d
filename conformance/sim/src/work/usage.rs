//! What is noted, consumed and flushed, and what those who did so were told: the marks by which the books are
//! judged in the end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use cloudnestle_marketplace::host::Host;
use cloudnestle_marketplace::{Code, Durability, Error, Receipt, Usage};
use futures_util::FutureExt;
use futures_util::future::{Either, select};

use crate::fault::Fault;
use crate::oracle::{Attempt, Outcome, mark_of};
use crate::people::Person;
use crate::program::Running;

/// How long `flush` waits.
const FLUSH: Duration = Duration::from_secs(10);

impl Running {
    /// Something that is about to be noted.
    fn attempt(&self, action: &'static str) -> usize {
        let (life, outcome) = (self.life, Outcome::Unknown);
        let mut oracle = self.world.oracle();
        oracle.attempts.push(Attempt { life, action, allowed: false, outcome });
        oracle.attempts.len() - 1
    }

    pub(super) async fn consume(&self, person: &Person, action: &'static str, quantity: u64) {
        let mark = self.attempt(action);
        let usage = Usage::of(action).quantity(quantity).metadata("mark", mark as u64);
        let began = self.world.now();
        let consumed = self.sdk.consume(person.pair.access_token.expose(), usage).await;
        self.took("consume", began, self.settings.deadline);
        let consumed = match consumed {
            Ok(consumed) => consumed,
            Err(error) => {
                self.refused(mark, &error);
                return self.judge_error("consume", person, &error);
            }
        };
        let id = consumed.receipt().event_id().to_owned();
        let overage = if consumed.is_overage() { "overage" } else { "allowed" };
        self.world.note(&self.link.name, format_args!("{mark} is {id}, {overage}"));
        self.acknowledged_as(mark, id);
        self.world.oracle().attempts[mark].allowed = !consumed.is_overage();
    }

    fn refused(&self, mark: usize, error: &Error) {
        self.world.note(&self.link.name, format_args!("{mark} is refused: {error}"));
        // Where a disk fails after the write, nobody knows.
        if error.code() != Code::SpoolFailed {
            self.world.oracle().attempts[mark].outcome = Outcome::Refused;
        }
    }

    fn acknowledged_as(&self, mark: usize, event_id: String) {
        let persisted = self.settings.durability == Durability::Durable;
        let outcome = Outcome::Acknowledged { event_id, at: self.world.now(), persisted };
        self.world.oracle().attempts[mark].outcome = outcome;
    }

    pub(super) async fn track(&self, person: &Person, action: &'static str, quantity: u64) {
        let mark = self.attempt(action);
        let usage = Usage::of(action).quantity(quantity).metadata("mark", mark as u64);
        let began = self.world.now();
        let tracked = self.sdk.track_usage(person.pair.access_token.expose(), usage).await;
        self.took("track_usage", began, self.settings.deadline);
        let receipt = match tracked {
            Ok(receipt) => receipt,
            Err(error) => {
                self.refused(mark, &error);
                return self.judge_error("track_usage", person, &error);
            }
        };
        self.world.note(&self.link.name, format_args!("{mark} is {}", receipt.event_id()));
        self.acknowledged_as(mark, receipt.event_id().to_owned());
        match self.world.between(0, 16) {
            0..2 => self.persisted(mark, &receipt).await,
            2 => self.delivered(&receipt).await,
            _ => {}
        }
    }

    async fn persisted(&self, mark: usize, receipt: &Receipt) {
        match receipt.persisted().await {
            Ok(()) => {
                let mut oracle = self.world.oracle();
                if let Outcome::Acknowledged { persisted, .. } = &mut oracle.attempts[mark].outcome
                {
                    *persisted = true;
                }
            }
            Err(_) if self.world.oracle().disk_failed(self.life, Fault::SyncFails) => {}
            Err(error) => {
                self.world
                    .violated(format!("{}: {mark} is not persisted: {error}", self.link.name));
            }
        }
    }

    /// Waits for a while, and believes what it hears.
    async fn delivered(&self, receipt: &Receipt) {
        let patience = self.host.sleep(Duration::from_millis(self.world.between(1, 5_000)));
        let Either::Left((Ok(()), _)) = select(receipt.delivered().boxed(), patience).await else {
            return;
        };
        let id = receipt.event_id();
        if !self.world.oracle().counted.contains(id) {
            self.world.violated(format!("{}: {id} is delivered, and not counted", self.link.name));
        }
    }

    pub(super) async fn flush(&self) {
        let acknowledged = self.acknowledged();
        let began = self.world.now();
        let flushed = self.sdk.flush().await;
        self.took("flush", began, FLUSH);
        self.world.note(&self.link.name, format_args!("flush: {:?}", flushed.as_ref().err()));
        if flushed.is_err() {
            return;
        }
        let oracle = self.world.oracle();
        if oracle.disk_failed(self.life, Fault::SyncFails) {
            return; // it may have forgotten what it acknowledged
        }
        let missing = acknowledged.into_iter().find(|id| !oracle.answered.contains(id));
        drop(oracle);
        if let Some(missing) = missing {
            self.world.violated(format!("{}: flushed, and {missing} is nowhere", self.link.name));
        }
    }

    /// Sends what was rejected once more. What was found to be so is on the disk by then, to be sent.
    pub(crate) async fn replay(&self) {
        let name = &self.link.name;
        let replayed = async {
            let rejected = self.sdk.rejected_usage().await?;
            let many = self.sdk.replay_rejected().await?;
            Ok((rejected, many))
        };
        let (rejected, many) = match replayed.await {
            Ok(replayed) => replayed,
            Err(error) => return self.judge_replay(&error),
        };
        if many > 0 {
            self.world.note(name, format_args!("replays {many} events that were rejected"));
        }
        let marks = rejected.iter().filter_map(|it| mark_of(&it.event));
        self.world.oracle().replayed.extend(marks);
    }

    /// Likewise, when nothing fails any more and all that is on this machine was sent once.
    pub(crate) async fn replay_at_last(&self) {
        self.flush().await;
        if let Ok(rejected) = self.sdk.rejected_usage().await {
            let marks = rejected.iter().filter_map(|it| mark_of(&it.event));
            self.world.oracle().replayed_at_last.extend(marks);
        }
        self.replay().await;
    }

    /// Whether an error of a replay is one that something in the story explains.
    fn judge_replay(&self, error: &Error) {
        self.world.note(&self.link.name, format_args!("can't replay: {error}"));
        let oracle = self.world.oracle();
        let full = oracle.disk_failed(self.life, Fault::DiskFull);
        let unsynced = oracle.disk_failed(self.life, Fault::SyncFails);
        drop(oracle);
        let explained = match error.code() {
            Code::Closed => self.link.is_closing.load(Ordering::Relaxed),
            Code::SpoolFull | Code::SpoolFailed => full || unsynced,
            _ => false,
        };
        if !explained {
            self.world.violated(format!("{}: a replay fails: {error}", self.link.name));
        }
    }

    /// What this process was told is noted.
    fn acknowledged(&self) -> Vec<String> {
        let oracle = self.world.oracle();
        let own = oracle.attempts.iter().filter(|attempt| attempt.life == self.life);
        let ids = own.filter_map(|attempt| match &attempt.outcome {
            Outcome::Acknowledged { event_id, .. } => Some(event_id.clone()),
            Outcome::Unknown | Outcome::Refused => None,
        });
        ids.collect()
    }
}
