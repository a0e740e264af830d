//! Who is this user? Tokens are checked here: their signature on this machine, their revocation
//! with the marketplace.

mod keys;
mod refresh;

use std::sync::Arc;
use std::time::Duration;

use crate::answer::{Answer, Verified};
use crate::error::{Error, Result};
use crate::host::cache::TokenCache;
use crate::host::{Algorithm, Host};
use crate::http::{Call, Clock, HttpClient};
use crate::memory::Memory;
use crate::model::{
    Claims, Code, RevokeToken, Secret, Tier, Timestamp, TokenValidation, UnverifiedToken,
    UserContext, ValidateToken,
};

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
    pub(crate) keys: Arc<Keys>,
    pub(crate) expected: Expected,
    pub(crate) secret_key: Secret,
    pub(crate) mode: ValidationMode,
    pub(crate) deadline: Duration,
    pub(crate) memory: Memory<User>,
    /// Users whose tokens' signatures were good. Enough to say who did something, not to say that
    /// they may.
    pub(crate) identities: TokenCache<Arc<User>>,
}

impl AuthManager {
    /// Who the token speaks for.
    pub(crate) async fn validate(&self, token: &str) -> Result<Answer<User>> {
        if self.mode != ValidationMode::Online
            && let Some(answer) = self.memory.fresh(token)
        {
            return answer;
        }
        let started = self.host.monotonic();
        let claims = self.verify(token).await?;
        let issued_at = seconds(claims.iat);
        let user = user_of(claims);
        let ends_at = user.expires_at;
        match self.mode {
            ValidationMode::Local => {
                Ok(self.memory.remember(token, user, Verified::Local, ends_at))
            }
            ValidationMode::Online => {
                self.memory.ask(token, ends_at, self.question(token, started)).await
            }
            ValidationMode::Connected => {
                let as_issued = Some((user, issued_at));
                let question = || self.question(token, started);
                self.memory.ask_or_recall(token, ends_at, as_issued, question).await
            }
        }
    }

    /// Who did something, for the record: as [`validate`](Self::validate), but without a request
    /// wherever the signature is enough, because usage is tracked offline too.
    pub(crate) async fn identify(&self, token: &str) -> Result<Arc<User>> {
        let known = self.identities.get(token);
        if let Some(user) = known.filter(|user| self.clock.now() < user.expires_at) {
            return Ok(user);
        }
        let user = Arc::new(user_of(self.verify(token).await?));
        self.identities.insert(token, user.clone());
        Ok(user)
    }

    /// Ends a token and everything it can be refreshed to.
    pub(crate) async fn revoke(&self, token: &str) -> Result<()> {
        let request = RevokeToken { token: Secret::new(token) };
        let call = Call::delete("/api/revoke-token", &request)?.bearer(&self.secret_key);
        self.http.call::<()>(call, self.deadline).await?;
        self.memory.refuse(token, Code::TokenRevoked);
        Ok(())
    }

    async fn verify(&self, token: &str) -> Result<Claims> {
        let unverified = UnverifiedToken::parse(token, UnverifiedToken::ACCESS)?;
        let key = self.keys.get(unverified.kid()).await?;
        let (signed, signature) = (unverified.signed(), unverified.signature());
        let good = self.host.verify(Algorithm::Ed25519, &key, signed, signature).await;
        let claims: Claims = unverified.claims(good)?;
        let Expected { issuer, solution_id } = &self.expected;
        match claims.check(issuer, Some(solution_id), self.clock.now()) {
            Ok(()) => Ok(claims),
            // By name: `localhost` for `127.0.0.1` is easily overlooked.
            Err(Code::TokenWrongIssuer) => {
                let iss = claims.iss;
                let words = format!("The token was issued by {iss:?}; expected is {issuer:?}.");
                Err(Error::because(Code::TokenWrongIssuer, words))
            }
            Err(code) => Err(code.into()),
        }
    }

    /// What is left of the time for a call that began at `started`: the keys and the question share
    /// it.
    pub(crate) fn left(&self, started: Duration) -> Duration {
        self.deadline.saturating_sub(self.host.monotonic().saturating_sub(started))
    }

    fn question(
        &self,
        token: &str,
        started: Duration,
    ) -> impl Future<Output = Result<User>> + Send + use<> {
        let (http, secret_key) = (self.http.clone(), self.secret_key.clone());
        let (request, deadline) = (ValidateToken { token: Secret::new(token) }, self.left(started));
        async move {
            let call = Call::post("/api/validate-token", &request)?.bearer(&secret_key);
            let call = call.without_effect();
            match http.call(call, deadline).await? {
                TokenValidation { valid: true, user: Some(user), .. } => Ok(user_in(user)),
                TokenValidation { valid: true, user: None, .. } => {
                    Err(Error::new(Code::AnswerInvalid))
                }
                TokenValidation { code, .. } => Err(refusal(code)),
            }
        }
    }
}

/// The marketplace's "no", in a code that says that it is one, whatever its reason.
fn refusal(code: Option<Code>) -> Error {
    match code {
        Some(code) if code.refuses_user() => Error::new(code),
        _ => Error::new(Code::TokenRefused),
    }
}

fn user_of(claims: Claims) -> User {
    User {
        customer_id: claims.sub,
        tier: claims.tier,
        solution_id: claims.aud,
        token_id: claims.jti,
        expires_at: seconds(claims.exp),
    }
}

/// A time of a token. One beyond what can be counted lies at the end of time.
fn seconds(secs: u64) -> Timestamp {
    Timestamp::from_secs(i64::try_from(secs).unwrap_or(i64::MAX))
}

fn user_in(context: UserContext) -> User {
    User {
        customer_id: context.customer_id,
        tier: context.tier,
        solution_id: context.solution_id,
        token_id: context.token_id,
        expires_at: context.expires_at,
    }
}
