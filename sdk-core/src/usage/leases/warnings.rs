//! Who comes near a hard limit, said once at each threshold of a window. No I/O.

use std::collections::HashMap;

use crate::model::{Quota, QuotaPolicy, Timestamp, Window};

/// In percent of a limit, the highest first. Supabase mails at 85 % and 100 % of a quota; a few more
/// customers can do something about it at 80 %.
const THRESHOLDS: [u64; 2] = [100, 80];

/// The most windows it is remembered of that something was said. A table that is full begins anew, and
/// something is said twice.
const MOST: usize = 10_000;

/// What was said.
#[derive(Default)]
pub(super) struct Warnings(HashMap<(String, String, Window), Said>);

struct Said {
    resets_at: Timestamp,
    percent: u64,
}

impl Warnings {
    /// How much of which limit is taken, if that is to be said now.
    pub(super) fn due(&mut self, customer_id: &str, quotas: &[Quota]) -> Option<(u64, u64)> {
        let due = quotas.iter().filter_map(|quota| self.is_due(customer_id, quota));
        due.max_by_key(|(taken, limit)| u128::from(*taken) * 1_000_000 / u128::from(*limit))
    }

    fn is_due(&mut self, customer_id: &str, quota: &Quota) -> Option<(u64, u64)> {
        let limit = quota.limit.filter(|limit| *limit > 0 && quota.policy == QuotaPolicy::Hard)?;
        // What is set aside as well: it will be used, or is about to be.
        let taken = limit.saturating_sub(quota.remaining?);
        let percent = u128::from(taken) * 100 / u128::from(limit);
        let reached = THRESHOLDS.into_iter().find(|it| percent >= u128::from(*it))?;
        let key = (customer_id.to_owned(), quota.action.clone(), quota.window);
        let was_said = |said: &Said| said.resets_at == quota.resets_at && said.percent >= reached;
        if self.0.get(&key).is_some_and(was_said) {
            return None;
        }
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert(key, Said { resets_at: quota.resets_at, percent: reached });
        Some((taken, limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(remaining: u64, resets_at: i64) -> Quota {
        Quota {
            action: "export".into(),
            limit: Some(10),
            used: 10 - remaining,
            leased: 0,
            remaining: Some(remaining),
            window: Window::Day,
            resets_at: Timestamp::from_secs(resets_at),
            policy: QuotaPolicy::Hard,
        }
    }

    #[test]
    fn each_threshold_of_a_window_is_said_once() {
        let mut warnings = Warnings::default();
        let mut due = |remaining, resets_at| warnings.due("cus_a", &[quota(remaining, resets_at)]);
        assert_eq!(due(3, 1), None);
        assert_eq!(due(2, 1), Some((8, 10)));
        assert_eq!(due(1, 1), None);
        assert_eq!(due(0, 1), Some((10, 10)));
        assert_eq!(due(0, 1), None);
        assert_eq!(due(2, 1), None, "something was given back");
        assert_eq!(due(0, 2), Some((10, 10)), "another day");
        assert_eq!(warnings.due("cus_b", &[quota(0, 2)]), Some((10, 10)));
    }

    #[test]
    fn a_soft_limit_and_one_of_nothing_are_no_matter() {
        let mut warnings = Warnings::default();
        let soft = Quota { policy: QuotaPolicy::Soft, ..quota(0, 1) };
        let nothing = Quota { limit: Some(0), ..quota(0, 1) };
        let endless = Quota { limit: None, remaining: None, ..quota(0, 1) };
        assert_eq!(warnings.due("cus_a", &[soft, nothing, endless]), None);
    }
}
