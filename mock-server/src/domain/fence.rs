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

/// What of a range is new, and the fence behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Admission {
    /// How many entries at the range's beginning were taken before.
    pub seen: usize,
    pub fence: Fence,
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
    /// Judges a range of `count` consecutive numbers that begins at `first`, sent by the process of
    /// `epoch`.
    pub(crate) fn admit(self, epoch: u64, first: u64, count: usize) -> Result<Admission, Refusal> {
        if epoch < self.epoch {
            return Err(Refusal::Superseded);
        }
        if first > self.number.saturating_add(1) {
            return Err(Refusal::Gap);
        }
        let already = self.number.saturating_add(1).saturating_sub(first);
        let seen = usize::try_from(already).map_or(count, |already| already.min(count));
        let number = self.number.max(first.saturating_add(count as u64).saturating_sub(1));
        if self.ended && number > self.number {
            return Err(Refusal::Superseded);
        }
        Ok(Admission { seen, fence: Fence { epoch, number, ended: self.ended } })
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
}

/// Whether the numbers of a range are consecutive and begin above zero, or the place of the entry that
/// breaks the row.
pub(crate) fn numbered(items: &[Entry]) -> Result<(), usize> {
    let first = items.first().map(Entry::number).filter(|first| *first > 0).ok_or(0usize)?;
    let numbers = items.iter().map(Entry::number).enumerate();
    for (place, number) in numbers {
        // The last number must have a next one, or the fence could not be passed any more.
        if first.checked_add(place as u64) != Some(number) || number == u64::MAX {
            return Err(place);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use cloudnestle_marketplace::model::LossReason;

    use super::*;

    fn admitted(seen: usize, epoch: u64, number: u64) -> Result<Admission, Refusal> {
        Ok(Admission { seen, fence: Fence { epoch, number, ended: false } })
    }

    #[test]
    fn the_table_of_decisions() {
        let fence = Fence { epoch: 2, number: 10, ended: false };
        for (epoch, first, count, expected, story) in [
            (2, 11, 5, admitted(0, 2, 15), "what follows is new"),
            (2, 6, 5, admitted(5, 2, 10), "what was sent before is old"),
            (2, 1, 3, admitted(3, 2, 10), "however long ago"),
            (2, 8, 6, admitted(3, 2, 13), "a range may overlap"),
            (2, 12, 1, Err(Refusal::Gap), "a number must not be missing"),
            (2, u64::MAX, 1, Err(Refusal::Gap), "nor many"),
            (1, 11, 1, Err(Refusal::Superseded), "who was taken over is not heard"),
            (1, 1, 1, Err(Refusal::Superseded), "not even with what is known"),
            (3, 11, 1, admitted(0, 3, 11), "who takes over goes on"),
            (
                3,
                9,
                2,
                admitted(2, 3, 10),
                "and is known from then on, even if it brings nothing new",
            ),
            (3, 12, 1, Err(Refusal::Gap), "but may not skip either"),
        ] {
            assert_eq!(fence.admit(epoch, first, count), expected, "{story}");
        }
    }

    #[test]
    fn an_unknown_producer_begins_with_one() {
        let unknown = Fence::default();
        assert_eq!(unknown.admit(0, 1, 3), admitted(0, 0, 3));
        assert_eq!(unknown.admit(7, 1, 1), admitted(0, 7, 1));
        assert_eq!(unknown.admit(0, 2, 1), Err(Refusal::Gap));
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
            assert_eq!(ended.admit(epoch, 11, 1), Err(Refusal::Superseded));
            let again = ended.admit(epoch, 9, 2).expect("known");
            assert_eq!((again.seen, again.fence.ended), (2, true));
        }
    }

    #[test]
    fn a_range_has_consecutive_numbers_above_zero() {
        let range = |numbers: &[u64]| {
            let entry = |&number| Entry::Lost { number, reason: LossReason::Damaged };
            numbered(&numbers.iter().map(entry).collect::<Vec<_>>())
        };
        assert_eq!(range(&[4, 5, 6]), Ok(()));
        assert_eq!(range(&[4, 5, 7]), Err(2));
        assert_eq!(range(&[4, 4]), Err(1));
        assert_eq!(range(&[4, 3]), Err(1));
        assert_eq!(range(&[0, 1]), Err(0));
        assert_eq!(range(&[]), Err(0));
        assert_eq!(range(&[u64::MAX]), Err(0));
    }
}
