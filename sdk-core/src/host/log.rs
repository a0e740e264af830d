//! A record log that the platform keeps itself, where it has something better for it than files: IndexedDB in a
//! browser.

use std::fmt;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, pending};

/// A log of numbered records that all programs of a principal share, such as the tabs of a browser.
///
/// Each operation is one transaction: it is done whole, for all programs, or not at all. What two of them begin
/// at the same time is done one after the other. A log that was never used has no records, `answered` and `last`
/// are 0, and whoever uses it first names its producer. One that was there, and is gone, is not begun again by who
/// had it, and one that another has begun in its place is not touched: what is asked then is refused, because numbers
/// would be given out twice, or in another's name.
pub trait PlatformLog: Send + Sync + 'static {
    /// Passes over `skip` numbers and gives the next ones to the records, in order. Completes with the first of
    /// those, when the records survive the loss of power. No number is given out twice.
    fn append(&self, records: Vec<String>, skip: u64) -> BoxFuture<'static, LogResult<u64>>;

    /// The oldest records, in order: at most so many, of about so many bytes, and at least one if there is one.
    /// And what was refused of the numbers behind `after`.
    fn read(
        &self,
        after: u64,
        records: usize,
        bytes: usize,
    ) -> BoxFuture<'static, LogResult<LogPart>>;

    /// Everything up to the number `through` is answered for: its records are removed, and the mark is moved
    /// there, unless it is beyond. `refused` are notes by number, of which at least the newest thousand are kept.
    fn settle(
        &self,
        through: u64,
        refused: Vec<(u64, String)>,
    ) -> BoxFuture<'static, LogResult<()>>;

    /// Moves the mark back to the number `fence`, unless it is there or before. Records are not brought back.
    fn reopen(&self, fence: u64) -> BoxFuture<'static, LogResult<()>>;

    /// Removes the records up to the number `through`, whose numbers are not answered for.
    fn remove(&self, through: u64) -> BoxFuture<'static, LogResult<()>>;

    /// Removes the notes about these numbers, and notes that some up to the highest of them are gone.
    fn forget(&self, numbers: Vec<u64>) -> BoxFuture<'static, LogResult<()>>;

    /// Completes when another program has changed the log since it was read or this was asked last, where the platform
    /// can tell. One waits at a time.
    fn changed(&self) -> BoxFuture<'static, ()> {
        pending().boxed()
    }
}

/// What a [`PlatformLog`] answers with.
pub type LogResult<T> = std::result::Result<T, LogError>;

/// What was read of a log.
#[derive(Clone, Debug, Default)]
pub struct LogPart {
    /// Whose log it is, `prd_…`: always the same.
    pub producer: String,
    /// Up to which number everything is answered for.
    pub answered: u64,
    /// The last number that was given out.
    pub last: u64,
    /// Up to which number notes about what was refused may be gone.
    pub forgotten: u64,
    /// Records and their numbers.
    pub records: Vec<(u64, String)>,
    /// Notes about numbers that were refused.
    pub refused: Vec<(u64, String)>,
}

/// Why a log has not done what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogError {
    /// There is no room. Else the log may be gone.
    pub is_full: bool,
    /// What the platform says.
    pub words: String,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for LogError {}
