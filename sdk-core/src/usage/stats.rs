use std::ops::Add;
use std::path::PathBuf;

use crate::error::Error;
use crate::model::{LossReason, Timestamp};

/// What became of usage since the SDK was built. For the events this process has tracked or taken
/// over: `tracked = delivered + pending + rejected + lost`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageStats {
    /// Acknowledged by `track_usage`, or found in the spool of a process that is gone.
    pub tracked: u64,
    /// Counted by the marketplace, now or before.
    pub delivered: u64,
    /// Waiting in the spool.
    pub pending: u64,
    /// How many of those wait in memory alone, and end with the process: see
    /// [`Event::SpoolInMemory`](crate::Event::SpoolInMemory).
    pub in_memory: u64,
    /// Refused by the marketplace for good, and kept: see
    /// [`rejected_usage`](crate::MarketplaceSdk::rejected_usage).
    pub rejected: u64,
    /// Gone, and declared to the marketplace as lost as soon as it can be reached.
    pub lost: Losses,
}

/// Events that were lost, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Losses {
    /// Damaged in the spool. What was found in their place is kept in its folder `quarantine`.
    pub damaged: u64,
    /// Dropped because the spool or the disk was full, by [`Overflow`](crate::Overflow).
    pub overflow: u64,
    /// Dropped because they were older than [`SpoolLimits::age`](crate::SpoolLimits::age).
    pub expired: u64,
    /// Never acknowledged: writing them failed, `track_usage` said so, and their numbers were used up.
    pub unacknowledged: u64,
}

impl Losses {
    /// All of them.
    ///
    /// ```
    /// let losses = cloudnestle_marketplace::Losses::default();
    /// assert_eq!(losses.total(), 0);
    /// ```
    pub fn total(&self) -> u64 {
        self.damaged + self.overflow + self.expired + self.unacknowledged
    }

    pub(super) fn many(count: u64, reason: LossReason) -> Losses {
        let none = Losses::default();
        match reason {
            LossReason::Overflow => Losses { overflow: count, ..none },
            LossReason::Expired => Losses { expired: count, ..none },
            LossReason::Unacknowledged => Losses { unacknowledged: count, ..none },
            LossReason::Damaged | LossReason::Unknown => Losses { damaged: count, ..none },
        }
    }
}

impl Add for Losses {
    type Output = Losses;

    fn add(self, other: Losses) -> Losses {
        Losses {
            damaged: self.damaged + other.damaged,
            overflow: self.overflow + other.overflow,
            expired: self.expired + other.expired,
            unacknowledged: self.unacknowledged + other.unacknowledged,
        }
    }
}

impl Losses {
    /// What is left of them when some are open again.
    pub(super) fn without(self, other: Losses) -> Losses {
        Losses {
            damaged: self.damaged.saturating_sub(other.damaged),
            overflow: self.overflow.saturating_sub(other.overflow),
            expired: self.expired.saturating_sub(other.expired),
            unacknowledged: self.unacknowledged.saturating_sub(other.unacknowledged),
        }
    }
}

impl Add for UsageStats {
    type Output = UsageStats;

    fn add(self, other: UsageStats) -> UsageStats {
        UsageStats {
            tracked: self.tracked + other.tracked,
            delivered: self.delivered + other.delivered,
            pending: self.pending + other.pending,
            in_memory: self.in_memory + other.in_memory,
            rejected: self.rejected + other.rejected,
            lost: self.lost + other.lost,
        }
    }
}

/// How the SDK was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseReport {
    /// The accounts at the end. What is pending stays in the spool for the next process, except for what
    /// is in memory.
    pub usage: UsageStats,
}

/// How the spool is.
pub(crate) struct SpoolHealth {
    pub(crate) dir: PathBuf,
    pub(crate) not_writable: Option<Error>,
    pub(crate) pending: u64,
    /// What is kept of this process's own events.
    pub(crate) bytes: u64,
    /// How many events wait in memory alone.
    pub(crate) in_memory: u64,
    /// Why a log that another process has left can't be taken over, if one can't.
    pub(crate) stuck: Option<Error>,
    /// Folders with usage for a marketplace of another address.
    pub(crate) elsewhere: Vec<PathBuf>,
    /// How many files of rejected events there are.
    pub(crate) rejected_files: usize,
    /// When the oldest event that waits was made.
    pub(crate) oldest: Option<Timestamp>,
    /// Why the last attempt to deliver it failed.
    pub(crate) last_error: Option<Error>,
}
