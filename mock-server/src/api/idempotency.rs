//! One effect for one `Idempotency-Key`, however often the call is made.
//!
//! What was answered is committed with the effect, so there is no moment at which one is there
//! without the other, and two calls at once end as one: whoever commits second finds the answer of
//! the first. A call that failed had no effect and leaves the key unused. Stripe
//! answers 409 while the first call is still running; here the second waits, and gets its answer.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{Timestamp, UsageEvent};
use ring::hmac;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
use utoipa::openapi::{ObjectBuilder, Required, Type};

use super::caller::{Admin, Session, SolutionCaller, SolutionKey, SolutionToken};
use super::openapi::{Argument, Shape};
use super::problem::Failure;
use crate::domain::account::Email;
use crate::domain::sealed::Sealed;
use crate::facts;
use crate::market::Market;
use crate::planted::{Bug, planted};
use crate::store::{Transaction, transact};

const HEADER: &str = "idempotency-key";
/// The longest key, in bytes: a call that consumes a quota gives its key to the event.
const MAX_KEY_BYTES: usize = UsageEvent::MAX_KEY_BYTES;
/// How long an answer is given again: Stripe's bound. Who asks after that does something new.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// The caller's own name for what it is about to do, if it gave one.
#[derive(Default)]
pub(crate) struct IdempotencyKey(Option<String>);

/// What was done under a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Deed {
    /// Of the call and its body: another body under the same key is a mistake of the caller.
    fingerprint: String,
    forgotten_at: Timestamp,
    answer: Sealed,
}

impl Argument for IdempotencyKey {
    fn describe(shape: &mut Shape) {
        let schema = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[!-~]+$"));
        let schema = schema.min_length(Some(1)).max_length(Some(MAX_KEY_BYTES));
        let description = "The caller's own name for what it is about to do: made again under the same \
                           name within a day, the call has no further effect and the same answer.";
        let key = ParameterBuilder::new().name("Idempotency-Key").parameter_in(ParameterIn::Header);
        let key = key.required(Required::False).description(Some(description));
        shape.parameters.push(key.schema(Some(schema)).build());
        shape.codes.extend([Code::RequestInvalid, Code::IdempotencyMismatch]);
    }
}

impl FromRequestParts<Arc<Market>> for IdempotencyKey {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Market>) -> Result<Self, Failure> {
        let Some(value) = parts.headers.get(HEADER) else {
            return Ok(IdempotencyKey(None));
        };
        let key = value.to_str().unwrap_or_default();
        let is_visible = key.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_visible || !(1..=MAX_KEY_BYTES).contains(&key.len()) {
            let detail = "An Idempotency-Key has 1 to 255 visible ASCII characters.";
            return Err(Failure::new(Code::RequestInvalid, detail));
        }
        Ok(IdempotencyKey(Some(key.to_owned())))
    }
}

impl IdempotencyKey {
    pub(crate) fn name(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Runs `effect` in a transaction of the store, or gives the answer it had before.
    ///
    /// Keys are `caller`'s own: two callers may use the same. `call` and `request` are what must not
    /// have changed when a key is used again.
    pub(crate) async fn once<R, A, F>(
        &self,
        market: &Market,
        caller: &impl KeyHolder,
        call: &str,
        request: &R,
        effect: F,
    ) -> Result<A, Failure>
    where
        R: Serialize,
        A: Serialize + DeserializeOwned,
        F: AsyncFnOnce(&mut Transaction<'_>) -> Result<A, Failure> + Clone,
    {
        let Some(key) = &self.0 else {
            return transact(&*market.store, effect).await;
        };
        let caller = caller.namespace();
        let item = facts::deed(&caller, key);
        let sealing = market.keys.answer_key(&caller, key);
        let fingerprint = fingerprint(&sealing, call, request)?;
        let nonce = market.world.random.bytes();
        let now = market.world.now();

        transact(&*market.store, async |tx| {
            let before = tx.get::<Deed>(&item).await?;
            if let Some(before) = before.filter(|deed| now < deed.forgotten_at) {
                return before.answer_to(&fingerprint, &sealing);
            }
            let answer = match planted(Bug::RecordAfterEffect) {
                true => transact(&*market.store, effect.clone()).await?,
                false => effect.clone()(tx).await?,
            };
            let text = serde_json::to_vec(&answer).map_err(|_| Code::Internal)?;
            let deed = Deed {
                fingerprint: fingerprint.clone(),
                forgotten_at: now + KEPT_FOR,
                answer: Sealed::new(&sealing, nonce, &text).ok_or(Code::Internal)?,
            };
            tx.put(&item, &deed)?;
            Ok(answer)
        })
        .await
    }
}

/// Somebody whose keys are their own: a key is one key in all their calls.
pub(crate) trait KeyHolder {
    /// What their keys are kept under.
    fn namespace(&self) -> String;
}

/// Nobody yet, but somebody who says what their address is: a stranger's keys must not be used up by
/// another's.
pub(crate) struct Registering<'a>(pub &'a Email);

impl KeyHolder for Registering<'_> {
    fn namespace(&self) -> String {
        format!("anybody/{}", self.0.as_str())
    }
}

impl KeyHolder for Admin {
    fn namespace(&self) -> String {
        "admin".to_owned()
    }
}

impl KeyHolder for Session {
    fn namespace(&self) -> String {
        self.customer_id.clone()
    }
}

impl KeyHolder for SolutionToken {
    fn namespace(&self) -> String {
        self.claims.sub.clone()
    }
}

impl KeyHolder for SolutionKey {
    fn namespace(&self) -> String {
        format!("{}/backend", self.solution_id)
    }
}

/// Those of pages can't meet those of backends.
impl KeyHolder for SolutionCaller {
    fn namespace(&self) -> String {
        match self {
            SolutionCaller::Backend(key) => key.namespace(),
            SolutionCaller::Page(key) => format!("{}/page", key.solution_id),
        }
    }
}

impl Deed {
    fn answer_to<A: DeserializeOwned>(
        &self,
        fingerprint: &str,
        sealing: &[u8; 32],
    ) -> Result<A, Failure> {
        if self.fingerprint != fingerprint {
            return Err(Code::IdempotencyMismatch.into());
        }
        let text = self.answer.open(sealing).map_err(|_| Code::Internal)?;
        serde_json::from_slice(&text).map_err(|_| Code::Internal.into())
    }
}

/// A body may hold a password, of which a hash that is quick to compute must not be kept: so this one
/// can't be computed without the caller's key.
fn fingerprint(
    sealing: &[u8; 32],
    call: &str,
    request: &impl Serialize,
) -> Result<String, Failure> {
    // By way of a value, whose objects have their keys sorted.
    let request = serde_json::to_value(request).map_err(|_| Code::Internal)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, sealing);
    let tag = hmac::sign(&key, format!("{call}\n{request}").as_bytes());
    Ok(tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}
