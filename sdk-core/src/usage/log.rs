//! The record log: what `track_usage` writes and the uploader reads.
//!
//! There are two kinds. Where there are files, a log is [a process's own](super::spool::files), made of
//! [segments](segments). A platform that keeps logs itself, as IndexedDB does in a browser, has one for all programs
//! of a principal, and each of them may [append to it and send it](shared).

#[cfg(feature = "files")]
mod frame;
#[cfg(any(feature = "fuzz", all(test, feature = "native")))]
pub(super) mod fuzz;
mod gone;
mod numbers;
#[cfg(feature = "files")]
mod reader;
#[cfg(feature = "files")]
mod segments;
pub(super) mod shared;
#[cfg(feature = "files")]
mod state;
#[cfg(all(test, feature = "native"))]
pub(super) mod tests;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

#[cfg(feature = "files")]
pub(crate) use segments::SegmentLog;
#[cfg(feature = "files")]
pub(crate) use state::{SEGMENT, code_of};

use super::range::Told;
use super::rejected::RejectedUsage;
use crate::error::Result;
use crate::model::{LossReason, UsageRange};

/// A producer's log of numbered records, and the right to send it. Numbers begin at 1, have no gaps when they
/// are given out, and are never given out twice.
pub(crate) trait RecordLog: Send + Sync {
    /// Takes a record. When this returns the record survives the death of the process, where the
    /// platform can promise that without waiting. A log that is full answers as it was told to.
    fn append(&self, record: &[u8]) -> Result<Taken>;

    /// Completes, with the record's number, when the record survives the loss of power.
    fn persisted(&self, ticket: Ticket) -> BoxFuture<'_, Result<u64>>;

    /// Stands for everything that was appended.
    fn everything(&self) -> Ticket;

    /// Completes when there may be something to send behind the number `answered`.
    fn more(&self, answered: u64) -> BoxFuture<'_, ()>;

    /// What is behind the number `after`: as many records as fit into `most`, and at least one if there is one.
    fn scan(&self, after: u64, most: Most) -> BoxFuture<'_, Result<Found>>;

    /// Notes that everything up to a number is answered for, before the program goes by it. What can't be noted
    /// is sent again, and counts once. Whether what was rejected is kept.
    fn settle<'a>(&'a self, settled: Settled<'a>) -> BoxFuture<'a, bool>;

    /// Gives back the room of what is answered for, if the log is still ours.
    fn trim(&self, answered: u64);

    /// Notes that the marketplace has no more than up to `fence` of what it had answered for.
    fn reopen(&self, fence: u64) -> BoxFuture<'_, ()>;

    /// The number of the last record that was taken, as far as it is known.
    fn last(&self) -> u64;

    /// The number of the last record of those that are taken by now, once each of them has one.
    ///
    /// # Errors
    /// Why it can't be known.
    fn numbered(&self) -> BoxFuture<'_, Result<u64>>;

    /// How many records were taken that have no number yet.
    fn unnumbered(&self) -> u64;

    /// Whether that number was given out.
    fn has_given_out(&self, number: u64) -> BoxFuture<'_, bool>;

    /// The last number that was answered for when this program opened the log; `None` as long as that is not
    /// known.
    fn opened_after(&self) -> Option<u64>;

    /// Why there are no records of the numbers from `first` to `last`.
    fn losses(&self, first: u64, last: u64) -> Vec<Gap>;

    /// How many of the numbers after `number` are known to have no record, and why.
    fn lost_after(&self, number: u64, reason: LossReason) -> u64;

    /// How many records wait after `number`, as far as it is known.
    fn waiting_after(&self, number: u64) -> u64;

    /// The producer, `prd_…`, once the log was read.
    fn producer(&self) -> String;

    /// How often the log was taken over from a process that is gone.
    fn epoch(&self) -> u64;

    /// What is in it ends with the process.
    fn is_in_memory(&self) -> bool;

    /// Others append to it and send it, too.
    fn is_shared(&self) -> bool;

    /// What it holds, in bytes, as far as this process has written it.
    fn bytes(&self) -> u64;

    /// Whether new events need another log.
    fn takes_no_more(&self) -> bool;

    /// Takes no more, and gives the log up: the next process may have it, unless everything in it is `answered`
    /// for.
    fn leave(&self, answered: u64);

    /// Gives the log up to the process that has taken it over, whatever is in it.
    fn abandon(&self);

    /// By whom leases are taken, where the log is one program's alone.
    #[cfg(feature = "backend")]
    fn lessee(&self) -> Option<&super::spool::Producer>;
}

/// Stands for a record until it has a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(pub(super) u64);

#[cfg(test)]
impl Ticket {
    pub(super) fn of(number: u64) -> Self {
        Ticket(number)
    }

    pub(super) fn number(self) -> u64 {
        self.0
    }
}

/// What an append came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) ticket: Ticket,
    /// The log is full, and was told to drop what is new: the record is lost, though it has a number.
    pub(crate) lost: bool,
    /// How many records the log has dropped because of this one, itself counted.
    pub(crate) dropped: u64,
}

/// What a log has behind a number.
pub(crate) struct Found {
    /// Up to which number it was answered for by now: another than was asked about if others send the log, too.
    pub(crate) answered: u64,
    /// What became of the numbers in between, where they were not counted.
    pub(crate) refused: Vec<Told>,
    /// Up to which number that may be forgotten.
    pub(crate) forgotten: u64,
    /// In order. Of the numbers that are missing in between, [`RecordLog::losses`] has the reasons.
    pub(crate) records: Vec<Record>,
    /// The number of the last record that was taken before these were read.
    pub(crate) last: u64,
}

/// What the marketplace has answered with.
pub(crate) struct Settled<'a> {
    /// Up to which number.
    pub(crate) answered: u64,
    pub(crate) outcomes: &'a [Told],
    /// The events that it has rejected, by their numbers.
    pub(crate) rejected: &'a [(u64, RejectedUsage)],
}

/// A record as it was appended, and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) number: u64,
    pub(crate) bytes: Vec<u8>,
}

/// Consecutive numbers, and why they have no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gap {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) lost: LossReason,
}

/// How much to read at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Most {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

impl Most {
    /// What one request carries: up to half of the megabyte the marketplace takes.
    pub(crate) const A_BATCH: Most = Most { records: UsageRange::MAX_ITEMS, bytes: 512 * 1024 };
}
