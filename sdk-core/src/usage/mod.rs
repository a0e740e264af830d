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
//! declared to the marketplace as lost, and costs no other; what was found in its place is kept in
//! quarantine. What the marketplace rejects is kept too, and can be replayed.
//!
//! What has a hard limit is noted if a lease pays for it.

mod accounts;
#[cfg(all(test, feature = "native"))]
mod alone;
mod customers;
mod event;
#[cfg(any(feature = "fuzz", all(test, feature = "native")))]
pub(crate) mod fuzz;
#[cfg(feature = "backend")]
mod leases;
#[cfg(not(feature = "backend"))]
#[path = "no_leases.rs"]
mod leases;
mod limits;
mod log;
mod pace;
mod pipelines;
#[cfg(all(test, feature = "native"))]
mod proof;
mod range;
mod receipt;
mod rejected;
mod sender;
mod spool;
mod stats;
#[cfg(all(test, feature = "native"))]
mod tests;
mod together;
mod tracker;
mod uploader;

pub use event::Usage;
pub use leases::Denial;
#[cfg(feature = "backend")]
pub use leases::{Consumed, LeaseStats};
pub use limits::{Durability, Overflow, SpoolLimits};
pub use receipt::{Receipt, ReceiptLog};
pub use rejected::RejectedUsage;
pub use stats::{CloseReport, Losses, UsageStats};

pub(crate) use customers::Customers;
pub(crate) use sender::Sender;
#[cfg(feature = "files")]
pub(crate) use spool::FileSpool;
pub(crate) use spool::{Keeps, SharedSpool, Spool};
pub(crate) use stats::SpoolHealth;
pub(crate) use tracker::UsageTracker;
pub(crate) use uploader::Uplink;
