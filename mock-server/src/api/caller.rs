//! Who calls. A handler names the credential it needs by the type of its argument, so a handler
//! that forgot to ask does not exist; the table of routes says the same to people, and a test
//! holds the two together.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{Claims, Secret};

use super::openapi::Argument;
use super::problem::Failure;
use super::tokens;
use crate::domain::catalogue::Solution;
use crate::domain::credential::{Hash, Kind, LIVE_PREFIXES};
use crate::domain::jwt::{self, TokenType};
use crate::domain::principal::Principal;
use crate::facts::{self, ApiKey};
use crate::market::Market;
use crate::store::transact;

/// Names the solution that a caller takes itself for.
pub(crate) const SOLUTION: HeaderName = HeaderName::from_static("cloudnestle-solution");

/// Somebody who may read of what a customer may use, and has used.
pub(crate) enum Reader {
    /// The solution: of all its customers, in the solution.
    Solution(SolutionKey),
    /// The customer, in the solution the token is for.
    Customer(SolutionToken),
    /// The customer, in any solution.
    SignedIn(Session),
}

/// Somebody who may send usage.
pub(crate) enum UsageSender {
    /// The solution's backend: any usage of its solution.
    Solution(SolutionKey),
    /// The customer's browser: the customer's own, of actions that clients may report.
    Customer(SolutionToken),
}

/// Somebody who wants a token pair.
pub(crate) enum Opener {
    /// A customer, for themselves.
    Customer(Session),
    /// A solution, for a visitor it does not know.
    Solution(SolutionCaller),
}

/// A solution: its backend, or a page of it in a browser.
pub(crate) enum SolutionCaller {
    Backend(SolutionKey),
    Page(PublishableKey),
}

/// A solution's backend.
pub(crate) struct SolutionKey {
    pub solution_id: String,
    /// Of the key itself.
    pub hash: Hash,
}

/// A page of a solution. Anybody can read the key out of it, so it names the solution and proves
/// nothing.
pub(crate) struct PublishableKey {
    pub solution_id: String,
}

/// A customer, signed in to the marketplace.
pub(crate) struct Session {
    pub customer_id: String,
    /// The session's own token, `tok_…`.
    pub token_id: String,
}

/// A customer who signs out, and may have signed out already: whose answer was lost asks again with the
/// session that has ended.
pub(crate) struct Leaving(pub Session);

/// One of the marketplace's own people or programs.
pub(crate) struct Admin;

/// A customer's token for a solution, good now.
pub(crate) struct SolutionToken {
    pub claims: Claims,
}

/// A credential, by what it looks like. Nothing of it is believed yet.
enum Presented<'a> {
    SecretKey(&'a str),
    PublishableKey(&'a str),
    AdminKey(&'a str),
    Session(&'a str),
    SolutionToken(&'a str),
    Other(&'a str),
}

impl<'a> Presented<'a> {
    fn of(parts: &'a Parts) -> Result<Presented<'a>, Failure> {
        let header = parts.headers.get(header::AUTHORIZATION).ok_or(Code::CredentialMissing)?;
        let credential = bearer(header.as_bytes()).ok_or_else(|| {
            Failure::new(Code::CredentialInvalid, "Expected `Authorization: Bearer …`.")
        })?;
        if LIVE_PREFIXES.iter().any(|live| credential.starts_with(live)) {
            return Err(Code::CredentialLive.into());
        }
        if credential.starts_with(Kind::SecretKey.prefix()) {
            return Ok(Presented::SecretKey(credential));
        }
        if credential.starts_with(Kind::PublishableKey.prefix()) {
            return Ok(Presented::PublishableKey(credential));
        }
        if credential.starts_with(Kind::AdminKey.prefix()) {
            return Ok(Presented::AdminKey(credential));
        }
        Ok(match jwt::claimed_type(credential) {
            Some(TokenType::Session) => Presented::Session(credential),
            Some(TokenType::Access) => Presented::SolutionToken(credential),
            None => Presented::Other(credential),
        })
    }

    /// Why this credential is not `wanted`: a good one of another kind may not, and one of no kind
    /// is not known.
    fn is_not(&self, wanted: &str) -> Failure {
        let code = match self {
            Presented::Other(_) => Code::CredentialInvalid,
            _ => Code::Forbidden,
        };
        Failure::new(code, format!("This takes {wanted}."))
    }
}

/// The credential of an `Authorization: Bearer …` header.
pub(crate) fn bearer(header: &[u8]) -> Option<&str> {
    let (scheme, credential) = std::str::from_utf8(header).ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(credential.trim())
}

impl Argument for Admin {}
impl Argument for Reader {}
impl Argument for SolutionKey {}
impl Argument for Session {}
impl Argument for SolutionCaller {}
impl Argument for Leaving {}
impl Argument for Opener {}
impl Argument for SolutionToken {}
impl Argument for UsageSender {}

impl FromRequestParts<Arc<Market>> for SolutionKey {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, market: &Arc<Market>) -> Result<Self, Failure> {
        match Presented::of(parts)? {
            Presented::SecretKey(key) => SolutionKey::verify(market, key, &parts.headers).await,
            other => Err(other.is_not("a solution's secret key")),
        }
    }
}

impl FromRequestParts<Arc<Market>> for Admin {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, market: &Arc<Market>) -> Result<Self, Failure> {
        match Presented::of(parts)? {
            Presented::AdminKey(key) => Admin::verify(market, key),
            other => Err(other.is_not("an admin key")),
        }
    }
}

impl FromRequestParts<Arc<Market>> for Session {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, market: &Arc<Market>) -> Result<Self, Failure> {
        match Presented::of(parts)? {
            Presented::Session(session) => Session::verify(market, session).await,
            other => Err(other.is_not("a customer's session")),
        }
    }
}

impl FromRequestParts<Arc<Market>> for Leaving {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, market: &Arc<Market>) -> Result<Self, Failure> {
        match Presented::of(parts)? {
            Presented::Session(session) => {
                let claims = tokens::verify_signed_session(market, session)?;
                Ok(Leaving(Session { customer_id: claims.sub, token_id: claims.jti }))
            }
            other => Err(other.is_not("a customer's session")),
        }
    }
}

impl FromRequestParts<Arc<Market>> for SolutionCaller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, market: &Arc<Market>) -> Result<Self, Failure> {
        match Presented::of(parts)? {
            Presented::SecretKey(key) => {
                SolutionKey::verify(market, key, &parts.headers).await.map(Self::Backend)
            }
            Presented::PublishableKey(key) => {
                PublishableKey::verify(market, key, &parts.headers).await.map(Self::Page)
            }
            other => Err(other.is_not("a solution's secret or publishable key")),
        }
    }
}

