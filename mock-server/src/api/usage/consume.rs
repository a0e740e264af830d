//! May they do this, and if so note that they did it: for those without the SDK, in one call.

use std::sync::Arc;

use axum::extract::{Path, State};
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{
    Consume, Consumption, EventStatus, TrackUsageResult, UsageEvent,
};

use super::{answer, single};
use crate::api::caller::SolutionKey;
use crate::api::idempotency::IdempotencyKey;
use crate::api::json::Json;
use crate::api::problem::Failure;
use crate::domain::principal::Principal;
use crate::domain::usage::deed_fingerprint;
use crate::market::Market;

/// `POST /api/quotas/{customer_id}/{solution_id}/consume`
///
/// The event is in the ledger and the quota is taken in one commit, under the event's id or the
/// caller's key, so a call that is made again takes nothing more. What was refused took nothing and
/// may be asked again under the same name.
pub(crate) async fn consume(
    State(market): State<Arc<Market>>,
    caller: SolutionKey,
    key: IdempotencyKey,
    Path((customer_id, solution_id)): Path<(String, String)>,
    Json(request): Json<Consume>,
) -> Result<Json<Consumption>, Failure> {
    if caller.solution_id != solution_id {
        return Err(Failure::new(Code::Forbidden, "The key is another solution's."));
    }
    if request.id.is_none() && key.name().is_none() {
        let detail =
            "Name it: with an `id`, or an Idempotency-Key. Else a repeated call takes twice.";
        return Err(Failure::field("id", detail));
    }
    let Consume { id, token_id, action, quantity, metadata } = request;
    let event = UsageEvent {
        id: id.unwrap_or_else(|| market.world.id("evt")),
        customer_id,
        token_id,
        action,
        quantity,
        occurred_at: market.world.now(),
        idempotency_key: key.name().map(str::to_owned),
        metadata,
        amends: None,
        voids: None,
        lease: None,
        overage: false,
    };
    let principal = Principal::SecretKey { solution_id };
    let solution = market.solution(principal.solution_id()).await?.ok_or(Code::NotFound)?;
    // The time is ours, so the same call made again is not the same event to the letter.
    let fingerprint = deed_fingerprint(&event);
    let taken = single::take(&market, &principal, &solution, &event, fingerprint).await?;
    let answer = answer(&market, &principal, &solution, taken, &[&event]).await?;
    judged(answer).map(Json)
}

/// That the customer may not is an answer; that the call is wrong is an error of the caller.
fn judged(answer: TrackUsageResult) -> Result<Consumption, Failure> {
    let TrackUsageResult { results, quotas, .. } = answer;
    let result = results.into_iter().next().ok_or(Code::Internal)?;
    let allowed = matches!(result.status, EventStatus::Accepted | EventStatus::Duplicate);
    match result.code {
        None | Some(Code::QuotaExceeded | Code::TokenNotForCustomer) => {}
        Some(code) => return Err(code.into()),
    }
    let quotas = quotas.into_iter().map(|quota| quota.quota).collect();
    Ok(Consumption { allowed, code: result.code, quotas })
}
