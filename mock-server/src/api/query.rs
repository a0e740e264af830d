//! What a call asks for after the `?`, with errors that name the parameter.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::json::explain;
use super::problem::Failure;

/// The parameters of a call. One that is given twice is refused; one that nobody knows is not, or a
/// client could not be newer than its server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = form_urlencoded::parse(query.as_bytes());
        let pairs = serde_urlencoded::Deserializer::new(pairs);
        serde_path_to_error::deserialize(pairs).map(Query).map_err(explain)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;
    use crate::api::cursor::Limit;

    #[derive(Debug, Deserialize)]
    struct Filters {
        #[serde(default)]
        limit: Limit,
        action: Option<String>,
    }

    async fn filters(query: &str) -> Result<Filters, Failure> {
        let request = Request::get(format!("/api/list?{query}")).body(()).expect("a request");
        let (mut parts, ()) = request.into_parts();
        Query::from_request_parts(&mut parts, &()).await.map(|Query(filters)| filters)
    }

    #[tokio::test]
    async fn parameters_are_read_by_name() {
        let found = filters("action=a%20b&limit=7&of_a_newer_client=1").await.expect("filters");
        assert_eq!((found.limit.items(), found.action.as_deref()), (7, Some("a b")));
        assert_eq!(filters("").await.expect("filters").limit, Limit::default());
    }

    #[tokio::test]
    async fn a_bad_parameter_is_named_and_not_repeated() {
        for (query, field) in [
            ("limit=0", json!("limit")),
            ("limit=cnsk_test_secret", json!("limit")),
            ("limit=1&limit=2", Value::Null),
            ("action=cnsk_test_secret&action=b", Value::Null),
        ] {
            let failure = filters(query).await.expect_err("refused");
            let said =
                serde_json::to_value(failure.problem(422, "req_1", "http://a")).expect("JSON");
            assert_eq!(said["field"], field, "{said}");
            assert!(!said.to_string().contains("secret"), "{said}");
        }
    }
}
