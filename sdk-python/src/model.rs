//! What calls answer with: frozen, comparable, and without a secret in what is printed of it.

use std::time::Duration;

use cloudnestle_marketplace as core;
use cloudnestle_marketplace::model::Timestamp;
use cloudnestle_marketplace::{Answer, Freshness, Verified};
use pyo3::prelude::*;
use pyo3::types::{PyDateTime, PyDict, PyTzInfo};
use serde_json::Value;

/// As Python's `datetime`, in UTC.
fn moment(py: Python<'_>, at: Timestamp) -> PyResult<Bound<'_, PyDateTime>> {
    let utc = PyTzInfo::utc(py)?;
    PyDateTime::from_timestamp(py, at.as_millis() as f64 / 1000.0, Some(&utc))
}

/// A word of the wire: enums are Python's texts.
pub(crate) fn word(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => "unknown".to_owned(),
    }
}

/// How sure an answer is.
#[derive(PartialEq)]
struct Certainty {
    verified: &'static str,
    freshness: &'static str,
    age: f64,
}

impl Certainty {
    fn of<T>(answer: &Answer<T>) -> Self {
        Certainty {
            verified: if answer.verified() == Verified::Online { "online" } else { "local" },
            freshness: match answer.freshness() {
                Freshness::Fresh => "fresh",
                Freshness::Stale => "stale",
                _ => "offline",
            },
            age: answer.age().as_secs_f64(),
        }
    }
}

/// Who a token speaks for. Two are equal if they say the same about the same token, however sure.
#[pyclass(frozen, eq, module = "cloudnestle_marketplace")]
pub(crate) struct User {
    answer: std::sync::Arc<core::User>,
    certainty: Certainty,
}

impl User {
    pub(crate) fn of(answer: Answer<core::User>) -> Self {
        User { certainty: Certainty::of(&answer), answer: answer.into_inner() }
    }
}

impl PartialEq for User {
    fn eq(&self, other: &Self) -> bool {
        self.answer == other.answer
    }
}

#[pymethods]
impl User {
    /// The customer, `cus_…`.
    #[getter]
    fn customer_id(&self) -> &str {
        &self.answer.customer_id
    }

    /// The customer's tier in this solution: `anonymous`, `registered`, `pro`, `enterprise`, or `unknown` to
    /// this release.
    #[getter]
    fn tier(&self) -> String {
        word(self.answer.tier)
    }

    /// The solution the token is for, `sol_…`.
    #[getter]
    fn solution_id(&self) -> &str {
        &self.answer.solution_id
    }

    /// The token, `tok_…`; never the token itself.
    #[getter]
    fn token_id(&self) -> &str {
        &self.answer.token_id
    }

    /// When the token ends, in UTC.
    #[getter]
    fn expires_at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDateTime>> {
        moment(py, self.answer.expires_at)
    }

    /// Who stands behind it: `online`, the marketplace, which knows of revocations, or `local`, the token's own
    /// words.
    #[getter]
    fn verified(&self) -> &'static str {
        self.certainty.verified
    }

    /// Whether it may be out of date: `fresh`, at most 5 s old; or `offline`, older because nobody can be
    /// reached, at most 5 minutes.
    #[getter]
    fn freshness(&self) -> &'static str {
        self.certainty.freshness
    }

    /// How long before this answer the marketplace said what it takes to say this, in seconds.
    #[getter]
    fn age(&self) -> f64 {
        self.certainty.age
    }

    fn __hash__(&self) -> u64 {
        hash(&self.answer.token_id)
    }

    fn __repr__(&self) -> String {
        let core::User { customer_id, solution_id, token_id, .. } = &*self.answer;
        let (tier, Certainty { verified, freshness, .. }) = (self.tier(), &self.certainty);
        format!(
            "User(customer_id={customer_id:?}, tier={tier:?}, solution_id={solution_id:?}, \
             token_id={token_id:?}, verified={verified:?}, freshness={freshness:?})"
        )
    }
}

fn hash(of: &impl std::hash::Hash) -> u64 {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
    BuildHasherDefault::<DefaultHasher>::default().hash_one(of)
}

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

/// A moment of an answer, which becomes a `datetime` when somebody asks for it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Moment(pub(crate) Timestamp);

