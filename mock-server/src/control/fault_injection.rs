//! The layer in which calls of the API meet the fault plan.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::layers::{RequestId, name_of};
use crate::api::problem::Failure;
use crate::market::Market;
use crate::server::ResetConnection;
use crate::world::{Effect, Reset};

/// What was done to a call on purpose, as the journal says it. It goes with the answer.
#[derive(Clone, Debug)]
pub(super) struct Met(pub String);

pub(crate) async fn layer(
    State(market): State<Arc<Market>>,
    path: MatchedPath,
    Extension(RequestId(request_id)): Extension<RequestId>,
    request: Request,
    next: Next,
) -> Response {
    if market.world.faults.is_outage() {
        return met(reset(), "outage".to_owned());
    }
    let operation = format!("{} {}", name_of(request.method()), path.as_str());
    perform(&market, &operation, &request_id, request, next).await
}

/// Answers a call, with the fault that is planned for it.
async fn perform(
    market: &Market,
    operation: &str,
    request_id: &str,
    request: Request,
    next: Next,
) -> Response {
    let Some(fault) = market.world.faults.take(operation, request_id) else {
        return next.run(request).await;
    };
    if let Some(delay) = fault.delay_time() {
        tokio::time::sleep(delay).await;
    }
    let response = match fault.effect() {
        Effect::Nothing => next.run(request).await,
        Effect::Reset(Reset::BeforeCommit) => reset(),
        Effect::Reset(Reset::AfterCommit) => {
            let _unheard = next.run(request).await;
            reset()
        }
        Effect::Answer { status, code, headers } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            let failure = Failure::new(code, "A fault that was planned for this call.");
            let mut response = failure.with_status(status);
            for (name, value) in headers {
                // The plan took only what can be a header.
                if let (Ok(name), Ok(value)) =
                    (HeaderName::try_from(name), HeaderValue::try_from(value))
                {
                    response.headers_mut().insert(name, value);
                }
            }
            response
        }
    };
    met(response, fault.summary())
}

fn met(mut response: Response, fault: String) -> Response {
    response.extensions_mut().insert(Met(fault));
    response
}

fn reset() -> Response {
    let mut response = StatusCode::SERVICE_UNAVAILABLE.into_response();
    response.extensions_mut().insert(ResetConnection);
    response
}
