//! How a token reaches a solution: the marketplace sends the customer's browser to the solution's
//! registered URL with a one-time code, and the solution exchanges the code. Tokens are never in URLs.

use std::sync::Arc;

use axum::extract::State;
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{
    ExchangeCode, Launch, Secret, StartLaunch, Timestamp, TokenPair,
};
use serde::{Deserialize, Serialize};

use super::caller::{PublishableKey, Session, SolutionCaller};
use super::idempotency::IdempotencyKey;
use super::json::Json;
use super::problem::Failure;
use super::tokens::{self, Draft, issue_in, subscribed_tier};
use crate::domain::catalogue::Solution;
use crate::domain::credential::{Hash, Kind};
use crate::domain::launch::{CODE_LIFE, Exchange, KeptCode, MAX_STATE_CHARS, is_challenge};
use crate::facts;
use crate::market::Market;
use crate::store::Transaction;

/// `POST /api/launches`
pub(crate) async fn start(
    State(market): State<Arc<Market>>,
    session: Session,
    key: IdempotencyKey,
    Json(request): Json<StartLaunch>,
) -> Result<Json<Launch>, Failure> {
    let (solution_id, by_page) = opened(&market, &request).await?;
    check(&request, by_page)?;
    let draft = CodeDraft::new(&market);
    let customer_id = &session.customer_id;
    let launch = key
        .once(&market, &session, "POST /api/launches", &request, async |tx| {
            let challenge = request.code_challenge.clone();
            let url = draft.keep(tx, customer_id, &solution_id, challenge, by_page).await?;
            let redirect_url = redirect(&url, &draft.code, request.state.as_deref());
            Ok(Launch { redirect_url, expires_at: draft.expires_at })
        })
        .await?;
    Ok(Json(launch))
}

/// A code for a customer who opens a solution.
#[cfg(feature = "control")]
pub(crate) async fn code(
    market: &Market,
    customer_id: &str,
    solution_id: &str,
) -> Result<Secret, Failure> {
    let draft = CodeDraft::new(market);
    crate::store::transact(&*market.store, async |tx| {
        draft.keep(tx, customer_id, solution_id, None, false).await
    })
    .await?;
    Ok(draft.code)
}

/// A code, drawn before the transaction that keeps it: that may run more than once.
struct CodeDraft {
    code: Secret,
    hash: Hash,
    expires_at: Timestamp,
}

impl CodeDraft {
    fn new(market: &Market) -> CodeDraft {
        let code = Kind::LaunchCode.secret(market.world.random.bytes());
        CodeDraft { hash: Hash::of(&code), expires_at: market.world.now() + CODE_LIFE, code }
    }

    /// Keeps it, and says where the solution wants it. Whoever may not open the solution learns so
    /// here, and not from the solution.
    async fn keep(
        &self,
        tx: &mut Transaction<'_>,
        customer_id: &str,
        solution_id: &str,
        challenge: Option<String>,
        by_page: bool,
    ) -> Result<String, Failure> {
        subscribed_tier(tx, customer_id, solution_id).await?;
        let solution: Option<Solution> = tx.peek(&facts::solution(solution_id)).await?;
        let kept = KeptCode {
            hash: self.hash,
            customer_id: customer_id.to_owned(),
            solution_id: solution_id.to_owned(),
            challenge,
            by_page,
            expires_at: self.expires_at,
            exchanged_for: None,
        };
        tx.create(&facts::launch_code(&self.hash), &kept)?;
        solution.ok_or(Code::NotFound)?.launch_url.ok_or_else(|| {
            Failure::new(Code::NotFound, "The solution has registered no URL to launch it at.")
        })
    }
}

/// `POST /api/exchange-code`
pub(crate) async fn exchange(
    State(market): State<Arc<Market>>,
    caller: SolutionCaller,
    key: IdempotencyKey,
    Json(request): Json<ExchangeCode>,
) -> Result<Json<TokenPair>, Failure> {
    if !Kind::LaunchCode.is_well_formed(request.code.expose()) {
        return Err(Code::LaunchCodeInvalid.into());
    }
    let presented = Hash::of(&request.code);
    let item = facts::launch_code(&presented);
    let draft = Draft::new(&market);
    let now = market.world.now();
    let solution_id = caller.solution_id();

    let exchanged = key
        .once(&market, &caller, "POST /api/exchange-code", &request, async |tx| {
            let kept = tx.get::<KeptCode>(&item).await?;
            let kept = kept.filter(|kept| kept.hash.matches(&presented));
            let mut kept = kept.ok_or(Code::LaunchCodeInvalid)?;
            let verifier = request.code_verifier.as_ref();
            match kept.exchange(solution_id, caller.is_page(), verifier, now) {
                Exchange::First => {}
                Exchange::Again { token_id } => {
                    tokens::end_in(tx, &token_id, now).await?;
                    return Ok(Exchanged::Again);
                }
                Exchange::Refused => return Err(Code::LaunchCodeInvalid.into()),
            }
            kept.exchanged_for = Some(draft.token_id().to_owned());
            tx.put(&item, &kept)?;
            issue_in(tx, &market, &draft, &kept.customer_id, solution_id).await.map(Exchanged::Pair)
        })
        .await?;
    match exchanged {
        Exchanged::Pair(pair) => Ok(Json(pair)),
        Exchanged::Again => Err(Failure::new(
            Code::LaunchCodeInvalid,
            "The code was exchanged before; what it was exchanged for has ended.",
        )),
    }
}

/// What became of a code.
#[derive(Serialize, Deserialize)]
enum Exchanged {
    Pair(TokenPair),
    /// It was exchanged before. That its tokens have ended must be committed, so it is no error.
    Again,
}

/// The solution that is to be opened, and whether a page of it in the browser asked.
async fn opened(market: &Arc<Market>, request: &StartLaunch) -> Result<(String, bool), Failure> {
    match (&request.solution_id, &request.publishable_key) {
        (Some(solution_id), None) => Ok((solution_id.clone(), false)),
        (None, Some(key)) => {
            let known = PublishableKey::look_up(market, key.expose()).await;
            let known = known.map_err(|_| {
                Failure::field("publishable_key", "This is no publishable key of a solution.")
            })?;
            Ok((known.solution_id, true))
        }
        _ => {
            let detail = "Give either `solution_id` or `publishable_key`.";
            Err(Failure::new(Code::RequestInvalid, detail))
        }
    }
}

fn check(request: &StartLaunch, by_page: bool) -> Result<(), Failure> {
    match &request.code_challenge {
        Some(challenge) if !is_challenge(challenge) => {
            let detail = "A challenge is a SHA-256 in base64url, 43 characters.";
            return Err(Failure::field("code_challenge", detail));
        }
        None if by_page => {
            let detail = "A launch by a publishable key needs a challenge.";
            return Err(Failure::field("code_challenge", detail));
        }
        _ => {}
    }
    let is_long = |state: &String| state.chars().count() > MAX_STATE_CHARS;
    if request.state.as_ref().is_some_and(is_long) {
        return Err(Failure::field("state", "A state has at most 512 characters."));
    }
    Ok(())
}

fn redirect(url: &str, code: &Secret, state: Option<&str>) -> Secret {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("code", code.expose());
    if let Some(state) = state {
        query.append_pair("state", state);
    }
    let separator = if url.contains('?') { '&' } else { '?' };
    Secret::new(format!("{url}{separator}{}", query.finish()))
}
