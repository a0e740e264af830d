//! Events that the marketplace refused for good: the dead letters. They are kept until somebody replays them.

#[cfg(feature = "files")]
mod files;

use serde::{Deserialize, Serialize};

use crate::model::{Code, UsageEvent};

#[cfg(feature = "files")]
pub(super) use files::DeadLetters;

/// An event that the marketplace refused for good, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RejectedUsage {
    /// Why; see its [advice](Code::advice).
    pub code: Code,
    /// The event, as it was tracked.
    pub event: UsageEvent,
}
