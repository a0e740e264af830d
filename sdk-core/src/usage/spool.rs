//! Where usage waits until the marketplace has answered for it: [files](files), or what the platform keeps
//! [itself](shared).

#[cfg(feature = "files")]
pub(super) mod files;
mod shared;

#[cfg(feature = "files")]
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::limits::SpoolLimits;
use super::log::RecordLog;
use super::rejected::RejectedUsage;
use super::uploader::Uplink;
use crate::error::{Error, Result};

#[cfg(feature = "files")]
pub(crate) use files::{FileSpool, LeaseRight, Producer};
pub(crate) use shared::{Keeps, SharedSpool};

/// Where the usage of a principal waits.
pub(crate) trait Spool: Send + Sync {
    /// The log that new events go to: a new one of this process's own, or the one that all programs of the
    /// principal share.
    fn open(&self, uplink: &Uplink) -> Result<Arc<dyn RecordLog>>;

    /// All programs of the principal have one log.
    fn is_shared(&self) -> bool;

    /// The folders of logs, of this process and of others, alive and gone.
    #[cfg(feature = "files")]
    fn producers(&self) -> Vec<PathBuf>;

    /// Takes over what a process has left, unless it is alive or there is nothing.
    #[cfg(feature = "files")]
    fn adopt<'a>(&'a self, dir: &'a Path) -> BoxFuture<'a, Result<Option<Arc<dyn RecordLog>>>>;

    /// What serves in the place of a spool that can't be written.
    fn in_memory(&self) -> Option<Arc<dyn Spool>>;

    /// That of a customer, in a program that has the customers' tokens.
    fn of_customer(&self, id: &str) -> Arc<dyn Spool>;

    fn limits(&self) -> SpoolLimits;

    /// What the marketplace has refused for good, the first of it behind that name.
    fn rejected_after<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Batch>>>;

    /// Forgets what was refused.
    fn forget<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<()>>;

    /// How it is.
    fn condition(&self) -> Condition;
}

/// Events that were refused, which are kept and forgotten together.
pub(crate) struct Batch {
    pub(super) name: String,
    /// Under which numbers, where a log keeps them.
    pub(super) numbers: Vec<u64>,
    pub(super) events: Vec<RejectedUsage>,
}

/// How a spool is, its logs aside.
pub(crate) struct Condition {
    pub(super) dir: PathBuf,
    /// Why nothing can be written, if nothing can.
    pub(super) not_writable: Option<Error>,
    /// Folders with usage for a marketplace of another address.
    pub(super) elsewhere: Vec<PathBuf>,
    /// How many files of rejected events there are.
    pub(super) rejected_files: usize,
}
