//! Token pairs: made, judged, renewed, ended.

use std::sync::Arc;

use axum::extract::State;
use axum::response::NoContent;
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{
    Claims, GenerateToken, RefreshToken, RevokeToken, Secret, Tier, Timestamp, TokenPair,
    TokenValidation, ValidateToken,
};

use super::caller::{Opener, SolutionKey};
use super::context::context_of;
use super::idempotency::IdempotencyKey;
use super::json::{Json, Large};
use super::problem::Failure;
use super::revocations::end_family;
use crate::agenda::{self, Task};
use crate::domain::catalogue::{Customer, Solution, Subscription};
use crate::domain::credential::{Hash, Kind};
use crate::domain::jwt::{self, ACCESS_SECS};
use crate::domain::refresh::{FAMILY_LIFE, Family, KeptRefreshToken, Renewal, renewal};
use crate::domain::revocation::NotBefore;
use crate::facts::{self, FamilyToken, IssuedToken};
use crate::market::Market;
use crate::store::{Transaction, transact};

/// `POST /api/generate-token`
pub(crate) async fn generate(
    State(market): State<Arc<Market>>,
    opener: Opener,
    key: IdempotencyKey,
    Json(request): Json<GenerateToken>,
) -> Result<Json<TokenPair>, Failure> {
    const CALL: &str = "POST /api/generate-token";
    let solution = &request.solution_id;
    let draft = Draft::new(&market);
    let pair = match opener {
        Opener::Customer(session) => {
            let customer_id = &session.customer_id;
            if !solution.starts_with("sol_") {
                return Err(Failure::new(Code::NotFound, "There is no solution of that id."));
            }
            key.once(&market, &session, CALL, &request, async |tx| {
                issue_in(tx, &market, &draft, customer_id, solution).await
            })
            .await?
        }
        Opener::Solution(caller) => {
            if caller.solution_id() != solution {
                return Err(Failure::new(Code::Forbidden, "The key is another solution's."));
            }
            let visitor = market.world.id("cus");
            // Visitors of a page have no name to keep keys under: they all show its key. One who asks
            // twice because an answer was lost leaves a visitor behind who never comes.
            let key = if caller.is_page() { IdempotencyKey::default() } else { key };
            key.once(&market, &caller, CALL, &request, async |tx| {
                welcome(tx, &visitor, solution, draft.now).await?;
                issue_in(tx, &market, &draft, &visitor, solution).await
            })
            .await?
        }
    };
    Ok(Json(pair))
}

/// A new anonymous visitor of a solution.
async fn welcome(
    tx: &mut Transaction<'_>,
    visitor: &str,
    solution_id: &str,
    now: Timestamp,
) -> Result<(), Failure> {
    let solution: Option<Solution> = tx.peek(&facts::solution(solution_id)).await?;
    if solution.ok_or(Code::NotFound)?.plan(Tier::Anonymous).is_none() {
        return Err(Code::TierNotOffered.into());
    }
    let customer =
        Customer { id: visitor.to_owned(), name: None, email: None, registered_at: None };
    let subscription = Subscription {
        customer_id: visitor.to_owned(),
        solution_id: solution_id.to_owned(),
        tier: Tier::Anonymous,
        since: now,
    };
    tx.create(&facts::customer(visitor), &customer)?;
    tx.create(&facts::subscription(visitor, solution_id), &subscription)?;
    Ok(())
}

/// `POST /api/validate-token`
pub(crate) async fn validate(
    State(market): State<Arc<Market>>,
    caller: SolutionKey,
    Large(request): Large<ValidateToken>,
) -> Result<Json<TokenValidation>, Failure> {
    let invalid = |code| Json(TokenValidation { valid: false, code: Some(code), user: None });
    let claims = match verify(&market, Some(&caller.solution_id), request.token.expose()).await? {
        Ok(claims) => claims,
        Err(code) => return Ok(invalid(code)),
    };
    match context_of(&market, &claims).await {
        Ok(user) => Ok(Json(TokenValidation { valid: true, code: None, user: Some(user) })),
        // The subscription has ended since.
        Err(failure) if failure.code == Code::Forbidden => Ok(invalid(Code::TokenRefused)),
        Err(failure) => Err(failure),
    }
}

