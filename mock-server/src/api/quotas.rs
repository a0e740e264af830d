//! How much a customer may use of a solution, and has used.

use std::sync::Arc;

use axum::extract::{Path, State};
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{Quota, Quotas, Tier, Timestamp};
use jiff::tz::TimeZone;

use super::caller::Reader;
use super::json::Json;
use super::problem::Failure;
use super::tokens::subscribed_tier;
use super::usage::projection;
use crate::domain::catalogue::Solution;
use crate::domain::quota::{period, quota};
use crate::domain::usage::Counter;
use crate::facts;
use crate::market::Market;
use crate::store::{Transaction, transact};

/// `GET /api/quotas/{customer_id}/{solution_id}`
pub(crate) async fn read(
    State(market): State<Arc<Market>>,
    reader: Reader,
    Path((customer_id, solution_id)): Path<(String, String)>,
) -> Result<Json<Quotas>, Failure> {
    let may = match &reader {
        Reader::Solution(key) => key.solution_id == solution_id,
        Reader::Customer(token) => {
            token.claims.sub == customer_id && token.claims.aud == solution_id
        }
    };
    if !may {
        let detail = "The quotas are another solution's, or another customer's.";
        return Err(Failure::new(Code::Forbidden, detail));
    }
    projection::catch_up(&market).await?;
    let now = market.world.now();
    let quotas = transact(&*market.store, async |tx| {
        let tier = subscribed_tier(tx, &customer_id, &solution_id).await?;
        let solution: Option<Solution> = tx.peek(&facts::solution(&solution_id)).await?;
        quotas_of(tx, &customer_id, tier, &solution.ok_or(Code::NotFound)?, now).await
    })
    .await?;
    Ok(Json(Quotas { quotas }))
}

/// A customer's quotas in a solution, as far as the counters have come: [`projection::catch_up`]
/// brings them up to date.
pub(crate) async fn quotas_of(
    tx: &mut Transaction<'_>,
    customer_id: &str,
    tier: Tier,
    solution: &Solution,
    now: Timestamp,
) -> Result<Vec<Quota>, Failure> {
    let zone = time_zone(solution)?;
    let mut quotas = Vec::new();
    for allowance in solution.plan(tier).iter().flat_map(|plan| &plan.allowances) {
        let period = period(allowance.window, &zone, now).map_err(|_| Code::Internal)?;
        let counter = Counter {
            customer_id: customer_id.to_owned(),
            solution_id: solution.id.clone(),
            action: allowance.action.clone(),
            period: period.name.clone(),
        };
        let counted = match solution.is_hard(&allowance.action, allowance.window) {
            true => facts::spent(&counter),
            false => facts::counter(&counter),
        };
        let used = tx.number(&counted).await?;
        quotas.push(quota(allowance, u64::try_from(used).unwrap_or(0), &period));
    }
    Ok(quotas)
}

pub(crate) fn time_zone(solution: &Solution) -> Result<TimeZone, Failure> {
    TimeZone::get(&solution.time_zone).map_err(|error| {
        tracing::error!(%error, solution = solution.id, "the solution's time zone is unknown");
        Failure::from(Code::Internal)
    })
}
