//! The file: whose it is, which version it has, and how connections to it are set up.

use std::{
    fmt::Display,
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::OpenError;

/// "CNMP", by which `file(1)` and we know the file.
const APPLICATION_ID: i32 = 0x434E_4D50;

/// How long a connection waits for a lock that somebody else holds, such as a developer's `sqlite3`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// KiB of pages a connection may keep. The server as a whole is to stay below 15 MB; the system's
/// file cache serves the rest.
const WRITER_CACHE_KIB: i32 = 1024;
const READER_CACHE_KIB: i32 = 256;

/// Statements a connection keeps prepared: three for each of eight tables, and some air.
const PREPARED_STATEMENTS: usize = 32;

/// To what the write-ahead log is cut back after a burst; SQLite folds it into the file every 4 MB.
const LOG_BYTES: i64 = 8 * 1024 * 1024;

/// Items, in a table each for each of the plan's, so that `sqlite3 file .tables` shows the plan.
macro_rules! tables_of_items {
    ($($name:literal)*) => {
        concat!($(
            "CREATE TABLE ", $name, " (
                partition TEXT NOT NULL,
                sort TEXT NOT NULL,
                version INTEGER NOT NULL,
                number INTEGER,
                bytes BLOB,
                PRIMARY KEY (partition, sort),
                CHECK ((number IS NULL) <> (bytes IS NULL))
            ) STRICT, WITHOUT ROWID;",
        )*)
    };
}

/// What makes version n + 1 of the file out of version n. Files in the field were made by these
/// words: add to the list, and never change it.
const MIGRATIONS: &[&str] = &[
    tables_of_items!(
        "marketplace" "users" "solutions" "api_keys" "api_tokens" "subscriptions" "usage_tracking"
    ),
    tables_of_items!("idempotency_keys"),
    include_str!("events.sql"),
];

/// The newest version there is.
pub(super) fn newest() -> usize {
    MIGRATIONS.len()
}

/// Claims the file for this process. The claim is the system's and ends with the process, however
/// that ends. It lies on a file beside: closing any handle of the database file itself would take
/// SQLite's own locks away, as POSIX has it.
pub(super) fn lock(path: &Path) -> Result<File, OpenError> {
    let file = private().open(beside(path)).map_err(|error| failed(path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed(path, &error)),
    }
}

/// The file that the claim lies on. A link is another name of the same file, and must lead to the same claim.
pub(super) fn beside(path: &Path) -> PathBuf {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real.with_added_extension("lock")
}

/// The connection for writing, to a file of the newest version.
pub(super) fn open(path: &Path) -> Result<Connection, OpenError> {
    // SQLite would make the file readable by others; its log takes the mode of the file.
    private().open(path).map_err(|error| failed(path, &error))?;
    let mut connection =
        connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| failed(path, &error))?;
    let version = identify(&connection, path)?;
    keep_a_log(&connection, path)?;
    prepare(&mut connection, version).map_err(|error| failed(path, &error))?;
    Ok(connection)
}

/// A connection for reading.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    Ok(connection)
}

pub(super) fn failed(path: &Path, error: &dyn Display) -> OpenError {
    OpenError::Failed { path: path.to_owned(), reason: error.to_string() }
}

/// Makes files that only their owner may read: they hold what tokens are made of.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// A connection that has not looked into the file yet.
pub(super) fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    // A connection is used by one thread at a time, which is ours to see to.
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
    Ok(connection)
}

/// The version of a file that is ours or empty. Only reads.
pub(super) fn identify(connection: &Connection, path: &Path) -> Result<usize, OpenError> {
    let marks = "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
                 FROM pragma_application_id, pragma_user_version";
    let marks = connection.query_row(marks, (), |row| {
        Ok((row.get::<_, i32>(0)?, row.get::<_, i32>(1)?, row.get::<_, i64>(2)?))
    });
    let foreign = || OpenError::Foreign(path.to_owned());
    match marks {
        Ok((0, 0, 0)) => Ok(0),
        Ok((APPLICATION_ID, version, _)) => {
            let found = usize::try_from(version).map_err(|_| foreign())?;
            let known = MIGRATIONS.len();
            if found > known {
                return Err(OpenError::Newer { path: path.to_owned(), found, known });
            }
            Ok(found)
        }
        Ok(_) => Err(foreign()),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => Err(foreign()),
        Err(error) => Err(failed(path, &error)),
    }
}

fn keep_a_log(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let mode = connection
        .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0));
    match mode.map_err(|error| failed(path, &error))?.as_str() {
        "wal" => Ok(()),
        _ => Err(failed(path, &"its file system can't share memory, as a write-ahead log must")),
    }
}

fn prepare(connection: &mut Connection, version: usize) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    if version == MIGRATIONS.len() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for migration in &MIGRATIONS[version..] {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
    transaction.commit()
}
