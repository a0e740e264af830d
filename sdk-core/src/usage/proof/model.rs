//! The log beside the simplest thing that keeps the same promises: a list. Whatever is done to both,
//! in whatever order, they say the same.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use crate::error::Error;
use crate::host::sim::{SimDisk, SimHost, Simulation, no_network};
use crate::model::{Code, LossReason};
use crate::usage::limits::{Overflow, SpoolLimits};
use crate::usage::log::{Most, Record, SegmentLog};

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<u8>),
    /// After the number so many behind the last answered one.
    Scan {
        behind: u64,
        records: usize,
        bytes: usize,
    },
    /// So many more are answered for.
    Answer(u64),
    /// An append on a disk with so much room left.
    AppendWithout {
        room: u64,
        bytes: usize,
        can_cut: bool,
    },
    Seal,
    /// Another process takes the log over; nothing can be appended from then on.
    Recover,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => proptest::collection::vec(any::<u8>(), 0..600).prop_map(Step::Append),
        1 => (4_000_usize..20_000).prop_map(|len| Step::Append(vec![7; len])),
        4 => (0_u64..30, 1_usize..40, 1_usize..4_000)
            .prop_map(|(behind, records, bytes)| Step::Scan { behind, records, bytes }),
        3 => (0_u64..20).prop_map(Step::Answer),
        2 => (0_u64..200, 100_usize..300, any::<bool>())
            .prop_map(|(room, bytes, can_cut)| Step::AppendWithout { room, bytes, can_cut }),
        1 => Just(Step::Recover),
        1 => Just(Step::Seal),
    ]
}

fn limits() -> impl Strategy<Value = SpoolLimits> {
    let overflow =
        prop_oneof![Just(Overflow::Reject), Just(Overflow::DropOldest), Just(Overflow::DropNewest)];
    (overflow, proptest::option::of(8_u64..60)).prop_map(|(overflow, events)| {
        let limits = SpoolLimits::default().bytes(64 * 1024).overflow(overflow);
        events.map_or(limits, |events| limits.events(events))
    })
}

/// What a log is.
#[derive(Default)]
struct Model {
    last: u64,
    records: BTreeMap<u64, Vec<u8>>,
    lost: BTreeMap<u64, LossReason>,
    answered: u64,
    /// How many writes have failed, each of which may have used a number up.
    refused: u64,
    closed: bool,
}

impl Model {
    fn waiting(&self) -> u64 {
        self.records.range(self.answered + 1..).count() as u64
    }

    /// Takes over what the log says became of an append.
    fn append(&mut self, log: &Arc<SegmentLog>, bytes: &[u8], limits: SpoolLimits, roomy: bool) {
        let before = (self.last, self.waiting());
        match log.append(bytes) {
            Ok(taken) if !taken.lost => {
                assert!(!self.closed);
                self.last += 1;
                // None of the lost ones is known to the model: a failed write may have used some up.
                self.last = self.last.max(log.last());
                self.records.insert(self.last, bytes.to_vec());
                self.note_losses(log, before.0);
                assert_eq!(taken.dropped, self.drop_oldest(log), "dropped");
                assert!(taken.dropped == 0 || limits.overflow == Overflow::DropOldest);
            }
            Ok(taken) => {
                assert!(limits.overflow != Overflow::Reject && taken.dropped > 0);
                self.last = log.last();
                self.note_losses(log, before.0);
                assert_eq!(taken.dropped, 1 + self.drop_oldest(log));
                assert_eq!(self.lost.get(&self.last), Some(&LossReason::Overflow));
            }
            Err(error) => self.refused(&error, before, limits, roomy),
        }
        assert!(self.waiting() <= limits.events, "more than the limit waits");
        assert!(log.bytes() <= limits.bytes, "{} bytes", log.bytes());
    }

    fn refused(&mut self, error: &Error, before: (u64, u64), limits: SpoolLimits, roomy: bool) {
        if self.closed {
            assert_eq!(error.code(), Code::Closed);
            return;
        }
        assert_eq!((error.code(), limits.overflow), (Code::SpoolFull, Overflow::Reject));
        self.refused += 1;
        let full = before.1 >= limits.events || limits.bytes < 128 * 1024;
        assert!(full || !roomy, "refused with room for it");
    }

    /// The numbers between, which were used up by writes that failed.
    fn note_losses(&mut self, log: &Arc<SegmentLog>, before: u64) {
        for number in before + 1..=self.last {
            if !self.records.contains_key(&number) {
                let reason = log.loss(number);
                assert!(matches!(reason, LossReason::Unacknowledged | LossReason::Overflow));
                self.lost.insert(number, reason);
            }
        }
    }

