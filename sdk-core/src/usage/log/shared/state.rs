//! What a program knows of the log that it shares: how far it has come, and what of its own is under way.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::Gap;
use super::super::gone::Gone;
use super::super::numbers::Numbers;
use crate::host::PlatformLog;
use crate::model::LossReason;
use crate::usage::limits::SpoolLimits;

/// Of a log that is full, so much is dropped at once, if the oldest are to be dropped.
const DROPPED: u64 = 8;

pub(super) struct State {
    pub(super) store: Arc<dyn PlatformLog>,
    pub(super) in_memory: bool,
    pub(super) producer: String,
    /// Up to which number everything was answered for when it was opened.
    pub(super) opened_after: Option<u64>,
    pub(super) answered: u64,
    pub(super) last: u64,
    /// Up to which number the marketplace had once answered for more than it has now.
    pub(super) reopened: u64,
    /// Up to which number records were removed to make room.
    pub(super) removed: u64,
    /// Records that nobody writes yet.
    pub(super) queue: VecDeque<String>,
    /// How many are being written.
    pub(super) writing: usize,
    /// How many records were dropped, whose numbers are passed over with the next one.
    pub(super) skip: u64,
    /// The numbers that were passed over, and are not answered for.
    pub(super) gone: Gone,
    /// Records that the platform has refused, for the next log: nobody has an acknowledgement, and they were taken.
    pub(super) refused: VecDeque<String>,
    /// How many records were taken that there was no room for after all.
    pub(super) unkept: u64,
    pub(super) numbers: Numbers,
    /// A task writes what is in the queue.
    pub(super) is_written: bool,
    /// What was appended, in records and bytes: the average tells what the log holds.
    pub(super) appended: (u64, u64),
}

impl State {
    pub(super) fn unopened(store: Arc<dyn PlatformLog>, in_memory: bool) -> Self {
        State {
            store,
            in_memory,
            producer: String::new(),
            opened_after: None,
            answered: 0,
            last: 0,
            reopened: 0,
            removed: 0,
            queue: VecDeque::new(),
            writing: 0,
            skip: 0,
            gone: Gone::default(),
            refused: VecDeque::new(),
            unkept: 0,
            numbers: Numbers::default(),
            is_written: false,
            appended: (0, 0),
        }
    }

    /// Puts a record to those that are to be written.
    pub(super) fn take(&mut self, record: String) {
        self.appended.0 += 1;
        self.appended.1 += record.len() as u64;
        self.queue.push_back(record);
        self.numbers.ticket();
    }

    /// The numbers of so many records that were dropped are those before `number`.
    pub(super) fn pass_over(&mut self, skip: u64, number: u64) {
        self.skip -= skip;
        self.gone.add(Gap { first: number - skip, last: number - 1, lost: LossReason::Overflow });
    }

    pub(super) fn set_answered(&mut self, answered: u64) {
        if answered < self.answered {
            self.reopened = self.reopened.max(self.answered);
        }
        self.answered = answered;
    }

    /// How many records wait behind `number`, as far as it is known.
    pub(super) fn waiting_after(&self, number: u64) -> u64 {
        let kept_after = number.max(self.removed);
        let numbers = self.last.saturating_sub(kept_after);
        numbers.saturating_sub(self.gone_after(kept_after)) + self.unwritten()
    }

    pub(super) fn gone_after(&self, number: u64) -> u64 {
        self.gone.count_after(number, self.last, LossReason::Overflow)
    }

    pub(super) fn unwritten(&self) -> u64 {
        (self.queue.len() + self.writing) as u64
    }

    pub(super) fn is_full(&self, limits: SpoolLimits, record: &str) -> bool {
        let waiting = self.waiting_after(self.answered);
        waiting >= limits.events || self.bytes() + record.len() as u64 > limits.bytes
    }

    /// About how much is held.
    pub(super) fn bytes(&self) -> u64 {
        let (records, bytes) = self.appended;
        self.waiting_after(self.answered) * bytes / records.max(1)
    }

    /// Gives up the oldest records that have numbers; how many.
    pub(super) fn drop_oldest(&mut self) -> u64 {
        let kept_after = self.answered.max(self.removed);
        let most = (self.waiting_after(self.answered) / DROPPED).max(1);
        let records =
            (kept_after + 1..=self.last).filter(|number| self.gone.reason(*number).is_none());
        let (dropped, last) = records
            .take(most as usize)
            .fold((0, kept_after), |(dropped, _), number| (dropped + 1, number));
        self.removed = last;
        dropped
    }
}
