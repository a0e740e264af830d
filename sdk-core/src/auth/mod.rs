//! Who is this user? Tokens are checked here: their signature on this machine, their revocation by the
//! marketplace's feed, or, if that can't be read, by asking.

#[cfg(feature = "backend")]
mod asking;
#[cfg(not(feature = "backend"))]
#[path = "no_asking.rs"]
mod asking;
#[cfg(feature = "backend")]
mod ended;
mod keys;
mod opening;
mod refresh;
#[cfg(feature = "backend")]
mod revocations;
#[cfg(not(feature = "backend"))]
#[path = "no_revocations.rs"]
mod revocations;
mod source;
mod verdict;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use crate::answer::Answer;
use crate::error::{Error, Result};
use crate::host::cache::{TOKENS, TokenCache};
use crate::host::{Algorithm, Host, timeout};
use crate::http::{Call, Clock, HttpClient, SecretKey};
use crate::json;
use crate::memory::{Held, Memory, Remembered};
use crate::model::{
    Claims, Code, RevokeToken, Secret, Tier, Timestamp, TokenValidation, UnverifiedToken,
    UserContext, ValidateToken,
};

pub(crate) use asking::Asking;
pub(crate) use keys::Keys;
pub(crate) use opening::{Opener, Opening};
pub(crate) use refresh::{OnRenewed, Refresher};
pub(crate) use revocations::Revocations;
pub use source::TokenSource;
pub(crate) use verdict::{Subject, Verdict};

/// How long a token is refused without looking at it again whose signature was wrong: many requests
/// with one forged token cost one signature check.
const FORGED_FOR: Duration = Duration::from_secs(60);

/// How many of those are remembered, apart from the good ones, so that forgeries can't drive these
/// out.
const FORGERIES: usize = 1_000;

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

/// A validated user whom a program holds in a map of its own: see
/// [`hold_user`](crate::MarketplaceSdk::hold_user).
pub struct HeldUser(Held<User>);

/// Who does something, by a token that a program holds in a map of its own: see
/// [`hold_actor`](crate::MarketplaceSdk::hold_actor).
pub struct HeldActor(Identity);

/// Whom a validation asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValidationMode {
    /// The signature is checked here, revocation by the marketplace's feed, which is read every 2 s
    /// while there is something to validate: no request for each token, and no answer that is more
    /// than 5 s old. When the feed can't be read, the marketplace is asked about the token; when it
    /// can't be reached, the answer says so ([`Freshness::Offline`](crate::Freshness::Offline)) for
    /// up to 5 minutes, then is an error.
    #[default]
    Connected,
    /// Asks the marketplace about the token every time, and is an error when the marketplace can't be
    /// reached.
    Online,
    /// The signature and the token's own words alone: no request, and a revocation goes unnoticed
    /// for up to the token's life of 15 minutes.
    Local,
}

/// Where and for whom tokens must have been issued.
#[derive(Clone)]
pub(crate) struct Expected {
    pub(crate) issuer: String,
    pub(crate) solution_id: String,
}

/// Who a token speaks for by its own words, its signature being good. Enough to say who did something,
/// not to say that they may.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) user: Arc<User>,
    /// The token's `iat`.
    pub(crate) issued_at: u64,
    /// Where the feed was before the signature was checked: another database may have other keys.
    pub(crate) epoch: u64,
}

pub(crate) struct AuthManager {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) http: Arc<HttpClient>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) expected: Expected,
    pub(crate) asking: Asking,
    pub(crate) deadline: Duration,
    pub(crate) memory: Memory<User>,
    pub(crate) seen: Seen,
}

/// Tokens whose signature was looked at.
pub(crate) struct Seen {
    good: TokenCache<Identity>,
    /// Why not, and until when that is believed without looking again.
    forged: TokenCache<(Code, Duration)>,
}

impl Default for Seen {
    fn default() -> Self {
        Seen { good: TokenCache::new(TOKENS), forged: TokenCache::new(FORGERIES) }
    }
}

