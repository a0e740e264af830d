//! Solutions, their plans, and who has subscribed to them.

use cloudnestle_marketplace::model::{Tier, Timestamp, Window};
use serde::{Deserialize, Serialize};

/// A partner's solution, as it is listed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Solution {
    /// `sol_…`
    pub id: String,
    pub name: String,
    /// The IANA time zone whose midnight begins a quota's window.
    pub time_zone: String,
    /// What can be done with it and is metered.
    pub actions: Vec<Action>,
    /// What each tier may do. A tier without a plan is not offered.
    pub plans: Vec<Plan>,
}

/// Something that can be done with a solution, and the unit it is counted in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Action {
    pub name: String,
    pub unit: String,
}

/// What a tier of a solution may do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub tier: Tier,
    /// What the tier switches on, by names the solution gave.
    pub entitlements: Vec<String>,
    /// The actions that are limited; others are counted only.
    pub allowances: Vec<Allowance>,
}

/// How much of an action a plan allows. All are soft for now: use beyond the limit is counted, and
/// the solution decides what follows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Allowance {
    pub action: String,
    /// `None` is without limit.
    pub limit: Option<u64>,
    pub window: Window,
}

impl Solution {
    pub(crate) fn has_action(&self, name: &str) -> bool {
        self.actions.iter().any(|action| action.name == name)
    }

    pub(crate) fn plan(&self, tier: Tier) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.tier == tier)
    }
}

/// A customer of the marketplace.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Customer {
    /// `cus_…`
    pub id: String,
    /// `None` for an anonymous visitor.
    pub name: Option<String>,
}

/// That a customer has a tier of a solution.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Subscription {
    pub customer_id: String,
    pub solution_id: String,
    pub tier: Tier,
    pub since: Timestamp,
}
