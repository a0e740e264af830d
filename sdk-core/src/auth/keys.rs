//! The marketplace's public keys.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::flights::Flights;
use crate::host::Host;
use crate::http::{Call, HttpClient};
use crate::json;
use crate::model::{Code, Jwk};

/// A key that is not published is asked for again at most this often: anybody can invent a `kid`.
const UNKNOWN_KEY_RECHECK: Duration = Duration::from_secs(30);

/// After a failure nobody asks for this long: an outage must not cost every call its deadline.
const FAILURE_RECHECK: Duration = Duration::from_secs(1);

/// Keys older than this are asked for again, while they go on being used. The marketplace publishes
/// a key longer than that before it signs with it.
const MAX_AGE: Duration = Duration::from_secs(10 * 60);

/// One SDK talks to one marketplace in one environment, and has one of these: a key that another
/// issuer published under the same `kid` can't come in.
pub(crate) struct Keys {
    host: Arc<dyn Host>,
    published: Arc<RwLock<Published>>,
    http: Arc<HttpClient>,
    deadline: Duration,
    flights: Flights<()>,
}

#[derive(Default)]
struct Published {
    /// By name: the marketplace has two or three.
    keys: Vec<(String, [u8; 32])>,
    /// When they were last asked for, with success.
    asked: Option<Duration>,
    /// When the marketplace was last asked in vain, and what came of it.
    failed: Option<(Duration, Error)>,
}

impl Keys {
    pub(crate) fn new(host: Arc<dyn Host>, http: Arc<HttpClient>, deadline: Duration) -> Arc<Self> {
        let (published, flights) = (Arc::default(), Flights::new(host.clone()));
        Arc::new(Keys { host, published, http, deadline, flights })
    }

    /// The key named `kid`, asking the marketplace if need be.
    pub(crate) async fn get(self: &Arc<Self>, kid: &str) -> Result<[u8; 32]> {
        loop {
            let now = self.host.monotonic();
            let (key, due) = {
                let published = self.read();
                (published.key(kid), published.due(kid, now))
            };
            match (key, due) {
                (Some(key), Ok(false) | Err(_)) => return Ok(key),
                (Some(key), Ok(true)) => {
                    let keys = self.clone();
                    // A failure is remembered, and the old key is as good as before.
                    self.host.spawn(async move { drop(keys.fetch().await) }.boxed());
                    return Ok(key);
                }
                // And look again: they may have been forgotten between their coming and now.
                (None, Ok(true)) => self.fetch().await?,
                (None, Ok(false)) => return Err(Error::new(Code::TokenKeyUnknown)),
                (None, Err(error)) => return Err(error),
            }
        }
    }

    /// Knows no key any more: the marketplace may have others now.
    pub(crate) fn forget(&self) {
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = Published::default();
    }

    async fn fetch(&self) -> Result<()> {
        let (host, http, deadline) = (self.host.clone(), self.http.clone(), self.deadline);
        let published = self.published.clone();
        let request = || async move {
            let asked = host.monotonic();
            let answer = http.call(Call::get("/.well-known/jwks.json"), deadline).await;
            let mut published = published.write().unwrap_or_else(PoisonError::into_inner);
            match answer.and_then(usable) {
                Ok(keys) => {
                    *published = Published { keys, asked: Some(asked), failed: None };
                    Ok(())
                }
                Err(error) => {
                    published.failed = Some((host.monotonic(), error.clone()));
                    Err(error)
                }
            }
        };
        self.flights.join("", request).await
    }

