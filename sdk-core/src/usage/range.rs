//! What is sent at once: consecutive numbers with their events, or with word that they are lost.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::log::{Gap, Record};
use super::rejected::RejectedUsage;
use crate::error::{Error, Result};
use crate::json::{self, Object};
use crate::model::{Code, EventResult, EventStatus, LossReason, Timestamp, UsageEvent, UsageRange};
use crate::planted::{Bug, planted};

/// A [`UsageRange`] whose events are the very bytes that were written.
pub(super) struct Range {
    entries: Vec<Entry>,
}

/// A number and its event, or numbers whose events are lost.
struct Entry {
    number: u64,
    through: u64,
    /// JSON of whatever kind.
    event: std::result::Result<String, LossReason>,
}

/// What became of numbers from the first to the last, by the marketplace's answer.
pub(crate) type Told = (RangeInclusive<u64>, Outcome);

/// What became of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Counted,
    Rejected(Code),
    Lost(LossReason),
    /// Others were told, and it is not noted any more.
    Forgotten,
}

impl Outcome {
    /// What whoever tracked the event is told.
    pub(super) fn result(self) -> Result<()> {
        match self {
            Outcome::Counted => Ok(()),
            Outcome::Rejected(code) => Err(Error::new(code)),
            Outcome::Lost(_) => Err(Error::new(Code::UsageLost)),
            Outcome::Forgotten => Err(Error::new(Code::Unknown)),
        }
    }
}

/// What became of the numbers behind `answered` up to `through`, of which all were counted that are not
/// `refused`, as far as that is not `forgotten`.
pub(super) fn with_counted(
    answered: u64,
    through: u64,
    refused: Vec<Told>,
    forgotten: u64,
) -> Vec<Told> {
    let (mut told, mut next) = (Vec::new(), answered + 1);
    let silent = |told: &mut Vec<Told>, first: u64, last: u64| {
        let known = first.max(forgotten + 1);
        for (numbers, outcome) in
            [(first..=last.min(known - 1), Outcome::Forgotten), (known..=last, Outcome::Counted)]
        {
            if !numbers.is_empty() {
                told.push((numbers, outcome));
            }
        }
    };
    for (numbers, outcome) in refused {
        let (first, last) = (next.max(*numbers.start()), through.min(*numbers.end()));
        if first > last {
            continue;
        }
        silent(&mut told, next, first - 1);
        told.push((first..=last, outcome));
        next = last + 1;
    }
    silent(&mut told, next, through);
    told
}

/// What the log and its limits say about events that are not to be sent.
pub(super) struct Losses<F> {
    /// Why the numbers from the first to the last have no records.
    pub(super) missing: F,
    /// Events from before this are too old.
    pub(super) expired_before: Option<Timestamp>,
}

impl Range {
    /// The numbers after `answered`, of a log whose last is `last` and whose next readable records
    /// are these: as many as the marketplace takes at once, and at least one.
    pub(super) fn after<F: Fn(u64, u64) -> Vec<Gap>>(
        answered: u64,
        records: Vec<Record>,
        last: u64,
        losses: &Losses<F>,
    ) -> Range {
        // Without a record to read, none of the numbers that are left can be read.
        let end = if records.is_empty() { last } else { answered };
        let mut range = Range { entries: Vec::new() };
        let mut next = answered + 1;
        for record in records {
            range.declare(next, record.number - 1, &losses.missing);
            next = record.number + 1;
            range.push(Entry::of(record, losses.expired_before));
        }
        range.declare(next, end, &losses.missing);
        if planted(Bug::SkippedHole) {
            range.entries.retain(|entry| entry.event.is_ok());
        }
        range.truncate(UsageRange::MAX_ITEMS);
        range.truncate(range.entries_with_few_keys());
        range
    }

    /// Gives the entries other numbers: what no range ever does.
    pub(super) fn renumber(&mut self) {
        let many = self.entries.len() as u64;
        for entry in &mut self.entries {
            (entry.number, entry.through) = (entry.number + many, entry.through + many);
        }
    }

