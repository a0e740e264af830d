//! What became of the numbers of a log, as its pipeline keeps the books.

use std::collections::BTreeMap;

use super::range::Outcome;
use super::stats::{Losses, UsageStats};
use crate::error::{Error, Result};
use crate::model::Code;

/// How many events are remembered that were rejected or lost, for those who ask by their receipts.
const MAX_REMEMBERED: usize = 10_000;

#[derive(Default)]
pub(super) struct Accounts {
    /// The number before the first one of this log that is on our books.
    pub(super) opened_after: u64,
    delivered: u64,
    rejected: u64,
    lost: Losses,
    /// What is not answered for is on another process's books.
    pub(super) given_away: bool,
    pub(super) failure: Option<Failure>,
    /// What became of events that were not counted, by their numbers: the latest.
    refused: BTreeMap<u64, Outcome>,
    /// Up to which number that is forgotten.
    forgotten: u64,
}

/// Why the last attempt failed.
pub(super) struct Failure {
    pub(super) error: Error,
    /// How often somebody had been in a hurry when it began.
    pub(super) hurries: u64,
}

impl Accounts {
    pub(super) fn opened_after(opened_after: u64) -> Self {
        Accounts { opened_after, ..Accounts::default() }
    }

    /// Takes what became of numbers, in order; how many of them were counted.
    pub(super) fn note(&mut self, outcomes: impl Iterator<Item = (u64, Outcome)>) -> u64 {
        let mut delivered = 0;
        for (number, outcome) in outcomes {
            match outcome {
                Outcome::Counted => delivered += 1,
                Outcome::Rejected(_) => self.rejected += 1,
                Outcome::Lost(reason) => self.lost = self.lost + Losses::of(reason),
            }
            if outcome != Outcome::Counted {
                self.refused.insert(number, outcome);
            }
        }
        self.delivered += delivered;
        while self.refused.len() > MAX_REMEMBERED
            && let Some((number, _)) = self.refused.pop_first()
        {
            self.forgotten = number;
        }
        self.failure = None;
        delivered
    }

    /// What was answered for after `fence` is open again, as what it was answered with.
    pub(super) fn reopen(&mut self, fence: u64, answered: u64) {
        let ours = fence.max(self.opened_after);
        let mut counted = answered.saturating_sub(ours);
        for outcome in self.refused.split_off(&(ours + 1)).into_values() {
            counted = counted.saturating_sub(1);
            match outcome {
                Outcome::Counted => {}
                Outcome::Rejected(_) => self.rejected = self.rejected.saturating_sub(1),
                Outcome::Lost(reason) => self.lost = self.lost.without(Losses::of(reason)),
            }
        }
        self.delivered = self.delivered.saturating_sub(counted);
        self.opened_after = self.opened_after.min(fence);
    }

    /// What whoever tracked the event of an answered number is told.
    pub(super) fn answer(&self, number: u64) -> Result<()> {
        match self.refused.get(&number) {
            Some(outcome) => outcome.result(),
            None if number <= self.forgotten => Err(Error::new(Code::Unknown)),
            None => Ok(()),
        }
    }

    /// The books without what is neither answered for nor known to be lost.
    pub(super) fn stats(&self) -> UsageStats {
        let Accounts { delivered, rejected, lost, .. } = *self;
        let tracked = delivered + rejected + lost.total();
        UsageStats { tracked, delivered, rejected, lost, ..UsageStats::default() }
    }
}
