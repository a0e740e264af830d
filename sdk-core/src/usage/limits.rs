use std::time::Duration;

/// When an event counts as noted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// When it is written: it survives the death of the process, and half a second later the loss of
    /// power.
    #[default]
    Fast,
    /// When it survives the loss of power, too: [`track_usage`](crate::MarketplaceSdk::track_usage)
    /// waits for the disk, once for all who wait at that time.
    Durable,
}

/// What [`track_usage`](crate::MarketplaceSdk::track_usage) does when the spool or the disk is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// It answers [`Code::SpoolFull`](crate::Code::SpoolFull), and nothing is lost that was noted.
    #[default]
    Reject,
    /// It drops the oldest events, about an eighth of the spool at once, and takes the new one.
    DropOldest,
    /// It drops the new event.
    DropNewest,
}

/// How much usage may wait on this machine. Each process has a spool of its own, with these limits.
///
/// What is dropped is counted, in [`UsageStats::lost`](crate::UsageStats::lost), and declared to the
/// marketplace as lost.
///
/// ```
/// use std::time::Duration;
/// use cloudnestle_marketplace::{MarketplaceSdk, Overflow, SpoolLimits};
///
/// let limits = SpoolLimits::default().bytes(64 * 1024 * 1024).age(Duration::from_secs(7 * 86_400));
/// let builder = MarketplaceSdk::builder().spool_limits(limits.overflow(Overflow::DropOldest));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolLimits {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    pub(crate) age: Option<Duration>,
    pub(crate) overflow: Overflow,
}

impl SpoolLimits {
    /// The most events that wait; unlimited unless set.
    pub fn events(self, events: u64) -> Self {
        SpoolLimits { events, ..self }
    }

    /// The most bytes they take: 512 MB unless set, about 2 million events. At least 64 KB.
    pub fn bytes(self, bytes: u64) -> Self {
        SpoolLimits { bytes: bytes.max(64 * 1024), ..self }
    }

    /// Events older than this are not sent any more, but dropped. Unlimited unless set: the
    /// marketplace takes events of the last 35 days, and older ones come back rejected.
    pub fn age(self, age: Duration) -> Self {
        SpoolLimits { age: Some(age), ..self }
    }

    /// What happens when a limit is reached, or the disk is full.
    pub fn overflow(self, overflow: Overflow) -> Self {
        SpoolLimits { overflow, ..self }
    }
}

impl Default for SpoolLimits {
    fn default() -> Self {
        let bytes = 512 * 1024 * 1024;
        SpoolLimits { events: u64::MAX, bytes, age: None, overflow: Overflow::Reject }
    }
}
