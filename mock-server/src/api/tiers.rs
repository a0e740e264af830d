//! Which tier a customer has of a solution.

use std::sync::Arc;

use axum::extract::State;
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::UserTier;

use super::audit::Audit;
use super::caller::Admin;
use super::idempotency::IdempotencyKey;
use super::json::Json;
use super::problem::Failure;
use super::revocations::publish_tier;
use crate::domain::catalogue::{Solution, Subscription};
use crate::facts::{self, Actor, AuditedDeed};
use crate::market::Market;

/// `PUT /api/user-tier`
pub(crate) async fn change(
    State(market): State<Arc<Market>>,
    admin: Admin,
    audit: Audit,
    key: IdempotencyKey,
    Json(request): Json<UserTier>,
) -> Result<Json<UserTier>, Failure> {
    let now = market.world.now();
    let UserTier { customer_id, solution_id, tier } = &request;
    key.once(&market, &admin, "PUT /api/user-tier", &request, async |tx| {
        let solution: Option<Solution> = tx.peek(&facts::solution(solution_id)).await?;
        let solution = solution.ok_or(Code::NotFound)?;
        if solution.plan(*tier).is_none() {
            return Err(Failure::from(Code::TierNotOffered));
        }
        let item = facts::subscription(customer_id, solution_id);
        let mut subscription: Subscription =
            tx.get(&item).await?.ok_or(Code::SubscriptionMissing)?;
        if subscription.tier == *tier {
            return Ok(());
        }
        let deed = AuditedDeed::ChangedTier {
            customer_id: customer_id.clone(),
            solution_id: solution_id.clone(),
            from: subscription.tier,
            to: *tier,
        };
        audit.record(tx, &market, Actor::AdminKey, deed)?;
        subscription.tier = *tier;
        tx.put(&item, &subscription)?;
        publish_tier(tx, &subscription, now).await
    })
    .await?;
    Ok(Json(request))
}
