//! What the SDK does by itself, for programs that watch.

use std::pin::pin;
use std::sync::{Arc, PoisonError};

use cloudnestle_marketplace::model::Code;
use cloudnestle_marketplace::{Event, MarketplaceSdk};
use futures_channel::oneshot;
use futures_util::FutureExt;
use futures_util::future::{Either, Shared, select};
use futures_util::lock::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::call::Call;
use crate::errors::raised;
use crate::home::Background;
use crate::model::UsageEvent;

/// The events from now on.
#[pyclass(frozen, module = "cloudnestle_marketplace._native")]
pub(crate) struct Events {
    background: Background,
    events: Arc<Mutex<cloudnestle_marketplace::Events>>,
    end: Arc<End>,
}

/// When there is nothing more to be watched.
pub(crate) struct End {
    coming: Shared<oneshot::Receiver<()>>,
    come: std::sync::Mutex<Option<oneshot::Sender<()>>>,
}

impl Default for End {
    fn default() -> Self {
        let (come, coming) = oneshot::channel();
        End { coming: coming.shared(), come: std::sync::Mutex::new(Some(come)) }
    }
}

impl End {
    pub(crate) fn come(&self) {
        self.come.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Events {
    pub(crate) fn of(sdk: &MarketplaceSdk, end: Arc<End>) -> Self {
        let events = Arc::new(Mutex::new(sdk.events()));
        Events { background: Background::of(sdk), events, end }
    }
}

#[pymethods]
impl Events {
    /// The next event's name and particulars; `None` once the SDK is closed, after what came before.
    fn next(&self) -> Call {
        let (events, end) = (self.events.clone(), self.end.coming.clone());
        let next = async move {
            let mut events = events.lock().await;
            let next = pin!(events.next());
            Ok(match select(next, end).await {
                Either::Left((event, _)) => event,
                Either::Right(_) => None,
            })
        };
        Call::of(self.background.clone(), next, |py, event| match event {
            Some(event) => told(py, event),
            None => Ok(py.None()),
        })
    }
}

fn told(py: Python<'_>, event: Event) -> PyResult<Py<PyAny>> {
    let of = PyDict::new(py);
    let code = |code: Code| code.as_str();
    let name = match event {
        Event::Offline => "offline",
        Event::Online => "online",
        Event::RateLimited { wait } => {
            of.set_item("wait", wait.as_secs_f64())?;
            "rate_limited"
        }
        Event::TokenRefreshed => "token_refreshed",
        Event::UsageDelivered { count } => {
            of.set_item("count", count)?;
            "usage_delivered"
        }
        Event::UsageRejected { event, code: why, kept } => {
            of.set_item("event", UsageEvent(event))?;
            of.set_item("code", code(why))?;
            of.set_item("kept", kept)?;
            "usage_rejected"
        }
        Event::UsageWaiting { error } => {
            of.set_item("error", raised(py, &error).into_value(py))?;
            "usage_waiting"
        }
        Event::UsageDropped { count, reason } => {
            of.set_item("count", count)?;
            of.set_item("reason", crate::model::word(reason))?;
            "usage_dropped"
        }
        Event::SpoolInMemory { error } => {
            of.set_item("error", raised(py, &error).into_value(py))?;
            "spool_in_memory"
        }
        Event::QuotaWarning { customer_id, action, used, limit } => {
            of.set_item("customer_id", customer_id)?;
            of.set_item("action", action)?;
            of.set_item("used", used)?;
            of.set_item("limit", limit)?;
            "quota_warning"
        }
        Event::Missed { count } => {
            of.set_item("count", count)?;
            "missed"
        }
        _ => "unknown",
    };
    Ok((name, of).into_pyobject(py)?.into_any().unbind())
}