impl AuthManager {
    /// Who the token speaks for.
    pub(crate) async fn validate(&self, token: &str) -> Result<Answer<User>> {
        if let Some(key) = self.asking.always() {
            let started = self.host.monotonic();
            let identity = self.identify_within(token, started).await?;
            return self.memory.ask(token, &identity, self.question(key, token, started)).await;
        }
        if let Some(answer) = self.memory.fresh(token) {
            return answer;
        }
        let started = self.host.monotonic();
        loop {
            let (identity, told) = self.look_at(token, started).await?;
            // Whoever asked while this caller waited may have been told.
            if let Some(answer) = self.memory.fresh(token) {
                return answer;
            }
            let Some((key, _)) = self.asking.by_feed() else {
                return Ok(self.memory.remember(token, identity.user.clone(), &identity));
            };
            let by_feed = || self.memory.remember_by_feed(token, &identity.user, &identity);
            if let Some(answer) = told.then(by_feed).flatten() {
                return answer;
            }
            let (as_issued, left) = (Some(identity.user.clone()), self.left(started));
            let question = || self.question(key, token, started);
            let asked = self.memory.ask_or_recall(token, &identity, as_issued, left, question);
            if let Some(answer) = asked.await {
                return answer;
            }
        }
    }

    /// In connected mode.
    pub(crate) fn feed(&self) -> Option<&Arc<Revocations>> {
        self.asking.by_feed().map(|(_, feed)| feed)
    }

    /// Who the token speaks for by its own words, and whether the feed is fresh and would have told
    /// if it had ended. An error if it is known to have. Keys and feed share the time of the call that
    /// began at `started`.
    pub(crate) async fn look_at(&self, token: &str, started: Duration) -> Result<(Identity, bool)> {
        loop {
            let identity = self.identify_within(token, started).await?;
            let Some(feed) = self.feed() else { return Ok((identity, false)) };
            // A feed without an end is one that can't be read in time: what is known may still do.
            let told = matches!(self.within(started, feed.catch_up()).await, Some(Ok(())));
            // Its answer may have corrected the clock.
            if self.clock.now() >= identity.user.expires_at {
                return Err(self.clock.refusal(Code::TokenExpired));
            }
            match feed.judge(identity.subject(), Some(identity.epoch)).0 {
                Verdict::Good | Verdict::Retiered(_) => return Ok((identity, told)),
                Verdict::Revoked => return Err(Error::new(Code::TokenRevoked)),
                Verdict::Void => {} // the keys may be others now
            }
        }
    }

    /// The user of a token that was validated, unless each validation has to ask.
    pub(crate) fn hold(&self, token: &str) -> Option<HeldUser> {
        self.asking.always().is_none().then(|| self.memory.hold(token)).flatten().map(HeldUser)
    }

    /// Whether a held user is still good.
    pub(crate) fn still(&self, HeldUser(held): &HeldUser) -> Option<Answer<User>> {
        self.memory.still(held)?.ok()
    }

    /// Who does something by a token whose signature was found good, as far as that still says so.
    pub(crate) fn hold_actor(&self, token: &str) -> Option<HeldActor> {
        self.seen.good.get(token).map(HeldActor)
    }

