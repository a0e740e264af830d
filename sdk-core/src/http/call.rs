//! A call of the API: what is sent, by whom, and which of it is secret. It knows nothing of answers or
//! attempts.

use std::borrow::Cow;

use serde::Serialize;

use super::secret_key::SecretKey;
use crate::host::Request;
use crate::json;
use crate::model::{API_VERSION, Secret};

const USER_AGENT: &str = concat!("cloudnestle-marketplace-rust/", env!("CARGO_PKG_VERSION"));

/// A call of the API, before it is sent.
pub(crate) struct Call<'a> {
    method: &'static str,
    path: &'a str,
    credential: Option<Credential<'a>>,
    body: Vec<u8>,
    /// What of the body must not be repeated.
    secrets: Vec<Secret>,
    /// Whether it has an effect that must not happen twice.
    has_effect: bool,
    /// The same for each attempt, so that the marketplace knows them for one.
    idempotency_key: Option<String>,
}

/// What a call is made with.
pub(crate) enum Credential<'a> {
    /// The solution's secret key, whichever that is when the call is sent.
    Solution(&'a SecretKey),
    /// A token or a publishable key.
    Bearer(Cow<'a, Secret>),
}

impl<'a> Call<'a> {
    pub(crate) fn get(path: &'a str) -> Self {
        Call {
            method: "GET",
            path,
            credential: None,
            body: Vec::new(),
            secrets: Vec::new(),
            has_effect: false,
            idempotency_key: None,
        }
    }

    /// A call that has an effect, unless it is said that it has [none](Self::without_effect).
    pub(crate) fn post(path: &'a str, body: &impl Serialize) -> Self {
        Call::post_json(path, json::write(body))
    }

    /// As [`post`](Self::post), of what is written already.
    pub(crate) fn post_json(path: &'a str, body: String) -> Self {
        Call { method: "POST", body: body.into_bytes(), has_effect: true, ..Call::get(path) }
    }

    pub(crate) fn delete(path: &'a str, body: &impl Serialize) -> Self {
        Call { method: "DELETE", ..Call::post(path, body) }
    }

    /// A call that says all in its path. Made twice, it has its effect once.
    pub(crate) fn delete_at(path: &'a str) -> Self {
        Call { method: "DELETE", ..Call::get(path) }
    }

    pub(crate) fn bearer(self, credential: &'a Secret) -> Self {
        self.by(Credential::Bearer(Cow::Borrowed(credential)))
    }

    pub(crate) fn by(mut self, credential: Credential<'a>) -> Self {
        self.credential = Some(credential);
        self
    }

    /// Has what the body holds, and whoever answers may repeat, kept out of errors. What the call is made
    /// with is, anyway.
    pub(crate) fn hiding<'s>(mut self, secrets: impl IntoIterator<Item = &'s Secret>) -> Self {
        self.secrets.extend(secrets.into_iter().cloned());
        self
    }

    /// With the solution's secret key, whichever that is when the call is sent.
    pub(crate) fn with_key(self, key: &'a SecretKey) -> Self {
        self.by(Credential::Solution(key))
    }

    /// For questions that are too long for a path, and for usage, whose fence counts it once.
    pub(crate) fn without_effect(mut self) -> Self {
        self.has_effect = false;
        self
    }

    /// Gives a call that has an effect its key.
    pub(super) fn keyed(mut self, key: impl FnOnce() -> String) -> Self {
        self.idempotency_key = self.has_effect.then(key);
        self
    }

    /// What calls have in common that are of one kind: `GET /api/quotas`, without ids and questions.
    pub(super) fn operation(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        let end = path.match_indices('/').nth(2).map_or(path.len(), |(third, _)| third);
        format!("{} {}", self.method, &path[..end])
    }

    /// What it is made with, as it is now.
    pub(crate) fn credential(&self) -> Option<Cow<'_, Secret>> {
        Some(match self.credential.as_ref()? {
            Credential::Bearer(credential) => Cow::Borrowed(&**credential),
            Credential::Solution(key) => Cow::Owned(key.current()),
        })
    }

    /// What of its body must not be repeated.
    pub(super) fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// The key it is made with, if that may be replaced.
    pub(super) fn key(&self) -> Option<&SecretKey> {
        match self.credential {
            Some(Credential::Solution(key)) => Some(key),
            Some(Credential::Bearer(_)) | None => None,
        }
    }

    /// The request to the marketplace at `base_url`, by a program of `solution`.
    pub(super) fn request(&self, base_url: &str, solution: &str) -> Request {
        let mut headers = vec![
            ("accept", "application/json".to_owned()),
            ("user-agent", USER_AGENT.to_owned()),
            ("cloudnestle-version", API_VERSION.to_owned()),
            // So that a key of another solution is refused, and not what it is used for.
            ("cloudnestle-solution", solution.to_owned()),
        ];
        if !self.body.is_empty() {
            headers.push(("content-type", "application/json".to_owned()));
        }
        if let Some(credential) = self.credential() {
            headers.push(("authorization", format!("Bearer {}", credential.expose())));
        }
        if let Some(key) = &self.idempotency_key {
            headers.push(("idempotency-key", key.clone()));
        }
        let url = format!("{base_url}{}", self.path);
        Request { method: self.method, url, headers, body: self.body.clone() }
    }
}
