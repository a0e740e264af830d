//! Note that they did it. `track_usage` puts an event into a log on disk and returns; an uploader
//! sends the log's numbered records until the marketplace has counted them.
//!
//! ```text
//! track ──► log (durable, numbered) ──► uploader ──► POST /api/track-usage
//! ```
//!
//! What is promised: an event that was acknowledged survives the process, and counts once. The
//! marketplace keeps the last number it has accepted of each log, so sending twice does no harm,
//! and the uploader never drops what was not answered. A record that can't be read any more is
//! declared to the marketplace as lost, and costs no other.

mod event;
mod log;
mod pipelines;
mod range;
mod spool;
mod tracker;
mod uploader;

pub use event::Usage;
pub use tracker::{CloseReport, Receipt, UsageStats};

pub(crate) use tracker::{SpoolHealth, UsageTracker};
pub(crate) use uploader::Uplink;
