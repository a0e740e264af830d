//! What customers did.

use cloudnestle_marketplace as core;
use pyo3::prelude::*;
use pyo3::types::PyDateTime;

use super::moment;

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
