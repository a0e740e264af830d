//! Another content for the whole file.

use std::collections::BTreeSet;

use rusqlite::{Connection, TransactionBehavior};

use super::{
    super::{Item, Key, Table, Value, rules::Change},
    readers::{value, version},
    writer::apply,
};

/// Lets there be these items and no others, in one transaction. What is as it should be is not written:
/// most of what a test goes back to is still there.
pub(super) fn replace(connection: &mut Connection, items: &[Item]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (mut surplus, mut same) = (Vec::new(), BTreeSet::new());
    for table in Table::ALL {
        let sql = format!("SELECT version, number, bytes, sort, partition FROM {}", table.name());
        let mut statement = transaction.prepare_cached(&sql)?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let key = Key::new(table, row.get::<_, String>(4)?, row.get::<_, String>(3)?);
            match items.binary_search_by(|item| item.key.cmp(&key)) {
                Ok(at) => {
                    let wanted = &items[at];
                    if wanted.version == version(row)? && wanted.value == value(row)? {
                        same.insert(at);
                    }
                }
                Err(_) => surplus.push(key),
            }
        }
    }
    surplus.iter().try_for_each(|key| apply(&transaction, key, Change::Removed))?;
    let changed = items.iter().enumerate().filter(|(at, _)| !same.contains(at));
    for (_, Item { key, version, value }) in changed {
        let version = *version;
        let change = match value {
            Value::Bytes(bytes) => Change::Document { version, bytes },
            Value::Number(number) => Change::Counter { version, number: *number },
        };
        apply(&transaction, key, change)?;
    }
    transaction.commit()
}
