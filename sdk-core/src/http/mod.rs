//! One request to the marketplace, made to succeed if it can: retried within a deadline, its errors
//! put in the catalogue's words, the server's clock and limits read off every answer.
//!
//! What is tried again is what may pass: 408, 409, 429, 5xx and lost connections, unless the answer
//! says otherwise (`x-should-retry`). A call that has an effect has the same `Idempotency-Key` in
//! each attempt.

mod answer;
mod call;
mod clock;
mod limits;
mod redaction;
mod retry;
mod secret_key;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;

pub(crate) use call::{Call, Credential};
pub(crate) use clock::{Clock, Now};
pub(crate) use retry::{RetryPolicy, full_jitter};
pub(crate) use secret_key::{KeyProvider, SecretKey};

use crate::config::LOCAL_SERVER;
use crate::error::{Error, Result};
use crate::events::Announcer;
use crate::host::{Host, Moment, Response, SendStage, timeout};
use crate::model::{Code, Secret, new_id};
use answer::{AnyAnswer, Awaited};
use limits::RateLimits;
use retry::LONGEST_WAIT;

pub(crate) struct HttpClient {
    host: Arc<dyn Host>,
    clock: Arc<Clock>,
    base_url: String,
    solution: String,
    retry: RetryPolicy,
    limits: RateLimits,
    requests: AtomicU64,
}

impl HttpClient {
    pub(crate) fn new(
        host: Arc<dyn Host>,
        clock: Arc<Clock>,
        announcer: Arc<Announcer>,
        base_url: String,
        solution: String,
        retry: RetryPolicy,
    ) -> Self {
        let limits = RateLimits::new(host.clone(), announcer);
        HttpClient { host, clock, base_url, solution, retry, limits, requests: AtomicU64::new(0) }
    }

    /// The marketplace's URL.
    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The solution whose program this is.
    pub(crate) fn solution(&self) -> &str {
        &self.solution
    }

    /// How many requests have been sent, each attempt counted.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Sends the call until it succeeds, fails for good, or `deadline` is over.
    pub(crate) async fn call<T: DeserializeOwned + Send>(
        &self,
        call: Call<'_>,
        deadline: Duration,
    ) -> Result<T> {
        self.call_dated(call, deadline).await.map(|(answer, _)| answer)
    }

    /// As [`call`](Self::call), and tells when the attempt began that was answered: what the answer says
    /// of time counts from then, whatever the attempts before it took.
    pub(crate) async fn call_dated<T: DeserializeOwned + Send>(
        &self,
        call: Call<'_>,
        deadline: Duration,
    ) -> Result<(T, Moment)> {
        let mut answer = Awaited(None);
        let began = self.persist(call, deadline, &mut answer).await?;
        Ok((answer.read()?, began))
    }

    /// Sends the call once, and once more if its key turns out to have been replaced.
    pub(crate) async fn attempt<T: DeserializeOwned + Send>(
        &self,
        call: &Call<'_>,
        limit: Duration,
    ) -> Result<T> {
        let mut answer = Awaited(None);
        self.attempt_for(call, limit, &mut answer).await?;
        answer.read()
    }

    // What follows knows nothing of the answer's type, so that there is one of each and not one for every
    // kind of answer: in a browser that is a tenth of the SDK.

