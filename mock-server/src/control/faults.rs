//! The calls of `/mock` about the fault plan.

use std::fmt;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::NoContent;
use cloudnestle_marketplace::Code;
use serde::Serialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use utoipa::openapi::schema::{ArrayBuilder, OneOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::api::Json;
use crate::api::json::Large;
use crate::api::problem::Failure;
use crate::api::routes;
use crate::market::Market;
use crate::world::{Effect, Fault, FaultReport, Nonsense};

/// One fault, or a list of them.
pub(super) struct Faults {
    faults: Vec<Fault>,
    is_list: bool,
}

/// The ids of what was planned, in its order; and the plan as it is now.
#[derive(Serialize, ToSchema)]
pub(super) struct Planned {
    /// `flt_…`
    ids: Vec<String>,
    #[serde(flatten)]
    report: FaultReport,
}

/// `GET /mock/faults`
pub(super) async fn read(State(market): State<Arc<Market>>) -> Json<FaultReport> {
    Json(market.world.faults.report(market.world.now()))
}

/// `POST /mock/faults`
pub(super) async fn plan(
    State(market): State<Arc<Market>>,
    Large(Faults { faults, is_list }): Large<Faults>,
) -> Result<Json<Planned>, Failure> {
    let place = |n| if is_list { format!("[{n}]") } else { String::new() };
    let ids = plan_all(&market, faults, place)?;
    Ok(Json(Planned { ids, report: market.world.faults.report(market.world.now()) }))
}

/// `DELETE /mock/faults`
pub(super) async fn clear(State(market): State<Arc<Market>>) -> NoContent {
    market.world.faults.clear();
    NoContent
}

/// `DELETE /mock/faults/{fault_id}`
pub(super) async fn remove(
    State(market): State<Arc<Market>>,
    Path(id): Path<String>,
) -> Result<NoContent, Failure> {
    remove_one(&market, &id).map(|()| NoContent)
}

pub(super) fn remove_one(market: &Market, id: &str) -> Result<(), Failure> {
    match market.world.faults.remove(id) {
        true => Ok(()),
        false => Err(Failure::new(Code::NotFound, "There was no fault of that id.")),
    }
}

/// Plans a fault, and answers its id.
pub(super) fn plan_one(market: &Market, fault: Fault) -> Result<String, Failure> {
    let ids = plan_all(market, vec![fault], |_| String::new())?;
    ids.into_iter().next().ok_or_else(|| Failure::internal("a fault without an id"))
}

/// Plans faults that calls there are can meet, all or none: one with a slip of the pen would never be
/// met. `place` is where each of them stands in what was sent.
fn plan_all(
    market: &Market,
    faults: Vec<Fault>,
    place: impl Fn(usize) -> String,
) -> Result<Vec<String>, Failure> {
    let operations: Vec<_> = routes::api().iter().map(routes::Route::operation).collect();
    let mut sound = Vec::new();
    for (n, fault) in faults.into_iter().enumerate() {
        let wrong = |field: &str, detail| match place(n) {
            place if place.is_empty() => Failure::field(field, detail),
            place => Failure::field(format!("{place}.{field}"), detail),
        };
        if fault.operation().is_some_and(|on| !operations.iter().any(|known| known == on)) {
            let detail = "Name an operation as the API page does, such as `POST /api/track-usage`, or `*` for any.";
            return Err(wrong("on", detail));
        }
        if fault.solution_id().is_some_and(|id| !market.solutions.iter().any(|it| it.id == id)) {
            return Err(wrong("solution", "There is no solution of that id."));
        }
        let effect = Effect::of(&fault).map_err(|Nonsense { field, detail }| match field {
            Some(field) => wrong(field, detail),
            None => Failure::new(Code::RequestInvalid, detail),
        })?;
        sound.push((fault, effect));
    }
    let planned = market.world.faults.push(sound, market.world.now());
    planned.map_err(|reason| Failure::new(Code::RequestInvalid, reason))
}

impl<'de> Deserialize<'de> for Faults {
    // By hand, because serde, where it tries one form after the other, forgets what was wrong with which
    // field.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Faults, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Faults;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a fault or a list of faults")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Faults, A::Error> {
                let fault = Fault::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Faults { faults: vec![fault], is_list: false })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Faults, A::Error> {
                let faults = Vec::deserialize(SeqAccessDeserializer::new(list))?;
                Ok(Faults { faults, is_list: true })
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

impl PartialSchema for Faults {
    fn schema() -> RefOr<Schema> {
        let fault = || Ref::from_schema_name(Fault::name());
        OneOfBuilder::new().item(fault()).item(ArrayBuilder::new().items(fault())).into()
    }
}

impl ToSchema for Faults {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Fault::name().into_owned(), Fault::schema()));
        Fault::schemas(schemas);
    }
}
