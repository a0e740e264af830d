//! What happens around every call: an id, limits of length and time, and an answer of the right form.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{Timestamp, UsageEvent};
use futures_util::FutureExt;
use tokio::time::Instant;
use tower_http::cors::{Any, CorsLayer, Vary};
use tracing::Instrument;

use super::caller::SOLUTION;
use super::limits::{RATE_LIMIT, RATE_LIMIT_POLICY};
use super::problem::{self, Failure};
use super::version::{VERSION, Version};
use crate::domain::credential::looks_secret;
use crate::market::Market;
use crate::server::BrokenOff;

/// The longest a call may take, its body included. The SDK's own limit for one attempt is shorter.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// How long a browser remembers what it may do: as long as any of them does (Chrome, two hours).
const PREFLIGHT_LIFE: Duration = Duration::from_secs(2 * 60 * 60);
/// The longest id a caller may give its call: twice that of a UUID.
const MAX_REQUEST_ID_BYTES: usize = 64;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest path and query: nginx's bound.
const MAX_URI_BYTES: usize = 8 * 1024;
/// The longest part of a path: that of an id.
const MAX_SEGMENT_BYTES: usize = UsageEvent::MAX_ID_BYTES;

/// A call's id: the caller's, or a new one.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub String);

/// The outermost layer: gives the call its id, and the answer its body, if it is an error, and the
/// headers that all answers have.
pub(crate) async fn frame(
    State(market): State<Arc<Market>>,
    mut request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let _under_way = market.world.metrics.begin();
    let id = id_of(&market, &request);
    request.extensions_mut().insert(RequestId(id.clone()));
    // Of what was asked nothing is written down but what we have names for: anything else may hold a
    // secret in the wrong place.
    let method = name_of(request.method());
    let path = request.extensions().get::<MatchedPath>().cloned();
    let path = path.as_ref().map_or("none", MatchedPath::as_str);
    let span = tracing::info_span!("call", id, method, path);

    let response = match check_uri(request.uri()) {
        Ok(()) => next.run(request).instrument(span.clone()).await,
        Err(failure) => failure.into_response(),
    };
    let response = finish(&market, id, response);
    if response.status().is_server_error() {
        note_failure(method, path, &response);
    }

    let is_reset = response.extensions().get::<BrokenOff>().is_some();
    let status = (!is_reset).then_some(response.status().as_u16());
    let took = began.elapsed();
    market.world.metrics.count(method, path, status, took);
    span.in_scope(|| {
        let micros = took.as_micros();
        tracing::debug!(status, micros, "answered");
    });
    response
}

/// What somebody needs who was told the id of a failed call. The call's span is none of an ordinary
/// log, so all of it is in the line.
fn note_failure(method: &str, path: &str, response: &Response) {
    let Some((code, cause)) = problem::cause_of(response) else { return };
    let id = response.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let (operation, status) = (format!("{method} {path}"), response.status().as_u16());
    tracing::warn!(id, operation, status, %code, cause, "failed");
}

/// The answer to what never became a call.
pub(crate) fn refuse(market: &Market, failure: Failure) -> Response {
    market.world.metrics.count("other", "none", Some(failure.code.status()), Duration::ZERO);
    finish(market, market.world.id("req"), failure.into_response())
}

fn finish(market: &Market, id: String, response: Response) -> Response {
    let mut response = problem::render(response, &id, &market.url);
    let headers = response.headers_mut();
    headers.entry(VERSION).or_insert(Version::NEWEST.header());
    // Tokens must not be kept by anybody on the way; what may be says so itself.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert(REQUEST_ID, id);
    }
    if let Some(date) = http_date(market.world.now()) {
        headers.insert(header::DATE, date);
    }
    response
}

