//! What is sent at once: consecutive numbers, each with its event or with word that it is lost.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::log::Record;
use crate::error::{Error, Result};
use crate::model::{Code, EventResult, EventStatus, LossReason, Timestamp, UsageEvent, UsageRange};

/// A [`UsageRange`] whose events are the very bytes that were written.
pub(super) struct Range {
    entries: Vec<Entry>,
}

struct Entry {
    number: u64,
    event: std::result::Result<Box<RawValue>, LossReason>,
}

/// What became of an entry, by the marketplace's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Counted,
    Rejected(Code),
    Lost(LossReason),
}

impl Outcome {
    /// What whoever tracked the event is told.
    pub(super) fn result(self) -> Result<()> {
        match self {
            Outcome::Counted => Ok(()),
            Outcome::Rejected(code) => Err(Error::new(code)),
            Outcome::Lost(_) => Err(Error::new(Code::UsageLost)),
        }
    }
}

/// What the log and its limits say about events that are not to be sent.
pub(super) struct Losses<F> {
    /// Why a number has no record.
    pub(super) missing: F,
    /// Events from before this are too old.
    pub(super) expired_before: Option<Timestamp>,
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
    pub(super) fn after<F: Fn(u64) -> LossReason>(
        answered: u64,
        records: Vec<Record>,
        last: u64,
        losses: &Losses<F>,
    ) -> Range {
        // Without a record to read, none of the numbers that are left can be read.
        let end = if records.is_empty() { last } else { answered };
        let missing = |number| Entry { number, event: Err((losses.missing)(number)) };
        let mut entries = Vec::new();
        let mut next = answered + 1;
        for record in records {
            entries.extend((next..record.number).take(UsageRange::MAX_ITEMS).map(missing));
            next = record.number + 1;
            entries.push(Entry::of(record, losses.expired_before));
        }
        entries.extend((next..=end).take(UsageRange::MAX_ITEMS).map(missing));
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
            event: entry.event.as_deref().ok(),
            lost: entry.event.as_ref().err().copied(),
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

    /// What became of each entry, in order, if the answer says that of all.
    pub(super) fn outcomes(&self, results: &[EventResult]) -> Option<Vec<Outcome>> {
        let mut outcomes = vec![None; self.entries.len()];
        for EventResult { number, status, code } in results {
            // Of what was not sent, and of what was told before, nothing is to be learnt.
            let Some(place) = self.place(number.unwrap_or_default()) else { continue };
            outcomes[place] = outcomes[place].or(match status {
                EventStatus::Accepted | EventStatus::Duplicate => Some(Outcome::Counted),
                EventStatus::Rejected => Some(Outcome::Rejected(code.unwrap_or(Code::Unknown))),
                EventStatus::Lost => {
                    let reason = self.entries[place].event.as_ref().err();
                    Some(Outcome::Lost(reason.copied().unwrap_or(LossReason::Damaged)))
                }
                EventStatus::Unknown => None,
            });
        }
        outcomes.into_iter().collect()
    }

    /// Declares what was written and is no event lost: another release may have written it, or somebody
    /// else. Whether there was any.
    pub(super) fn gives_up_what_is_no_event(&mut self) -> bool {
        let mut any = false;
        for entry in &mut self.entries {
            let event = entry.event.as_ref().map(|event| serde_json::from_str(event.get()));
            if matches!(event, Ok(Err::<UsageEvent, _>(_))) {
                tracing::warn!(number = entry.number, "a record of the usage spool is no event");
                entry.event = Err(LossReason::Damaged);
                any = true;
            }
        }
        any
    }

    pub(super) fn first(&self) -> u64 {
        self.entries.first().map_or(0, |entry| entry.number)
    }

    pub(super) fn event(&self, number: u64) -> Option<UsageEvent> {
        serde_json::from_str(self.entry(number)?.event.as_ref().ok()?.get()).ok()
    }

    #[cfg(test)]
    fn loss(&self, number: u64) -> Option<LossReason> {
        self.entry(number)?.event.as_ref().err().copied()
    }

    fn entry(&self, number: u64) -> Option<&Entry> {
        self.entries.get(self.place(number)?)
    }

    fn place(&self, number: u64) -> Option<usize> {
        let place = usize::try_from(number.checked_sub(self.first())?).ok()?;
        (place < self.entries.len()).then_some(place)
    }
}

impl Entry {
    fn of(Record { number, bytes }: Record, expired_before: Option<Timestamp>) -> Entry {
        #[derive(Deserialize)]
        struct Dated {
            occurred_at: Timestamp,
        }
        let event = serde_json::from_slice(&bytes).map_err(|_| LossReason::Damaged);
        let event = event.and_then(|event: Box<RawValue>| {
            let dated =
                expired_before.and_then(|_| serde_json::from_str::<Dated>(event.get()).ok());
            match dated {
                Some(dated) if Some(dated.occurred_at) < expired_before => Err(LossReason::Expired),
                _ => Ok(event),
            }
        });
        Entry { number, event }
    }

