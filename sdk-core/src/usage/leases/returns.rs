//! What is to be given back, and when: not before what it allowed is answered for. No I/O.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::book::MOST_ACCOUNTS;
use crate::usage::log::Ticket;

/// The most that wait: as many as the marketplace keeps for one producer. What is beyond that is given
/// back when the producer ends.
const MOST: usize = 2 * MOST_ACCOUNTS;

/// How many are given back before it is looked what else there is.
const AT_ONCE: usize = 64;

/// After how long a lease that nobody heard of is given back once more: in a slow marketplace the request
/// to return it may have overtaken the one that takes it. Longer than any of the two may last.
const ONCE_MORE_AFTER: Duration = Duration::from_secs(60);

/// Leases that nobody uses any more.
#[derive(Default)]
pub(super) struct Returns {
    /// It is not known yet by which numbers.
    new: Vec<Over>,
    /// By the last number that has to be answered for.
    settling: BTreeMap<u64, Vec<Settling>>,
    /// To be given back once more, and when.
    later: BTreeMap<Duration, Vec<Over>>,
    /// All that is not given back yet, by customer.
    owed: HashMap<Arc<str>, Vec<Owed>>,
    count: usize,
    given_up: u64,
}

/// A lease that nobody uses any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Over {
    pub(super) customer_id: Arc<str>,
    pub(super) action: Arc<str>,
    pub(super) lease_id: Arc<str>,
    /// The first and the last record that was allowed by it.
    pub(super) allowed: Option<(Ticket, Ticket)>,
    pub(super) rest: Rest,
}

/// What the marketplace will find of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// So much, at least.
    Left(u64),
    /// Nothing, if all that was allowed by it counts.
    UsedUp,
    /// Nobody knows whether it was granted. Given back twice.
    Unheard { once_more: bool },
}

/// A lease whose numbers are known.
#[derive(Clone, Debug)]
pub(super) struct Settling {
    pub(super) over: Over,
    /// Of the events that it allowed, and some between them; from 1 to 0 if there are none.
    pub(super) numbers: RangeInclusive<u64>,
}

struct Owed {
    lease_id: Arc<str>,
    action: Arc<str>,
    left: u64,
}

impl Returns {
    pub(super) fn push(&mut self, over: Over) {
        if self.count >= MOST {
            self.given_up += 1;
            return;
        }
        let left = if let Rest::Left(left) = over.rest { left } else { 0 };
        let owed = Owed { lease_id: over.lease_id.clone(), action: over.action.clone(), left };
        self.owed.entry(over.customer_id.clone()).or_default().push(owed);
        self.count += 1;
        self.new.push(over);
    }

    pub(super) fn has_new(&self) -> bool {
        !self.new.is_empty()
    }

    pub(super) fn take_new(&mut self) -> Vec<Over> {
        std::mem::take(&mut self.new)
    }

    /// Now it is known by which numbers, or it could not be sent.
    pub(super) fn settle(&mut self, settling: Settling) {
        self.settling.entry(*settling.numbers.end()).or_default().push(settling);
    }

    /// Some whose numbers are all answered for.
    pub(super) fn settled(&mut self, answered: u64, now: Duration) -> Vec<Settling> {
        while let Some(due) = self.later.first_entry().filter(|due| *due.key() <= now) {
            let again = due.remove().into_iter();
            let again = again.map(|over| Settling { over, numbers: RangeInclusive::new(1, 0) });
            self.settling.entry(0).or_default().extend(again);
        }
        let mut settled = Vec::new();
        while settled.len() < AT_ONCE
            && let Some(first) = self.settling.first_entry().filter(|it| *it.key() <= answered)
        {
            settled.extend(first.remove());
        }
        settled
    }

