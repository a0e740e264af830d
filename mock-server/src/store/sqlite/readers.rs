//! The connections for reading, each used by one read at a time and kept for the next.

use std::{
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, OptionalExtension, Row};

#[cfg(feature = "control")]
use super::super::Table;
use super::{
    super::{Item, Key, Query, StoreError, Value},
    file,
};

/// Connections kept for later. More are opened when more threads read at once, and closed again.
const MAX_IDLE: usize = 4;

#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Readers { path, idle: Mutex::default() }
    }

    pub(super) fn get(&self, key: Key) -> Result<Option<Item>, StoreError> {
        let sql = format!(
            "SELECT version, number, bytes FROM {} WHERE partition = ?1 AND sort = ?2",
            key.table.name()
        );
        self.with(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let found = statement
                .query_row((&key.partition, &key.sort), |row| Ok((version(row)?, value(row)?)))
                .optional()?;
            Ok(found.map(|(version, value)| Item { key, version, value }))
        })
    }

    pub(super) fn query(&self, query: &Query) -> Result<Vec<Item>, StoreError> {
        let Query { table, partition, sort, limit, descending } = query;
        let sql = format!(
            "SELECT version, number, bytes, sort FROM {}
             WHERE partition = ?1 AND sort BETWEEN ?2 AND ?3 ORDER BY sort {} LIMIT ?4",
            table.name(),
            if *descending { "DESC" } else { "ASC" }
        );
        let limit = i64::try_from(*limit).unwrap_or(i64::MAX);
        self.with(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            statement
                .query_map((partition, sort.start(), sort.end(), limit), |row| {
                    let key = Key::new(*table, partition, row.get::<_, String>(3)?);
                    Ok(Item { key, version: version(row)?, value: value(row)? })
                })?
                .collect()
        })
    }

    /// Every item, as of one moment, in the order of their names.
    #[cfg(feature = "control")]
    pub(super) fn dump(&self) -> Result<Vec<Item>, StoreError> {
        self.with(|connection| {
            // What the first table is read of, the others are: a snapshot ends with its transaction.
            let moment = connection.unchecked_transaction()?;
            let mut items = Vec::new();
            for table in Table::ALL {
                let sql = format!(
                    "SELECT version, number, bytes, sort, partition FROM {} ORDER BY partition, sort",
                    table.name()
                );
                let mut statement = moment.prepare_cached(&sql)?;
                let mut rows = statement.query(())?;
                while let Some(row) = rows.next()? {
                    let key = Key::new(table, row.get::<_, String>(4)?, row.get::<_, String>(3)?);
                    items.push(Item { key, version: version(row)?, value: value(row)? });
                }
            }
            Ok(items)
        })
    }

    fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let kept = self.idle().pop();
        let connection = match kept {
            Some(connection) => connection,
            None => file::open_reader(&self.path)?,
        };
        // A connection that failed is closed rather than kept.
        let answer = read(&connection)?;
        let mut idle = self.idle();
        if idle.len() < MAX_IDLE {
            idle.push(connection);
        }
        Ok(answer)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn version(row: &Row<'_>) -> rusqlite::Result<u64> {
    row.get(0).map(i64::cast_unsigned)
}

pub(super) fn value(row: &Row<'_>) -> rusqlite::Result<Value> {
    match row.get(1)? {
        Some(number) => Ok(Value::Number(number)),
        None => Ok(Value::Bytes(row.get_ref(2)?.as_blob()?.into())),
    }
}
