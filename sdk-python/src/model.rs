//! What calls answer with: frozen, comparable, and without a secret in what is printed of it.

mod diagnosis;
mod quotas;
mod stats;
mod usage;
mod users;

use cloudnestle_marketplace::model::Timestamp;
use pyo3::prelude::*;
use pyo3::types::{PyDateTime, PyTzInfo};
use serde_json::Value;

pub(crate) use diagnosis::{Diagnosis, Finding};
pub(crate) use quotas::{Denial, Quota};
pub(crate) use stats::{CloseReport, LeaseStats, Losses, Stats, UsageStats};
pub(crate) use usage::{EventRef, RejectedUsage, UsageEvent};
pub(crate) use users::{TokenPair, User, UserContext};

/// As Python's `datetime`, in UTC.
pub(super) fn moment(py: Python<'_>, at: Timestamp) -> PyResult<Bound<'_, PyDateTime>> {
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