impl FromRequestParts<Arc<Market>> for Opener {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, market: &Arc<Market>) -> Result<Self, Failure> {
        match Presented::of(parts)? {
            Presented::Session(session) => {
                Session::verify(market, session).await.map(Self::Customer)
            }
            Presented::SecretKey(_) | Presented::PublishableKey(_) => {
                SolutionCaller::from_request_parts(parts, market).await.map(Self::Solution)
            }
            other => Err(other.is_not("a customer's session or a key of a solution")),
        }
    }
}

impl FromRequestParts<Arc<Market>> for SolutionToken {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, market: &Arc<Market>) -> Result<Self, Failure> {
        match Presented::of(parts)? {
            Presented::SolutionToken(token) | Presented::Other(token) => {
                SolutionToken::verify(market, token).await
            }
            other => Err(other.is_not("a customer's solution token")),
        }
    }
}

impl FromRequestParts<Arc<Market>> for Reader {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, market: &Arc<Market>) -> Result<Self, Failure> {
        match Presented::of(parts)? {
            Presented::SecretKey(key) => {
                SolutionKey::verify(market, key, &parts.headers).await.map(Reader::Solution)
            }
            Presented::SolutionToken(token) => {
                SolutionToken::verify(market, token).await.map(Reader::Customer)
            }
            Presented::Session(session) => {
                Session::verify(market, session).await.map(Reader::SignedIn)
            }
            other => {
                Err(other
                    .is_not("a solution's secret key, or a customer's session or solution token"))
            }
        }
    }
}

impl FromRequestParts<Arc<Market>> for UsageSender {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, market: &Arc<Market>) -> Result<Self, Failure> {
        match Presented::of(parts)? {
            Presented::SolutionToken(token) => {
                SolutionToken::verify(market, token).await.map(UsageSender::Customer)
            }
            Presented::SecretKey(_) => {
                SolutionKey::from_request_parts(parts, market).await.map(UsageSender::Solution)
            }
            other => Err(other.is_not("a solution's secret key or a customer's solution token")),
        }
    }
}

impl Reader {
    /// The one solution it may read of; a customer who is signed in may read of any.
    pub(crate) fn solution_id(&self) -> Option<&str> {
        match self {
            Reader::Solution(key) => Some(&key.solution_id),
            Reader::Customer(token) => Some(&token.claims.aud),
            Reader::SignedIn(_) => None,
        }
    }

    /// Whether it may read of this customer in this solution.
    pub(crate) fn check(&self, customer_id: &str, solution_id: &str) -> Result<(), Failure> {
        let own_customer = match self {
            Reader::Solution(_) => None,
            Reader::Customer(token) => Some(&token.claims.sub),
            Reader::SignedIn(session) => Some(&session.customer_id),
        };
        if self.solution_id().is_some_and(|own| own != solution_id)
            || own_customer.is_some_and(|own| own != customer_id)
        {
            let detail = "It is another solution's, or another customer's.";
            return Err(Failure::new(Code::Forbidden, detail));
        }
        Ok(())
    }
}