    /// It is given back, or needs not be. What nobody had heard of is given back once more.
    pub(super) fn done(&mut self, over: Over, now: Duration) {
        if let Rest::Unheard { once_more: true } = over.rest {
            let over = Over { rest: Rest::Unheard { once_more: false }, ..over };
            return self.later.entry(now + ONCE_MORE_AFTER).or_default().push(over);
        }
        let Some(owed) = self.owed.get_mut(&over.customer_id) else { return };
        let before = owed.len();
        owed.retain(|owed| owed.lease_id != over.lease_id);
        self.count -= before - owed.len();
        if owed.is_empty() {
            self.owed.remove(&over.customer_id);
        }
    }

    /// Only the end of the producer gives it back.
    pub(super) fn give_up(&mut self, over: Over, now: Duration) {
        self.given_up += 1;
        self.done(Over { rest: Rest::Left(0), ..over }, now);
    }

    /// How many only the end of the producer gives back.
    pub(super) fn given_up(&self) -> u64 {
        self.given_up
    }

    /// How much of an action the customer will have back.
    pub(super) fn owed(&self, customer_id: &str, action: &str) -> u64 {
        let owed = self.owed.get(customer_id).into_iter().flatten();
        owed.filter(|owed| *owed.action == *action).map(|owed| owed.left).sum()
    }

    /// When there is something to do: `None` if nothing is left, and a time without end while all waits
    /// for an answer. What is settled is sent from `send_at` on.
    pub(super) fn next(&self, answered: u64, send_at: Duration) -> Option<Duration> {
        if self.has_new() {
            return Some(Duration::ZERO);
        }
        let settling = self.settling.keys().next();
        let settling = settling.map(|it| if *it <= answered { send_at } else { Duration::MAX });
        let later = self.later.keys().next().map(|due| (*due).max(send_at));
        settling.into_iter().chain(later).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn over(id: u64, rest: Rest) -> Over {
        let lease_id = format!("lse_{id}").into();
        let allowed = Some((Ticket::of(id), Ticket::of(id)));
        Over { customer_id: "cus_a".into(), action: "export".into(), lease_id, allowed, rest }
    }

    fn settle_new(returns: &mut Returns) {
        for over in returns.take_new() {
            let number = over.allowed.map_or(0, |(_, last)| last.number());
            returns.settle(Settling { over, numbers: number..=number });
        }
    }

    #[test]
    fn each_waits_for_its_own_number_and_for_no_other() {
        let mut returns = Returns::default();
        [7, 3, 9].into_iter().for_each(|id| returns.push(over(id, Rest::Left(1))));
        settle_new(&mut returns);
        let ids = |settled: Vec<Settling>| -> Vec<u64> {
            settled.into_iter().map(|it| *it.numbers.end()).collect()
        };
        assert_eq!(returns.next(2, SECOND), Some(Duration::MAX));
        assert_eq!(returns.next(3, SECOND), Some(SECOND));
        assert_eq!(ids(returns.settled(8, SECOND)), [3, 7]);
        assert_eq!(ids(returns.settled(9, SECOND)), [9]);
        assert_eq!(returns.next(9, SECOND), None);
        assert_eq!(returns.owed("cus_a", "export"), 3, "until it is known that it is back");
    }

    #[test]
    fn what_nobody_heard_of_is_given_back_twice() {
        let mut returns = Returns::default();
        returns.push(over(0, Rest::Unheard { once_more: true }));
        settle_new(&mut returns);
        for (seconds, more) in [(1, true), (61, false)] {
            let settled = returns.settled(0, seconds * SECOND);
            returns.done(settled[0].over.clone(), seconds * SECOND);
            assert_eq!(returns.next(0, Duration::ZERO), more.then_some(61 * SECOND));
        }
        assert_eq!(returns.count, 0);
    }

    #[test]
    fn beyond_what_the_marketplace_keeps_the_end_of_the_producer_gives_back() {
        let mut returns = Returns::default();
        (0..MOST as u64 + 3).for_each(|id| returns.push(over(id, Rest::UsedUp)));
        assert_eq!((returns.given_up(), returns.take_new().len()), (3, MOST));
    }
}
