//! A producer's fence: the last number the marketplace has of its log.
//!
//! The fence is what makes each event count once. What is at or below it was taken before; what
//! follows must follow without a gap; and a producer that was taken over by another process is no
//! longer listened to.

use cloudnestle_marketplace::model::Entry;
use serde::{Deserialize, Serialize};

/// How far a producer has come. The default is a producer never heard of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fence {
    pub epoch: u64,
    pub number: u64,
    /// Nothing more comes of the producer, said its last owner.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ended: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// The entries of a range, by whether they were taken before.
#[derive(Debug, PartialEq)]
pub(crate) struct Parts<'e> {
    seen: &'e [Entry],
    /// Numbers of one loss report that lie on both sides of the fence.
    cut: Option<(Entry, Entry)>,
    new: &'e [Entry],
}

impl Parts<'_> {
    pub(crate) fn seen(&self) -> impl Iterator<Item = &Entry> + Clone {
        self.seen.iter().chain(self.cut.as_ref().map(|(seen, _)| seen))
    }

    pub(crate) fn unseen(&self) -> impl Iterator<Item = &Entry> + Clone {
        self.cut.as_ref().map(|(_, new)| new).into_iter().chain(self.new)
    }
}

/// Why a range is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Numbers between the fence and the range are missing.
    Gap,
    /// The producer belongs to a process with a higher epoch, or has ended.
    Superseded,
}

impl Fence {
    /// Judges a range of the numbers from `first` to `last`, sent by the process of `epoch`, and answers
    /// with the fence behind it.
    pub(crate) fn admit(self, epoch: u64, first: u64, last: u64) -> Result<Fence, Refusal> {
        if epoch < self.epoch {
            return Err(Refusal::Superseded);
        }
        if first > self.number.saturating_add(1) {
            return Err(Refusal::Gap);
        }
        if self.ended && last > self.number {
            return Err(Refusal::Superseded);
        }
        Ok(Fence { epoch, number: self.number.max(last), ended: self.ended })
    }

    /// Ends the producer, whose log has come to `through`. What was taken may be sent once more, and
    /// nothing else: an owner who died between this and the removal of its log has a successor.
    pub(crate) fn end(self, epoch: u64, through: u64) -> Result<Fence, Refusal> {
        if epoch < self.epoch {
            return Err(Refusal::Superseded);
        }
        if through > self.number {
            return Err(Refusal::Gap);
        }
        Ok(Fence { epoch, number: self.number, ended: true })
    }

    /// Whether the process of `epoch` may take leases.
    pub(crate) fn may_lease(self, epoch: u64) -> bool {
        epoch >= self.epoch && !self.ended
    }

    /// What of a range that is admitted was taken before.
    pub(crate) fn part(self, entries: &[Entry]) -> Parts<'_> {
        let at = entries.partition_point(|entry| entry.through() <= self.number);
        let (seen, new) = entries.split_at(at);
        if let [Entry::Lost { number, through, reason }, new @ ..] = new
            && *number <= self.number
        {
            let lost = |number, through| Entry::Lost { number, through, reason: *reason };
            let cut = Some((lost(*number, self.number), lost(self.number + 1, *through)));
            return Parts { seen, cut, new };
        }
        Parts { seen, cut: None, new }
    }
}