impl<'py> IntoPyObject<'py> for &Moment {
    type Target = PyDateTime;
    type Output = Bound<'py, PyDateTime>;
    type Error = PyErr;
    #[cfg(feature = "stubs")]
    const OUTPUT_TYPE: pyo3::inspect::PyStaticExpr =
        <&Bound<'_, PyDateTime> as IntoPyObject<'_>>::OUTPUT_TYPE;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        moment(py, self.0)
    }
}

/// What a user may do: tier, entitlements, quotas; and how sure that is.
#[pyclass(frozen, eq, module = "cloudnestle_marketplace")]
pub(crate) struct UserContext {
    answer: std::sync::Arc<core::UserContext>,
    certainty: Certainty,
}

impl UserContext {
    pub(crate) fn of(answer: Answer<core::UserContext>) -> Self {
        UserContext { certainty: Certainty::of(&answer), answer: answer.into_inner() }
    }
}

impl PartialEq for UserContext {
    fn eq(&self, other: &Self) -> bool {
        self.answer == other.answer
    }
}

#[pymethods]
impl UserContext {
    /// The customer, `cus_…`.
    #[getter]
    fn customer_id(&self) -> &str {
        &self.answer.customer_id
    }

    /// The name the customer gave; `None` for an anonymous visitor.
    #[getter]
    fn name(&self) -> Option<&str> {
        self.answer.name.as_deref()
    }

    /// The solution the token is for, `sol_…`.
    #[getter]
    fn solution_id(&self) -> &str {
        &self.answer.solution_id
    }

    /// The customer's tier in this solution: `anonymous`, `registered`, `pro`, `enterprise`, or `unknown` to
    /// this release.
    #[getter]
    fn tier(&self) -> String {
        word(self.answer.tier)
    }

    /// What the tier switches on, by the names the solution gave.
    #[getter]
    fn entitlements(&self) -> Vec<String> {
        self.answer.entitlements.clone()
    }

    /// The customer's quotas in this solution, one for each limited action.
    #[getter]
    fn quotas(&self) -> Vec<Quota> {
        self.answer.quotas.iter().map(Quota::of).collect()
    }

    /// The token, `tok_…`.
    #[getter]
    fn token_id(&self) -> &str {
        &self.answer.token_id
    }

    /// When the token ends, in UTC.
    #[getter]
    fn expires_at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDateTime>> {
        moment(py, self.answer.expires_at)
    }

    /// Who stands behind it: `online`, the marketplace, or `local`, the token's own words.
    #[getter]
    fn verified(&self) -> &'static str {
        self.certainty.verified
    }

    /// Whether it may be out of date: `fresh`, at most 5 s old; `stale`, at most 30 s; or `offline`, older
    /// because nobody can be reached.
    #[getter]
    fn freshness(&self) -> &'static str {
        self.certainty.freshness
    }

    /// How long before this answer the marketplace said this, in seconds.
    #[getter]
    fn age(&self) -> f64 {
        self.certainty.age
    }

    fn __hash__(&self) -> u64 {
        hash(&self.answer.token_id)
    }

    fn __repr__(&self) -> String {
        let core::UserContext { customer_id, solution_id, entitlements, .. } = &*self.answer;
        let tier = self.tier();
        format!(
            "UserContext(customer_id={customer_id:?}, tier={tier:?}, solution_id={solution_id:?}, \
             entitlements={entitlements:?})"
        )
    }
}

/// What a customer hands to a solution: a short-lived access token and what renews it. Neither is printed.
#[pyclass(frozen, eq, module = "cloudnestle_marketplace")]
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TokenPair(pub(crate) core::TokenPair);

#[pymethods]
impl TokenPair {
    /// Of what was kept of a pair, from a session for example. `expires_at` is in UTC if it has no time zone.
    #[new]
    fn new(
        access_token: String,
        refresh_token: String,
        expires_at: &Bound<'_, PyDateTime>,
    ) -> PyResult<Self> {
        let utc = PyTzInfo::utc(expires_at.py())?;
        let at = if expires_at.getattr("tzinfo")?.is_none() {
            let zone = PyDict::new(expires_at.py());
            zone.set_item("tzinfo", utc)?;
            expires_at.call_method("replace", (), Some(&zone))?
        } else {
            expires_at.clone().into_any()
        };
        let seconds: f64 = at.call_method0("timestamp")?.extract()?;
        Ok(TokenPair(core::TokenPair {
            access_token: core::Secret::new(access_token),
            refresh_token: core::Secret::new(refresh_token),
            expires_at: Timestamp::from_millis((seconds * 1000.0).round() as i64),
        }))
    }

