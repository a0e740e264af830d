//! The acknowledgement of an event.

use cloudnestle_marketplace as core;
use pyo3::prelude::*;

use crate::call::Call;
use crate::home::Background;
use crate::model::EventRef;

/// That an event is taken. It will count once.
#[pyclass(frozen, module = "cloudnestle_marketplace._native")]
pub(crate) struct Receipt {
    background: Background,
    receipt: core::Receipt,
    /// It was allowed beyond the limit, in an outage.
    #[pyo3(get)]
    is_overage: bool,
}

impl Receipt {
    pub(crate) fn of(background: Background, receipt: core::Receipt) -> Self {
        Receipt { background, receipt, is_overage: false }
    }

    pub(crate) fn of_consumed(background: Background, consumed: &core::Consumed) -> Self {
        let (receipt, is_overage) = (consumed.receipt().clone(), consumed.is_overage());
        Receipt { background, receipt, is_overage }
    }
}

#[pymethods]
impl Receipt {
    /// The event's id, `evt_…`.
    #[getter]
    fn event_id(&self) -> &str {
        self.receipt.event_id()
    }

    /// Completes when the event survives the loss of power.
    fn persisted(&self) -> Call {
        let receipt = self.receipt.clone();
        Call::of(self.background.clone(), async move { receipt.persisted().await }, |py, ()| {
            Ok(py.None())
        })
    }

    /// Completes when the marketplace has counted the event.
    fn delivered(&self) -> Call {
        let receipt = self.receipt.clone();
        Call::of(self.background.clone(), async move { receipt.delivered().await }, |py, ()| {
            Ok(py.None())
        })
    }

    /// What the event is called in a correction of it.
    fn reference(&self) -> Call {
        let receipt = self.receipt.clone();
        let reference = async move { receipt.reference().await };
        Call::of(self.background.clone(), reference, |py, event| {
            Ok(Py::new(py, EventRef(event))?.into_any())
        })
    }
}
