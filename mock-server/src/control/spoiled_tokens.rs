//! Tokens that are no good, for tests of who must refuse them: real ones, which differ from a good one in
//! what is wrong with them and in nothing else.

use std::sync::Arc;

use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudnestle_marketplace::model::{Claims, Secret};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::api::Json;
use crate::api::problem::Failure;
use crate::api::tokens;
use crate::domain::jwt;
use crate::market::Market;
use crate::store::transact;

/// By how many seconds a token of another time is of another time.
const AN_HOUR: u64 = 60 * 60;

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Flaw {
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// It was revoked: nothing in it tells.
    Revoked,
    /// It is for another solution.
    WrongSolution,
    /// Another marketplace has issued it, and our key has signed it.
    WrongIssuer,
    /// It names a key that was never published.
    UnknownKey,
    /// Its signature is another token's.
    BadSignature,
    /// It is no token.
    Malformed,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateToken {
    flaw: Flaw,
    customer_id: String,
    solution_id: String,
}

/// A token, as a solution is handed it.
#[derive(Serialize, ToSchema)]
pub(super) struct SpoiledToken {
    token: Secret,
}

/// `POST /mock/tokens`
pub(super) async fn create(
    State(market): State<Arc<Market>>,
    Json(CreateToken { flaw, customer_id, solution_id }): Json<CreateToken>,
) -> Result<Json<SpoiledToken>, Failure> {
    let token = spoiled(&market, flaw, &customer_id, &solution_id).await?;
    Ok(Json(SpoiledToken { token }))
}

/// A token of a customer for a solution, with this wrong with it.
pub(super) async fn spoiled(
    market: &Market,
    flaw: Flaw,
    customer_id: &str,
    solution_id: &str,
) -> Result<Secret, Failure> {
    let now = market.world.now();
    let good = tokens::issue(market, customer_id, solution_id).await?.access_token;
    let claims = jwt::read_access(&market.keys, &market.url, good.expose(), now)?.claims().clone();
    let Claims { iat, exp, .. } = claims;
    let signed = |claims: Claims| jwt::sign(&market.keys, &claims);
    Ok(match flaw {
        Flaw::Expired => signed(Claims { iat: iat - AN_HOUR, exp: exp - AN_HOUR, ..claims }),
        Flaw::NotYetValid => {
            let begins = iat + AN_HOUR;
            signed(Claims { iat: begins, nbf: Some(begins), exp: exp + AN_HOUR, ..claims })
        }
        Flaw::WrongSolution => signed(Claims { aud: "sol_of_another".to_owned(), ..claims }),
        Flaw::WrongIssuer => signed(Claims { iss: "https://another.example".to_owned(), ..claims }),
        Flaw::Revoked => {
            transact(&*market.store, async |tx| tokens::end_in(tx, &claims.jti, now).await).await?;
            good
        }
        Flaw::UnknownKey => {
            let head = json!({"typ": "at+jwt", "alg": "EdDSA", "kid": "never-published"});
            let rest = good.expose().split_once('.').map_or("", |(_, rest)| rest);
            Secret::new(format!("{}.{rest}", URL_SAFE_NO_PAD.encode(head.to_string())))
        }
        Flaw::BadSignature => {
            let another = signed(Claims { exp: exp + 1, ..claims });
            let signature = another.expose().rsplit_once('.').map_or("", |(_, it)| it);
            let rest = good.expose().rsplit_once('.').map_or("", |(rest, _)| rest);
            Secret::new(format!("{rest}.{signature}"))
        }
        Flaw::Malformed => Secret::new("this.is.no-token"),
    })
}