    /// An Ed25519-signed JWT whose audience is the solution.
    #[getter]
    fn access_token(&self) -> &str {
        self.0.access_token.expose()
    }

    /// Renews the pair once; `cnrt_…`.
    #[getter]
    fn refresh_token(&self) -> &str {
        self.0.refresh_token.expose()
    }

    /// When the access token ends, in UTC.
    #[getter]
    fn expires_at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDateTime>> {
        moment(py, self.0.expires_at)
    }

    fn __repr__(&self) -> String {
        format!("TokenPair(access_token=***, refresh_token=***, expires_at={})", self.0.expires_at)
    }
}

/// Which event is meant, in a correction of it.
#[pyclass(frozen, eq, hash, module = "cloudnestle_marketplace")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct EventRef(pub(crate) core::EventRef);

#[pymethods]
impl EventRef {
    fn __repr__(&self) -> String {
        match &self.0 {
            core::EventRef::Numbered { producer, number } => {
                format!("EventRef(producer={producer:?}, number={number})")
            }
            core::EventRef::Single { id } => format!("EventRef(id={id:?})"),
        }
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

/// Events that were lost, by what became of them.
#[pyclass(frozen, eq, hash, get_all, module = "cloudnestle_marketplace")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Losses {
    /// All of them.
    total: u64,
    /// Damaged in the spool.
    damaged: u64,
    /// Dropped because the spool or the disk was full, by `overflow`.
    overflow: u64,
    /// Dropped because they were older than `max_age`.
    expired: u64,
    /// Never acknowledged: writing them failed, and `track_usage` said so.
    unacknowledged: u64,
}

/// What became of usage since the SDK was built: `tracked = delivered + pending + rejected + lost.total`.
#[pyclass(frozen, eq, hash, get_all, module = "cloudnestle_marketplace")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct UsageStats {
    /// Acknowledged by `track_usage`, or found in the spool of a process that is gone.
    tracked: u64,
    /// Counted by the marketplace, now or before.
    delivered: u64,
    /// Waiting in the spool.
    pending: u64,
    /// How many of those wait in memory alone, and end with the process.
    in_memory: u64,
    /// Refused by the marketplace for good, and kept: see `rejected_usage`.
    rejected: u64,
    /// Gone, and declared to the marketplace as lost as soon as it can be reached.
    lost: Losses,
}

impl UsageStats {
    pub(crate) fn of(stats: &core::UsageStats) -> Self {
        let core::Losses { damaged, overflow, expired, unacknowledged, .. } = stats.lost;
        let total = stats.lost.total();
        UsageStats {
            tracked: stats.tracked,
            delivered: stats.delivered,
            pending: stats.pending,
            in_memory: stats.in_memory,
            rejected: stats.rejected,
            lost: Losses { total, damaged, overflow, expired, unacknowledged },
        }
    }
}

#[pymethods]
impl UsageStats {
    fn __repr__(&self) -> String {
        let UsageStats { tracked, delivered, pending, rejected, lost, .. } = self;
        let lost = lost.total;
        format!(
            "UsageStats(tracked={tracked}, delivered={delivered}, pending={pending}, \
             rejected={rejected}, lost={lost})"
        )
    }
}

/// What became of the blocks of hard limits that `consume` spends.
#[pyclass(frozen, eq, hash, get_all, module = "cloudnestle_marketplace")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LeaseStats {
    /// Set aside for this program.
    taken: u64,
    /// Of those, held now.
    held: u64,
    /// Given back.
    returned: u64,
    /// Left to end by themselves.
    given_up: u64,
}

/// What the SDK has done since it was built.
#[pyclass(frozen, eq, hash, get_all, module = "cloudnestle_marketplace")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Stats {
    /// Requests sent, each attempt counted.
    requests: u64,
    /// How far the marketplace's clock is ahead of this machine's, in milliseconds.
    clock_offset_ms: i64,
    /// What became of usage.
    usage: UsageStats,
    /// What became of leases.
    leases: LeaseStats,
}

impl Stats {
    pub(crate) fn of(stats: &core::Stats) -> Self {
        let core::LeaseStats { taken, held, returned, given_up, .. } = stats.leases;
        Stats {
            requests: stats.requests,
            clock_offset_ms: stats.clock_offset_ms,
            usage: UsageStats::of(&stats.usage),
            leases: LeaseStats { taken, held, returned, given_up },
        }
    }
}

