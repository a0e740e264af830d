//! Leases: blocks of hard quotas that are set aside for one producer.
//!
//! What is granted is part of `spent`, the counter that is kept under the limit, from then on. What an
//! event draws from a lease is charged already, so it counts however late it comes; what is given back
//! is what no event has drawn. The sum of what is leased and what is used is under the limit at every
//! moment, whoever dies when.

use std::time::Duration;

use cloudnestle_marketplace::model::{TakeLease, Timestamp, UsageEvent};
use serde::{Deserialize, Serialize};

use super::limit::Limit;
use super::usage::Counter;

/// How long a lease may be used at most. What a program that died has not used is denied to others for
/// at least that long, and a revoked user may use what is leased until the revocation is known (5 s):
/// five minutes keep an idle program from asking more than twelve times an hour.
pub(crate) const LIFE: Duration = Duration::from_secs(5 * 60);
/// The part of what is left that one lease may be, beyond what is of use at the least: whoever asks
/// next finds seven eighths, and near the limit a lease is one call's worth.
const SHARE: u64 = 8;
/// How many leases a producer may hold: two (one that ends, and the next) for each of the 100,000 pairs of
/// customer and action that an SDK keeps.
pub(crate) const MOST_HELD: i64 = 200_000;

/// A lease that is charged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lease {
    pub customer_id: String,
    pub action: String,
    /// The windows it is charged in, by the names of their periods.
    pub periods: Vec<String>,
    /// How much it is; `None` is without limit, and charged as it is used.
    pub granted: Option<u64>,
    /// How much of it usage has drawn.
    pub used: u64,
    /// How often the producer's log had been taken over.
    pub epoch: u64,
    /// Until when it may be used.
    pub ends_at: Timestamp,
    /// What was asked for: under its id nothing else may be.
    pub least: u64,
    pub wanted: u64,
}

/// How much is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// No limit is in the way.
    Unlimited,
    Of(u64),
    /// There is less left than what is of use.
    TooLittle,
}

impl Block {
    /// Of quotas of which so much is spent: at least `least`, or nothing; `wanted`, if that is not more
    /// than a fair part of what is left.
    pub(crate) fn of<'l>(
        limits: impl IntoIterator<Item = (&'l Limit, i64)>,
        least: u64,
        wanted: u64,
    ) -> Block {
        let left = limits.into_iter().filter_map(|(limit, spent)| limit.left(spent)).min();
        match left {
            None => Block::Unlimited,
            Some(left) if left < least => Block::TooLittle,
            Some(left) => Block::Of(wanted.min(left / SHARE).max(least)),
        }
    }

    /// How much it is, as a lease says it; `None` if there is none.
    pub(crate) fn granted(self) -> Option<Option<u64>> {
        match self {
            Block::Unlimited => Some(None),
            Block::Of(amount) => Some(Some(amount)),
            Block::TooLittle => None,
        }
    }
}

impl Lease {
    /// A lease of that size, of the quotas of these limits.
    pub(crate) fn new(
        asked: &TakeLease,
        customer_id: &str,
        granted: Option<u64>,
        limits: &[Limit],
        now: Timestamp,
    ) -> Lease {
        let windows_end = limits.iter().map(|limit| limit.ends_at);
        let ends_at = windows_end.chain([now + LIFE]).min();
        Lease {
            customer_id: customer_id.to_owned(),
            action: asked.action.clone(),
            periods: limits.iter().map(|limit| limit.counter.period.clone()).collect(),
            granted,
            used: 0,
            epoch: asked.epoch,
            ends_at: ends_at.unwrap_or(now),
            least: asked.least,
            wanted: asked.wanted,
        }
    }

    /// Whether it is what is asked for, once more.
    pub(crate) fn is_of(&self, asked: &TakeLease, customer_id: &str) -> bool {
        self.customer_id == customer_id
            && self.action == asked.action
            && (self.epoch, self.least, self.wanted) == (asked.epoch, asked.least, asked.wanted)
    }

    /// How long it may be used from now on.
    pub(crate) fn ttl_ms(&self, now: Timestamp) -> u64 {
        u64::try_from(self.ends_at.as_millis() - now.as_millis()).unwrap_or(0)
    }

    /// How much no event has drawn; `None` is without limit.
    pub(crate) fn left(&self) -> Option<u64> {
        self.granted.map(|granted| granted.saturating_sub(self.used))
    }

    /// Whether an event may draw its quantity from it.
    pub(crate) fn pays(&self, event: &UsageEvent) -> bool {
        self.customer_id == event.customer_id
            && self.action == event.action
            && self.left().is_none_or(|left| event.quantity <= left)
    }

    /// Whether what is left of it can be given back when its producer's log has ended under `epoch`. An
    /// earlier owner of the log may have been taken over by mistake, and be using it.
    pub(crate) fn is_over(&self, epoch: u64, now: Timestamp) -> bool {
        self.epoch >= epoch || self.ends_at <= now
    }

