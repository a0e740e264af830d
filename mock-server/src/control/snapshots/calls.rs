//! The calls for snapshots. A world keeps its own, by their ids, as long as it is there.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, NoContent, Response};
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{PartialSchema, ToSchema};

use super::{Snapshot, SnapshotError, begin_anew, put_back, take};
use crate::api::json::{Created, Json};
use crate::api::openapi::{Answer, Argument, Shape, Success};
use crate::api::problem::Failure;
use crate::control::calls::WorldAnswer;
use crate::market::Market;

/// One JSON value a line.
const MEDIA_TYPE: &str = "application/x-ndjson";
/// The most bytes of a file.
const MAX_FILE_BYTES: usize = 64 * 1024 * 1024;

type TheMarket = State<Arc<Market>>;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control) struct CreateSnapshot {
    /// `snp_…`: letters, digits, `-` and `_`. Drawn unless given.
    id: Option<String>,
}

/// A snapshot that is kept.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct SnapshotAnswer {
    /// `snp_…`
    id: String,
    /// What the clock showed.
    at: Timestamp,
    /// How many rows its tables had.
    rows: usize,
}

/// The snapshots of a world.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct SnapshotList {
    snapshots: Vec<SnapshotAnswer>,
}

impl SnapshotAnswer {
    fn of(id: String, snapshot: &Snapshot) -> SnapshotAnswer {
        SnapshotAnswer { id, at: snapshot.at(), rows: snapshot.rows() }
    }
}

/// `POST /mock/snapshots`
pub(in crate::control) async fn create(
    State(market): TheMarket,
    Json(CreateSnapshot { id }): Json<CreateSnapshot>,
) -> Result<Created<SnapshotAnswer>, Failure> {
    let id = id.unwrap_or_else(|| market.world.id("snp"));
    market.snapshots.check(&id)?;
    keep(&market, id, take(&market).await?)
}

/// `GET /mock/snapshots`
pub(in crate::control) async fn list(State(market): TheMarket) -> Json<SnapshotList> {
    let all = market.snapshots.all().into_iter();
    let snapshots = all.map(|(id, snapshot)| SnapshotAnswer::of(id, &snapshot)).collect();
    Json(SnapshotList { snapshots })
}

/// `POST /mock/snapshots/{snapshot_id}/restore`
pub(in crate::control) async fn restore(
    State(market): TheMarket,
    Path(id): Path<String>,
) -> Result<Json<SnapshotAnswer>, Failure> {
    let snapshot = market.snapshots.get(&id)?;
    put_back(&market, &snapshot).await?;
    Ok(Json(SnapshotAnswer::of(id, &snapshot)))
}

/// `GET /mock/snapshots/{snapshot_id}`
pub(in crate::control) async fn export(
    State(market): TheMarket,
    Path(id): Path<String>,
) -> Result<SnapshotFile, Failure> {
    market.snapshots.get(&id).map(SnapshotFile)
}

/// `PUT /mock/snapshots/{snapshot_id}`
pub(in crate::control) async fn import(
    State(market): TheMarket,
    Path(id): Path<String>,
    SnapshotFile(snapshot): SnapshotFile,
) -> Result<Created<SnapshotAnswer>, Failure> {
    keep(&market, id, snapshot)
}

/// `DELETE /mock/snapshots/{snapshot_id}`
pub(in crate::control) async fn remove(
    State(market): TheMarket,
    Path(id): Path<String>,
) -> Result<NoContent, Failure> {
    market.snapshots.remove(&id).map(|()| NoContent)
}

/// `POST /mock/reset`
pub(in crate::control) async fn reset(
    State(market): TheMarket,
) -> Result<Json<WorldAnswer>, Failure> {
    begin_anew(&market).await?;
    Ok(Json(WorldAnswer::of(&market)))
}

fn keep(
    market: &Market,
    id: String,
    snapshot: Snapshot,
) -> Result<Created<SnapshotAnswer>, Failure> {
    market.snapshots.put(&id, snapshot.clone())?;
    Ok(Created(SnapshotAnswer::of(id, &snapshot)))
}

/// A snapshot, in or out.
pub(in crate::control) struct SnapshotFile(Snapshot);

impl IntoResponse for SnapshotFile {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))], self.0.to_file())
            .into_response()
    }
}

impl Answer for SnapshotFile {
    fn describe(shape: &mut Shape) {
        let content = Some((MEDIA_TYPE, String::schema()));
        shape.answer = Success { status: 200, content };
    }
}

/// Whatever it says it is: `curl -T` says nothing.
impl FromRequest<Arc<Market>> for SnapshotFile {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &Arc<Market>) -> Result<Self, Failure> {
        let body: Body = request.into_body();
        let file = to_bytes(body, MAX_FILE_BYTES)
            .await
            .map_err(|_| Failure::new(Code::RequestTooLarge, "A file has at most 64 MiB."))?;
        let snapshot = Snapshot::from_file(&file).map_err(|error: SnapshotError| {
            Failure::new(Code::RequestInvalid, format!("The file can't be read: {error}."))
        })?;
        Ok(SnapshotFile(snapshot))
    }
}

impl Argument for SnapshotFile {
    fn describe(shape: &mut Shape) {
        shape.file = Some(MEDIA_TYPE);
        shape.codes.extend([Code::RequestTooLarge, Code::RequestInvalid]);
    }
}
