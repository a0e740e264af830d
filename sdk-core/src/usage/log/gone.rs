//! Numbers that were given out and have no record: dropped because there was no room, or used up by a
//! write that failed.
//!
//! A log of files notes them in a frame with the number 0, written with the next record: the next process
//! knows the reason as well. What is missing without a note is damaged.

use std::collections::VecDeque;

use super::Gap;
#[cfg(feature = "files")]
use super::{Record, frame::MAX_NUMBER};
#[cfg(feature = "files")]
use crate::json;
use crate::model::LossReason;

/// The number of a frame that has a note in place of a record.
#[cfg(feature = "files")]
pub(super) const NOTE: u64 = 0;

#[cfg(feature = "files")]
impl Gap {
    /// What a frame says about gone numbers, if that is what it is about.
    pub(super) fn noted(record: &Record) -> Option<Gap> {
        let note = (record.number == NOTE).then_some(&record.bytes)?;
        // What a later release writes, and this one can't read, is no gap that it knows of.
        let gap: Option<Gap> = json::read(note).ok();
        Some(gap.filter(|gap| gap.last <= MAX_NUMBER).unwrap_or(Gap::NOTHING))
    }

    /// Ends before it begins.
    const NOTHING: Gap = Gap { first: 1, last: 0, lost: LossReason::Unknown };
}

impl Gap {
    fn len(&self) -> u64 {
        self.len_after(0)
    }

    fn len_after(&self, number: u64) -> u64 {
        (self.last + 1).saturating_sub(self.first.max(number.saturating_add(1)))
    }
}

/// All of them that are not answered for, in order.
#[derive(Default)]
pub(super) struct Gone {
    gaps: VecDeque<Gap>,
    numbers: u64,
}

impl Gone {
    /// Takes a gap, be parts of it known or not.
    pub(super) fn add(&mut self, gap: Gap) {
        if gap.first > gap.last {
            return;
        }
        let mut whole = gap;
        let place = self.gaps.partition_point(|earlier| earlier.last < gap.first);
        while let Some(known) = self.gaps.get(place).filter(|known| known.first <= gap.last) {
            whole.first = whole.first.min(known.first);
            whole.last = whole.last.max(known.last);
            self.numbers -= known.len();
            self.gaps.remove(place);
        }
        self.numbers += whole.len();
        if let Some(before) = place.checked_sub(1).and_then(|place| self.gaps.get_mut(place))
            && before.lost == whole.lost
            && before.last + 1 == whole.first
        {
            before.last = whole.last;
        } else {
            self.gaps.insert(place, whole);
        }
    }

    pub(super) fn reason(&self, number: u64) -> Option<LossReason> {
        let place = self.gaps.partition_point(|gap| gap.last < number);
        self.gaps.get(place).filter(|gap| gap.first <= number).map(|gap| gap.lost)
    }

    /// How many are gone for that reason, of those after `number`; a gap that begins behind `last` does
    /// not count yet.
    pub(super) fn count_after(&self, number: u64, last: u64, reason: LossReason) -> u64 {
        let of_reason = self.gaps.iter().filter(|gap| gap.lost == reason && gap.first <= last);
        of_reason.map(|gap| gap.len_after(number)).sum()
    }

    pub(super) fn forget_through(&mut self, number: u64) {
        while let Some(gap) = self.gaps.pop_front_if(|gap| gap.last <= number) {
            self.numbers -= gap.len();
        }
    }
}

/// What a log of files asks, which no other program writes to.
#[cfg(feature = "files")]
impl Gone {
    /// All of the numbers from `first` to `last`, which have no records; what is not known to be gone is
    /// damaged.
    pub(super) fn fill(&self, first: u64, last: u64) -> Vec<Gap> {
        let mut gaps = Vec::new();
        let mut next = first;
        let unknown = |first, last| Gap { first, last, lost: LossReason::Damaged };
        for gap in self.within(first, last) {
            if next < gap.first {
                gaps.push(unknown(next, gap.first - 1));
            }
            gaps.push(gap);
            next = gap.last + 1;
        }
        if next <= last {
            gaps.push(unknown(next, last));
        }
        gaps
    }

    /// What is gone of the numbers from `first` to `last`.
    pub(super) fn within(&self, first: u64, last: u64) -> impl Iterator<Item = Gap> {
        let begins = self.gaps.partition_point(|gap| gap.last < first);
        let gaps = self.gaps.range(begins..).take_while(move |gap| gap.first <= last);
        gaps.map(move |gap| Gap { first: gap.first.max(first), last: gap.last.min(last), ..*gap })
    }

    /// How many are gone after `number`, which nothing before the first gap's end is asked about.
    pub(super) fn all_after(&self, number: u64) -> u64 {
        let passed = self.gaps.front().map_or(0, |gap| gap.len() - gap.len_after(number));
        self.numbers - passed
    }
}

#[cfg(all(test, feature = "files"))]
mod tests {
    use super::*;
    use LossReason::*;

    fn gap(first: u64, last: u64, lost: LossReason) -> Gap {
        Gap { first, last, lost }
    }

    #[test]
    fn gaps_that_follow_one_another_are_one() {
        let mut gone = Gone::default();
        for number in [4, 5, 6] {
            gone.add(gap(number, number, Overflow));
        }
        gone.add(gap(7, 9, Expired));
        gone.add(gap(1, 2, Overflow));
        assert_eq!(gone.gaps, [gap(1, 2, Overflow), gap(4, 6, Overflow), gap(7, 9, Expired)]);
        let reasons: Vec<_> = (1..=10).map(|number| gone.reason(number)).collect();
        let (overflow, expired) = (Some(Overflow), Some(Expired));
        assert_eq!(reasons[..6], [overflow, overflow, None, overflow, overflow, overflow]);
        assert_eq!(reasons[6..], [expired, expired, expired, None]);
        assert_eq!((gone.count_after(4, 9, Overflow), gone.all_after(1)), (2, 7));
    }

    #[test]
    fn what_nobody_knows_of_is_damaged() {
        let mut gone = Gone::default();
        gone.add(gap(3, 5, Overflow));
        gone.add(gap(8, 9, Unacknowledged));
        let all = [gap(1, 2, Damaged), gap(3, 5, Overflow), gap(6, 7, Damaged)];
        assert_eq!(gone.fill(1, 7), all);
        assert_eq!(gone.fill(4, 8), [gap(4, 5, Overflow), all[2], gap(8, 8, Unacknowledged)]);
        assert_eq!(gone.fill(10, 10), [gap(10, 10, Damaged)]);
    }

    #[test]
    fn what_is_told_twice_counts_once() {
        let mut gone = Gone::default();
        gone.add(gap(3, 5, Unacknowledged));
        gone.add(gap(9, 9, Overflow));
        gone.add(gap(1, 8, Overflow));
        gone.add(gap(2, 4, Overflow));
        assert_eq!((gone.all_after(0), gone.count_after(0, 9, Overflow)), (9, 9));
    }

    #[test]
    fn what_is_answered_for_is_forgotten_whole() {
        let mut gone = Gone::default();
        gone.add(gap(1, 4, Overflow));
        gone.forget_through(3);
        assert_eq!(gone.count_after(3, 9, Overflow), 1);
        gone.forget_through(4);
        assert_eq!((gone.gaps.len(), gone.all_after(4)), (0, 0));
    }
}