    /// A moment of the windows it is charged in.
    pub(crate) fn charged_at(&self) -> Timestamp {
        self.ends_at - Duration::from_millis(1)
    }

    /// The counters it is charged to.
    pub(crate) fn counters<'l>(
        &'l self,
        solution_id: &'l str,
    ) -> impl Iterator<Item = Counter> + 'l {
        self.periods.iter().map(|period| Counter {
            customer_id: self.customer_id.clone(),
            solution_id: solution_id.to_owned(),
            action: self.action.clone(),
            period: period.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn limit(period: &str, most: Option<u64>, ends_in: Duration) -> Limit {
        let counter = Counter {
            customer_id: "cus_a".to_owned(),
            solution_id: "sol_a".to_owned(),
            action: "export".to_owned(),
            period: period.to_owned(),
        };
        Limit { counter, most, ends_at: NOW + ends_in }
    }

    fn hour() -> Duration {
        Duration::from_secs(3_600)
    }

    fn asked(least: u64, wanted: u64) -> TakeLease {
        TakeLease {
            id: "lse_a".to_owned(),
            producer: "prd_a".to_owned(),
            epoch: 1,
            token_id: "tok_a".to_owned(),
            action: "export".to_owned(),
            least,
            wanted,
        }
    }

    #[test]
    fn a_block_is_what_is_wanted_while_there_is_plenty_and_what_is_needed_near_the_limit() {
        let of = |spent, least, wanted| {
            Block::of([(&limit("day", Some(200), hour()), spent)], least, wanted)
        };
        for (spent, least, wanted, block, story) in [
            (0, 1, 20, Block::Of(20), "there is plenty"),
            (0, 1, 1_000, Block::Of(25), "an eighth of what is left"),
            (120, 1, 20, Block::Of(10), "which shrinks"),
            (195, 1, 20, Block::Of(1), "to one call's worth"),
            (195, 5, 20, Block::Of(5), "whatever that is"),
            (195, 6, 20, Block::TooLittle, "or nothing"),
            (200, 1, 1, Block::TooLittle, "at the limit"),
            (250, 1, 1, Block::TooLittle, "after a downgrade"),
        ] {
            assert_eq!(of(spent, least, wanted), block, "{story}");
        }
    }

    #[test]
    fn the_tightest_window_decides_and_without_a_limit_there_is_none() {
        let (day, month) = (limit("day", Some(200), hour()), limit("month", Some(1_000), hour()));
        assert_eq!(Block::of([(&day, 0), (&month, 920)], 1, 20), Block::Of(10));
        let unlimited = limit("day", None, hour());
        assert_eq!(Block::of([(&unlimited, 9), (&month, 0)], 1, 20), Block::Of(20));
        assert_eq!(Block::of([(&unlimited, 9)], 1, 20), Block::Unlimited);
        assert_eq!(Block::of([], 1, 20), Block::Unlimited);
    }

    #[test]
    fn a_lease_ends_after_five_minutes_or_with_its_first_window() {
        let lease = |windows: &[Limit]| Lease::new(&asked(1, 20), "cus_a", Some(20), windows, NOW);
        let minute = Duration::from_secs(60);
        let month = limit("month", Some(1_000), 48 * hour());
        let long = lease(&[limit("day", Some(200), hour()), month.clone()]);
        assert_eq!((long.ttl_ms(NOW), long.ttl_ms(NOW + minute)), (300_000, 240_000));
        assert_eq!(long.ttl_ms(NOW + hour()), 0);
        let short = lease(&[limit("day", Some(200), minute), month]);
        assert_eq!(short.ttl_ms(NOW), 60_000);
        assert!(short.charged_at() < NOW + minute, "in the day that it is charged in");
    }

    #[test]
    fn what_an_owner_holds_is_given_back_at_once_and_what_one_before_it_holds_when_it_has_ended() {
        let limits = [limit("day", Some(200), hour())];
        let lease = Lease::new(&asked(1, 20), "cus_a", Some(20), &limits, NOW);
        assert!(lease.is_over(1, NOW));
        assert!(!lease.is_over(2, NOW));
        assert!(lease.is_over(2, lease.ends_at));
    }

    #[test]
    fn under_an_id_nothing_else_can_be_asked_for() {
        let limits = [limit("day", Some(200), hour())];
        let lease = Lease::new(&asked(1, 20), "cus_a", Some(20), &limits, NOW);
        assert!(lease.is_of(&asked(1, 20), "cus_a"));
        let renewed = TakeLease { token_id: "tok_b".to_owned(), ..asked(1, 20) };
        assert!(lease.is_of(&renewed, "cus_a"), "a token may be renewed between two attempts");
        assert!(!lease.is_of(&asked(1, 20), "cus_b"));
        assert!(!lease.is_of(&asked(2, 20), "cus_a") && !lease.is_of(&asked(1, 21), "cus_a"));
        let elsewhere = TakeLease { action: "index".to_owned(), ..asked(1, 20) };
        assert!(!lease.is_of(&elsewhere, "cus_a"));
    }
}