/// `POST /api/refresh-token`
pub(crate) async fn refresh(
    State(market): State<Arc<Market>>,
    Json(request): Json<RefreshToken>,
) -> Result<Json<TokenPair>, Failure> {
    renew(&market, &request.refresh_token).await.map(Json)
}

/// `DELETE /api/revoke-token`
pub(crate) async fn revoke(
    State(market): State<Arc<Market>>,
    caller: SolutionKey,
    key: IdempotencyKey,
    Json(request): Json<RevokeToken>,
) -> Result<NoContent, Failure> {
    let now = market.world.now();
    let token = jwt::read_access(&market.keys, &market.url, request.token.expose(), now)
        .map_err(|code| Failure::field("token", code.reason()))?;
    let claims = token.claims();
    if claims.aud != caller.solution_id {
        return Err(Failure::new(Code::Forbidden, "The token is for another solution."));
    }
    key.once(&market, &caller, "DELETE /api/revoke-token", &request, async |tx| {
        end_in(tx, &claims.jti, now).await
    })
    .await?;
    Ok(NoContent)
}

/// Ends a token, and everything it can be refreshed to.
pub(crate) async fn end_in(
    tx: &mut Transaction<'_>,
    token_id: &str,
    now: Timestamp,
) -> Result<(), Failure> {
    let Some(issued) = tx.peek::<IssuedToken>(&facts::issued_token(token_id)).await? else {
        return Ok(());
    };
    match tx.get::<Family>(&facts::family(&issued.family_id)).await? {
        Some(family) => end_family(tx, &issued.family_id, family, now).await,
        None => Ok(()),
    }
}

/// The claims of a session that may have been ended before its time.
pub(crate) fn verify_signed_session(market: &Market, session: &str) -> Result<Claims, Failure> {
    let now = market.world.now();
    let session = jwt::verify_session(&market.keys, &market.url, session, now)
        .map_err(|reason| Failure::new(Code::CredentialInvalid, reason))?;
    Ok(session.claims().clone())
}

/// The claims of a session that is good now.
pub(crate) async fn verify_session(market: &Market, session: &str) -> Result<Claims, Failure> {
    let claims = verify_signed_session(market, session)?;
    match is_alive(market, &claims).await? {
        true => Ok(claims),
        false => Err(Failure::new(Code::CredentialInvalid, "The session has ended.")),
    }
}

/// The claims of a token that is good now, here and for `audience`, or why it isn't.
pub(crate) async fn verify(
    market: &Market,
    audience: Option<&str>,
    token: &str,
) -> Result<Result<Claims, Code>, Failure> {
    let now = market.world.now();
    let token = match jwt::verify_access(&market.keys, &market.url, audience, token, now) {
        Ok(token) => token,
        Err(code) => return Ok(Err(code)),
    };
    let is_alive = is_alive(market, token.claims()).await?;
    Ok(if is_alive { Ok(token.claims().clone()) } else { Err(Code::TokenRevoked) })
}

/// Whether a token of ours has not been ended before its time.
async fn is_alive(market: &Market, claims: &Claims) -> Result<bool, Failure> {
    transact(&*market.store, async |tx| {
        // A token of ours that we don't know was issued before the database was replaced.
        let Some(family) = family_of(tx, &claims.jti).await? else {
            return Ok(false);
        };
        let key = facts::not_before(&claims.sub, &claims.aud);
        let not_before: NotBefore = tx.peek(&key).await?.unwrap_or_default();
        Ok(!family.is_over(&not_before, claims.iat))
    })
    .await
}

async fn family_of(tx: &mut Transaction<'_>, token_id: &str) -> Result<Option<Family>, Failure> {
    let Some(issued) = tx.peek::<IssuedToken>(&facts::issued_token(token_id)).await? else {
        return Ok(None);
    };
    Ok(tx.peek(&facts::family(&issued.family_id)).await?)
}

/// What a new family is made of: drawn before the transaction, which may run more than once.
pub(crate) struct Draft {
    family_id: String,
    token_id: String,
    refresh_token: Secret,
    now: Timestamp,
}

impl Draft {
    pub(crate) fn new(market: &Market) -> Draft {
        Draft {
            family_id: market.world.id("fam"),
            token_id: market.world.id("tok"),
            refresh_token: Kind::RefreshToken.secret(market.world.random.bytes()),
            now: market.world.now(),
        }
    }

