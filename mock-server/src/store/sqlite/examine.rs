//! A file looked at without being opened as a store: for who wants to know what would happen.

use std::path::Path;

use rusqlite::OpenFlags;

use super::{OpenError, Sqlite, file};

/// What a file is like that could serve as a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Examined {
    /// The version it has. Opening it brings it up to [`newest`](Self::newest).
    pub version: usize,
    /// The newest version this program knows.
    pub newest: usize,
}

impl Sqlite {
    /// Looks whether [`open`](Self::open) would take a file that there is, and whether SQLite finds it whole.
    /// It is not migrated, and nothing in it is changed; what a process left in its log when it died is
    /// folded in, as by the next opening.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use cloudnestle_mock_server::store::Sqlite;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("market.db");
    /// drop(Sqlite::open(&path)?);
    /// let examined = Sqlite::examine(&path)?;
    /// assert_eq!(examined.version, examined.newest);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`open`](Self::open), and [`OpenError::Failed`] where there is no file or a damaged one.
    pub fn examine(path: &Path) -> Result<Examined, OpenError> {
        let failed = |error: rusqlite::Error| file::failed(path, &error);
        let not_found = |error| file::failed(path, &error);
        path.metadata().map_err(not_found)?;
        // Whoever has opened it as a store has left a file for the claim. Where there is none, it would be
        // litter.
        let _claim = file::beside(path).exists().then(|| file::lock(path)).transpose()?;
        // What is not ours is not touched, not even to be mended.
        let reader = file::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
        let version = file::identify(&reader, path)?;
        drop(reader);
        let connection = file::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
        if connection.is_readonly("main").map_err(failed)? {
            return Err(file::failed(path, &"it can't be written"));
        }
        let said: String =
            connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0)).map_err(failed)?;
        match said.as_str() {
            "ok" => Ok(Examined { version, newest: file::newest() }),
            damage => Err(file::failed(path, &format_args!("it is damaged: {damage}"))),
        }
    }
}