/// The innermost layer: a call that takes too long, or panics, is answered all the same.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    // A panic leaves nothing half-done behind: facts change in commits, and the locks of the world
    // are held over code that can't panic.
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(CALL_LIMIT, answer).await {
        Ok(Ok(response)) => response,
        Ok(Err(_panic)) => Failure::internal("the call panicked").into_response(),
        Err(_elapsed) => Failure::new(Code::Unavailable, "The call took too long.").into_response(),
    }
}

/// The name of a method, unless the caller made it up.
pub(crate) fn name_of(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn check_uri(uri: &Uri) -> Result<(), Failure> {
    let query = uri.query().map_or(0, str::len);
    if uri.path().len() + query > MAX_URI_BYTES {
        return Err(Code::UriTooLong.into());
    }
    match uri.path().split('/').all(|segment| segment.len() <= MAX_SEGMENT_BYTES) {
        true => Ok(()),
        false => Err(Failure::new(Code::NotFound, "No id is longer than 64 bytes.")),
    }
}

/// What browsers may do: everything that the API takes, from any page. The API knows its callers by
/// what they send and not by what a browser adds (there are no cookies), so another page's calls have
/// nothing that anybody else's have not; and `*` forbids browsers to send credentials of their own.
pub(crate) fn cors() -> CorsLayer {
    let name = HeaderName::from_static;
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::CONTENT_ENCODING,
            header::IF_NONE_MATCH,
            VERSION,
            REQUEST_ID,
            SOLUTION,
            #[cfg(feature = "control")]
            crate::control::fault_injection::TEST,
            #[cfg(feature = "control")]
            crate::control::worlds::HEADER,
            name("idempotency-key"),
        ])
        // Browsers show scripts a few harmless headers of an answer, and these.
        .expose_headers([
            header::DATE,
            header::ETAG,
            header::RETRY_AFTER,
            VERSION,
            REQUEST_ID,
            RATE_LIMIT,
            RATE_LIMIT_POLICY,
            name("x-should-retry"),
        ])
        .max_age(PREFLIGHT_LIFE)
        // All of this is the same for everybody.
        .vary(Vary::list([]))
}

/// The id of a call: what a layer around this one has given it, or the caller, or else a new one.
pub(crate) fn id_of(market: &Market, request: &Request) -> String {
    let known = request.extensions().get::<RequestId>().map(|RequestId(id)| id.clone());
    known.or_else(|| given_id(request.headers())).unwrap_or_else(|| market.world.id("req"))
}

/// The id the caller gave, if it is harmless in headers and logs.
fn given_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_short = (1..=MAX_REQUEST_ID_BYTES).contains(&id.len());
    (is_short && id.bytes().all(is_safe) && !looks_secret(id)).then(|| id.to_owned())
}

/// `Sun, 22 Nov 2026 10:00:00 GMT`: clients correct their clocks by it, so it is the world's.
pub(crate) fn http_date(now: Timestamp) -> Option<HeaderValue> {
    let now = jiff::Timestamp::from_millisecond(now.as_millis()).ok()?;
    HeaderValue::try_from(now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()).ok()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::StatusCode;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    async fn ask(path: &str) -> Response {
        let router = Router::new()
            .route("/panics", get(async || -> () { panic!("on purpose") }))
            .route("/hangs", get(std::future::pending::<()>))
            .layer(from_fn(guard));
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let response = router.oneshot(request).await.expect("an answer");
        problem::render(response, "req_1", "http://market.test")
    }

    #[tokio::test]
    async fn a_call_that_panics_is_a_problem_and_not_the_end() {
        let response = ask("/panics").await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hangs_is_given_up() {
        let begin = tokio::time::Instant::now();
        assert_eq!(ask("/hangs").await.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(begin.elapsed(), CALL_LIMIT);
    }

    #[test]
    fn who_asked_at_too_great_length_is_told_how_long_a_path_may_be() {
        let bound = format!("within {} KiB", MAX_URI_BYTES / 1024);
        assert!(Code::UriTooLong.advice().contains(&bound), "{bound}");
    }
}