impl UsageSender {
    pub(crate) fn principal(&self) -> Principal {
        match self {
            UsageSender::Solution(key) => {
                Principal::SecretKey { solution_id: key.solution_id.clone() }
            }
            UsageSender::Customer(SolutionToken { claims }) => Principal::SolutionToken {
                customer_id: claims.sub.clone(),
                solution_id: claims.aud.clone(),
            },
        }
    }
}

impl SolutionToken {
    async fn verify(market: &Market, token: &str) -> Result<SolutionToken, Failure> {
        let verdict = tokens::verify(market, None, token).await?;
        Ok(SolutionToken { claims: verdict? })
    }
}

impl Admin {
    /// This server has one admin key, which it computes as it does the built-in secret keys.
    fn verify(market: &Market, credential: &str) -> Result<Admin, Failure> {
        let presented = Hash::of(&Secret::new(credential));
        match presented.matches(&Hash::of(&market.keys.test_admin_key())) {
            true => Ok(Admin),
            false => Err(Code::CredentialInvalid.into()),
        }
    }
}

impl Session {
    async fn verify(market: &Market, session: &str) -> Result<Session, Failure> {
        let claims = tokens::verify_session(market, session).await?;
        Ok(Session { customer_id: claims.sub, token_id: claims.jti })
    }
}

impl SolutionCaller {
    pub(crate) fn solution_id(&self) -> &str {
        match self {
            SolutionCaller::Backend(key) => &key.solution_id,
            SolutionCaller::Page(key) => &key.solution_id,
        }
    }

    pub(crate) fn is_page(&self) -> bool {
        matches!(self, SolutionCaller::Page(_))
    }
}

impl SolutionKey {
    /// The key, if it is that of the solution the caller takes itself for. Otherwise all its usage
    /// would be judged, and rejected, by another solution's rules.
    async fn verify(
        market: &Market,
        key: &str,
        headers: &HeaderMap,
    ) -> Result<SolutionKey, Failure> {
        let key = look_up(market, Kind::SecretKey, key).await?;
        let named = headers.get(SOLUTION);
        if named.is_some_and(|named| named.as_bytes() != key.solution_id.as_bytes()) {
            return Err(Code::CredentialWrongSolution.into());
        }
        Ok(SolutionKey { solution_id: key.solution_id, hash: key.hash })
    }
}

impl PublishableKey {
    /// The key, if it is used where it belongs. That stops a page that copied it, and nobody else.
    async fn verify(
        market: &Market,
        key: &str,
        headers: &HeaderMap,
    ) -> Result<PublishableKey, Failure> {
        let key = PublishableKey::look_up(market, key).await?;
        let Some(origin) = headers.get(header::ORIGIN) else {
            return Ok(key);
        };
        let solution = transact(&*market.store, async |tx| {
            tx.peek::<Solution>(&facts::solution(&key.solution_id)).await
        });
        let solution = solution.await?.ok_or(Code::NotFound)?;
        let allowed = &solution.allowed_origins;
        if allowed.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()) {
            return Ok(key);
        }
        let detail = match allowed.is_empty() {
            true => "The solution has no pages.".to_owned(),
            false => format!("The solution's pages are at {}.", allowed.join(", ")),
        };
        Err(Failure::new(Code::OriginNotAllowed, detail))
    }

    pub(crate) async fn look_up(market: &Market, key: &str) -> Result<PublishableKey, Failure> {
        let key = look_up(market, Kind::PublishableKey, key).await?;
        Ok(PublishableKey { solution_id: key.solution_id })
    }
}

/// What is kept of a key of a solution that is good now.
pub(crate) async fn look_up(
    market: &Market,
    kind: Kind,
    credential: &str,
) -> Result<ApiKey, Failure> {
    if !kind.is_well_formed(credential) {
        let detail = "The key's checksum is wrong: it was cut or mistyped.";
        return Err(Failure::new(Code::CredentialInvalid, detail));
    }
    let presented = Hash::of(&Secret::new(credential));
    let kept: Option<ApiKey> =
        transact(&*market.store, async |tx| tx.peek(&facts::api_key(&presented)).await).await?;
    let kept = kept.filter(|key| key.hash.matches(&presented)).ok_or(Code::CredentialInvalid)?;
    if kept.expires_at.is_some_and(|end| end <= market.world.now()) {
        return Err(Failure::new(Code::CredentialInvalid, "The key was replaced, and has ended."));
    }
    Ok(kept)
}
