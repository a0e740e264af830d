//! The API as an OpenAPI 3.1 document, made of the table of routes and of the types of its handlers.

mod document;
mod postman;
mod schema;
mod shape;

use std::sync::LazyLock;

use serde_json::Value;

use super::json::Json;

pub(crate) use document::{concrete, operation_id};
pub(crate) use shape::{Answer, Argument, Described, Shape, Success};

/// The document. It is the same wherever the server listens: its calls are below the place it was
/// read from.
pub(crate) static DOCUMENT: LazyLock<Value> = LazyLock::new(document::document);

/// The calls of the marketplace as a Postman collection.
pub(crate) static POSTMAN: LazyLock<Value> = LazyLock::new(postman::collection);

/// An OpenAPI document: its schema is the business of the OpenAPI Initiative.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object)]
pub(crate) struct OpenApi(&'static Value);

/// `GET /openapi.json`
pub(crate) async fn read() -> Json<OpenApi> {
    Json(OpenApi(&DOCUMENT))
}