    /// Forgets what the log has dropped, which is the oldest, and says how much that is.
    fn drop_oldest(&mut self, log: &Arc<SegmentLog>) -> u64 {
        let oldest = log.trimmed();
        let waiting = self.records.range(self.answered + 1..).map(|(number, _)| *number);
        let dropped: Vec<u64> = waiting.take_while(|number| *number <= oldest).collect();
        for number in &dropped {
            assert_eq!(log.loss(*number), LossReason::Overflow);
            self.records.remove(number);
            self.lost.insert(*number, LossReason::Overflow);
        }
        dropped.len() as u64
    }

    fn check(&self, found: &[Record], after: u64, most: Most) {
        let expected = self.records.range(after + 1..);
        let mut bytes = 0;
        let fitting = expected.enumerate().take_while(|(place, (_, record))| {
            bytes += record.len();
            *place == 0 || *place < most.records && bytes <= most.bytes
        });
        let fitting: Vec<Record> = fitting
            .map(|(_, (number, bytes))| Record { number: *number, bytes: bytes.clone() })
            .collect();
        assert_eq!(found, fitting);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn the_log_is_a_list_that_has_limits(
        limits in limits(),
        steps in proptest::collection::vec(step(), 1..150),
    ) {
        live(limits, steps);
    }
}

fn cases() -> u32 {
    super::number("SIM_SEEDS").map_or(200, |seeds| seeds as u32)
}

fn live(limits: SpoolLimits, steps: Vec<Step>) {
    let simulation = Simulation::new(1);
    let disk = SimDisk::new(1);
    let host = SimHost::new(&simulation, Some(disk.clone()), no_network());
    let (files, dir) = (Arc::new(disk.clone()), Path::new("log"));
    crate::host::Files::create_dir(&disk, dir).unwrap();
    let mut log = SegmentLog::create(host.clone(), files.clone(), dir, limits).unwrap();
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Append(bytes) => model.append(&log, &bytes, limits, true),
            Step::AppendWithout { room, bytes, can_cut } => {
                disk.set_room(Some(disk.bytes() + room));
                disk.fail_truncates(!can_cut);
                model.append(&log, &vec![1; bytes], limits, false);
                disk.set_room(None);
                disk.fail_truncates(false);
            }
            Step::Scan { behind, records, bytes } => {
                let (after, most) = (model.answered + behind, Most { records, bytes });
                let found = simulation.run(log.scan(after, most)).unwrap();
                model.check(&found, after, most);
            }
            Step::Answer(more) => {
                model.answered = (model.answered + more).min(model.last);
                log.trim(model.answered).unwrap();
            }
            Step::Seal => {
                let last = log.seal();
                assert!(model.closed || last == model.last);
                model.closed = true;
            }
            Step::Recover => {
                let left =
                    simulation.run(SegmentLog::left_behind(host.clone(), files.clone(), dir));
                log = left.unwrap();
                model.closed = true;
                // Why a number has no record is noted with the next record. What was used up behind the
                // last one is damaged, as far as anybody can tell, or not told of at all.
                let noted = model.records.keys().next_back().copied().unwrap_or(0);
                assert!(log.last() <= model.last + model.refused);
                assert!(log.last() >= noted);
                model.last = log.last().max(model.answered);
                let noted = log.trimmed().max(model.answered) + 1..=noted;
                for (number, reason) in model.lost.iter().filter(|lost| noted.contains(lost.0)) {
                    assert_eq!(log.loss(*number), *reason, "{number}");
                }
                log.trim(model.answered).unwrap();
            }
        }
        assert!(log.last() <= model.last);
    }
    // In the end everything that was not answered for is there, or there is a reason.
    let most = Most { records: usize::MAX, bytes: usize::MAX };
    let found = simulation.run(log.scan(model.answered, most)).unwrap();
    model.check(&found, model.answered, most);
}

/// Found by the above: numbers that were never acknowledged came back as dropped, or as damaged, when
/// the segment that told of them was dropped.
#[test]
fn what_is_told_again_is_told_as_what_it_was() {
    let without = |room, can_cut| Step::AppendWithout { room, bytes: 100, can_cut };
    let limits = SpoolLimits::default().bytes(64 * 1024).overflow(Overflow::DropOldest);
    let (empty, torn) = (|| Step::Append(Vec::new()), || without(0, false));
    live(limits, vec![torn(), empty(), without(36, false), without(127, true), Step::Recover]);
    live(limits, vec![torn(), without(8, true), torn(), empty(), Step::Recover]);
}