    /// Makes attempts until an answer is taken, and tells when that attempt began.
    fn persist<'a>(
        &'a self,
        call: Call<'a>,
        deadline: Duration,
        awaited: &'a mut dyn AnyAnswer,
    ) -> BoxFuture<'a, Result<Moment>> {
        async move {
            let started = self.host.monotonic();
            let left = || deadline.saturating_sub(self.host.monotonic().saturating_sub(started));
            let call = call.keyed(|| self.idempotency_key());
            let mut delays = self.retry.delays();
            let mut had_effect = false;
            loop {
                let began = Moment::now(&*self.host);
                let error = match self.attempt_for(&call, left(), awaited).await {
                    Ok(()) => return Ok(began),
                    Err(error) => error.with_effect(had_effect),
                };
                had_effect = error.may_have_had_effect();
                let Some(delay) = delays.next().filter(|_| error.is_retryable()) else {
                    return Err(error);
                };
                // What the server asks for is a minimum. Jitter comes on top: it asks many for the same.
                let asked = error.retry_after().unwrap_or_default();
                let delay = asked.saturating_add(full_jitter(&*self.host, delay));
                if asked > LONGEST_WAIT || delay >= left() {
                    return Err(error); // waiting would only turn a clear error into a late one
                }
                self.host.sleep(delay).await;
            }
        }
        .boxed()
    }

    fn attempt_for<'a>(
        &'a self,
        call: &'a Call<'a>,
        limit: Duration,
        awaited: &'a mut dyn AnyAnswer,
    ) -> BoxFuture<'a, Result<()>> {
        async move {
            let started = self.host.monotonic();
            let used = call.key().map(SecretKey::current);
            let result = self.attempt_once(call, limit, awaited).await;
            if let (Err(error), Some(key), Some(used)) = (&result, call.key(), &used)
                && error.code() == Code::CredentialInvalid
            {
                let left = || limit.saturating_sub(self.host.monotonic().saturating_sub(started));
                let newer = pin!(key.newer_than(used));
                if let Some(Some(_)) = timeout(&*self.host, left(), newer).await {
                    return self.attempt_once(call, left(), awaited).await;
                }
            }
            result
        }
        .boxed()
    }

    fn attempt_once<'a>(
        &'a self,
        call: &'a Call<'a>,
        limit: Duration,
        awaited: &'a mut dyn AnyAnswer,
    ) -> BoxFuture<'a, Result<()>> {
        async move {
            let started = self.host.monotonic();
            self.limits.pass(call, limit).await?;
            let left = limit.saturating_sub(self.host.monotonic().saturating_sub(started));
            let used = call.credential();
            let response = self.look(call, left).await.map_err(|no_answer| no_answer.error)?;
            let secrets: Vec<&Secret> = call.secrets().iter().chain(used.as_deref()).collect();
            // What was refused was not done. What went wrong may have.
            let was_refused = (400..500).contains(&response.status);
            answer::read(&response, &secrets, self.clock.now(), awaited)
                .map_err(|error| error.with_effect(!was_refused))
        }
        .boxed()
    }

    /// The answer to a call, whatever it is. A call that went to a connection that had been closed
    /// while nobody looked is sent once more, at once: that is no failure of the marketplace, and no
    /// retry.
    pub(crate) async fn look(
        &self,
        call: &Call<'_>,
        limit: Duration,
    ) -> std::result::Result<Response, NoAnswer> {
        let started = self.host.monotonic();
        match self.exchange(call, limit).await {
            Err(NoAnswer { stage: SendStage::StaleConnection, .. }) => {
                let left = limit.saturating_sub(self.host.monotonic().saturating_sub(started));
                let again = self.exchange(call, left).await;
                again.map_err(|no| NoAnswer { error: no.error.with_effect(true), ..no })
            }
            result => result,
        }
    }

    async fn exchange(
        &self,
        call: &Call<'_>,
        limit: Duration,
    ) -> std::result::Result<Response, NoAnswer> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let sent = self.host.wall();
        let sending = self.host.send(call.request(&self.base_url, &self.solution));
        let response = match timeout(&*self.host, limit, sending).await {
            None => {
                let code = Code::DeadlineExceeded;
                let error = Error::without_answer(code, code.reason()).with_effect(true);
                return Err(NoAnswer { error, stage: SendStage::Answer });
            }
            Some(Err(error)) => {
                let words = no_answer(&self.base_url, &error.to_string());
                let stage = error.stage;
                let never_left = matches!(stage, SendStage::Lookup | SendStage::Connect);
                let error = Error::without_answer(Code::Unavailable, words);
                let error = error.with_effect(!never_left);
                return Err(NoAnswer { error, stage });
            }
            Some(Ok(response)) => response,
        };
        // Only the marketplace's own and new answers tell its time: a cache's tell an old one.
        if response.header("cloudnestle-version").is_some() && response.header("age").is_none() {
            self.clock.observe(sent, self.host.wall(), response.header("date"));
        }
        self.limits.observe(call, &response);
        Ok(response)
    }

    fn idempotency_key(&self) -> String {
        let mut random = [0; 10];
        self.host.random(&mut random);
        new_id("idk", self.clock.now(), random)
    }
}

/// That there is no answer, and what of the settings may be the reason.
fn no_answer(base_url: &str, error: &str) -> String {
    let place = match base_url == LOCAL_SERVER {
        true => " (where programs with a test key ask unless CLOUDNESTLE_URL names another place)",
        false => "",
    };
    // What rustls says of an answer in the clear.
    let scheme = match cfg!(feature = "native") && error.contains("InvalidContentType") {
        true => " What answers there does not speak TLS: its URL may begin with http://.",
        false => "",
    };
    format!("No answer from {base_url}{place}: {error}.{scheme}")
}

/// Why there is no answer.
pub(crate) struct NoAnswer {
    pub(crate) error: Error,
    /// How far the call came.
    pub(crate) stage: SendStage,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_set_no_url_is_told_which_one_was_asked_and_why() {
        assert!(
            no_answer(LOCAL_SERVER, "refused").contains("unless CLOUDNESTLE_URL names another")
        );
        let elsewhere = no_answer("https://marketplace.example", "refused");
        assert_eq!(elsewhere, "No answer from https://marketplace.example: refused.");
    }
}
