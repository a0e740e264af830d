//! Who somebody is and what they may do, and what they show for it.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use cloudnestle_marketplace as core;
use cloudnestle_marketplace::model::Timestamp;
use cloudnestle_marketplace::{Answer, Freshness, Verified};
use pyo3::prelude::*;
use pyo3::types::{PyDateTime, PyDict, PyTzInfo};

use super::{Quota, moment, word};

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
    answer: Arc<core::User>,
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

/// What a user may do: tier, entitlements, quotas; and how sure that is.
#[pyclass(frozen, eq, module = "cloudnestle_marketplace")]
pub(crate) struct UserContext {
    answer: Arc<core::UserContext>,
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

/// Equal answers are about the same token.
fn hash(token_id: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(token_id)
}
