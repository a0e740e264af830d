//! A snapshot as a file: a line that says what it is, and one for each row.
//!
//! ```text
//! {"cloudnestle_snapshot":1,"at":"…","frozen":true,"scale":1.0,"rows":2,"sha256":"…"}
//! {"table":"users","partition":"cus_ravi","sort":"customer","version":1,"json":{…}}
//! {"table":"usage_tracking","partition":"…","sort":"…","version":3,"number":17}
//! ```
//!
//! The sum is that of all the lines after the first.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloudnestle_marketplace::model::Timestamp;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Snapshot;
use crate::store::{Item, Key, Table, Value};
use crate::world::{Reading, Scale, check_settable};

/// The version that is written, and the newest that is read.
const VERSION: u32 = 1;

/// Why a file can't be read as a snapshot. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// It begins with no line that a snapshot begins with.
    #[error("it is no snapshot: the first line should have `cloudnestle_snapshot`")]
    Foreign,
    /// Use a program at least as new as the one that wrote it.
    #[error("it has version {found}, and this program reads up to {VERSION}")]
    Newer {
        /// Its version.
        found: u32,
    },
    /// It is not as it was written: cut off, or changed.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
}

/// What every version begins with.
#[derive(Deserialize)]
struct Mark {
    cloudnestle_snapshot: u32,
}

#[derive(Serialize, Deserialize)]
struct Head {
    cloudnestle_snapshot: u32,
    at: Timestamp,
    frozen: bool,
    scale: f64,
    rows: usize,
    sha256: String,
}

/// With one of the last three.
#[derive(Serialize, Deserialize)]
struct Row<'f> {
    table: &'f str,
    partition: String,
    sort: String,
    version: u64,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    json: Option<&'f RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<i64>,
    /// What is no JSON of one line, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
}

pub(super) fn write(snapshot: &Snapshot) -> Vec<u8> {
    let mut rows = Vec::new();
    for item in &*snapshot.items() {
        write_line(&mut rows, &Row::of(item));
    }
    let Reading { now, is_frozen, scale, .. } = snapshot.clock();
    let mut file = Vec::new();
    write_line(
        &mut file,
        &Head {
            cloudnestle_snapshot: VERSION,
            at: now,
            frozen: is_frozen,
            scale,
            rows: snapshot.rows(),
            sha256: sum(&rows),
        },
    );
    file.append(&mut rows);
    file
}

fn write_line(file: &mut Vec<u8>, line: &impl Serialize) {
    serde_json::to_writer(&mut *file, line)
        .expect("text, numbers and JSON are JSON, and memory takes it");
    file.push(b'\n');
}

pub(super) fn read(file: &[u8]) -> Result<Snapshot, SnapshotError> {
    let end = file.iter().position(|byte| *byte == b'\n').ok_or(SnapshotError::Foreign)?;
    let (head, rows) = (&file[..end], &file[end + 1..]);
    let Mark { cloudnestle_snapshot: found } =
        serde_json::from_slice(head).map_err(|_| SnapshotError::Foreign)?;
    if found > VERSION {
        return Err(SnapshotError::Newer { found });
    }
    let head: Head = serde_json::from_slice(head)
        .map_err(|_| SnapshotError::Damaged("its first line is not whole"))?;
    if sum(rows) != head.sha256 {
        return Err(SnapshotError::Damaged("its rows are not those that were written"));
    }
    let rows = std::str::from_utf8(rows).map_err(|_| SnapshotError::Damaged("it is no text"))?;
    let items = rows.lines().map(Row::read).collect::<Result<Vec<Item>, SnapshotError>>()?;
    let are_in_order = items.is_sorted_by(|one, other| one.key < other.key);
    if items.len() != head.rows || !are_in_order {
        return Err(SnapshotError::Damaged("its rows are not in order"));
    }
    let is_shown = check_settable(head.at).is_ok() && Scale::new(head.scale).is_ok();
    if !is_shown {
        return Err(SnapshotError::Damaged("no clock goes as its does"));
    }
    let clock =
        Reading { now: head.at, offset_millis: 0, is_frozen: head.frozen, scale: head.scale };
    Ok(Snapshot::new(items.into(), clock, None))
}