/// How the SDK was left.
#[pyclass(frozen, eq, hash, get_all, module = "cloudnestle_marketplace")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct CloseReport {
    /// What became of usage; what is pending is safe in the spool.
    usage: UsageStats,
}

impl CloseReport {
    pub(crate) fn of(report: &core::CloseReport) -> Self {
        CloseReport { usage: UsageStats::of(&report.usage) }
    }
}

/// One thing a customer did, as it is billed.
#[pyclass(frozen, eq, module = "cloudnestle_marketplace")]
#[derive(Clone, PartialEq)]
pub(crate) struct UsageEvent(pub(crate) core::model::UsageEvent);

#[pymethods]
impl UsageEvent {
    /// `evt_…`; counts once however often it arrives.
    #[getter]
    fn id(&self) -> &str {
        &self.0.id
    }

    /// Who did it.
    #[getter]
    fn customer_id(&self) -> &str {
        &self.0.customer_id
    }

    /// The token it was done with, `tok_…`; never the token itself.
    #[getter]
    fn token_id(&self) -> &str {
        &self.0.token_id
    }

    /// What was done, by the name the solution gave.
    #[getter]
    fn action(&self) -> &str {
        &self.0.action
    }

    /// How much of it, in the action's unit.
    #[getter]
    fn quantity(&self) -> u64 {
        self.0.quantity
    }

    /// When, by this machine's clock as the marketplace corrects it, in UTC.
    #[getter]
    fn occurred_at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDateTime>> {
        moment(py, self.0.occurred_at)
    }

    /// The program's own name for it.
    #[getter]
    fn idempotency_key(&self) -> Option<&str> {
        self.0.idempotency_key.as_deref()
    }

    fn __repr__(&self) -> String {
        let core::model::UsageEvent { id, customer_id, action, quantity, .. } = &self.0;
        format!(
            "UsageEvent(id={id:?}, customer_id={customer_id:?}, action={action:?}, \
             quantity={quantity})"
        )
    }
}

/// An event that the marketplace refused for good, and why.
#[pyclass(frozen, eq, get_all, module = "cloudnestle_marketplace")]
#[derive(Clone, PartialEq)]
pub(crate) struct RejectedUsage {
    /// Why, by the catalogue.
    code: String,
    /// The event, as it was tracked.
    event: UsageEvent,
}

impl RejectedUsage {
    pub(crate) fn of(rejected: core::RejectedUsage) -> Self {
        let core::RejectedUsage { code, event, .. } = rejected;
        RejectedUsage { code: code.as_str().to_owned(), event: UsageEvent(event) }
    }
}

/// What stands between a program and the marketplace. Holds no secret; `str` of it is a page to read.
#[pyclass(frozen, eq, get_all, module = "cloudnestle_marketplace")]
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Diagnosis {
    /// The marketplace that was asked.
    url: String,
    /// The solution the SDK is set up for.
    solution_id: String,
    /// The worst that was found: `good`, `warning` or `bad`.
    severity: String,
    /// What was found.
    findings: Vec<Finding>,
    /// The same as a page to read.
    text: String,
}

/// What was found about one thing.
#[pyclass(frozen, eq, hash, get_all, module = "cloudnestle_marketplace")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Finding {
    /// About what.
    check: String,
    /// `good`, `warning` or `bad`.
    severity: String,
    /// The catalogue's name for what is wrong.
    code: Option<String>,
    /// What was found.
    message: String,
    /// What to do about it.
    advice: Option<String>,
}

impl Diagnosis {
    pub(crate) fn of(diagnosis: core::Diagnosis) -> Self {
        let finding = |finding: &core::Finding| Finding {
            check: finding.check.to_string(),
            severity: finding.severity.to_string(),
            code: finding.code.map(|code| code.as_str().to_owned()),
            message: finding.message.to_string(),
            advice: finding.advice.as_ref().map(ToString::to_string),
        };
        Diagnosis {
            severity: diagnosis.severity().to_string(),
            findings: diagnosis.findings.iter().map(finding).collect(),
            text: diagnosis.to_string(),
            url: diagnosis.url,
            solution_id: diagnosis.solution_id,
        }
    }
}

#[pymethods]
impl Diagnosis {
    fn __str__(&self) -> &str {
        &self.text
    }
}

/// As Python's seconds.
pub(crate) fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
