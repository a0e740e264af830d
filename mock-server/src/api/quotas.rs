//! How much a customer may use of a solution, and has used.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{Quota, Quotas, ResetQuota, Tier, Timestamp};
use jiff::tz::TimeZone;

use super::audit::Audit;
use super::caller::{Admin, Reader};
use super::idempotency::IdempotencyKey;
use super::json::Json;
use super::problem::Failure;
use super::tokens::subscribed_tier;
use super::usage::projection;
use crate::domain::catalogue::Solution;
use crate::domain::quota::{Period, period, quota};
use crate::domain::usage::Counter;
use crate::facts::{self, Actor, AuditedDeed, Reset};
use crate::market::Market;
use crate::store::{StoreError, Transaction, transact};

/// `GET /api/quotas/{customer_id}/{solution_id}`
pub(crate) async fn read(
    State(market): State<Arc<Market>>,
    reader: Reader,
    Path((customer_id, solution_id)): Path<(String, String)>,
) -> Result<Json<Quotas>, Failure> {
    reader.check(&customer_id, &solution_id)?;
    projection::catch_up(&market).await?;
    let now = market.world.now();
    let quotas = transact(&*market.store, async |tx| {
        let tier = subscribed_tier(tx, &customer_id, &solution_id).await?;
        let solution = market.solution(&solution_id).await?.ok_or(Code::NotFound)?;
        quotas_of(tx, &customer_id, tier, &solution, now).await
    })
    .await?;
    Ok(Json(Quotas { quotas }))
}

/// `POST /api/reset-quota`
///
/// What was used stays on record, in the ledger and in the history: what a limit is compared with goes
/// back to zero, in the windows of now, in one commit with the record of it.
pub(crate) async fn reset(
    State(market): State<Arc<Market>>,
    admin: Admin,
    audit: Audit,
    key: IdempotencyKey,
    Json(request): Json<ResetQuota>,
) -> Result<Json<Quotas>, Failure> {
    let ResetQuota { customer_id, solution_id, action } = &request;
    projection::catch_up(&market).await?;
    let now = market.world.now();
    let effect = async |tx: &mut Transaction<'_>| {
        let tier = subscribed_tier(tx, customer_id, solution_id).await?;
        let solution = market.solution(solution_id).await?.ok_or(Code::NotFound)?;
        if action.as_ref().is_some_and(|action| solution.action(action).is_none()) {
            return Err(Failure::from(Code::ActionUnknown));
        }
        let zone = time_zone(&solution)?;
        let mut taken_off = BTreeMap::new();
        for (limited, window) in solution.limited() {
            if action.as_ref().is_some_and(|action| action != limited) {
                continue;
            }
            let period = period(window, &zone, now).map_err(|_| Code::Internal)?;
            let counter = counter(&solution, customer_id, limited, &period);
            let mut used: i64;
            let (key, change) = match solution.is_hard(limited, window) {
                true => {
                    // What is leased may still be used, and stays charged.
                    let spent = facts::spent(&counter);
                    used = tx.get(&spent).await?.unwrap_or(0);
                    used -= tx.get::<i64>(&facts::leased(&counter)).await?.unwrap_or(0);
                    (spent, -used)
                }
                false => {
                    let forgiven = facts::forgiven(&counter);
                    used = tx.get(&facts::counter(&counter)).await?.unwrap_or(0);
                    used -= tx.get::<i64>(&forgiven).await?.unwrap_or(0);
                    (forgiven, used)
                }
            };
            if used > 0 {
                tx.add(&key, change)?;
                // Read after the counter: what is in it came no later.
                tx.put(&facts::reset(&counter), &Reset { at: market.world.now() })?;
                taken_off.insert(format!("{limited}/{}", period.name), used);
            }
        }
        if !taken_off.is_empty() {
            let deed = AuditedDeed::ResetQuota {
                customer_id: customer_id.clone(),
                solution_id: solution_id.clone(),
                taken_off,
            };
            audit.record(tx, &market, Actor::AdminKey, deed)?;
        }
        let quotas = quotas_of(tx, customer_id, tier, &solution, now).await?;
        Ok(Quotas { quotas })
    };
    key.once(&market, &admin, "POST /api/reset-quota", &request, effect).await.map(Json)
}

/// A customer's quotas in a solution, as far as the counters have come: [`projection::catch_up`] brings
/// them up to date.
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
        let counter = counter(solution, customer_id, &allowance.action, &period);
        let is_hard = solution.is_hard(&allowance.action, allowance.window);
        let Spent { spent, leased } = Spent::of(tx, is_hard, &counter).await?;
        quotas.push(quota(allowance, spent, leased, &period));
    }
    Ok(quotas)
}

/// What a limit is compared with, and what of that is leased.
struct Spent {
    spent: u64,
    leased: u64,
}

impl Spent {
    /// Where the limit is hard, of a counter that tells nothing else, so that a reset takes from it; where
    /// it is soft, what was counted, less what resets took off it.
    async fn of(
        tx: &Transaction<'_>,
        is_hard: bool,
        counter: &Counter,
    ) -> Result<Spent, StoreError> {
        let as_count = |number: i64| u64::try_from(number).unwrap_or(0);
        if !is_hard {
            let counted = tx.number(&facts::counter(counter)).await?;
            let forgiven = tx.number(&facts::forgiven(counter)).await?;
            return Ok(Spent { spent: as_count(counted - forgiven), leased: 0 });
        }
        let (spent, leased) = (facts::spent(counter), facts::leased(counter));
        let mut before = tx.number(&leased).await?;
        loop {
            let spent = tx.number(&spent).await?;
            // Leases that come and go between two reads would be told as used, or not at all.
            let after = tx.number(&leased).await?;
            if after == before {
                return Ok(Spent { spent: as_count(spent), leased: as_count(after) });
            }
            before = after;
        }
    }
}

fn counter(solution: &Solution, customer_id: &str, action: &str, period: &Period) -> Counter {
    Counter {
        customer_id: customer_id.to_owned(),
        solution_id: solution.id.clone(),
        action: action.to_owned(),
        period: period.name.clone(),
    }
}

pub(crate) fn time_zone(solution: &Solution) -> Result<TimeZone, Failure> {
    TimeZone::get(&solution.time_zone)
        .map_err(|error| Failure::internal(format!("the time zone of {}: {error}", solution.id)))
}
