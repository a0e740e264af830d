//! `GET /metrics`, for Prometheus. Anybody who reaches the server may read it, and finds no secret and
//! nobody's name.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use utoipa::PartialSchema;

use super::openapi::{Answer, Shape, Success};
use super::usage::projection;
use crate::market::Market;

/// OpenMetrics 1.0, which Prometheus asks for first.
const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics as text.
pub(super) struct Exposition(String);

impl IntoResponse for Exposition {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, MEDIA_TYPE)], self.0).into_response()
    }
}

impl Answer for Exposition {
    fn describe(shape: &mut Shape) {
        let content = Some((MEDIA_TYPE, String::schema()));
        shape.answer = Success { status: 200, content };
    }
}

/// `GET /metrics`
pub(super) async fn read(State(market): State<Arc<Market>>) -> Exposition {
    let metrics = &market.world.metrics;
    // A store that can't say is told of by the calls that fail.
    if let Ok(pending) = projection::pending(&market).await {
        metrics.set_pending(pending);
    }
    #[cfg(feature = "control")]
    metrics.set_journal(market.world.journal.len());
    Exposition(metrics.exposition())
}
