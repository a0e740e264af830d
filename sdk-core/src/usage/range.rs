//! What is sent at once: consecutive numbers, each with its event or with word that it is lost.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::log::Record;
use crate::model::{LossReason, UsageEvent, UsageRange};

/// A [`UsageRange`] whose events are the very bytes that were written.
pub(super) struct Range {
    entries: Vec<Entry>,
}

struct Entry {
    number: u64,
    /// None: what was written under this number can't be read any more.
    event: Option<Box<RawValue>>,
}

/// A range as it goes over the wire.
#[derive(Serialize)]
pub(super) struct Wire<'a> {
    producer: &'a str,
    epoch: u64,
    items: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<LossReason>,
}

impl Range {
    /// The numbers after `answered`, of a log whose last is `last` and whose next readable records
    /// are these: as many as the marketplace takes at once, and at least one.
    pub(super) fn after(answered: u64, records: Vec<Record>, last: u64) -> Range {
        // Without a record to read, none of the numbers that are left can be read.
        let end = if records.is_empty() { last } else { answered };
        let mut entries = Vec::new();
        let mut next = answered + 1;
        for record in records {
            let event = serde_json::from_slice(&record.bytes).ok();
            entries.extend((next..record.number).take(UsageRange::MAX_ITEMS).map(Entry::lost));
            entries.push(Entry { number: record.number, event });
            next = record.number + 1;
        }
        entries.extend((next..=end).take(UsageRange::MAX_ITEMS).map(Entry::lost));
        let mut range = Range { entries };
        range.truncate(UsageRange::MAX_ITEMS);
        range.truncate(range.entries_with_few_keys());
        range
    }

    /// How many entries have no more different idempotency keys than the marketplace takes.
    fn entries_with_few_keys(&self) -> usize {
        let mut keys = BTreeSet::new();
        let too_many = |entry: &Entry| {
            keys.extend(entry.idempotency_key());
            keys.len() > UsageRange::MAX_KEYS
        };
        self.entries.iter().position(too_many).unwrap_or(self.entries.len())
    }

    pub(super) fn wire<'a>(&'a self, producer: &'a str, epoch: u64) -> Wire<'a> {
        let item = |entry: &'a Entry| Item {
            number: entry.number,
            event: entry.event.as_deref(),
            lost: entry.event.is_none().then_some(LossReason::Damaged),
        };
        Wire { producer, epoch, items: self.entries.iter().map(item).collect() }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Keeps the first `len` entries: a range may be cut anywhere.
    pub(super) fn truncate(&mut self, len: usize) {
        self.entries.truncate(len);
    }

    pub(super) fn last(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.number)
    }

    pub(super) fn event(&self, number: Option<u64>) -> Option<UsageEvent> {
        let entry = self.entries.iter().find(|entry| Some(entry.number) == number)?;
        serde_json::from_str(entry.event.as_ref()?.get()).ok()
    }
}

impl Entry {
    fn lost(number: u64) -> Self {
        Entry { number, event: None }
    }

    fn idempotency_key(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Keyed {
            idempotency_key: Option<String>,
        }
        let keyed: Keyed = serde_json::from_str(self.event.as_ref()?.get()).ok()?;
        keyed.idempotency_key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u64) -> Record {
        Record { number, bytes: format!(r#"{{"n":{number}}}"#).into_bytes() }
    }

    fn keyed(number: u64) -> Record {
        Record { number, bytes: format!(r#"{{"idempotency_key":"k{number}"}}"#).into_bytes() }
    }

    /// The numbers, those of lost records negative.
    fn numbers(range: &Range) -> Vec<i64> {
        let signed =
            |entry: &Entry| entry.number as i64 * if entry.event.is_some() { 1 } else { -1 };
        range.entries.iter().map(signed).collect()
    }

    #[test]
    fn what_is_missing_is_declared_before_between_and_behind() {
        let range = Range::after(2, vec![record(4), record(7)], 9);
        assert_eq!(numbers(&range), [-3, 4, -5, -6, 7]);
        let rest = Range::after(7, Vec::new(), 9);
        assert_eq!(numbers(&rest), [-8, -9]);
    }

    #[test]
    fn a_record_that_is_no_json_is_lost() {
        let broken = Record { number: 1, bytes: b"{".to_vec() };
        assert_eq!(numbers(&Range::after(0, vec![broken, record(2)], 2)), [-1, 2]);
    }

    #[test]
    fn a_hole_of_any_length_is_declared_in_ranges_that_are_taken() {
        let mut answered = 0;
        let mut ranges = 0;
        while answered < 3_001 {
            let range = Range::after(answered, vec![record(3_001)], 3_001);
            assert!((1..=UsageRange::MAX_ITEMS).contains(&range.len()));
            answered = range.last();
            ranges += 1;
        }
        assert_eq!(ranges, 7);
    }

    #[test]
    fn a_range_has_no_more_keys_than_are_taken() {
        let range = Range::after(0, (1..=200).map(keyed).collect(), 200);
        assert_eq!(range.len(), UsageRange::MAX_KEYS);
        let same = |number| Record { number, ..keyed(1) };
        assert_eq!(Range::after(0, (1..=200).map(same).collect(), 200).len(), 200);
    }
}
