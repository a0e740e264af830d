//! What a customer may open.

use std::sync::Arc;

use axum::extract::State;
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{AddSolution, Page, SubscriptionState, Tier, UserSolution};
use serde::Deserialize;
use utoipa::IntoParams;

use super::caller::Session;
use super::cursor::{Limit, Listing};
use super::idempotency::IdempotencyKey;
use super::json::Json;
use super::problem::Failure;
use super::query::Query;
use crate::domain::catalogue::{Solution, Subscription};
use crate::facts;
use crate::market::Market;
use crate::store::transact;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// The most entries of a page.
    #[serde(default)]
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Limit,
    /// The `next_cursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
}

/// `GET /api/user-solutions`
pub(crate) async fn list(
    State(market): State<Arc<Market>>,
    session: Session,
    Query(Asked { limit, cursor }): Query<Asked>,
) -> Result<Json<Page<UserSolution>>, Failure> {
    let customer_id = &session.customer_id;
    let listing = Listing::of(&market.keys, "user-solutions", customer_id);
    let after: String = listing.place(cursor.as_deref())?.unwrap_or_default();
    let found = transact(&*market.store, async |tx| {
        let mut found = Vec::new();
        let query = facts::subscriptions(customer_id, &after, limit.one_more());
        for (_, subscription) in tx.query::<Subscription>(query).await? {
            let key = facts::solution(&subscription.solution_id);
            let solution: Option<Solution> = tx.peek(&key).await?;
            found.push(shown(&subscription, &solution.ok_or(Code::Internal)?));
        }
        Ok::<_, Failure>(found)
    })
    .await?;
    Ok(Json(listing.page(found, limit, |last| last.solution_id.clone())))
}

/// `POST /api/user-solutions`
///
/// Takes up the free tier. Who has a tier already keeps it, and is told so.
pub(crate) async fn add(
    State(market): State<Arc<Market>>,
    session: Session,
    key: IdempotencyKey,
    Json(request): Json<AddSolution>,
) -> Result<Json<UserSolution>, Failure> {
    let customer_id = &session.customer_id;
    let now = market.world.now();
    let added = key
        .once(&market, &session, "POST /api/user-solutions", &request, async |tx| {
            let solution: Option<Solution> =
                tx.peek(&facts::solution(&request.solution_id)).await?;
            let solution = solution.ok_or(Code::NotFound)?;
            let item = facts::subscription(customer_id, &solution.id);
            if let Some(subscription) = tx.get::<Subscription>(&item).await? {
                return Ok(shown(&subscription, &solution));
            }
            if solution.plan(Tier::Registered).is_none() {
                return Err(Code::TierNotOffered.into());
            }
            let subscription = Subscription {
                customer_id: customer_id.clone(),
                solution_id: solution.id.clone(),
                tier: Tier::Registered,
                since: now,
            };
            tx.put(&item, &subscription)?;
            Ok(shown(&subscription, &solution))
        })
        .await?;
    Ok(Json(added))
}

fn shown(subscription: &Subscription, solution: &Solution) -> UserSolution {
    let plan = solution.plan(subscription.tier);
    UserSolution {
        solution_id: solution.id.clone(),
        name: solution.name.clone(),
        tier: subscription.tier,
        state: SubscriptionState::Active,
        entitlements: plan.map(|plan| plan.entitlements.clone()).unwrap_or_default(),
        since: subscription.since,
    }
}
