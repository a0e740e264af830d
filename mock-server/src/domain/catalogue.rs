//! Solutions, their plans, and who has subscribed to them.

use std::fmt;

use cloudnestle_marketplace::model::{QuotaPolicy, Tier, Timestamp, WhenOffline, Window};
use serde::{Deserialize, Serialize};

use super::account::Email;
use super::quota::WINDOWS;

/// A partner's solution, as it is listed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
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
    /// Where a customer's browser is sent when the customer opens it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch_url: Option<String>,
    /// Where a customer gets a higher tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade_url: Option<String>,
    /// Where its pages are: the origins from which its publishable key may be used.
    #[serde(default)]
    pub allowed_origins: Vec<String>,
}

/// Something that can be done with a solution, and the unit it is counted in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Action {
    pub name: String,
    pub unit: String,
    #[serde(default)]
    pub source: Source,
    /// What becomes of it at the solution's backend when its quota can't be asked for.
    #[serde(default)]
    pub when_offline: WhenOffline,
}

/// Whose word is taken for it that an action was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    /// The solution's backend alone.
    #[default]
    Server,
    /// The customer's browser, too. Whoever holds a token can claim or hide any amount of it.
    Client,
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

/// How much of an action a plan allows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Allowance {
    pub action: String,
    /// `None` is without limit.
    pub limit: Option<u64>,
    pub window: Window,
    #[serde(default = "soft")]
    pub policy: QuotaPolicy,
}

fn soft() -> QuotaPolicy {
    QuotaPolicy::Soft
}

/// Why a solution can't be offered as it is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// A plan limits an action that the solution does not have.
    NoSuchAction(String),
    /// A plan limits for good what browsers report: they could use it up, or hide it.
    HardForClients(String),
    /// A tier's plan is silent about an action that another limits for good. Silence is without
    /// limit, which would be the most expensive of mistakes.
    Unlimited(String, Tier),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::NoSuchAction(action) => write!(f, "a plan limits {action}, which is no action"),
            Flaw::HardForClients(action) => {
                write!(f, "{action} is reported by clients, so its limit can't be hard")
            }
            Flaw::Unlimited(action, tier) => {
                write!(f, "{action} has a hard limit, and the plan of {tier:?} does not name it")
            }
        }
    }
}

impl Solution {
    /// What is wrong with it, if anything is.
    pub(crate) fn flaw(&self) -> Option<Flaw> {
        let limited = self.plans.iter().flat_map(|plan| &plan.allowances);
        for Allowance { action, policy, .. } in limited {
            let Some(declared) = self.action(action) else {
                return Some(Flaw::NoSuchAction(action.clone()));
            };
            if *policy != QuotaPolicy::Hard {
                continue;
            }
            if declared.source == Source::Client {
                return Some(Flaw::HardForClients(action.clone()));
            }
            let silent = |plan: &&Plan| plan.allowances.iter().all(|own| own.action != *action);
            if let Some(plan) = self.plans.iter().find(silent) {
                return Some(Flaw::Unlimited(action.clone(), plan.tier));
            }
        }
        None
    }

    pub(crate) fn action(&self, name: &str) -> Option<&Action> {
        self.actions.iter().find(|action| action.name == name)
    }

    /// The windows in which some plan limits an action for good. What is done of it is counted in
    /// them at once and whatever the customer's plan, so that a change of tier changes the limit and
    /// keeps the count.
    pub(crate) fn hard_windows<'a>(&'a self, action: &'a str) -> impl Iterator<Item = Window> + 'a {
        WINDOWS.into_iter().filter(move |window| self.is_hard(action, *window))
    }

    /// Every action that some plan limits, and the windows it does it in.
    pub(crate) fn limited(&self) -> impl Iterator<Item = (&str, Window)> {
        let limited = |action: &str, window| {
            let mut all = self.plans.iter().flat_map(|plan| &plan.allowances);
            all.any(|own| own.action == action && own.window == window)
        };
        let actions = self.actions.iter().map(|action| action.name.as_str());
        let windows = |action| WINDOWS.map(|window| (action, window));
        actions.flat_map(windows).filter(move |(action, window)| limited(action, *window))
    }

    /// Whether some plan limits the action for good in such a window.
    pub(crate) fn is_hard(&self, action: &str, window: Window) -> bool {
        self.plans.iter().flat_map(|plan| &plan.allowances).any(|allowance| {
            allowance.policy == QuotaPolicy::Hard
                && allowance.window == window
                && allowance.action == action
        })
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
    #[serde(default)]
    pub name: Option<String>,
    /// The address to sign in with.
    #[serde(default)]
    pub email: Option<Email>,
    /// `None` for an anonymous visitor.
    #[serde(default)]
    pub registered_at: Option<Timestamp>,
}

/// That a customer has a tier of a solution.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Subscription {
    pub customer_id: String,
    pub solution_id: String,
    pub tier: Tier,
    pub since: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A solution whose every plan has one of `limits` for `action`.
    fn solution(source: Source, limits: &[(Tier, &str, QuotaPolicy)]) -> Solution {
        let plan = |&(tier, action, policy): &(Tier, &str, QuotaPolicy)| {
            let action = action.to_owned();
            let allowance = Allowance { action, limit: Some(1), window: Window::Day, policy };
            Plan { tier, entitlements: Vec::new(), allowances: vec![allowance] }
        };
        let action = |name: &str| Action {
            name: name.to_owned(),
            unit: "one".to_owned(),
            source,
            ..Action::default()
        };
        Solution {
            id: "sol_a".to_owned(),
            name: "A".to_owned(),
            time_zone: "Asia/Kolkata".to_owned(),
            actions: vec![action("search"), action("export")],
            plans: limits.iter().map(plan).collect(),
            ..Solution::default()
        }
    }

    #[test]
    fn what_can_not_be_kept_is_not_offered() {
        use QuotaPolicy::{Hard, Soft};
        use Tier::{Pro, Registered};
        let flaw = |source, limits: &[_]| solution(source, limits).flaw();
        assert_eq!(flaw(Source::Server, &[(Pro, "search", Hard)]), None);
        assert_eq!(flaw(Source::Client, &[(Pro, "search", Soft)]), None);
        let by_client = flaw(Source::Client, &[(Pro, "search", Hard)]);
        assert_eq!(by_client, Some(Flaw::HardForClients("search".to_owned())));
        let unknown = flaw(Source::Server, &[(Pro, "fly", Soft)]);
        assert_eq!(unknown, Some(Flaw::NoSuchAction("fly".to_owned())));
        let mixed = [(Registered, "search", Hard), (Pro, "search", Soft)];
        assert_eq!(flaw(Source::Server, &mixed), None, "overage may be a matter of the tier");
        let silent = [(Registered, "search", Hard), (Pro, "export", Soft)];
        let silent = flaw(Source::Server, &silent);
        assert_eq!(silent, Some(Flaw::Unlimited("search".to_owned(), Pro)));
    }

    #[test]
    fn what_is_hard_in_one_plan_is_counted_at_once_in_all() {
        let limits = [
            (Tier::Registered, "search", QuotaPolicy::Hard),
            (Tier::Pro, "search", QuotaPolicy::Soft),
            (Tier::Enterprise, "export", QuotaPolicy::Soft),
        ];
        let solution = solution(Source::Server, &limits);
        assert_eq!(solution.hard_windows("search").collect::<Vec<_>>(), [Window::Day]);
        assert_eq!(solution.hard_windows("export").count(), 0);
    }
}
