//! Customers sign in to the marketplace, and out.
//!
//! A session is a token pair like those of solutions, for the marketplace itself; it is refreshed by
//! the same call and under the same rules.

use std::sync::Arc;

use axum::extract::State;
use axum::response::NoContent;
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{SignIn, TokenPair};

use super::caller::Session;
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
        Some(account) => begin(&market, &account.customer_id).await.map(Json),
        None => Err(Code::SignInRefused.into()),
    }
}

/// `DELETE /api/sessions`
pub(crate) async fn sign_out(
    State(market): State<Arc<Market>>,
    session: Session,
) -> Result<NoContent, Failure> {
    tokens::end(&market, &session.token_id).await?;
    Ok(NoContent)
}

/// A session of a customer who has proved to be one.
pub(crate) async fn begin(market: &Market, customer_id: &str) -> Result<TokenPair, Failure> {
    tokens::issue(market, customer_id, &market.url).await
}