    /// The user of a held actor, as [`identify`](Self::identify) would tell them; `None` if the token has to be
    /// looked at.
    pub(crate) fn actor<'a>(&self, HeldActor(known): &'a HeldActor) -> Option<&'a User> {
        self.still_counts(known).then_some(&*known.user)
    }

    /// Whether a signature that was found good needs no other look.
    fn still_counts(&self, known: &Identity) -> bool {
        self.clock.now() < known.user.expires_at
            && self.feed().is_none_or(|feed| feed.counts(known.epoch))
    }

    /// Who did something, for the record: without a request wherever the signature is enough, because
    /// usage is tracked offline too.
    pub(crate) async fn identify(&self, token: &str) -> Result<Identity> {
        if let Some(known) = self.seen.good.get(token)
            && self.still_counts(&known)
        {
            return Ok(known);
        }
        if let Some((code, until)) = self.seen.forged.get(token)
            && self.host.monotonic() < until
        {
            return Err(Error::new(code));
        }
        let epoch = self.feed().map_or(0, |feed| feed.epoch());
        let claims = self.verify(token).await.inspect_err(|error| {
            if error.code() == Code::TokenSignatureInvalid {
                let until = self.host.monotonic() + FORGED_FOR;
                self.seen.forged.insert(token, (error.code(), until));
            }
        })?;
        let issued_at = claims.iat;
        let identity = Identity { user: Arc::new(user_of(claims)), issued_at, epoch };
        self.seen.good.insert(token, identity.clone());
        Ok(identity)
    }

    /// As [`identify`](Self::identify), in what is left of the time for a call that began at `started`: keys may
    /// have to be asked for twice.
    pub(crate) async fn identify_within(&self, token: &str, started: Duration) -> Result<Identity> {
        let identity = self.within(started, self.identify(token)).await;
        identity.unwrap_or_else(|| Err(Error::new(Code::DeadlineExceeded)))
    }

    /// Ends a token and everything it can be refreshed to.
    pub(crate) async fn revoke(&self, token: &str, secret_key: &SecretKey) -> Result<()> {
        let request = RevokeToken { token: Secret::new(token) };
        let call = Call::delete("/api/revoke-token", &request).hiding([&request.token]);
        self.http.call::<()>(call.with_key(secret_key), self.deadline).await?;
        self.memory.refuse(token, Code::TokenRevoked);
        Ok(())
    }

    async fn verify(&self, token: &str) -> Result<Claims> {
        let unverified = UnverifiedToken::parse(token, UnverifiedToken::ACCESS)?;
        let key = self.keys.get(unverified.kid()).await?;
        let (signed, signature) = (unverified.signed(), unverified.signature());
        let good = self.host.verify(Algorithm::Ed25519, &key, signed, signature).await;
        let claims: Claims = unverified.claims(good.ok_or(Code::SignatureUnverifiable)?)?;
        let Expected { issuer, solution_id } = &self.expected;
        match claims.check(issuer, Some(solution_id), self.clock.now()) {
            Ok(()) => Ok(claims),
            // By name: `localhost` for `127.0.0.1` is easily overlooked.
            Err(Code::TokenWrongIssuer) => {
                let [issued, expected] = [&claims.iss, issuer].map(json::write);
                let words = format!("The token was issued by {issued}; expected is {expected}.");
                Err(Error::because(Code::TokenWrongIssuer, words))
            }
            Err(code @ (Code::TokenExpired | Code::TokenNotYetValid)) => {
                Err(self.clock.refusal(code))
            }
            Err(code) => Err(code.into()),
        }
    }

    /// What comes of it in what is left of a call that began at `started`.
    async fn within<T>(&self, started: Duration, work: impl Future<Output = T>) -> Option<T> {
        timeout(&*self.host, self.left(started), pin!(work)).await
    }

    /// What is left of the time for a call that began at `started`: the keys and the question share
    /// it.
    pub(crate) fn left(&self, started: Duration) -> Duration {
        self.deadline.saturating_sub(self.host.monotonic().saturating_sub(started))
    }

    fn question(
        &self,
        secret_key: &Arc<SecretKey>,
        token: &str,
        started: Duration,
    ) -> impl Future<Output = Result<User>> + Send + use<> {
        let (http, secret_key) = (self.http.clone(), secret_key.clone());
        let (request, deadline) = (ValidateToken { token: Secret::new(token) }, self.left(started));
        async move {
            let call = Call::post("/api/validate-token", &request).hiding([&request.token]);
            let call = call.with_key(&secret_key).without_effect();
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

impl Identity {
    fn subject(&self) -> Subject<'_> {
        let User { customer_id, token_id, .. } = &*self.user;
        Subject { token_id, customer_id, issued_at: self.issued_at }
    }

    /// When the token was issued.
    pub(crate) fn issued(&self) -> Timestamp {
        Timestamp::from_numeric_date(self.issued_at)
    }
}

impl Remembered for User {
    const LASTS: bool = true;

    fn customer_id(&self) -> &str {
        &self.customer_id
    }

    fn token_id(&self) -> &str {
        &self.token_id
    }

    fn in_tier(&self, tier: Tier) -> Option<Self> {
        Some(User { tier, ..self.clone() })
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
        expires_at: Timestamp::from_numeric_date(claims.exp),
    }
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
