//! The calls that make and remove worlds. They are the server's own: a world makes no others.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::NoContent;
use cloudnestle_marketplace::Code;
use serde::Serialize;
use utoipa::ToSchema;

use super::{NewWorld, Standing, Worlds};
use crate::api::json::{Created, Json};
use crate::api::problem::Failure;
use crate::control::calls::WorldAnswer;
use crate::market::Market;

/// The worlds there are, beside the server's own.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct WorldList {
    worlds: Vec<ListedWorld>,
}

#[derive(Serialize, ToSchema)]
struct ListedWorld {
    id: String,
    url: String,
}

/// `POST /mock/worlds`
pub(in crate::control) async fn create(
    State(market): State<Arc<Market>>,
    Json(wanted): Json<NewWorld>,
) -> Result<Created<WorldAnswer>, Failure> {
    let made = of(&market)?.create(&market, wanted).await?;
    Ok(Created(WorldAnswer::of(&made)))
}

/// `GET /mock/worlds`
pub(in crate::control) async fn list(
    State(market): State<Arc<Market>>,
) -> Result<Json<WorldList>, Failure> {
    let worlds = of(&market)?.read();
    let listed = worlds
        .iter()
        .map(|(id, hosted)| ListedWorld { id: id.clone(), url: hosted.market.url.clone() });
    Ok(Json(WorldList { worlds: listed.collect() }))
}

/// `DELETE /mock/worlds/{world_id}`
pub(in crate::control) async fn remove(
    State(market): State<Arc<Market>>,
    Path(id): Path<String>,
) -> Result<NoContent, Failure> {
    match of(&market)?.remove(&id) {
        true => Ok(NoContent),
        false => Err(Failure::new(Code::NotFound, "There is no world of that id.")),
    }
}

fn of(market: &Market) -> Result<&Worlds, Failure> {
    match &market.standing {
        Standing::Server(worlds) => Ok(worlds),
        Standing::Hosted { .. } => {
            let detail = "Worlds are made beside the server's own: ask without naming one.";
            Err(Failure::new(Code::Forbidden, detail))
        }
    }
}
