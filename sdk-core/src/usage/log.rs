//! The record log: what `track_usage` writes and the uploader reads.

mod frame;
#[cfg(any(feature = "fuzz", all(test, feature = "native")))]
pub(super) mod fuzz;
mod gone;
mod reader;
mod segments;
mod state;
#[cfg(all(test, feature = "native"))]
pub(super) mod tests;

use futures_util::future::BoxFuture;

pub(crate) use gone::Gap;
pub(crate) use segments::SegmentLog;
pub(crate) use state::{SEGMENT, code_of};

use crate::error::Result;
use crate::model::UsageRange;

/// A log of numbered records. Numbers begin at 1, have no gaps when they are given out, and are
/// never given out twice.
///
/// Where there are files, [`SegmentLog`] is it. A browser's IndexedDB gives numbers out only when
/// its transaction is done, which is why an append has a ticket and not yet a number.
pub(crate) trait RecordLog: Send + Sync {
    /// Takes a record. When this returns the record survives the death of the process, where the
    /// platform can promise that without waiting. A log that is full answers as it was told to.
    fn append(&self, record: &[u8]) -> Result<Taken>;

    /// Completes, with the record's number, when the record survives the loss of power.
    fn persisted(&self, ticket: Ticket) -> BoxFuture<'_, Result<u64>>;

    /// The records after the number `after`, in order, as many as fit into `most` and at least one
    /// if there is one. Of the numbers that are missing in between, [`SegmentLog::losses`] has the reasons.
    fn scan(&self, after: u64, most: Most) -> BoxFuture<'_, Result<Vec<Record>>>;

    /// Gives back the room of the records up to the number `through`.
    fn trim(&self, through: u64) -> Result<()>;

    /// The number of the last record that was taken.
    fn last(&self) -> u64;
}

/// Stands for a record until it has a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

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

/// A record as it was appended, and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) number: u64,
    pub(crate) bytes: Vec<u8>,
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
