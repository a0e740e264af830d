//! Whether a caller may call again already: asked before anything else is done for it, and told with
//! each answer in `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10).
//!
//! A caller is what it presents: each credential has a bucket of its own, long before anybody knows
//! whether it is good. Who presents none, or one that turns out bad, is counted by address.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use cloudnestle_marketplace::Code;

use super::caller::bearer;
use super::problem::Failure;
use crate::domain::credential::Kind;
use crate::market::Market;
use crate::world::{Callers, Charge};

pub(super) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(super) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub IpAddr);

/// Whose bucket it is.
#[derive(Hash)]
enum Caller<'r> {
    Credential(&'r [u8]),
    /// Unknown where there is no socket.
    Address(Option<IpAddr>),
}

pub(super) async fn layer(
    State(market): State<Arc<Market>>,
    path: MatchedPath,
    peer: Option<Extension<Peer>>,
    request: Request,
    next: Next,
) -> Response {
    let charge = |callers: Callers, caller: Caller<'_>| {
        market.world.rates.charge(callers, caller, market.world.now())
    };
    let address = || Caller::Address(peer.map(|Extension(Peer(address))| address));

    let authorization = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let callers = callers(request.method(), path.as_str(), authorization);
    let charged = match (callers, authorization) {
        (Callers::Key | Callers::Token, Some(it)) => charge(callers, Caller::Credential(it)),
        _ => charge(callers, address()),
    };
    if charged.wait.is_some() {
        return refuse(callers, charged);
    }
    let mut response = next.run(request).await;
    if response.status() == StatusCode::UNAUTHORIZED {
        let charged = charge(Callers::Open, address());
        if charged.wait.is_some() {
            return refuse(Callers::Open, charged);
        }
    }
    tell(&mut response, callers, charged);
    response
}

/// Who a call is counted with, by what its credential looks like.
fn callers(method: &Method, path: &str, authorization: Option<&[u8]>) -> Callers {
    let credential = authorization.and_then(bearer).unwrap_or_default();
    let is_publishable = credential.starts_with(Kind::PublishableKey.prefix());
    let makes_a_customer = path.starts_with("/api/users") || path == "/api/sessions";
    if method == Method::POST
        && (makes_a_customer || is_publishable && path == "/api/generate-token")
    {
        return Callers::SignIn;
    }
    let is_key = |kind: Kind| credential.starts_with(kind.prefix());
    match authorization {
        None => Callers::Open,
        Some(_) if is_publishable => Callers::Open,
        Some(_) if is_key(Kind::SecretKey) || is_key(Kind::AdminKey) => Callers::Key,
        Some(_) => Callers::Token,
    }
}

fn refuse(callers: Callers, charged: Charge) -> Response {
    let mut response = Failure::from(Code::RateLimited).into_response();
    tell(&mut response, callers, charged);
    // In whole seconds: who comes earlier would be refused again.
    let seconds = charged.wait.unwrap_or_default().as_millis().div_ceil(1000).max(1);
    if let Ok(seconds) = HeaderValue::try_from(seconds.to_string()) {
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

/// `RateLimit: "key";r=49;t=1` says that 49 more calls are free now, and all of them in a second.
fn tell(response: &mut Response, callers: Callers, Charge { limit, remaining, .. }: Charge) {
    let (name, burst) = (callers.name(), limit.burst.get());
    let (full_in, window) = (limit.seconds_for(burst - remaining), limit.seconds_for(burst));
    let headers = response.headers_mut();
    for (header, text) in [
        (RATE_LIMIT, format!(r#""{name}";r={remaining};t={full_in}"#)),
        (RATE_LIMIT_POLICY, format!(r#""{name}";q={burst};w={window}"#)),
    ] {
        // Names and numbers are always good in a header.
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(header, value);
        }
    }
}