    /// The access token it will be, `tok_…`.
    pub(crate) fn token_id(&self) -> &str {
        &self.token_id
    }
}

/// A pair that begins a new family: the customer opens a solution, or signs in to the marketplace
/// (whose URL is then the audience).
pub(crate) async fn issue(
    market: &Market,
    customer_id: &str,
    audience: &str,
) -> Result<TokenPair, Failure> {
    let draft = Draft::new(market);
    transact(&*market.store, async |tx| issue_in(tx, market, &draft, customer_id, audience).await)
        .await
}

/// As [`issue`], with whatever else is done in the transaction.
pub(crate) async fn issue_in(
    tx: &mut Transaction<'_>,
    market: &Market,
    draft: &Draft,
    customer_id: &str,
    audience: &str,
) -> Result<TokenPair, Failure> {
    let tier = tier_of(tx, market, customer_id, audience).await?;
    let Draft { family_id, token_id, refresh_token, now } = draft;
    let key_of_end = facts::not_before(customer_id, audience);
    let not_before: NotBefore = tx.get(&key_of_end).await?.unwrap_or_default();
    let family = Family {
        customer_id: customer_id.to_owned(),
        solution_id: audience.to_owned(),
        newest: 0,
        ends_at: *now + FAMILY_LIFE,
        revoked_at: None,
        after_revocations: Some(not_before.times),
    };
    let access = claims(tx, market, &family, token_id, tier, *now).await?;
    keep_access(tx, family_id, &access, *now)?;
    keep_refresh(tx, family_id, 0, refresh_token, &access)?;
    tx.create(&facts::family(family_id), &family)?;
    Ok(pair(market, &access, refresh_token.clone()))
}

/// What a renewal came to.
enum Renewed {
    Pair { access: Claims, refresh_token: Secret },
    Refused(Code),
}

async fn renew(market: &Market, presented: &Secret) -> Result<TokenPair, Failure> {
    if !Kind::RefreshToken.is_well_formed(presented.expose()) {
        return Err(Code::RefreshTokenInvalid.into());
    }
    let now = market.world.now();
    let presented = Hash::of(presented);
    let token_id = market.world.id("tok");

    // A refusal is an answer, not an error, of the transaction: ending the family must be committed.
    let renewed = transact(&*market.store, async |tx| {
        let key = facts::refresh_token(&presented);
        let kept = tx.get::<KeptRefreshToken>(&key).await?;
        let Some(mut kept) = kept.filter(|kept| kept.hash.matches(&presented)) else {
            return Ok(Renewed::Refused(Code::RefreshTokenInvalid));
        };
        let family_key = facts::family(&kept.family_id);
        let Some(mut family) = tx.get::<Family>(&family_key).await? else {
            return Ok(Renewed::Refused(Code::RefreshTokenInvalid));
        };
        let generation = kept.generation + 1;
        let successor = market.keys.successor(&kept.family_id, generation, &presented);

        let key_of_end = facts::not_before(&family.customer_id, &family.solution_id);
        let not_before: NotBefore = tx.get(&key_of_end).await?.unwrap_or_default();
        match renewal(&family, &kept, &not_before, now) {
            Renewal::New => {
                let tier = tier_of(tx, market, &family.customer_id, &family.solution_id).await?;
                let access = claims(tx, market, &family, &token_id, tier, now).await?;
                keep_access(tx, &kept.family_id, &access, now)?;
                keep_refresh(tx, &kept.family_id, generation, &successor, &access)?;
                kept.renewed_at = Some(now);
                tx.put(&key, &kept)?;
                family.newest = generation;
                family.after_revocations = Some(not_before.times);
                tx.put(&family_key, &family)?;
                Ok(Renewed::Pair { access, refresh_token: successor })
            }
            Renewal::Again => {
                let child = facts::refresh_token(&Hash::of(&successor));
                let child = tx.peek::<KeptRefreshToken>(&child).await?;
                let access = child.ok_or(Code::Internal)?.access;
                Ok(Renewed::Pair { access, refresh_token: successor })
            }
            Renewal::Reused => {
                end_family(tx, &kept.family_id, family, now).await?;
                Ok(Renewed::Refused(Code::RefreshTokenReused))
            }
            Renewal::Ended => Ok::<_, Failure>(Renewed::Refused(Code::RefreshTokenInvalid)),
        }
    })
    .await?;

    match renewed {
        Renewed::Pair { access, refresh_token } => Ok(pair(market, &access, refresh_token)),
        Renewed::Refused(code) => Err(code.into()),
    }
}

