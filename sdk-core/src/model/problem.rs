//! An error on the wire (RFC 9457).

use serde::{Deserialize, Serialize};

use super::Code;

/// An error of the API: RFC 9457 `application/problem+json`, with what a program needs to decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// A URI that names this kind of problem: the catalogue entry.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// What went wrong, in general.
    #[serde(default)]
    pub title: String,
    /// The HTTP status, repeated.
    #[serde(default)]
    pub status: u16,
    /// What went wrong this time. Never contains a secret.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The catalogue's stable name for it.
    pub code: Code,
    /// Whether the same request may succeed later. The marketplace always says; where something
    /// else has answered, the catalogue does.
    #[serde(default)]
    pub retryable: Option<bool>,
    /// The request's id, for support.
    #[serde(default)]
    pub request_id: String,
    /// Where the catalogue explains it.
    #[serde(default)]
    pub doc_url: String,
    /// The field of the body that is wrong, as a path such as `items[3].event.quantity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// With [`Code::SequenceGap`]: the last number the marketplace has accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<u64>,
}
