//! Who is this user? Tokens are checked here: their signature on this machine, their revocation
//! with the marketplace.

mod keys;
mod refresh;

use std::sync::Arc;
use std::time::Duration;

use crate::answer::{Answer, Known, KnownByToken, Verified};
use crate::error::{Error, Result};
use crate::host::cache::TokenCache;
use crate::host::{Algorithm, Host};
use crate::http::{Call, Clock, HttpClient};
use crate::model::{
    Claims, Code, Secret, Tier, Timestamp, TokenValidation, UnverifiedToken, UserContext,
    ValidateToken,
};
use crate::reach::Reach;

pub(crate) use keys::Keys;
pub(crate) use refresh::Refresher;

/// Who a token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// The customer, `cus_…`.
    pub customer_id: String,
    /// The customer's tier in this solution.
    pub tier: Tier,
    /// The solution, `sol_…`.
    pub solution_id: String,
    /// The token, `tok_…`.
    pub token_id: String,
    /// When the token ends.
    pub expires_at: Timestamp,
}

/// Whom a validation asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValidationMode {
    /// The signature is checked here, revocation with the marketplace; the answer holds for 5 s.
    /// When the marketplace can't be reached, the answer says so
    /// ([`Freshness::Offline`](crate::Freshness::Offline)) for up to 5 minutes, then is an error.
    #[default]
    Connected,
    /// As `Connected`, but asks every time, and is an error when the marketplace can't be reached.
    Online,
    /// The signature and the token's own words alone: no request, and a revocation goes unnoticed
    /// for up to the token's life of 15 minutes.
    Local,
}

/// Where and for whom tokens must have been issued.
pub(crate) struct Expected {
    pub(crate) issuer: String,
    pub(crate) solution_id: String,
}

pub(crate) struct AuthManager {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) http: Arc<HttpClient>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) reach: Arc<Reach>,
    pub(crate) keys: Keys,
    pub(crate) expected: Expected,
    pub(crate) secret_key: Secret,
    pub(crate) mode: ValidationMode,
    pub(crate) deadline: Duration,
    pub(crate) known: KnownByToken<User>,
    pub(crate) identities: TokenCache<Identity>,
}

/// A user whose token's signature was good, until it ends. Enough to say who did something, not to
/// say that they may.
#[derive(Clone)]
pub(crate) struct Identity {
    user: Arc<User>,
    ends: Duration,
}

impl AuthManager {
    /// Who the token speaks for.
    pub(crate) async fn validate(&self, token: &str) -> Result<Answer<User>> {
        if let Some(answer) = self.cached(token) {
            return Ok(answer);
        }
        let claims = match self.verify(token).await {
            Ok(claims) => claims,
            Err(error) => return Err(self.forget(token, error)),
        };
        match self.mode {
            ValidationMode::Local => Ok(self.remember_local(token, claims)),
            ValidationMode::Online => self.reach.note(self.ask(token).await),
            ValidationMode::Connected => self.ask_or_recall(token, claims).await,
        }
    }

    /// Who did something, for the record: as [`validate`](Self::validate), but without a request
    /// wherever the signature is enough, because usage is tracked offline too.
    pub(crate) async fn identify(&self, token: &str) -> Result<Arc<User>> {
        let now = self.host.monotonic();
        if let Some(identity) = self.identities.get(token).filter(|identity| now < identity.ends) {
            return Ok(identity.user.clone());
        }
        let user = Arc::new(user_of(self.verify(token).await?));
        let ends = now + user.expires_at.since(self.clock.now());
        self.identities.insert(token, Identity { user: user.clone(), ends });
        Ok(user)
    }

    fn cached(&self, token: &str) -> Option<Answer<User>> {
        if self.mode == ValidationMode::Online {
            return None;
        }
        self.known.get(token)?.fresh(self.host.monotonic())
    }

    async fn verify(&self, token: &str) -> Result<Claims> {
        let unverified = UnverifiedToken::parse(token, UnverifiedToken::ACCESS)?;
        let key = self.keys.get(unverified.kid()).await?;
        let (signed, signature) = (unverified.signed(), unverified.signature());
        let good = self.host.verify(Algorithm::Ed25519, &key, signed, signature).await;
        let claims: Claims = unverified.claims(good)?;
        let Expected { issuer, solution_id } = &self.expected;
        claims.check(issuer, Some(solution_id), self.clock.now())?;
        Ok(claims)
    }

    async fn ask(&self, token: &str) -> Result<Answer<User>> {
        let asked = self.host.monotonic();
        let request = ValidateToken { token: Secret::new(token) };
        let call = Call::post("/api/validate-token", &request)?.bearer(&self.secret_key);
        let answer: TokenValidation = self.http.call(call, self.deadline).await?;
        let user = match answer {
            TokenValidation { valid: true, user: Some(user), .. } => user,
            TokenValidation { valid: true, user: None, .. } => {
                return Err(Error::new(Code::AnswerInvalid));
            }
            TokenValidation { code, .. } => {
                let error = Error::new(code.unwrap_or(Code::Unknown));
                return Err(self.forget(token, error));
            }
        };
        Ok(self.remember(token, user_of_context(user), Verified::Online, asked))
    }

    async fn ask_or_recall(&self, token: &str, claims: Claims) -> Result<Answer<User>> {
        let error = match self.reach.attempt(|| self.ask(token)).await {
            Err(error) if error.is_retryable() => error,
            answer => return answer,
        };
        let now = self.host.monotonic();
        let recalled = self.known.get(token).and_then(|known| known.offline(now));
        recalled.or_else(|| self.as_issued(claims)).ok_or(error)
    }

    /// A token nobody was asked about was good at least when it was issued.
    fn as_issued(&self, claims: Claims) -> Option<Answer<User>> {
        let issued = Timestamp::from_secs(i64::try_from(claims.iat).unwrap_or(i64::MAX));
        Answer::as_issued(Arc::new(user_of(claims)), self.clock.now().since(issued))
    }

    fn remember_local(&self, token: &str, claims: Claims) -> Answer<User> {
        self.remember(token, user_of(claims), Verified::Local, self.host.monotonic())
    }

    fn remember(
        &self,
        token: &str,
        user: User,
        verified: Verified,
        asked: Duration,
    ) -> Answer<User> {
        let lives = user.expires_at.since(self.clock.now());
        let known = Arc::new(Known::new(Arc::new(user), verified, asked, lives));
        self.known.insert(token, known.clone());
        known.just_asked()
    }

    /// What is no longer true must not be recalled in the next outage.
    fn forget(&self, token: &str, error: Error) -> Error {
        if !error.is_retryable() {
            self.known.remove(token);
        }
        error
    }
}

fn user_of(claims: Claims) -> User {
    User {
        customer_id: claims.sub,
        tier: claims.tier,
        solution_id: claims.aud,
        token_id: claims.jti,
        expires_at: Timestamp::from_secs(i64::try_from(claims.exp).unwrap_or(i64::MAX)),
    }
}

fn user_of_context(context: UserContext) -> User {
    User {
        customer_id: context.customer_id,
        tier: context.tier,
        solution_id: context.solution_id,
        token_id: context.token_id,
        expires_at: context.expires_at,
    }
}