    fn read(&self) -> RwLockReadGuard<'_, Published> {
        self.published.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Published {
    fn key(&self, kid: &str) -> Option<[u8; 32]> {
        self.keys.iter().find(|(known, _)| known == kid).map(|(_, key)| *key)
    }

    /// Whether to ask the marketplace, because of a token that names this key; or why not to.
    fn due(&self, kid: &str, now: Duration) -> Result<bool> {
        let since = |moment: Duration| now.saturating_sub(moment);
        if let Some((when, error)) = &self.failed
            && since(*when) < FAILURE_RECHECK
        {
            return Err(error.clone());
        }
        let Some(asked) = self.asked else { return Ok(true) };
        let limit = if self.key(kid).is_some() { MAX_AGE } else { UNKNOWN_KEY_RECHECK };
        Ok(since(asked) >= limit)
    }
}

/// `model::Jwks`, without what is no key: one of a kind we don't know must not spoil the others.
#[derive(Deserialize)]
struct AnyJwks {
    #[serde(deserialize_with = "json::readable")]
    keys: Vec<Jwk>,
}

/// The keys we can use. A set without any is no answer: it must not take good keys away.
fn usable(jwks: AnyJwks) -> Result<Vec<(String, [u8; 32])>> {
    let keys = jwks.keys.into_iter().filter_map(|jwk| {
        let ours = jwk.kty == "OKP" && jwk.crv.as_deref() == Some("Ed25519");
        let bytes = URL_SAFE_NO_PAD.decode(jwk.x?).ok()?;
        Some((jwk.kid?, <[u8; 32]>::try_from(bytes).ok()?)).filter(|_| ours)
    });
    let keys: Vec<_> = keys.collect();
    match keys.is_empty() {
        true => Err(Error::because(Code::AnswerInvalid, "The marketplace published no key.")),
        false => Ok(keys),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
    use std::task::Poll;

    use futures_util::future::{BoxFuture, pending, poll_fn, ready};
    use serde_json::json;

    use super::*;
    use crate::host::{Algorithm, Files, Request, Response, SendError};
    use crate::http::{Clock, RetryPolicy};
    use crate::model::Timestamp;

    const HOUR: Duration = Duration::from_secs(3600);

    /// A marketplace with one key, a clock that a test moves, and tasks that run when it says so.
    struct Stage {
        now: AtomicU64,
        asked: AtomicU32,
        /// An answer does not come at once.
        slow: AtomicBool,
        tasks: Mutex<Vec<BoxFuture<'static, ()>>>,
    }

    impl Host for Stage {
        fn wall(&self) -> Timestamp {
            Timestamp::from_secs(1_800_000_000)
        }

        fn monotonic(&self) -> Duration {
            Duration::from_secs(self.now.load(Ordering::Relaxed))
        }

        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            pending().boxed()
        }

        fn random(&self, _: &mut [u8]) {}

        fn send(&self, _: Request) -> BoxFuture<'static, std::result::Result<Response, SendError>> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": "known", "x": "A".repeat(43)});
            let body = json!({"keys": [key]}).to_string().into_bytes();
            let answer = ready(Ok(Response { status: 200, headers: vec![], body }));
            let mut waits = self.slow.load(Ordering::Relaxed);
            let wait = poll_fn(move |_| match std::mem::take(&mut waits) {
                true => Poll::Pending,
                false => Poll::Ready(()),
            });
            wait.then(|()| answer).boxed()
        }

        fn verify<'a>(
            &'a self,
            _: Algorithm,
            _: &'a [u8],
            _: &'a [u8],
            _: &'a [u8],
        ) -> BoxFuture<'a, Option<bool>> {
            ready(Some(true)).boxed()
        }

        fn files(&self) -> Option<Arc<dyn Files>> {
            None
        }

        fn state_dir(&self) -> Option<PathBuf> {
            None
        }

        fn spawn(&self, task: BoxFuture<'static, ()>) {
            self.tasks.lock().unwrap().push(task);
        }
    }

    impl Stage {
        fn set() -> (Arc<Stage>, Arc<Keys>) {
            let (now, asked) = (AtomicU64::new(3600), AtomicU32::new(0));
            let slow = AtomicBool::new(false);
            let stage = Arc::new(Stage { now, asked, slow, tasks: Mutex::default() });
            let clock = Arc::new(Clock::new(stage.clone(), None));
            let (url, solution) = ("http://m.test".into(), "sol_a".into());
            let retry = RetryPolicy::CALL;
            let http = HttpClient::new(stage.clone(), clock, Arc::default(), url, solution, retry);
            (stage.clone(), Keys::new(stage, Arc::new(http), HOUR))
        }

        fn pass(&self, secs: u64) {
            self.now.fetch_add(secs, Ordering::Relaxed);
        }

        fn run_tasks(&self) {
            let tasks = std::mem::take(&mut *self.tasks.lock().unwrap());
            tasks.into_iter().for_each(|task| task.now_or_never().unwrap());
        }

        fn asked(&self) -> u32 {
            self.asked.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn old_keys_go_on_being_used_while_new_ones_are_fetched_behind_them() {
        let (stage, keys) = Stage::set();
        let get = |kid| keys.get(kid).now_or_never().expect("nobody waits for anything");
        get("known").unwrap();
        stage.run_tasks();
        stage.pass(600);
        get("known").unwrap();
        assert_eq!(stage.asked(), 1, "the old key is there at once");
        stage.run_tasks();
        assert_eq!(stage.asked(), 2, "and a new set comes behind it");
        get("known").unwrap();
        stage.run_tasks();
        assert_eq!(stage.asked(), 2);
    }

    #[test]
    fn keys_that_are_forgotten_as_they_come_are_asked_for_again() {
        let (stage, keys) = Stage::set();
        stage.slow.store(true, Ordering::Relaxed);
        let mut get = keys.get("known").boxed();
        assert!((&mut get).now_or_never().is_none());
        stage.run_tasks(); // they are there
        keys.forget(); // and another database, it turns out
        assert!((&mut get).now_or_never().is_none());
        stage.run_tasks();
        get.now_or_never().expect("they are there again").unwrap();
        assert_eq!(stage.asked(), 2);
    }

    #[test]
    fn an_invented_key_is_asked_for_twice_a_minute_however_often_it_comes() {
        let (stage, keys) = Stage::set();
        for second in 0..60 {
            for kid in ["invented", "another"] {
                let result = keys.get(kid).now_or_never().expect("an answer");
                assert_eq!(result.unwrap_err().code(), Code::TokenKeyUnknown, "{second}");
                stage.run_tasks();
            }
            stage.pass(1);
        }
        assert_eq!(stage.asked(), 2);
    }

    fn published(asked: Duration) -> Published {
        let keys = vec![("known".to_owned(), [0; 32])];
        Published { keys, asked: Some(asked), failed: None }
    }

    #[test]
    fn keys_are_asked_for_when_they_are_old_and_unknown_ones_twice_a_minute() {
        let published = published(HOUR);
        let due = |kid, after: u64| published.due(kid, HOUR + Duration::from_secs(after)).unwrap();
        assert_eq!([due("known", 599), due("known", 600)], [false, true]);
        assert_eq!([due("invented", 29), due("invented", 30)], [false, true]);
    }

    #[test]
    fn after_a_failure_nobody_asks_for_a_second() {
        let error = Error::new(Code::Unavailable);
        let published = Published { failed: Some((HOUR, error)), ..Published::default() };
        assert!(published.due("any", HOUR + Duration::from_millis(999)).is_err());
        assert!(published.due("any", HOUR + Duration::from_secs(1)).unwrap());
    }

    #[test]
    fn keys_of_other_kinds_are_passed_over() {
        let published = |keys| {
            json::read(json!({ "keys": keys }).to_string().as_bytes()).expect("a set of keys")
        };
        let good = json!({"kty": "OKP", "crv": "Ed25519", "kid": "good", "x": "A".repeat(43)});
        let odd = json!({"kty": "OKP", "crv": "Ed25519", "kid": 7, "x": null});
        let rsa = json!({"kty": "RSA", "kid": "rsa", "n": "AQAB"});
        let keys = usable(published(json!([odd, rsa, null, good])));
        assert_eq!(keys.unwrap(), [("good".to_owned(), [0; 32])]);
        let none = usable(published(json!([odd, rsa])));
        assert_eq!(none.unwrap_err().code(), Code::AnswerInvalid);
    }
}
