//! What stands between a program and the marketplace: a report for whoever sets the SDK up.
//!
//! It asks for the keys, about a text that is no token and for the revocation feed, and touches the
//! spool. It says what it found in the catalogue's words and its own, never in those of an answer:
//! whatever answers may repeat what it was sent.

mod report;

use std::pin::pin;
use std::time::Duration;

use serde::Deserialize;

use crate::auth::AuthManager;
use crate::error::{Error, Result};
use crate::host::{Host, Response, SendStage, timeout};
use crate::http::{Call, Clock, HttpClient, NoAnswer, SecretKey};
use crate::json;
use crate::model::{API_VERSION, Code, Secret, TokenValidation, ValidateToken};
use crate::usage::{SpoolHealth, UsageTracker};

pub use report::{Check, Diagnosis, Finding, Severity};

/// The most that is repeated of what an answer says.
const MOST_CHARS: usize = 100;

pub(crate) struct Diagnosing<'a> {
    pub(crate) host: &'a dyn Host,
    pub(crate) http: &'a HttpClient,
    pub(crate) clock: &'a Clock,
    pub(crate) auth: &'a AuthManager,
    pub(crate) secret_key: &'a SecretKey,
    pub(crate) usage: &'a UsageTracker,
    pub(crate) deadline: Duration,
}

/// What the marketplace publishes of its keys, as far as it can be read.
#[derive(Default, Deserialize)]
struct Published {
    #[serde(default, deserialize_with = "json::readable")]
    keys: Vec<Named>,
    #[serde(default)]
    issuer: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    kid: String,
}

impl Diagnosing<'_> {
    pub(crate) async fn run(&self) -> Diagnosis {
        let mut findings = Vec::new();
        let started = self.host.monotonic();
        match self.http.look(&Call::get("/.well-known/jwks.json"), self.deadline).await {
            Err(no_answer) => findings.push(self.out_of_reach(no_answer)),
            Ok(response) => {
                let took = self.host.monotonic().saturating_sub(started);
                findings.push(reach(&response, took));
                findings.push(version(&response));
                findings.push(self.clock());
                findings.extend(self.keys_and_issuer(&response));
                let key = self.key().await;
                let is_accepted = key.severity == Severity::Good;
                findings.push(key);
                if is_accepted {
                    findings.extend(self.feed().await);
                }
            }
        }
        findings.push(spool(self.usage.health().await));
        Diagnosis {
            url: self.http.base_url().to_owned(),
            solution_id: self.auth.expected.solution_id.clone(),
            findings,
        }
    }

    fn out_of_reach(&self, no_answer: NoAnswer) -> Finding {
        let url = self.http.base_url();
        let (words, advice) = match no_answer.stage {
            SendStage::Lookup => (
                format!("The host of {url} has no address."),
                "Check the URL (CLOUDNESTLE_URL) and this machine's name service.",
            ),
            SendStage::Connect => (
                no_answer.error.message().to_owned(),
                "Check the URL (CLOUDNESTLE_URL), that the marketplace runs there, and what lies between.",
            ),
            SendStage::StaleConnection | SendStage::Answer => {
                (no_answer.error.message().to_owned(), "Check what lies between, and try again.")
            }
        };
        Finding::bad(Check::Reach, no_answer.error.code(), words).advising(advice)
    }

    fn clock(&self) -> Finding {
        let millis = self.clock.offset_ms();
        match millis.unsigned_abs() / 1000 {
            0 => Finding::good(Check::Clock, "This machine's clock agrees with the marketplace's."),
            seconds => {
                let which = if millis > 0 { "behind" } else { "ahead of" };
                let words = format!(
                    "This machine's clock is {seconds} s {which} the marketplace's; the SDK allows for it."
                );
                let advice = "Set this machine's clock by a time server.";
                Finding::warning(Check::Clock, words).advising(advice)
            }
        }
    }

    fn keys_and_issuer(&self, response: &Response) -> Vec<Finding> {
        let Published { keys, issuer } = json::read(&response.body).unwrap_or_default();
        let ids: Vec<String> = keys.iter().take(8).map(|key| quoted(&key.kid)).collect();
        if ids.is_empty() {
            let words = "The marketplace publishes no key to check tokens by.";
            return vec![Finding::bad(Check::Keys, Code::AnswerInvalid, words)];
        }
        let keys = format!("Tokens are checked by the keys {}.", ids.join(", "));
        let expected = &self.auth.expected.issuer;
        let named = quoted(expected);
        let issuer = match issuer.as_deref() {
            Some(issuer) if issuer == expected => {
                Finding::good(Check::Issuer, format!("Tokens are issued by {}.", quoted(issuer)))
            }
            Some(issuer) => {
                let issuer = quoted(issuer);
                let words = format!("Tokens are issued by {issuer}, but expected of {named}.");
                Finding::bad(Check::Issuer, Code::TokenWrongIssuer, words)
            }
            None => {
                let words = format!("Tokens of {named} are expected; it does not say its own.");
                Finding::warning(Check::Issuer, words)
            }
        };
        vec![Finding::good(Check::Keys, keys), issuer]
    }

    /// Whether the secret key is accepted. The text it asks about is no token, and costs nobody
    /// anything.
    async fn key(&self) -> Finding {
        match self.ask_about_nothing().await {
            Ok(_) => Finding::good(Check::SecretKey, "The secret key is accepted."),
            Err(error) => Finding::bad(Check::SecretKey, error.code(), error.code().reason()),
        }
    }

    /// How old what is known of revocations is, where the feed is used.
    async fn feed(&self) -> Option<Finding> {
        let feed = self.auth.feed()?;
        let read = timeout(self.host, self.deadline, pin!(feed.catch_up())).await;
        let read = read.unwrap_or_else(|| Err(Error::new(Code::DeadlineExceeded)));
        let age = feed.sent().map(|sent| self.host.monotonic().saturating_sub(sent));
        Some(match (read, age) {
            (Ok(()), Some(age)) => {
                let words = format!("The revocation feed was read {} ms ago.", age.as_millis());
                Finding::good(Check::Feed, words)
            }
            (read, _) => {
                let words = "The revocation feed can't be read; tokens are asked about one by one.";
                let code = read.err().map(|error| error.code());
                let advice = code.map(Code::advice);
                Finding { code, advice, ..Finding::warning(Check::Feed, words) }
            }
        })
    }

    async fn ask_about_nothing(&self) -> Result<TokenValidation> {
        let question = ValidateToken { token: Secret::new("diagnose") };
        let call = Call::post("/api/validate-token", &question).with_key(self.secret_key);
        self.http.attempt(&call.without_effect(), self.deadline).await
    }
}