    fn idempotency_key(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Keyed {
            idempotency_key: Option<String>,
        }
        let keyed: Keyed = serde_json::from_str(self.event.as_ref().ok()?.get()).ok()?;
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

    fn after(answered: u64, records: Vec<Record>, last: u64) -> Range {
        let missing = |_| LossReason::Damaged;
        Range::after(answered, records, last, &Losses { missing, expired_before: None })
    }

    /// The numbers, those of lost records negative.
    fn numbers(range: &Range) -> Vec<i64> {
        let signed = |entry: &Entry| entry.number as i64 * if entry.event.is_ok() { 1 } else { -1 };
        range.entries.iter().map(signed).collect()
    }

    #[test]
    fn what_is_missing_is_declared_before_between_and_behind() {
        let range = after(2, vec![record(4), record(7)], 9);
        assert_eq!(numbers(&range), [-3, 4, -5, -6, 7]);
        let rest = after(7, Vec::new(), 9);
        assert_eq!(numbers(&rest), [-8, -9]);
    }

    #[test]
    fn a_record_that_is_no_json_is_lost() {
        let broken = Record { number: 1, bytes: b"{".to_vec() };
        assert_eq!(numbers(&after(0, vec![broken, record(2)], 2)), [-1, 2]);
    }

    #[test]
    fn a_hole_of_any_length_is_declared_in_ranges_that_are_taken() {
        let mut answered = 0;
        let mut ranges = 0;
        while answered < 3_001 {
            let range = after(answered, vec![record(3_001)], 3_001);
            assert!((1..=UsageRange::MAX_ITEMS).contains(&range.len()));
            answered = range.last();
            ranges += 1;
        }
        assert_eq!(ranges, 7);
    }

    #[test]
    fn a_range_has_no_more_keys_than_are_taken() {
        let range = after(0, (1..=200).map(keyed).collect(), 200);
        assert_eq!(range.len(), UsageRange::MAX_KEYS);
        let same = |number| Record { number, ..keyed(1) };
        assert_eq!(after(0, (1..=200).map(same).collect(), 200).len(), 200);
    }

    #[test]
    fn what_is_too_old_is_declared_so() {
        let dated = |number, day| {
            let bytes = format!(r#"{{"occurred_at":"2026-11-{day:02}T00:00:00Z"}}"#).into_bytes();
            Record { number, bytes }
        };
        let expired_before = Some("2026-11-10T00:00:00Z".parse().expect("RFC 3339"));
        let losses = Losses { missing: |_| LossReason::Overflow, expired_before };
        let range = Range::after(0, vec![dated(1, 9), dated(3, 10)], 3, &losses);
        let told: Vec<_> = (1..=3).map(|number| range.loss(number)).collect();
        assert_eq!(told, [Some(LossReason::Expired), Some(LossReason::Overflow), None]);
    }
}