/// Whether the numbers of a range are consecutive and begin above zero, or the place of the entry that
/// breaks the row.
pub(crate) fn numbered(items: &[Entry]) -> Result<(), usize> {
    let mut next = items.first().map(Entry::number).filter(|first| *first > 0).ok_or(0usize)?;
    for (place, entry) in items.iter().enumerate() {
        // The last number must have a next one, or the fence could not be passed any more.
        let after = entry.through().checked_add(1).filter(|_| entry.number() == next);
        next = after.ok_or(place)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use cloudnestle_marketplace::model::LossReason;

    use super::*;

    fn admitted(epoch: u64, number: u64) -> Result<Fence, Refusal> {
        Ok(Fence { epoch, number, ended: false })
    }

    fn lost(number: u64, through: u64) -> Entry {
        Entry::Lost { number, through, reason: LossReason::Damaged }
    }

    #[test]
    fn the_table_of_decisions() {
        let fence = Fence { epoch: 2, number: 10, ended: false };
        for (epoch, first, last, expected, story) in [
            (2, 11, 15, admitted(2, 15), "what follows is new"),
            (2, 6, 10, admitted(2, 10), "what was sent before is old"),
            (2, 1, 3, admitted(2, 10), "however long ago"),
            (2, 8, 13, admitted(2, 13), "a range may overlap"),
            (2, 12, 12, Err(Refusal::Gap), "a number must not be missing"),
            (2, u64::MAX, u64::MAX, Err(Refusal::Gap), "nor many"),
            (1, 11, 11, Err(Refusal::Superseded), "who was taken over is not heard"),
            (1, 1, 1, Err(Refusal::Superseded), "not even with what is known"),
            (3, 11, 11, admitted(3, 11), "who takes over goes on"),
            (3, 9, 10, admitted(3, 10), "and is known from then on, even if it brings nothing new"),
            (3, 12, 12, Err(Refusal::Gap), "but may not skip either"),
        ] {
            assert_eq!(fence.admit(epoch, first, last), expected, "{story}");
        }
    }

    #[test]
    fn an_unknown_producer_begins_with_one() {
        let unknown = Fence::default();
        assert_eq!(unknown.admit(0, 1, 3), admitted(0, 3));
        assert_eq!(unknown.admit(7, 1, 1), admitted(7, 1));
        assert_eq!(unknown.admit(0, 2, 2), Err(Refusal::Gap));
    }

    #[test]
    fn of_a_producer_that_has_ended_nothing_new_is_taken() {
        let fence = Fence { epoch: 2, number: 10, ended: false };
        assert_eq!(fence.end(1, 10), Err(Refusal::Superseded));
        assert_eq!(fence.end(2, 11), Err(Refusal::Gap), "something is on its way");
        assert!(fence.may_lease(2) && !fence.may_lease(1));
        let ended = fence.end(2, 10).expect("the log is here");
        assert_eq!(ended.end(3, 10).map(|it| it.epoch), Ok(3), "said again by who takes over");
        assert!(!ended.may_lease(2) && !ended.may_lease(3));
        for epoch in [2, 3] {
            assert_eq!(ended.admit(epoch, 11, 11), Err(Refusal::Superseded));
            assert_eq!(ended.admit(epoch, 9, 10).map(|it| it.ended), Ok(true), "known");
        }
    }

    #[test]
    fn a_range_is_parted_at_the_fence_within_a_loss_report_too() {
        let parted = |number, range: &[Entry]| {
            let parts = Fence { number, ..Fence::default() }.part(range);
            let numbers = |entry: &Entry| (entry.number(), entry.through());
            let seen: Vec<_> = parts.seen().map(numbers).collect();
            (seen, parts.unseen().map(numbers).collect::<Vec<_>>())
        };
        let range = [lost(4, 4), lost(5, 900), lost(901, 901)];
        assert_eq!(parted(3, &range), (vec![], vec![(4, 4), (5, 900), (901, 901)]));
        assert_eq!(parted(4, &range), (vec![(4, 4)], vec![(5, 900), (901, 901)]));
        assert_eq!(parted(5, &range), (vec![(4, 4), (5, 5)], vec![(6, 900), (901, 901)]));
        assert_eq!(parted(900, &range), (vec![(4, 4), (5, 900)], vec![(901, 901)]));
        assert_eq!(parted(1_000, &range).1, []);
    }

    #[test]
    fn a_range_has_consecutive_numbers_above_zero() {
        let range = |numbers: &[u64]| {
            numbered(&numbers.iter().map(|&number| lost(number, number)).collect::<Vec<_>>())
        };
        assert_eq!(range(&[4, 5, 6]), Ok(()));
        assert_eq!(range(&[4, 5, 7]), Err(2));
        assert_eq!(range(&[4, 4]), Err(1));
        assert_eq!(range(&[4, 3]), Err(1));
        assert_eq!(range(&[0, 1]), Err(0));
        assert_eq!(range(&[]), Err(0));
        assert_eq!(range(&[u64::MAX]), Err(0));
        assert_eq!(numbered(&[lost(4, 900), lost(901, 901)]), Ok(()));
        assert_eq!(numbered(&[lost(4, 900), lost(900, 901)]), Err(1));
        assert_eq!(numbered(&[lost(4, u64::MAX)]), Err(0));
    }
}
