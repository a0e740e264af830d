//! The layer in which calls of the API get into the journal.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::fault_injection::Met;
use crate::api::layers::{RequestId, name_of};
use crate::api::problem::code_of;
use crate::market::Market;
use crate::server::ResetConnection;
use crate::world::JournalEntry;

pub(crate) async fn layer(
    State(market): State<Arc<Market>>,
    path: MatchedPath,
    Extension(RequestId(request_id)): Extension<RequestId>,
    request: Request,
    next: Next,
) -> Response {
    let operation = format!("{} {}", name_of(request.method()), path.as_str());
    let response = next.run(request).await;

    let is_reset = response.extensions().get::<ResetConnection>().is_some();
    market.world.journal.push(JournalEntry {
        seq: 0, // the journal counts
        at: market.world.now(),
        operation,
        status: (!is_reset).then(|| response.status().as_u16()),
        code: if is_reset { None } else { code_of(&response) },
        request_id,
        fault: response.extensions().get::<Met>().map(|Met(fault)| fault.clone()),
    });
    response
}
