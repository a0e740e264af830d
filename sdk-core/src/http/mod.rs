//! One request to the marketplace, made to succeed if it can: retried within a deadline, its errors
//! put in the catalogue's words, the server's clock read off every answer.

mod clock;
mod retry;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use clock::Clock;
pub(crate) use retry::{RetryPolicy, full_jitter};

use crate::error::{Error, Result};
use crate::host::{Host, Request, Response, timeout};
use crate::model::{API_VERSION, Code, Problem, Secret};

const USER_AGENT: &str = concat!("cloudnestle-marketplace-rust/", env!("CARGO_PKG_VERSION"));

pub(crate) struct HttpClient {
    host: Arc<dyn Host>,
    clock: Arc<Clock>,
    base_url: String,
    solution: String,
    retry: RetryPolicy,
    requests: AtomicU64,
}

/// A call of the API, before it is sent.
pub(crate) struct Call<'a> {
    method: &'static str,
    path: &'a str,
    bearer: Option<&'a Secret>,
    body: Vec<u8>,
}

impl<'a> Call<'a> {
    pub(crate) fn get(path: &'a str) -> Self {
        Call { method: "GET", path, bearer: None, body: Vec::new() }
    }

    pub(crate) fn post(path: &'a str, body: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Error::new(Code::RequestInvalid).caused_by(error))?;
        Ok(Call { method: "POST", path, bearer: None, body })
    }

    pub(crate) fn bearer(mut self, credential: &'a Secret) -> Self {
        self.bearer = Some(credential);
        self
    }
}

impl HttpClient {
    pub(crate) fn new(
        host: Arc<dyn Host>,
        clock: Arc<Clock>,
        base_url: String,
        solution: String,
        retry: RetryPolicy,
    ) -> Self {
        HttpClient { host, clock, base_url, solution, retry, requests: AtomicU64::new(0) }
    }

    /// How many requests have been sent, each attempt counted.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Sends the call until it succeeds, fails for good, or `deadline` is over.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        call: Call<'_>,
        deadline: Duration,
    ) -> Result<T> {
        let started = self.host.monotonic();
        let mut delays = self.retry.delays();
        loop {
            let left = deadline.saturating_sub(self.host.monotonic() - started);
            let error = match self.attempt(&call, left).await {
                Ok(answer) => return Ok(answer),
                Err(error) if error.is_retryable() => error,
                Err(error) => return Err(error),
            };
            let Some(delay) = delays.next() else { return Err(error) };
            // What the server asks for is a minimum, and jitter comes on top of nothing.
            let delay =
                full_jitter(&*self.host, delay).max(error.retry_after().unwrap_or_default());
            let left = deadline.saturating_sub(self.host.monotonic() - started);
            if delay >= left {
                return Err(error); // waiting would only turn a clear error into a late one
            }
            self.host.sleep(delay).await;
        }
    }

    /// Sends the call once.
    pub(crate) async fn attempt<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        limit: Duration,
    ) -> Result<T> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let sent = self.host.wall();
        let sending = self.host.send(self.request(call));
        let response = match timeout(&*self.host, limit, sending).await {
            None => {
                let words = Code::DeadlineExceeded.reason();
                return Err(Error::without_answer(Code::DeadlineExceeded, words));
            }
            Some(Err(error)) => {
                let words = format!("No answer from {}: {error}.", self.base_url);
                return Err(Error::without_answer(Code::Unavailable, words));
            }
            Some(Ok(response)) => response,
        };
        // Only the marketplace's own and new answers tell its time: a cache's tell an old one.
        if response.header("cloudnestle-version").is_some() && response.header("age").is_none() {
            self.clock.observe(sent, self.host.wall(), response.header("date"));
        }
        read(&response)
    }

    fn request(&self, call: &Call<'_>) -> Request {
        let mut headers = vec![
            ("accept", "application/json".to_owned()),
            ("user-agent", USER_AGENT.to_owned()),
            ("cloudnestle-version", API_VERSION.to_owned()),
            // So that a key of another solution is refused, and not what it is used for.
            ("cloudnestle-solution", self.solution.clone()),
        ];
        if !call.body.is_empty() {
            headers.push(("content-type", "application/json".to_owned()));
        }
        if let Some(credential) = call.bearer {
            headers.push(("authorization", format!("Bearer {}", credential.expose())));
        }
        Request {
            method: call.method,
            url: format!("{}{}", self.base_url, call.path),
            headers,
            body: call.body.clone(),
        }
    }
}

fn read<T: DeserializeOwned>(response: &Response) -> Result<T> {
    if (200..300).contains(&response.status) {
        return serde_json::from_slice(&response.body).map_err(|error| {
            // serde's own words may quote the answer, which may hold a token.
            let (line, column) = (error.line(), error.column());
            let words = format!("The answer is not understood at line {line}, column {column}.");
            Error::because(Code::AnswerInvalid, words)
        });
    }
    let retry_after = response.header("retry-after").and_then(seconds);
    match serde_json::from_slice::<Problem>(&response.body) {
        Ok(problem) => Err(Error::from_problem(problem, retry_after)),
        Err(_) => Err(unworded(response.status, retry_after)),
    }
}

/// What a status means when whatever lies between us and the marketplace has not said.
fn unworded(status: u16, retry_after: Option<Duration>) -> Error {
    let code = match status {
        401 => Code::CredentialInvalid,
        403 => Code::Forbidden,
        404 => Code::NotFound,
        413 => Code::RequestTooLarge,
        429 => Code::RateLimited,
        408 | 500.. => Code::Unavailable,
        _ => Code::AnswerInvalid,
    };
    let words = format!("{} (status {status}, without an explanation)", code.reason());
    match code {
        Code::Unavailable => Error::without_answer(code, words),
        _ => Error::because(code, words),
    }
    .after(retry_after)
}

fn seconds(value: &str) -> Option<Duration> {
    value.trim().parse().ok().map(Duration::from_secs)
}
