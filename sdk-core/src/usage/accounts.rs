//! What became of the numbers of a log, as its pipeline keeps the books.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use super::range::{Outcome, Told};
use super::stats::{Losses, UsageStats};
use crate::error::{Error, Result};
use crate::model::Code;

/// How many events are remembered that were rejected or lost, for those who ask by their receipts.
const MAX_REMEMBERED: usize = 10_000;

#[derive(Default)]
pub(super) struct Accounts {
    /// The number before the first one of this log that is on our books.
    pub(super) opened_after: u64,
    /// Which number that is, is known.
    is_open: bool,
    delivered: u64,
    rejected: u64,
    lost: Losses,
    /// How many are on others' books alone, who were told what became of them.
    unknown: u64,
    /// What is not answered for is on another process's books.
    pub(super) given_away: bool,
    pub(super) failure: Option<Failure>,
    /// What became of events that were not counted, in order: the latest.
    refused: VecDeque<Told>,
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
    pub(super) fn opened_after(number: Option<u64>) -> Self {
        let opened_after = number.unwrap_or_default();
        Accounts { opened_after, is_open: number.is_some(), ..Accounts::default() }
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// The number before the first one on our books is known now.
    pub(super) fn open(&mut self, opened_after: u64) -> u64 {
        (self.opened_after, self.is_open) = (opened_after, true);
        opened_after
    }

    /// Takes what became of numbers, in order; how many of them were counted.
    pub(super) fn note(&mut self, outcomes: Vec<Told>) -> u64 {
        let mut delivered = 0;
        for (numbers, outcome) in outcomes {
            let count = count(&numbers);
            match outcome {
                Outcome::Counted => delivered += count,
                Outcome::Rejected(_) => self.rejected += count,
                Outcome::Lost(reason) => self.lost = self.lost + Losses::many(count, reason),
                Outcome::Forgotten => self.unknown += count,
            }
            if outcome != Outcome::Counted {
                self.refused.push_back((numbers, outcome));
            }
        }
        self.delivered += delivered;
        while self.refused.len() > MAX_REMEMBERED
            && let Some((numbers, _)) = self.refused.pop_front()
        {
            self.forgotten = *numbers.end();
        }
        self.failure = None;
        delivered
    }

    /// From now on another has the books, but for what is known to be lost.
    pub(super) fn give_away(&mut self, lost: Losses) {
        self.given_away = true;
        self.lost = self.lost + lost;
    }

    /// What was answered for after `fence` is open again, as what it was answered with. None of it is delivered.
    pub(super) fn reopen(&mut self, fence: u64, answered: u64) -> u64 {
        let ours = fence.max(self.opened_after);
        let mut counted = answered.saturating_sub(ours);
        while let Some((numbers, outcome)) = self.refused.pop_back() {
            let first = *numbers.start();
            let open = (ours + 1).max(first)..=*numbers.end();
            let count = count(&open);
            counted = counted.saturating_sub(count);
            match outcome {
                Outcome::Counted => {}
                Outcome::Rejected(_) => self.rejected = self.rejected.saturating_sub(count),
                Outcome::Lost(reason) => {
                    self.lost = self.lost.without(Losses::many(count, reason));
                }
                Outcome::Forgotten => self.unknown = self.unknown.saturating_sub(count),
            }
            if first <= ours {
                self.refused.push_back((first..=ours.min(*numbers.end()), outcome));
                break;
            }
        }
        self.delivered = self.delivered.saturating_sub(counted);
        self.opened_after = self.opened_after.min(fence);
        0
    }

    /// What whoever tracked the event of an answered number is told.
    pub(super) fn answer(&self, number: u64) -> Result<()> {
        let told = self.refused_before(number);
        match told.filter(|(numbers, _)| numbers.contains(&number)) {
            Some((_, outcome)) => outcome.result(),
            None if number <= self.forgotten => Err(Error::new(Code::Unknown)),
            None => Ok(()),
        }
    }

    /// The last numbers that were not counted, of those that begin at `number` or before.
    fn refused_before(&self, number: u64) -> Option<&Told> {
        let behind = self.refused.partition_point(|(numbers, _)| *numbers.start() <= number);
        self.refused.get(behind.checked_sub(1)?)
    }

    /// Whether all of these numbers, which are answered, were counted; not of those of which that is forgotten.
    pub(super) fn has_counted(&self, numbers: &RangeInclusive<u64>) -> bool {
        let refused = self.refused_before(*numbers.end());
        let refused = refused.map_or(self.forgotten, |(refused, _)| *refused.end());
        refused.max(self.forgotten) < *numbers.start()
    }

    /// How many of the numbers up to `last` are on our books.
    pub(super) fn tracked(&self, last: u64) -> u64 {
        last.saturating_sub(self.opened_after + self.unknown)
    }

    /// The books without what is neither answered for nor known to be lost.
    pub(super) fn stats(&self) -> UsageStats {
        let Accounts { delivered, rejected, lost, .. } = *self;
        let tracked = delivered + rejected + lost.total();
        UsageStats { tracked, delivered, rejected, lost, ..UsageStats::default() }
    }
}

fn count(numbers: &RangeInclusive<u64>) -> u64 {
    (numbers.end() + 1).saturating_sub(*numbers.start())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LossReason::Overflow;

    #[test]
    fn what_is_open_again_is_off_the_books_in_the_middle_of_a_run_too() {
        let mut accounts = Accounts::default();
        let lost = Outcome::Lost(Overflow);
        accounts.note(vec![(1..=2, Outcome::Counted), (3..=900, lost), (901..=901, lost)]);
        accounts.note(vec![
            (902..=905, Outcome::Counted),
            (906..=906, Outcome::Rejected(Code::Unknown)),
        ]);
        let sums = |accounts: &Accounts| {
            let stats = accounts.stats();
            (stats.delivered, stats.lost.overflow, stats.rejected)
        };
        assert_eq!(sums(&accounts), (6, 899, 1));
        accounts.reopen(903, 906);
        assert_eq!(sums(&accounts), (4, 899, 0));
        accounts.reopen(10, 903);
        assert_eq!(sums(&accounts), (2, 8, 0));
        assert!(accounts.answer(2).is_ok() && accounts.answer(10).is_err());
    }

    #[test]
    fn numbers_of_which_one_was_not_counted_are_told_from_others() {
        let mut accounts = Accounts::default();
        assert!(accounts.has_counted(&(1..=9)));
        let rejected = Outcome::Rejected(Code::Unknown);
        accounts.note(vec![
            (1..=4, Outcome::Counted),
            (5..=6, rejected),
            (7..=9, Outcome::Counted),
        ]);
        for (numbers, all_counted) in [(1..=4, true), (1..=5, false), (6..=7, false), (7..=9, true)]
        {
            assert_eq!(accounts.has_counted(&numbers), all_counted, "{numbers:?}");
        }
        accounts.forgotten = 7;
        assert!(!accounts.has_counted(&(7..=9)) && accounts.has_counted(&(8..=9)));
    }
}
