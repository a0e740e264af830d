//! Errors as they are answered: `application/problem+json` (RFC 9457) for every 4xx and 5xx.
//!
//! A handler returns a [`Failure`]; [`render`] makes the body of it, in the outermost layer, where
//! the request's id is known. What the router itself refuses (404, 405) has no failure and gets the
//! one that goes with its status, so no error leaves in another form.

use std::panic::Location;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::Problem;

use crate::store::StoreError;

/// Why a request is refused.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub code: Code,
    detail: String,
    field: Option<String>,
    fence: Option<u64>,
    /// For the operator, who reads it in the log.
    cause: Option<String>,
}

impl Failure {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Failure {
        Failure { code, detail: detail.into(), field: None, fence: None, cause: None }
    }

    /// Something is wrong here, not with the request. The caller is not told what.
    pub(crate) fn internal(cause: impl Into<String>) -> Failure {
        Failure { cause: Some(cause.into()), ..Failure::new(Code::Internal, "") }
    }

    /// A field of the body is not as it should be.
    pub(crate) fn field(field: impl Into<String>, detail: impl Into<String>) -> Failure {
        let field = Some(field.into());
        Failure { field, ..Failure::new(Code::RequestInvalid, detail) }
    }

    /// What is wrong is in a field of this one.
    #[cfg(feature = "control")]
    pub(crate) fn within(self, field: &str) -> Failure {
        let inner = self.field.map(|inner| format!("{field}.{inner}"));
        Failure { field: Some(inner.unwrap_or_else(|| field.to_owned())), ..self }
    }

    /// Numbers are missing behind the fence.
    pub(crate) fn gap(fence: u64, detail: impl Into<String>) -> Failure {
        Failure { fence: Some(fence), ..Failure::new(Code::SequenceGap, detail) }
    }

    /// The producer's usage has not come as far as the caller says.
    pub(crate) fn unsettled(fence: u64, detail: impl Into<String>) -> Failure {
        Failure { fence: Some(fence), ..Failure::new(Code::LeaseUnsettled, detail) }
    }

    /// What went wrong this time, or else in general.
    pub(crate) fn explanation(&self) -> &str {
        if self.detail.is_empty() { self.code.reason() } else { &self.detail }
    }

    /// What an operator reads of it.
    fn cause(&self) -> &str {
        self.cause.as_deref().unwrap_or(self.explanation())
    }

    /// What a caller reads of it.
    pub(crate) fn problem(self, status: u16, request_id: &str, url: &str) -> Problem {
        let Failure { code, detail, field, fence, .. } = self;
        Problem {
            kind: format!("urn:cloudnestle:problem:{code}"),
            title: code.reason().to_owned(),
            status,
            detail,
            code,
            retryable: Some(code.is_retryable()),
            request_id: request_id.to_owned(),
            doc_url: format!("{url}/#{code}"),
            field,
            fence,
        }
    }

    /// Answers with `status` instead of the one that goes with the code.
    pub(crate) fn with_status(self, status: StatusCode) -> Response {
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Code> for Failure {
    #[track_caller]
    fn from(code: Code) -> Failure {
        // Where nothing is known of the cause, the place at least.
        let cause = (code == Code::Internal).then(|| Location::caller().to_string());
        Failure { cause, ..Failure::new(code, "") }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        // What a store says is for the operator; a caller can only try again.
        match error {
            StoreError::Conflict => Code::Conflict.into(),
            StoreError::Refused(_) | StoreError::Failed(_) => Failure::internal(error.to_string()),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status());
        self.with_status(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
    }
}

/// Why an answer is an error, if it is one: its code, and words for the operator.
pub(crate) fn cause_of(response: &Response) -> Option<(Code, String)> {
    failure_of(response).map(|failure| (failure.code, failure.cause().to_owned()))
}

/// The code of an answer, if it is an error.
#[cfg(feature = "control")]
pub(crate) fn code_of(response: &Response) -> Option<Code> {
    failure_of(response).map(|failure| failure.code)
}

fn failure_of(response: &Response) -> Option<Failure> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return None;
    }
    #[cfg(feature = "control")]
    if response.extensions().get::<AsWritten>().is_some() {
        return None;
    }
    let by_status = || {
        let in_general =
            if status.is_client_error() { Code::RequestInvalid } else { Code::Internal };
        Failure::from(Code::of_status(status.as_u16()).unwrap_or(in_general))
    };
    Some(response.extensions().get::<Failure>().cloned().unwrap_or_else(by_status))
}

/// An error with this extension keeps the body it has: a test has written it.
#[cfg(feature = "control")]
#[derive(Clone, Copy)]
pub(crate) struct AsWritten;

/// Gives an error its body. Headers it has (`Allow`, `Retry-After`) stay.
pub(crate) fn render(mut response: Response, request_id: &str, url: &str) -> Response {
    let Some(failure) = failure_of(&response) else {
        return response;
    };
    let problem = failure.problem(response.status().as_u16(), request_id, url);
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if problem.status == 401 {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if problem.code == Code::EncodingUnsupported {
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd"));
    }
    // A struct of strings and numbers always has a JSON form.
    *response.body_mut() = Body::from(serde_json::to_vec(&problem).unwrap_or_default());
    response
}
