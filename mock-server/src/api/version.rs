//! The versions of the API's behaviour.
//!
//! A caller pins the behaviour it was written against with `CloudNestle-Version`, and gets the newest
//! without. Where versions differ, a handler takes `Extension<Version>` and asks whether it is at
//! least that of the change. Each answer says which version it is of.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::API_VERSION;

use super::problem::Failure;

pub(super) const VERSION: HeaderName = HeaderName::from_static("cloudnestle-version");

/// Every version there is, from the oldest to the newest.
pub(super) const VERSIONS: &[&str] = &["2026-11-01"];

/// A version that a caller may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(&'static str);

impl Version {
    /// What the SDK of this release speaks.
    pub(super) const NEWEST: Version = Version(API_VERSION);

    fn of(asked: Option<&HeaderValue>) -> Result<Version, Failure> {
        let Some(asked) = asked else {
            return Ok(Version::NEWEST);
        };
        let known = VERSIONS.iter().find(|known| known.as_bytes() == asked.as_bytes());
        known.map(|known| Version(known)).ok_or_else(|| {
            let detail = format!("The versions are {}.", VERSIONS.join(", "));
            Failure::new(Code::VersionUnknown, detail)
        })
    }

    pub(super) fn header(self) -> HeaderValue {
        HeaderValue::from_static(self.0)
    }
}

/// The layer that reads which version is asked for, and says which one is answered.
pub(super) async fn layer(mut request: Request, next: Next) -> Response {
    match Version::of(request.headers().get(VERSION)) {
        Ok(version) => {
            request.extensions_mut().insert(version);
            let mut response = next.run(request).await;
            response.headers_mut().insert(VERSION, version.header());
            response
        }
        Err(failure) => failure.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_their_order_and_the_sdk_speaks_the_newest() {
        assert!(VERSIONS.is_sorted());
        assert_eq!(VERSIONS.last(), Some(&API_VERSION));
    }

    #[test]
    fn a_version_nobody_knows_is_refused_with_those_there_are() {
        let asked = |version: &'static str| Version::of(Some(&HeaderValue::from_static(version)));
        assert_eq!(Version::of(None).expect("the newest"), Version::NEWEST);
        assert_eq!(asked(API_VERSION).expect("known"), Version::NEWEST);
        for unknown in ["", "2026-11-02", "2026-11-1", "latest", " 2026-11-01"] {
            let failure = asked(unknown).expect_err("unknown");
            assert_eq!(failure.code, Code::VersionUnknown);
            let problem = failure.problem(400, "req_1", "http://market.test");
            assert!(problem.detail.contains(API_VERSION));
        }
    }
}
