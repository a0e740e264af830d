//! The layer in which calls of the API meet the fault plan.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::caller::{self, bearer};
use crate::api::layers::{RequestId, name_of};
use crate::api::problem::Failure;
use crate::domain::credential::Kind as CredentialKind;
use crate::domain::jwt;
use crate::market::Market;
use crate::server::ResetConnection;
use crate::world::{Candidate, Effect, Kind, When};

/// Names the test that a call belongs to, so that it meets that test's faults.
pub(crate) const TEST: HeaderName = HeaderName::from_static("cloudnestle-test");

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
    let faults = &market.world.faults;
    if faults.is_outage() {
        return met(reset(), "outage".to_owned());
    }
    let operation = format!("{} {}", name_of(request.method()), path.as_str());
    let headers = request.headers();
    // Whose key it is, is only known to the store: who has planned nothing for it need not wait.
    let solution = match faults.asks_for_solution() {
        true => solution_of(&market, headers).await,
        false => None,
    };
    let call = Candidate {
        operation: &operation,
        solution: solution.as_deref(),
        test: headers.get(TEST).and_then(|test| test.to_str().ok()),
        request_id: &request_id,
        now: market.world.now(),
    };
    match faults.take(&call, &market.world.random) {
        Some((id, effect)) => {
            let summary = format!("{id}: {effect}");
            met(perform(effect, request, next).await, summary)
        }
        None => next.run(request).await,
    }
}

/// The solution a caller belongs to: that of its key or token, and without either the one it names.
async fn solution_of(market: &Market, headers: &HeaderMap) -> Option<String> {
    let Some(credential) = headers.get(header::AUTHORIZATION) else {
        return headers.get(caller::SOLUTION)?.to_str().ok().map(str::to_owned);
    };
    let credential = bearer(credential.as_bytes())?;
    for kind in [CredentialKind::SecretKey, CredentialKind::PublishableKey] {
        if credential.starts_with(kind.prefix()) {
            return Some(caller::look_up(market, kind, credential).await.ok()?.solution_id);
        }
    }
    let now = market.world.now();
    let token = jwt::read_access(&market.keys, &market.url, credential, now).ok()?;
    Some(token.claims().aud.clone())
}

/// Answers a call that has met a fault.
async fn perform(effect: Effect, request: Request, next: Next) -> Response {
    if let Some(delay) = effect.delay {
        tokio::time::sleep(delay).await;
    }
    match effect.kind {
        Kind::Nothing => next.run(request).await,
        Kind::Reset(When::BeforeCommit) => reset(),
        Kind::Reset(When::AfterCommit) => {
            let _unheard = next.run(request).await;
            reset()
        }
        Kind::Answer { status, code, headers } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            let failure = Failure::new(code, "A fault that was planned for this call.");
            let mut response = failure.with_status(status);
            response.headers_mut().extend(headers);
            response
        }
    }
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
