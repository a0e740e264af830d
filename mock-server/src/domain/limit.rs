//! Hard limits: how much of an action may still be done.
//!
//! What an action with a hard limit uses is counted in the very commit that takes the event, on
//! condition that the limit holds. What has a soft limit may be counted afterwards.

use cloudnestle_marketplace::model::{QuotaPolicy, Tier, Timestamp};
use jiff::tz::TimeZone;

use super::calendar::OutsideCalendar;
use super::catalogue::Solution;
use super::quota::{Period, period};
use super::usage::Counter;

/// A counter that is kept under a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub counter: Counter,
    /// What the counter must not exceed; `None` is without limit.
    pub most: Option<u64>,
    /// When the window ends that it counts.
    pub ends_at: Timestamp,
}

impl Limit {
    /// Whether `amount` more of it may be used when `used` is. Giving back is always allowed.
    pub(crate) fn allows(&self, used: i64, amount: i64) -> bool {
        amount <= 0 || self.most.is_none_or(|most| used.saturating_add(amount) <= as_count(most))
    }

    /// How much more of it may be used when `used` is; `None` is without limit.
    pub(crate) fn left(&self, used: i64) -> Option<u64> {
        self.most.map(|most| u64::try_from(as_count(most).saturating_sub(used)).unwrap_or(0))
    }

    /// The highest number the counter may reach.
    pub(crate) fn ceiling(&self) -> i64 {
        self.most.map_or(i64::MAX, as_count)
    }
}

/// A counter has 63 bits; a limit above that is never reached.
fn as_count(limit: u64) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The limits an action of a customer comes under when it is done at `occurred_at`: those of the
/// tier the customer has now, in the windows of then. Who has no subscription may do nothing of it.
pub(crate) fn limits(
    solution: &Solution,
    tier: Option<Tier>,
    customer_id: &str,
    action: &str,
    occurred_at: Timestamp,
    zone: &TimeZone,
) -> Result<Vec<Limit>, OutsideCalendar> {
    let plan = tier.and_then(|tier| solution.plan(tier));
    let limit = |window| {
        let most = match plan {
            None => Some(0),
            Some(plan) => plan
                .allowances
                .iter()
                .filter(|own| own.action == action && own.window == window)
                .filter(|own| own.policy == QuotaPolicy::Hard)
                .find_map(|own| own.limit),
        };
        let Period { name, ends_at } = period(window, zone, occurred_at)?;
        let counter = Counter {
            customer_id: customer_id.to_owned(),
            solution_id: solution.id.clone(),
            action: action.to_owned(),
            period: name,
        };
        Ok(Limit { counter, most, ends_at })
    };
    solution.hard_windows(action).map(limit).collect()
}

#[cfg(test)]
mod tests {
    use cloudnestle_marketplace::model::Window;

    use super::*;
    use crate::domain::catalogue::{Action, Allowance, Plan, Source};

    const ZONE: TimeZone = TimeZone::UTC;

    /// Registered: 5 a day and 20 a month, hard. Pro: 100 a day, soft. Enterprise: without limit.
    fn solution() -> Solution {
        let allowance = |limit, window, policy| Allowance {
            action: "export".to_owned(),
            limit,
            window,
            policy,
        };
        let plan = |tier, allowances| Plan { tier, entitlements: Vec::new(), allowances };
        let hard = QuotaPolicy::Hard;
        Solution {
            id: "sol_a".to_owned(),
            name: "A".to_owned(),
            time_zone: "UTC".to_owned(),
            actions: vec![Action {
                name: "export".to_owned(),
                unit: "file".to_owned(),
                source: Source::Server,
                ..Action::default()
            }],
            plans: vec![
                plan(
                    Tier::Registered,
                    vec![
                        allowance(Some(5), Window::Day, hard),
                        allowance(Some(20), Window::Month, hard),
                    ],
                ),
                plan(Tier::Pro, vec![allowance(Some(100), Window::Day, QuotaPolicy::Soft)]),
                plan(Tier::Enterprise, vec![allowance(None, Window::Day, hard)]),
            ],
            ..Solution::default()
        }
    }

    fn most(tier: Option<Tier>) -> Vec<(String, Option<u64>)> {
        let at = "2026-11-22T12:00:00Z".parse().expect("RFC 3339");
        let limits = limits(&solution(), tier, "cus_a", "export", at, &ZONE).expect("a day");
        limits.into_iter().map(|limit| (limit.counter.period, limit.most)).collect()
    }

    #[test]
    fn a_tier_changes_the_limit_and_not_what_is_counted() {
        let windows = |day, month| {
            vec![("day/2026-11-22".to_owned(), day), ("month/2026-11".to_owned(), month)]
        };
        assert_eq!(most(Some(Tier::Registered)), windows(Some(5), Some(20)));
        assert_eq!(most(Some(Tier::Pro)), windows(None, None), "a soft limit stops nobody");
        assert_eq!(most(Some(Tier::Enterprise)), windows(None, None));
        assert_eq!(most(None), windows(Some(0), Some(0)), "who left may do nothing");
    }

    #[test]
    fn the_last_unit_is_allowed_and_the_next_is_not() {
        let counter = Counter {
            customer_id: "cus_a".to_owned(),
            solution_id: "sol_a".to_owned(),
            action: "export".to_owned(),
            period: "day/2026-11-22".to_owned(),
        };
        let mut limit = Limit { counter, most: Some(5), ends_at: Timestamp::from_secs(0) };
        assert!(limit.allows(4, 1));
        assert!(!limit.allows(5, 1));
        assert!(!limit.allows(4, 2));
        assert_eq!((limit.left(4), limit.left(9)), (Some(1), Some(0)));
        assert!(limit.allows(9, -3), "after a downgrade, too, something can be given back");
        limit.most = Some(u64::MAX);
        assert!(limit.allows(i64::MAX - 1, 1));
    }
}
