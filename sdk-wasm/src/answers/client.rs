//! What a client is told in its own way.

use cloudnestle_marketplace::{ClientStats, Error};
use serde_json::{Value, json};

use super::of_usage;

/// A client consumes nothing, so that nothing is denied.
pub(super) fn denial_of(_error: &Error) -> Option<Value> {
    None
}

pub(crate) fn of_stats(stats: &ClientStats) -> Value {
    json!({
        "requests": stats.requests,
        "clock_offset_ms": stats.clock_offset_ms,
        "usage": of_usage(&stats.usage),
    })
}
