//! The leases that a client does not take. In the place of `leases`, where there is no backend.

use std::sync::Arc;
use std::time::Duration;

use super::pipelines::Pipelines;
use super::uploader::{Pipeline, Uplink};
use crate::host::Host;

/// A producer's log.
pub(super) struct Holder {
    pub(super) pipeline: Arc<Pipeline>,
}

impl Holder {
    pub(super) fn new(_: Arc<dyn Host>, pipeline: Arc<Pipeline>) -> Self {
        Holder { pipeline }
    }
}

pub(crate) struct Leases;

impl Leases {
    pub(super) fn new(_: Arc<Pipelines>, _: Duration) -> Arc<Self> {
        Arc::new(Leases)
    }
}

/// Nobody is denied what can't be consumed.
#[derive(Debug)]
pub enum Denial {}

impl Pipeline {
    /// There are none to give back.
    pub(super) async fn end_if_delivered(&self, _: &Uplink, _: Duration) {}

    pub(super) async fn end(&self, _: &Uplink, _: Duration) -> bool {
        true
    }
}