impl<'f> Row<'f> {
    fn of(item: &'f Item) -> Row<'f> {
        let Item { key, version, value } = item;
        let (json, number, bytes) = match value {
            Value::Number(number) => (None, Some(*number), None),
            Value::Bytes(bytes) => match json_of_one_line(bytes) {
                Some(json) => (Some(json), None, None),
                None => (None, None, Some(STANDARD.encode(bytes))),
            },
        };
        let (partition, sort) = (key.partition.clone(), key.sort.clone());
        Row { table: key.table.name(), partition, sort, version: *version, json, number, bytes }
    }

    fn read(line: &'f str) -> Result<Item, SnapshotError> {
        let row: Row<'_> = serde_json::from_str(line)
            .map_err(|_| SnapshotError::Damaged("a line is none of a row"))?;
        let table = Table::ALL.into_iter().find(|table| table.name() == row.table);
        let table = table.ok_or(SnapshotError::Damaged("a row is of no table there is"))?;
        let value = match (row.json, row.number, row.bytes) {
            (Some(json), None, None) => Value::Bytes(json.get().as_bytes().into()),
            (None, Some(number), None) => Value::Number(number),
            (None, None, Some(bytes)) => {
                let bytes = STANDARD.decode(bytes);
                Value::Bytes(
                    bytes.map_err(|_| SnapshotError::Damaged("a row is no base64"))?.into(),
                )
            }
            _ => return Err(SnapshotError::Damaged("a row has no value, or two")),
        };
        Ok(Item { key: Key::new(table, row.partition, row.sort), version: row.version, value })
    }
}

fn json_of_one_line(bytes: &[u8]) -> Option<&RawValue> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains(['\n', '\r']))?;
    let json: &RawValue = serde_json::from_str(text).ok()?;
    // Not even a space may be lost around it.
    (json.get().len() == text.len()).then_some(json)
}

fn sum(rows: &[u8]) -> String {
    digest(&SHA256, rows).as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let key = |sort: &str| Key::new(Table::Users, "cus_\u{2028}ravi", sort);
        let item = |sort, value| Item { key: key(sort), version: 7, value };
        let bytes = |bytes: &[u8]| Value::Bytes(bytes.into());
        let items = [
            item("a", bytes(br#"{"x": 1,"y":"\n\u20ac"}"#)),
            item("b", bytes(b"{\n}")),
            item("c", bytes(b"\xff\0")),
            item("d", bytes(b" 1 ")),
            item("e", Value::Number(i64::MIN)),
        ];
        let now = "2026-11-22T06:00:00.001Z".parse().expect("RFC 3339");
        let clock = Reading { now, offset_millis: 0, is_frozen: true, scale: 2.5 };
        Snapshot::new(items.into(), clock, None)
    }

    #[test]
    fn a_file_reads_as_it_was_written() {
        let (written, file) = (snapshot(), snapshot().to_file());
        let read = Snapshot::from_file(&file).expect("a snapshot");
        assert_eq!((read.items(), read.clock()), (written.items(), written.clock()));
        assert_eq!(file.iter().filter(|byte| **byte == b'\n').count(), 6, "a line each");
    }

    #[test]
    fn a_file_that_was_cut_or_changed_anywhere_is_refused() {
        let file = snapshot().to_file();
        for end in 0..file.len() {
            assert!(Snapshot::from_file(&file[..end]).is_err(), "cut at {end}");
        }
        let rows = file.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
        for at in rows..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 1;
            assert!(Snapshot::from_file(&changed).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn what_is_newer_or_something_else_is_told_from_what_is_damaged() {
        let read = |text: &str| Snapshot::from_file(text.as_bytes()).expect_err("no snapshot");
        assert_eq!(read(""), SnapshotError::Foreign);
        assert_eq!(read("PK\u{3}\u{4}\n"), SnapshotError::Foreign);
        let newer = "{\"cloudnestle_snapshot\":2,\"more\":[]}\n";
        assert_eq!(read(newer), SnapshotError::Newer { found: 2 });
        let damaged = SnapshotError::Damaged("its first line is not whole");
        assert_eq!(read("{\"cloudnestle_snapshot\":1}\n"), damaged);
    }
}
