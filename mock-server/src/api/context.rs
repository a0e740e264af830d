//! Who a token speaks for, and what they may do.

use std::sync::Arc;

use axum::extract::State;
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{Claims, Timestamp, UserContext};

use super::caller::SolutionToken;
use super::json::Json;
use super::problem::Failure;
use super::quotas::quotas_of;
use super::tokens::subscribed_tier;
use super::usage::projection;
use crate::domain::catalogue::Customer;
use crate::facts;
use crate::market::Market;
use crate::store::transact;

/// `GET /api/user-context`
pub(crate) async fn read(
    State(market): State<Arc<Market>>,
    token: SolutionToken,
) -> Result<Json<UserContext>, Failure> {
    context_of(&market, &token.claims).await.map(Json)
}

/// The context of a verified token. Its tier is the one of now, which may not be the one the token
/// was issued with.
pub(crate) async fn context_of(market: &Market, claims: &Claims) -> Result<UserContext, Failure> {
    projection::catch_up(market).await?;
    let now = market.world.now();
    transact(&*market.store, async |tx| {
        let tier = subscribed_tier(tx, &claims.sub, &claims.aud).await?;
        let customer: Option<Customer> = tx.peek(&facts::customer(&claims.sub)).await?;
        let solution = market.solution(&claims.aud).await?.ok_or(Code::NotFound)?;
        let quotas = quotas_of(tx, &claims.sub, tier, &solution, now).await?;
        let entitlements = solution.plan(tier).map(|plan| plan.entitlements.clone());
        Ok(UserContext {
            customer_id: claims.sub.clone(),
            name: customer.and_then(|customer| customer.name),
            solution_id: claims.aud.clone(),
            tier,
            entitlements: entitlements.unwrap_or_default(),
            quotas,
            token_id: claims.jti.clone(),
            expires_at: Timestamp::from_numeric_date(claims.exp),
        })
    })
    .await
}