fn reach(response: &Response, took: Duration) -> Finding {
    let status = response.status;
    if response.header("cloudnestle-version").is_none() {
        let words = format!("What answers is not the marketplace (status {status}).");
        return Finding::bad(Check::Reach, Code::AnswerInvalid, words);
    }
    match status {
        200 => {
            let words = format!("The marketplace answers, in {} ms.", took.as_millis());
            Finding::good(Check::Reach, words)
        }
        _ => {
            let words = format!("The marketplace answers with status {status}.");
            Finding::bad(Check::Reach, Code::Unavailable, words)
        }
    }
}

fn version(response: &Response) -> Finding {
    match response.header("cloudnestle-version") {
        Some(API_VERSION) => {
            let words = format!("Both sides speak version {API_VERSION} of the API.");
            Finding::good(Check::Version, words)
        }
        other => {
            let theirs = quoted(other.unwrap_or_default());
            let words = format!("This release speaks {API_VERSION}, the other side {theirs}.");
            Finding::warning(Check::Version, words).advising("Use the newest release of the SDK.")
        }
    }
}

fn spool(health: SpoolHealth) -> Finding {
    let SpoolHealth { dir, pending, bytes, in_memory, oldest, rejected_files, .. } = &health;
    let dir = dir.display();
    let mut words = match (pending, &health.not_writable) {
        (0, None) => format!("{dir} can be written, and nothing waits there."),
        (0, Some(_)) => "Nothing waits.".to_owned(),
        _ => {
            let since = oldest.map(|since| format!(", the oldest since {since}"));
            let since = since.unwrap_or_default();
            format!("{pending} events wait in {dir} ({bytes} bytes of our own{since}).")
        }
    };
    if *in_memory > 0 {
        words.push_str(&format!(" {in_memory} are in memory alone, and end with this process."));
    }
    if *rejected_files > 0 {
        words.push_str(" Events that the marketplace refused are kept there, too.");
    }
    for elsewhere in &health.elsewhere {
        let elsewhere = elsewhere.display();
        words.push_str(&format!(
            " {elsewhere} has usage for a marketplace of another address, and is left alone."
        ));
    }
    if let Some(error) = &health.not_writable {
        let words = format!("{} {words}", error.message());
        return Finding::bad(Check::Spool, error.code(), words);
    }
    if let Some(error) = &health.stuck {
        let words = format!("What another process has left can't be read: {error} {words}");
        return Finding::bad(Check::Spool, error.code(), words);
    }
    match health.last_error.as_ref().filter(|_| *pending > 0).map(Error::code) {
        Some(code) => Finding { code: Some(code), ..Finding::warning(Check::Spool, words) }
            .advising(code.advice()),
        None if *rejected_files > 0 => Finding::warning(Check::Spool, words)
            .advising("Read them with `rejected_usage`, and mend what it names; then replay them."),
        None if !health.elsewhere.is_empty() => Finding::warning(Check::Spool, words)
            .advising("Run a program with that address (CLOUDNESTLE_URL), which delivers it."),
        None if *in_memory > 0 => Finding::warning(Check::Spool, words),
        None => Finding::good(Check::Spool, words),
    }
}

/// What an answer says, made harmless.
fn quoted(text: &str) -> String {
    let text: String = text.chars().take(MOST_CHARS).collect();
    format!("\"{}\"", text.escape_debug())
}
