//! What a client is told in its own way.

use cloudnestle_marketplace::json::Object;
use cloudnestle_marketplace::{ClientStats, Error};

use super::of_usage;

/// A client consumes nothing, so that nothing is denied.
pub(super) fn denial_of(_error: &Error) -> String {
    "null".to_owned()
}

pub(crate) fn of_stats(stats: &ClientStats) -> String {
    Object::new()
        .number("requests", stats.requests)
        .value("clock_offset_ms", &stats.clock_offset_ms.to_string())
        .value("usage", &of_usage(&stats.usage))
        .written()
}
