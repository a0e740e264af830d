//! Customers sign in to the marketplace, and out.
//!
//! A session is a token pair like those of solutions, for the marketplace itself; it is refreshed by
//! the same call and under the same rules.
//!
//! Signing in takes no idempotency key: whoever signs in again because the answer was lost has a second
//! session, the first is in nobody's hands and ends by itself, and nothing else has changed. Keeping the
//! answer would mean keeping a pair for whoever knows the key.

use std::sync::Arc;

use axum::extract::State;
use axum::response::NoContent;
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{SignIn, TokenPair};

use super::caller::Leaving;
use super::idempotency::IdempotencyKey;
use super::json::Json;
use super::problem::Failure;
use super::tokens;
use crate::domain::account::{Account, Email};
use crate::facts;
use crate::market::Market;
use crate::store::transact;

/// `POST /api/sessions`
pub(crate) async fn sign_in(
    State(market): State<Arc<Market>>,
    Json(request): Json<SignIn>,
) -> Result<Json<TokenPair>, Failure> {
    let account = match Email::parse(&request.email) {
        Some(email) => {
            let key = facts::account(&email);
            transact(&*market.store, async |tx| tx.peek::<Account>(&key).await).await?
        }
        None => None,
    };
    let kept = account.as_ref().map(|account| account.password.clone());
    let is_right = market.passwords.matches(kept, &request.password).await;
    match account.filter(|_| is_right) {
        Some(account) => tokens::issue(&market, &account.customer_id, &market.url).await.map(Json),
        None => Err(Code::SignInRefused.into()),
    }
}

/// `DELETE /api/sessions`
pub(crate) async fn sign_out(
    State(market): State<Arc<Market>>,
    Leaving(session): Leaving,
    key: IdempotencyKey,
) -> Result<NoContent, Failure> {
    let now = market.world.now();
    key.once(&market, &session, "DELETE /api/sessions", &(), async |tx| {
        tokens::end_in(tx, &session.token_id, now).await
    })
    .await?;
    Ok(NoContent)
}
