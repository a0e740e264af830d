//! What the SDK has done.

use cloudnestle_marketplace as core;
use pyo3::prelude::*;

/// Events that were lost, by what became of them.
#[pyclass(frozen, eq, hash, get_all, module = "cloudnestle_marketplace")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Losses {
    /// All of them.
    total: u64,
    /// Damaged in the spool.
    damaged: u64,
    /// Dropped because the spool or the disk was full, by `overflow`.
    overflow: u64,
    /// Dropped because they were older than `max_age`.
    expired: u64,
    /// Never acknowledged: writing them failed, and `track_usage` said so.
    unacknowledged: u64,
}

/// What became of usage since the SDK was built: `tracked = delivered + pending + rejected + lost.total`.
#[pyclass(frozen, eq, hash, get_all, module = "cloudnestle_marketplace")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct UsageStats {
    /// Acknowledged by `track_usage`, or found in the spool of a process that is gone.
    tracked: u64,
    /// Counted by the marketplace, now or before.
    delivered: u64,
    /// Waiting in the spool.
    pending: u64,
    /// How many of those wait in memory alone, and end with the process.
    in_memory: u64,
    /// Refused by the marketplace for good, and kept: see `rejected_usage`.
    rejected: u64,
    /// Gone, and declared to the marketplace as lost as soon as it can be reached.
    lost: Losses,
}

impl UsageStats {
    pub(crate) fn of(stats: &core::UsageStats) -> Self {
        let core::Losses { damaged, overflow, expired, unacknowledged, .. } = stats.lost;
        let total = stats.lost.total();
        UsageStats {
            tracked: stats.tracked,
            delivered: stats.delivered,
            pending: stats.pending,
            in_memory: stats.in_memory,
            rejected: stats.rejected,
            lost: Losses { total, damaged, overflow, expired, unacknowledged },
        }
    }
}

#[pymethods]
impl UsageStats {
    fn __repr__(&self) -> String {
        let UsageStats { tracked, delivered, pending, rejected, lost, .. } = self;
        let lost = lost.total;
        format!(
            "UsageStats(tracked={tracked}, delivered={delivered}, pending={pending}, \
             rejected={rejected}, lost={lost})"
        )
    }
}

/// What became of the blocks of hard limits that `consume` spends.
#[pyclass(frozen, eq, hash, get_all, module = "cloudnestle_marketplace")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LeaseStats {
    /// Set aside for this program.
    taken: u64,
    /// Of those, held now.
    held: u64,
    /// Given back.
    returned: u64,
    /// Left to end by themselves.
    given_up: u64,
}

/// What the SDK has done since it was built.
#[pyclass(frozen, eq, hash, get_all, module = "cloudnestle_marketplace")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Stats {
    /// Requests sent, each attempt counted.
    requests: u64,
    /// How far the marketplace's clock is ahead of this machine's, in milliseconds.
    clock_offset_ms: i64,
    /// What became of usage.
    usage: UsageStats,
    /// What became of leases.
    leases: LeaseStats,
}

impl Stats {
    pub(crate) fn of(stats: &core::Stats) -> Self {
        let core::LeaseStats { taken, held, returned, given_up, .. } = stats.leases;
        Stats {
            requests: stats.requests,
            clock_offset_ms: stats.clock_offset_ms,
            usage: UsageStats::of(&stats.usage),
            leases: LeaseStats { taken, held, returned, given_up },
        }
    }
}

/// How the SDK was left.
#[pyclass(frozen, eq, hash, get_all, module = "cloudnestle_marketplace")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct CloseReport {
    /// What became of usage; what is pending is safe in the spool.
    usage: UsageStats,
}

impl CloseReport {
    pub(crate) fn of(report: &core::CloseReport) -> Self {
        CloseReport { usage: UsageStats::of(&report.usage) }
    }
}
