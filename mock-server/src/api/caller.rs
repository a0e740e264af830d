//! Who calls. A handler names the credential it needs by the type of its argument, so a handler
//! that forgot to ask does not exist; the table of routes says the same to people, and a test
//! holds the two together.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{Claims, Secret};

use super::openapi::Argument;
use super::problem::Failure;
use super::tokens;
use crate::domain::credential::{Hash, Kind, LIVE_PREFIXES};
use crate::domain::jwt::{self, TokenType};
use crate::facts::{self, ApiKey, Principal};
use crate::market::Market;
use crate::store::transact;

/// Somebody who may read of a customer in a solution.
pub(crate) enum Reader {
    /// The solution.
    Solution(SolutionKey),
    /// The customer.
    Customer(SolutionToken),
}

/// Somebody who may send usage.
pub(crate) enum UsageSender {
    /// The solution's backend: any usage of its solution.
    Solution(SolutionKey),
    /// The customer's browser: the customer's own, of actions that clients may report.
    Customer(SolutionToken),
}

/// A solution's backend.
pub(crate) struct SolutionKey {
    pub solution_id: String,
}

/// A customer, signed in to the marketplace.
pub(crate) struct Session {
    pub customer_id: String,
}

/// One of the marketplace's own people or programs.
pub(crate) struct Admin;

/// A customer's token for a solution, good now.
pub(crate) struct SolutionToken {
    pub claims: Claims,
}

/// A credential, by what it looks like. Nothing of it is believed yet.
enum Presented<'a> {
    SecretKey(&'a str),
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
impl Argument for SolutionToken {}
impl Argument for UsageSender {}

impl FromRequestParts<Arc<Market>> for SolutionKey {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, market: &Arc<Market>) -> Result<Self, Failure> {
        match Presented::of(parts)? {
            Presented::SecretKey(key) => {
                let key = SolutionKey::look_up(market, key).await?;
                key.named(parts.headers.get("cloudnestle-solution"))
            }
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
            Presented::Session(session) => Session::verify(market, session),
            other => Err(other.is_not("a customer's session")),
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
                SolutionKey::look_up(market, key).await.map(Reader::Solution)
            }
            Presented::SolutionToken(token) => {
                SolutionToken::verify(market, token).await.map(Reader::Customer)
            }
            other => Err(other.is_not("a solution's secret key or a customer's solution token")),
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
    fn verify(market: &Market, session: &str) -> Result<Session, Failure> {
        let claims = jwt::verify_session(&market.keys, &market.url, session, market.world.now())
            .map_err(|reason| Failure::new(Code::CredentialInvalid, reason))?;
        Ok(Session { customer_id: claims.sub })
    }
}

impl SolutionKey {
    /// The key, if it is that of the solution the caller takes itself for. Otherwise all its usage
    /// would be judged, and rejected, by another solution's rules.
    fn named(self, claimed: Option<&HeaderValue>) -> Result<SolutionKey, Failure> {
        if claimed.is_some_and(|claimed| claimed.as_bytes() != self.solution_id.as_bytes()) {
            let detail = "The key belongs to another solution than the one the caller names.";
            return Err(Failure::new(Code::CredentialInvalid, detail));
        }
        Ok(self)
    }

    async fn look_up(market: &Market, credential: &str) -> Result<SolutionKey, Failure> {
        if !Kind::SecretKey.is_well_formed(credential) {
            let detail = "The key's checksum is wrong: it was cut or mistyped.";
            return Err(Failure::new(Code::CredentialInvalid, detail));
        }
        let presented = Hash::of(&Secret::new(credential));
        let kept: Option<ApiKey> =
            transact(&*market.store, async |tx| tx.peek(&facts::api_key(&presented)).await).await?;
        kept.filter(|key| key.hash.matches(&presented))
            .map(|key| SolutionKey { solution_id: key.solution_id })
            .ok_or(Failure::from(Code::CredentialInvalid))
    }
}