    fn declare(&mut self, first: u64, last: u64, missing: &impl Fn(u64, u64) -> Vec<Gap>) {
        if first > last {
            return;
        }
        for Gap { first, last, lost } in missing(first, last) {
            self.push(Entry { number: first, through: last, event: Err(lost) });
        }
    }

    /// Numbers that are lost one after another for one reason are one entry.
    fn push(&mut self, entry: Entry) {
        match self.entries.last_mut() {
            Some(Entry { through, event: Err(before), .. })
                if entry.event.as_ref().is_err_and(|lost| lost == before) =>
            {
                *through = entry.through;
            }
            _ => self.entries.push(entry),
        }
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

    /// As it goes over the wire.
    pub(super) fn wire(&self, producer: &str, epoch: u64) -> String {
        let mut items = String::from("[");
        for entry in &self.entries {
            if items.len() > 1 {
                items.push(',');
            }
            items.push_str(&entry.wire());
        }
        items.push(']');
        Object::new()
            .text("producer", producer)
            .number("epoch", epoch)
            .value("items", &items)
            .written()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Keeps the first `len` entries: a range may be cut anywhere.
    pub(super) fn truncate(&mut self, len: usize) {
        self.entries.truncate(len);
    }

    pub(super) fn last(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.through)
    }

    /// What became of the numbers from the first on, as far as the answer goes. An older marketplace takes
    /// one number at a time of those that are lost.
    pub(super) fn outcomes(&self, results: &[EventResult]) -> Vec<Told> {
        let mut results: Vec<&EventResult> = results.iter().collect();
        results.sort_by_key(|result| result.number);
        let mut outcomes = Vec::new();
        let mut next = self.first();
        for result in results {
            let (Some(number), Some(last)) = (result.number, result.last()) else { continue };
            // Of what was not sent, and of what was told before, nothing is to be learnt.
            let last = last.min(self.last());
            if last < next {
                continue;
            }
            if number > next {
                break;
            }
            let outcome = match result.status {
                EventStatus::Accepted | EventStatus::Duplicate => Outcome::Counted,
                EventStatus::Rejected => Outcome::Rejected(result.code.unwrap_or(Code::Unknown)),
                EventStatus::Lost => Outcome::Lost(self.loss(next).unwrap_or(LossReason::Damaged)),
                EventStatus::Unknown => break,
            };
            outcomes.push((next..=last, outcome));
            next = last + 1;
        }
        outcomes
    }

    /// Declares what was written and is no event lost: another release may have written it, or somebody
    /// else. Whether there was any.
    pub(super) fn gives_up_what_is_no_event(&mut self) -> bool {
        let mut any = false;
        for entry in &mut self.entries {
            let event = entry.event.as_ref().map(|event| json::read(event.as_bytes()));
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

    /// The events that the marketplace will not have, by their numbers.
    pub(super) fn rejected(&self, outcomes: &[Told]) -> Vec<(u64, RejectedUsage)> {
        let mut rejected = Vec::new();
        for (numbers, outcome) in outcomes {
            let Outcome::Rejected(code) = *outcome else { continue };
            let entries = self.entries.iter().filter(|entry| numbers.contains(&entry.number));
            rejected.extend(entries.filter_map(|entry| {
                let event = json::read(entry.event.as_ref().ok()?.as_bytes()).ok()?;
                Some((entry.number, RejectedUsage { code, event }))
            }));
        }
        rejected
    }

    fn loss(&self, number: u64) -> Option<LossReason> {
        self.entry(number)?.event.as_ref().err().copied()
    }

    fn entry(&self, number: u64) -> Option<&Entry> {
        let place = self.entries.partition_point(|entry| entry.through < number);
        self.entries.get(place).filter(|entry| entry.number <= number)
    }
}

impl Entry {
    fn of(Record { number, bytes }: Record, expired_before: Option<Timestamp>) -> Entry {
        #[derive(Deserialize)]
        struct Dated {
            occurred_at: Timestamp,
        }
        let event = String::from_utf8(bytes).ok();
        let event = event.filter(|event| json::read::<IgnoredAny>(event.as_bytes()).is_ok());
        let event = event.ok_or(LossReason::Damaged).and_then(|event| {
            let dated = expired_before.and_then(|_| json::read::<Dated>(event.as_bytes()).ok());
            match dated {
                Some(dated) if Some(dated.occurred_at) < expired_before => Err(LossReason::Expired),
                _ => Ok(event),
            }
        });
        Entry { number, through: number, event }
    }

    fn wire(&self) -> String {
        let mut wire = Object::new().number("number", self.number);
        if self.through > self.number {
            wire = wire.number("through", self.through);
        }
        match &self.event {
            Ok(event) => wire.value("event", event),
            Err(lost) => wire.value("lost", &json::write(lost)),
        }
        .written()
    }

    fn idempotency_key(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Keyed {
            idempotency_key: Option<String>,
        }
        let event = self.event.as_ref().ok()?.as_bytes();
        let keyed: Keyed = json::read(event).ok()?;
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
        let missing = |first, last| vec![Gap { first, last, lost: LossReason::Damaged }];
        Range::after(answered, records, last, &Losses { missing, expired_before: None })
    }

    /// The numbers, those of lost records negative.
    fn numbers(range: &Range) -> Vec<i64> {
        let signed = |entry: &Entry| {
            let sign = if entry.event.is_ok() { 1 } else { -1 };
            (entry.number..=entry.through).map(move |number| number as i64 * sign)
        };
        range.entries.iter().flat_map(signed).collect()
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
    fn a_hole_of_any_length_is_one_entry() {
        let range = after(0, vec![record(3_000_001), record(3_000_002)], 3_000_002);
        assert_eq!((range.len(), range.last()), (3, 3_000_002));
        let wire: serde_json::Value = serde_json::from_str(&range.wire("prd_x", 0)).unwrap();
        let hole = serde_json::json!({ "number": 1, "through": 3_000_000, "lost": "damaged" });
        assert_eq!(wire["items"][0], hole);
    }

    #[test]
    fn an_answer_is_good_for_as_far_as_it_goes() {
        let lost = |number, through| EventResult {
            number: Some(number),
            through,
            status: EventStatus::Lost,
            code: None,
        };
        let counted = |number, through| EventResult {
            status: EventStatus::Duplicate,
            ..lost(number, through)
        };
        let range = after(6, vec![record(901), record(902)], 902);
        let damaged = Outcome::Lost(LossReason::Damaged);
        // A marketplace that takes lost numbers one by one, and one that knew some as events.
        assert_eq!(range.outcomes(&[lost(7, None)]), [(7..=7, damaged)]);
        let parts = [counted(7, Some(500)), lost(501, Some(900)), counted(901, None)];
        let told =
            [(7..=500, Outcome::Counted), (501..=900, damaged), (901..=901, Outcome::Counted)];
        assert_eq!(range.outcomes(&parts), told);
        let unasked = [counted(1, Some(6)), counted(7, Some(5_000)), counted(8, Some(u64::MAX))];
        assert_eq!(range.outcomes(&unasked), [(7..=902, Outcome::Counted)]);
        let unknown = EventResult { status: EventStatus::Unknown, ..lost(8, Some(900)) };
        assert_eq!(range.outcomes(&[lost(7, None), unknown]), [(7..=7, damaged)]);
        assert_eq!(range.outcomes(&[lost(8, Some(900))]), [], "the first number is left out");
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
        let missing = |first, last| vec![Gap { first, last, lost: LossReason::Overflow }];
        let losses = Losses { missing, expired_before };
        let range = Range::after(0, vec![dated(1, 9), dated(3, 10)], 3, &losses);
        let told: Vec<_> = (1..=3).map(|number| range.loss(number)).collect();
        assert_eq!(told, [Some(LossReason::Expired), Some(LossReason::Overflow), None]);
    }
}
