//! How much a customer may use, and why not more.

use cloudnestle_marketplace as core;
use pyo3::prelude::*;

use super::{Moment, word};

/// How much of an action a customer may use in a window of time, and has used.
#[pyclass(frozen, eq, hash, get_all, module = "cloudnestle_marketplace")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Quota {
    /// The action, by the name the solution gave.
    action: String,
    /// The most that may be used in one window, in the action's unit; `None` is without limit.
    limit: Option<u64>,
    /// What has been used in this window. May exceed a soft limit.
    used: u64,
    /// What is promised to leases and not yet used.
    leased: u64,
    /// What is left: limit − used − leased, not below zero; `None` is without limit.
    remaining: Option<u64>,
    /// How long a window is: `day`, `month`, or `unknown` to this release.
    window: String,
    /// When the next window begins, in the solution's time zone.
    resets_at: Moment,
    /// What happens at the limit: `soft`, `hard`, or `unknown` to this release.
    policy: String,
}

impl Quota {
    pub(crate) fn of(quota: &core::Quota) -> Self {
        Quota {
            action: quota.action.clone(),
            limit: quota.limit,
            used: quota.used,
            leased: quota.leased,
            remaining: quota.remaining,
            window: word(quota.window),
            resets_at: Moment(quota.resets_at),
            policy: word(quota.policy),
        }
    }
}

#[pymethods]
impl Quota {
    fn __repr__(&self) -> String {
        let Quota { action, limit, used, remaining, window, policy, .. } = self;
        let limit = limit.map_or("None".to_owned(), |limit| limit.to_string());
        let remaining = remaining.map_or("None".to_owned(), |left| left.to_string());
        format!(
            "Quota(action={action:?}, limit={limit}, used={used}, remaining={remaining}, \
             window={window:?}, policy={policy:?})"
        )
    }
}

/// Why somebody may not, in particulars.
#[pyclass(frozen, eq, hash, get_all, module = "cloudnestle_marketplace")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Denial {
    /// What is limited.
    action: String,
    /// The most they may, in one window.
    limit: u64,
    /// What they have used.
    used: u64,
    /// What is set aside for other programs that may use it.
    leased: u64,
    /// What is left; less than was wanted.
    remaining: u64,
    /// How long a window is: `day`, `month`, or `unknown` to this release.
    window: String,
    /// When the next window begins.
    resets_at: Moment,
    /// Where they get a higher tier, if the solution has said so.
    upgrade_url: Option<String>,
}

impl Denial {
    pub(crate) fn of(denial: &core::Denial) -> Self {
        Denial {
            action: denial.action.clone(),
            limit: denial.limit,
            used: denial.used,
            leased: denial.leased,
            remaining: denial.remaining,
            window: word(denial.window),
            resets_at: Moment(denial.resets_at),
            upgrade_url: denial.upgrade_url.clone(),
        }
    }
}

#[pymethods]
impl Denial {
    fn __repr__(&self) -> String {
        let Denial { action, limit, used, leased, remaining, .. } = self;
        let at = self.resets_at.0;
        format!(
            "Denial(action={action:?}, limit={limit}, used={used}, leased={leased}, \
             remaining={remaining}, resets_at={at})"
        )
    }
}
