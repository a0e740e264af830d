//! What a customer has used, read page by page.

use std::sync::Arc;

use cloudnestle_marketplace as core;
use cloudnestle_marketplace::model::{Bucket, Timestamp};
use cloudnestle_marketplace::{Code, Error, Pages, Result, UsageFilter};
use futures_util::lock::Mutex;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

use crate::call::Call;
use crate::home::Background;
use crate::model::{EventRef, Moment};

/// Items, which are asked for as they are read.
#[pyclass(frozen, module = "cloudnestle_marketplace._native")]
pub(crate) struct Items {
    background: Background,
    read: Read,
}

enum Read {
    Buckets(Arc<Mutex<Pages<core::UsageBucket>>>),
    Events(Arc<Mutex<Pages<core::CountedEvent>>>),
}

impl Items {
    pub(crate) fn buckets(background: Background, pages: Pages<core::UsageBucket>) -> Self {
        Items { background, read: Read::Buckets(Arc::new(Mutex::new(pages))) }
    }

    pub(crate) fn events(background: Background, pages: Pages<core::CountedEvent>) -> Self {
        Items { background, read: Read::Events(Arc::new(Mutex::new(pages))) }
    }
}

#[pymethods]
impl Items {
    /// The next one; `None` at the end.
    fn next(&self) -> Call {
        match &self.read {
            Read::Buckets(pages) => {
                let pages = pages.clone();
                Call::of(
                    self.background.clone(),
                    async move { pages.lock().await.next().await.transpose() },
                    |py, bucket| bucket.map(UsageBucket::of).into_py_any(py),
                )
            }
            Read::Events(pages) => {
                let pages = pages.clone();
                Call::of(
                    self.background.clone(),
                    async move { pages.lock().await.next().await.transpose() },
                    |py, event| event.map(CountedEvent::of).into_py_any(py),
                )
            }
        }
    }
}

/// Which usage is asked for: of which action, since and until when, and how many items at a time. Times are
/// seconds since 1970.
pub(crate) type Filters = (Option<String>, Option<f64>, Option<f64>, Option<u32>);

pub(crate) fn filter((action, since, until, page_size): Filters) -> UsageFilter {
    let moment = |seconds: f64| Timestamp::from_millis((seconds * 1000.0).round() as i64);
    let mut filter = UsageFilter::all();
    if let Some(action) = action {
        filter = filter.action(action);
    }
    if let Some(since) = since {
        filter = filter.since(moment(since));
    }
    if let Some(until) = until {
        filter = filter.until(moment(until));
    }
    if let Some(items) = page_size {
        filter = filter.page_size(items);
    }
    filter
}

/// A bucket of time, by the wire's word.
pub(crate) fn bucket(word: &str) -> Result<Bucket> {
    let known = serde_json::from_value(serde_json::Value::from(word));
    known.map_err(|_| Error::from(Code::RequestInvalid))
}

/// What a customer used of an action in a bucket of time.
#[pyclass(frozen, eq, hash, get_all, module = "cloudnestle_marketplace")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct UsageBucket {
    /// The action, by the name the solution gave.
    action: String,
    /// The bucket's first moment.
    begins_at: Moment,
    /// The first moment of the next.
    ends_at: Moment,
    /// How much was used, in the action's unit.
    quantity: u64,
}

impl UsageBucket {
    fn of(bucket: core::UsageBucket) -> Self {
        UsageBucket {
            action: bucket.action,
            begins_at: Moment(bucket.begins_at),
            ends_at: Moment(bucket.ends_at),
            quantity: bucket.quantity,
        }
    }
}

/// An event that counted, and what it counts as.
#[pyclass(frozen, eq, hash, get_all, module = "cloudnestle_marketplace")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct CountedEvent {
    /// The event's id, `evt_…`.
    id: String,
    /// What it is called when it is put right.
    reference: EventRef,
    /// The action, by the name the solution gave.
    action: String,
    /// How much of it, as the event said. That of a void says nothing.
    quantity: u64,
    /// When it occurred, as the event said.
    occurred_at: Moment,
    /// When the marketplace took it.
    received_at: Moment,
    /// What it adds to what was used: its quantity, or the difference it makes to the event it puts right.
    counts: i64,
    /// In the buckets of when.
    counts_at: Moment,
    /// The day it occurred in had ended when it arrived.
    late: bool,
    /// It was allowed while the marketplace could not be reached.
    overage: bool,
    /// What corrections have left of its quantity; `None` if it was never put right.
    left: Option<u64>,
    /// The program's own name for it.
    idempotency_key: Option<String>,
}

impl CountedEvent {
    fn of(event: core::CountedEvent) -> Self {
        CountedEvent {
            id: event.id,
            reference: EventRef(event.reference),
            action: event.action,
            quantity: event.quantity,
            occurred_at: Moment(event.occurred_at),
            received_at: Moment(event.received_at),
            counts: event.counts,
            counts_at: Moment(event.counts_at),
            late: event.late,
            overage: event.overage,
            left: event.left,
            idempotency_key: event.idempotency_key,
        }
    }
}
