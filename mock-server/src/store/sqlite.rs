//! A store in one file, by SQLite: the default of a server that keeps anything.
//!
//! A commit is answered after it is on the disk (`synchronous=FULL`), so it survives the death of
//! the process and the loss of power. All commits go through one thread, which makes one transaction
//! of those that wait; reads go through connections of their own and wait for nobody. One process
//! has the file at a time, and remembers what it has read of it. What is not promised: that a commit
//! whose future is dropped doesn't happen, and that what others write into the file is seen.

mod cache;
mod examine;
mod file;
mod readers;
#[cfg(feature = "control")]
mod replace;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

pub use self::examine::Examined;
use self::{cache::Cache, readers::Readers, writer::Writer};
use super::{Item, Key, Meter, Query, Store, StoreError, Write, rules::check_bounds};

/// A store in one file. Dropping it waits until what was accepted is written.
#[derive(Debug)]
pub struct Sqlite {
    // Dropped in this order: the last connection to close must be the writer's, which then folds
    // the write-ahead log into the file; only after that may others have it.
    readers: Readers,
    writer: Writer,
    cache: Arc<Cache>,
    meter: Meter,
    turn: Mutex<()>,
    _lock: File,
}

/// Why a file can't serve as a store. What it holds is as it was.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Stop the other process, or use another file.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// Use another file.
    #[error("{} was not made by this program", .0.display())]
    Foreign(PathBuf),
    /// Use a program at least as new as the one that wrote the file.
    #[error("{} has version {found}, and this program reads up to {known}", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: usize,
        /// The newest version this program knows.
        known: usize,
    },
    /// The system or SQLite won't have it.
    #[error("{} can't be opened: {reason}", .path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// What the system or SQLite said.
        reason: String,
    },
}

impl Sqlite {
    /// Opens the store in the file at `path`, which is made if there is none, or brought up to the
    /// version of this program. Next to it lie `….lock` and, while it is open, `…-wal` and `…-shm`.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Sqlite::open_metered(path, Meter::default())
    }

    /// Opens it as [`open`](Self::open) does, and measures its commits.
    pub(crate) fn open_metered(path: &Path, meter: Meter) -> Result<Self, OpenError> {
        // Absolute, because readers are opened later, from wherever the process is by then.
        let failed = |error| file::failed(path, &error);
        let path = std::path::absolute(path).map_err(failed)?;
        let lock = file::lock(&path)?;
        let connection = file::open(&path)?;
        let cache = Arc::new(Cache::default());
        let writer =
            Writer::start(connection, cache.clone(), meter.groups.clone()).map_err(failed)?;
        Ok(Sqlite {
            readers: Readers::new(path),
            cache,
            writer,
            meter,
            turn: Mutex::default(),
            _lock: lock,
        })
    }
}

impl Store for Sqlite {
    // Reads run on the calling thread: they take microseconds, less than handing them to another.

    fn get(&self, key: Key) -> BoxFuture<'_, Result<Option<Item>, StoreError>> {
        Box::pin(async move {
            let began = match self.cache.get(&key) {
                Ok(kept) => return Ok(kept.map(|(version, value)| Item { key, version, value })),
                Err(began) => began,
            };
            let found = self.readers.get(key.clone())?;
            self.cache.keep(began, key, found.as_ref());
            Ok(found)
        })
    }

    fn query(&self, query: Query) -> BoxFuture<'_, Result<Vec<Item>, StoreError>> {
        Box::pin(async move {
            let began = match self.cache.is_empty(&query) {
                Ok(()) => return Ok(Vec::new()),
                Err(began) => began,
            };
            let found = self.readers.query(&query)?;
            if found.is_empty() {
                self.cache.keep_empty(began, query);
            }
            Ok(found)
        })
    }

    fn commit(&self, writes: Vec<Write>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            check_bounds(&writes)?;
            if writes.is_empty() {
                return Ok(());
            }
            let began = Instant::now();
            let answer = self.writer.commit(writes).await;
            self.meter.durations.observe(began.elapsed().as_secs_f64());
            answer
        })
    }

    #[cfg(feature = "control")]
    fn dump(&self) -> BoxFuture<'_, Result<Vec<Item>, StoreError>> {
        Box::pin(async { self.readers.dump() })
    }

    #[cfg(feature = "control")]
    fn replace(&self, items: Arc<[Item]>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.writer.replace(items).await })
    }

    fn turn(&self) -> &Mutex<()> {
        &self.turn
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        StoreError::Failed(error.to_string())
    }
}