/// The tier a customer has of what a token is for, a solution or the marketplace itself, and has still when
/// the token is issued: a change is told of the tokens from before, and not of one that says the old tier and
/// is from after.
async fn tier_of(
    tx: &mut Transaction<'_>,
    market: &Market,
    customer_id: &str,
    audience: &str,
) -> Result<Tier, Failure> {
    if audience == market.url {
        return Ok(Tier::Registered);
    }
    tx.get::<Subscription>(&facts::subscription(customer_id, audience)).await?;
    subscribed_tier(tx, customer_id, audience).await
}

/// The tier a customer has of a solution now.
pub(crate) async fn subscribed_tier(
    tx: &mut Transaction<'_>,
    customer_id: &str,
    solution_id: &str,
) -> Result<Tier, Failure> {
    let key = facts::subscription(customer_id, solution_id);
    if let Some(subscription) = tx.peek::<Subscription>(&key).await? {
        return Ok(subscription.tier);
    }
    match tx.peek::<Solution>(&facts::solution(solution_id)).await? {
        Some(_) => {
            Err(Failure::new(Code::Forbidden, "The customer has no subscription to the solution."))
        }
        None => Err(Failure::new(Code::NotFound, "There is no solution of that id.")),
    }
}

async fn claims(
    tx: &mut Transaction<'_>,
    market: &Market,
    family: &Family,
    id: &str,
    tier: Tier,
    now: Timestamp,
) -> Result<Claims, Failure> {
    let key = facts::not_before(&family.customer_id, &family.solution_id);
    let mut not_before: NotBefore = tx.get(&key).await?.unwrap_or_default();
    let latest = not_before.latest;
    // All tokens of this very second may have been revoked a moment ago; this one is of the next.
    let issued_at = not_before.issue(now.numeric_date(), id);
    if issued_at > now.numeric_date() || not_before.latest > latest {
        tx.put(&key, &not_before)?;
    }
    Ok(Claims {
        iss: market.url.clone(),
        aud: family.solution_id.clone(),
        sub: family.customer_id.clone(),
        jti: id.to_owned(),
        iat: issued_at,
        exp: now.numeric_date() + ACCESS_SECS,
        nbf: None,
        tier,
    })
}

fn keep_access(
    tx: &mut Transaction<'_>,
    family_id: &str,
    claims: &Claims,
    now: Timestamp,
) -> Result<(), Failure> {
    let issued = IssuedToken {
        customer_id: claims.sub.clone(),
        solution_id: claims.aud.clone(),
        family_id: family_id.to_owned(),
        issued_at: now,
        expires_at: Timestamp::from_numeric_date(claims.exp),
    };
    tx.create(&facts::issued_token(&claims.jti), &issued)?;
    let (token_id, expires_at) = (claims.jti.clone(), issued.expires_at);
    let key = facts::family_token(family_id, &token_id, expires_at);
    agenda::plan(tx, expires_at, &Task::TokenExpires { token_id: token_id.clone() })?;
    Ok(tx.create(&key, &FamilyToken { token_id, expires_at })?)
}

fn keep_refresh(
    tx: &mut Transaction<'_>,
    family_id: &str,
    generation: u64,
    token: &Secret,
    access: &Claims,
) -> Result<(), Failure> {
    let hash = Hash::of(token);
    let kept = KeptRefreshToken {
        hash,
        family_id: family_id.to_owned(),
        generation,
        access: access.clone(),
        renewed_at: None,
    };
    Ok(tx.create(&facts::refresh_token(&hash), &kept)?)
}

fn pair(market: &Market, access: &Claims, refresh_token: Secret) -> TokenPair {
    TokenPair {
        access_token: jwt::sign(&market.keys, access),
        refresh_token,
        expires_at: Timestamp::from_numeric_date(access.exp),
    }
}
