//! The calls of `/mock`.

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::extract::State;
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{Jwks, Secret, TokenPair};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::worlds::Standing;
use crate::api::Json;
use crate::api::problem::Failure;
use crate::api::tokens;
use crate::domain::catalogue::Customer;
use crate::facts;
use crate::market::{CustomerInfo, Market, SolutionInfo};
use crate::store::transact;
use crate::world::{Callers, RateLimit};

type TheMarket = State<Arc<Market>>;

/// A world as a test finds it.
#[derive(Serialize, ToSchema)]
pub(super) struct WorldAnswer {
    /// `wld_…`; none if it is the server's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    url: String,
    /// Rules this world, and names it.
    control_token: Secret,
    admin_key: Secret,
    solutions: Vec<SolutionInfo>,
    customers: Vec<CustomerInfo>,
}

/// `GET /mock/world`
pub(super) async fn world(State(market): TheMarket) -> Json<WorldAnswer> {
    Json(WorldAnswer::of(&market))
}

impl WorldAnswer {
    pub(super) fn of(market: &Market) -> WorldAnswer {
        WorldAnswer {
            id: match &market.standing {
                Standing::Server(_) => None,
                Standing::Hosted { id, .. } => Some(id.clone()),
            },
            url: market.url.clone(),
            control_token: market.control_token.clone(),
            admin_key: market.keys.test_admin_key(),
            solutions: market.solutions.clone(),
            customers: market.customers.clone(),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateSession {
    customer_id: String,
}

/// `POST /mock/sessions`
pub(super) async fn create_session(
    State(market): TheMarket,
    Json(request): Json<CreateSession>,
) -> Result<Json<TokenPair>, Failure> {
    sign_in(&market, &request.customer_id).await.map(Json)
}

/// A session for a customer, who is not asked for a password.
pub(super) async fn sign_in(market: &Market, customer_id: &str) -> Result<TokenPair, Failure> {
    let customer = facts::customer(customer_id);
    let known: Option<Customer> =
        transact(&*market.store, async |tx| tx.peek(&customer).await).await?;
    if known.is_none() {
        return Err(Failure::new(Code::NotFound, "There is no customer of that id."));
    }
    tokens::issue(market, customer_id, &market.url).await
}

/// `POST /mock/keys`
pub(super) async fn rotate_signing_key(State(market): TheMarket) -> Result<Json<Jwks>, Failure> {
    market.rotate_signing_key().await?;
    Ok(Json(market.keys.signing().jwks(&market.url, market.world.now())))
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Outage {
    on: bool,
}

/// `GET /mock/outage`
pub(super) async fn outage(State(market): TheMarket) -> Json<Outage> {
    Json(Outage { on: market.world.faults.is_outage() })
}

/// `POST /mock/outage`
pub(super) async fn set_outage(
    State(market): TheMarket,
    Json(outage): Json<Outage>,
) -> Json<Outage> {
    market.world.faults.set_outage(outage.on);
    Json(outage)
}

/// How often each of some callers may call.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitOf {
    callers: Callers,
    /// Calls a second.
    #[schema(value_type = u32, minimum = 1)]
    per_second: NonZeroU32,
    /// Calls at once; as many as a second's unless given.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1)]
    burst: Option<NonZeroU32>,
}

/// Every limit in force.
#[derive(Serialize, ToSchema)]
pub(super) struct LimitsAnswer {
    limits: Vec<LimitOf>,
}

/// `GET /mock/rate-limits`
pub(super) async fn rate_limits(State(market): TheMarket) -> Json<LimitsAnswer> {
    let limits = Callers::ALL.into_iter().map(|callers| {
        let limit = market.world.rates.limit(callers);
        LimitOf { callers, per_second: limit.per_second, burst: Some(limit.burst) }
    });
    Json(LimitsAnswer { limits: limits.collect() })
}

/// `POST /mock/rate-limits`
pub(super) async fn set_rate_limit(
    State(market): TheMarket,
    Json(LimitOf { callers, per_second, burst }): Json<LimitOf>,
) -> Json<LimitsAnswer> {
    let limit = RateLimit { per_second, burst: burst.unwrap_or(per_second) };
    market.world.rates.set(callers, limit, market.world.now());
    rate_limits(State(market)).await
}
