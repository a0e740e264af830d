//! The layer in which calls of the API meet the fault plan.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use cloudnestle_marketplace::Code;

use super::spoiling::{DateOffset, Spoiled};
use crate::api::caller::{self, bearer};
use crate::api::layers::{RequestId, name_of};
use crate::api::problem::{AsWritten, Failure};
use crate::domain::credential::Kind as CredentialKind;
use crate::domain::jwt;
use crate::market::Market;
use crate::server::BrokenOff;
use crate::world::{Answer, Candidate, Content, Kind, Malformed, Taken, When};

/// Names the test that a call belongs to, so that it meets that test's faults.
pub(crate) const TEST: HeaderName = HeaderName::from_static("cloudnestle-test");

/// The longest body that a fault repeats: that of any call, with room to spare.
const MAX_REPEATED_BYTES: usize = 2 * 1024 * 1024;

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
        let broken_off = broken_off(BrokenOff::Reset, When::BeforeCommit, request, next).await;
        return met(broken_off, "outage".to_owned());
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
        Some(taken) => {
            let summary = taken.to_string();
            met(perform(&market, taken, request, next).await, summary)
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
async fn perform(market: &Market, taken: Taken, request: Request, next: Next) -> Response {
    let Taken { delay, effect, .. } = taken;
    if let Some(delay) = delay {
        tokio::time::sleep(delay).await;
    }
    let mut response = match effect.kind {
        Kind::Nothing => next.run(request).await,
        Kind::Answer(answer) => in_place(answer),
        Kind::Reset(when) => broken_off(BrokenOff::Reset, when, request, next).await,
        Kind::Empty(when) => broken_off(BrokenOff::Closed, when, request, next).await,
        Kind::Malformed(Malformed::Http) => {
            broken_off(BrokenOff::Garbled, When::AfterCommit, request, next).await
        }
        Kind::Malformed(Malformed::Json) => spoiled(Spoiled::Half, request, next).await,
        Kind::Truncated(share) => spoiled(Spoiled::Truncated(share), request, next).await,
        Kind::Drip { pieces, over } => spoiled(Spoiled::Drip { pieces, over }, request, next).await,
        Kind::Stall(time) => spoiled(Spoiled::Stall(time), request, next).await,
        Kind::Duplicate => twice(request, next).await,
        Kind::RotateKey(when) => {
            let rotate = async || match market.rotate_signing_key().await {
                Ok(()) => None,
                Err(error) => Some(Failure::from(error).into_response()),
            };
            match when {
                When::BeforeCommit => match rotate().await {
                    Some(failed) => failed,
                    None => next.run(request).await,
                },
                When::AfterCommit => {
                    let response = next.run(request).await;
                    rotate().await.unwrap_or(response)
                }
            }
        }
    };
    if effect.date_offset_ms != 0 {
        response.extensions_mut().insert(DateOffset(effect.date_offset_ms));
    }
    response
}

/// The answer that was planned.
fn in_place(Answer { status, headers, content }: Answer) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let mut response = match content {
        Content::Problem(code) => {
            Failure::new(code, "A fault that was planned for this call.").with_status(status)
        }
        Content::Given(body) => {
            let mut response = (status, Body::from(body)).into_response();
            response.extensions_mut().insert(AsWritten);
            response
        }
    };
    response.headers_mut().extend(headers);
    response
}

/// No answer: the call is performed first, or never.
async fn broken_off(how: BrokenOff, when: When, request: Request, next: Next) -> Response {
    if when == When::AfterCommit {
        let _unheard = next.run(request).await;
    }
    let mut response = StatusCode::SERVICE_UNAVAILABLE.into_response();
    response.extensions_mut().insert(how);
    response
}

async fn spoiled(how: Spoiled, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.extensions_mut().insert(how);
    response
}

/// As if something on the way had repeated the call; the answer is the second one.
async fn twice(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_REPEATED_BYTES).await else {
        return Failure::new(Code::RequestTooLarge, "The body is too long to be repeated.")
            .into_response();
    };
    let again = || Request::from_parts(parts.clone(), Body::from(body.clone()));
    let _unheard = next.clone().run(again()).await;
    next.run(again()).await
}

fn met(mut response: Response, fault: String) -> Response {
    response.extensions_mut().insert(Met(fault));
    response
}
