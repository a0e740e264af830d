//! What depends on time: a call keeps its deadline, whatever is slow, and an answer says its age. On a
//! clock that stands still until everybody waits, so that a busy machine changes nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudnestle_marketplace::host::{
    Algorithm, Files, Host, MemoryFiles, Request, Response, SendError,
};
use cloudnestle_marketplace::model::Timestamp;
use cloudnestle_marketplace::{
    Builder, Code, Freshness, MarketplaceSdk, Tier, ValidationMode, Verified,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

const DEADLINE: Duration = Duration::from_secs(2);
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
const NOW: i64 = 1_800_000_000; // 2027-01-15T08:00:00Z

/// A platform whose time is that of the test, and a marketplace that answers as the test says: after a
/// while, and what.
struct Stage {
    began: Instant,
    asked: AtomicU32,
    answer: fn(path: &str, asked: u32) -> (Duration, Value),
}

impl Host for Stage {
    fn wall(&self) -> Timestamp {
        Timestamp::from_secs(NOW) + self.began.elapsed()
    }

    fn monotonic(&self) -> Duration {
        // A clock that has just begun would take 0 for "never".
        Duration::from_secs(3600) + self.began.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        sleep(duration).boxed()
    }

    fn random(&self, _: &mut [u8]) {}

    fn send(&self, request: Request) -> BoxFuture<'static, Result<Response, SendError>> {
        let path = request.url.trim_start_matches("https://m.test");
        let path = path.split('?').next().unwrap().to_owned();
        let (after, body) = (self.answer)(&path, self.asked.fetch_add(1, Ordering::Relaxed));
        let answer = Response { status: 200, headers: vec![], body: body.to_string().into() };
        async move {
            sleep(after).await;
            Ok(answer)
        }
        .boxed()
    }

    fn verify<'a>(
        &'a self,
        _: Algorithm,
        _: &'a [u8],
        _: &'a [u8],
        _: &'a [u8],
    ) -> BoxFuture<'a, Option<bool>> {
        std::future::ready(Some(true)).boxed()
    }

    fn files(&self) -> Option<Arc<dyn Files>> {
        Some(Arc::new(MemoryFiles::default()))
    }

    fn state_dir(&self) -> Option<PathBuf> {
        None
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }
}

fn stage(answer: fn(&str, u32) -> (Duration, Value)) -> (Arc<Stage>, Builder) {
    let stage = Arc::new(Stage { began: Instant::now(), asked: AtomicU32::new(0), answer });
    let builder = MarketplaceSdk::builder()
        .url("https://m.test")
        .secret_key("cnsk_test_0123456789")
        .solution("sol_a")
        .deadline(DEADLINE)
        .spool_in_memory()
        .host(stage.clone());
    (stage, builder)
}

fn token() -> String {
    let header = json!({ "typ": "at+jwt", "alg": "EdDSA", "kid": "known" });
    let claims = json!({ "iss": "https://m.test", "aud": "sol_a", "sub": "cus_a", "jti": "tok_a",
        "tier": "pro", "iat": NOW - 1, "exp": NOW + 900 });
    let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode([0; 64]))
}

fn keys() -> Value {
    let key = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "known", "x": "A".repeat(43) });
    json!({ "keys": [key] })
}

/// A page behind which there is always another.
fn page(asked: u32) -> Value {
    json!({ "generation": "gen_a", "began_at": "2027-01-01T00:00:00Z", "version": asked,
        "cursor": format!("gen_a.{asked}"), "snapshot": true, "more": true, "changes": [] })
}

/// Keys after a second and a half; everything else never.
fn late_keys(path: &str, _: u32) -> (Duration, Value) {
    match path {
        "/.well-known/jwks.json" => (Duration::from_millis(1500), keys()),
        _ => (NEVER, Value::Null),
    }
}

/// Keys at once, and a feed without an end.
fn endless_feed(path: &str, asked: u32) -> (Duration, Value) {
    match path {
        "/.well-known/jwks.json" => (Duration::ZERO, keys()),
        "/api/revocations" => (Duration::from_millis(100), page(asked)),
        _ => (NEVER, Value::Null),
    }
}

/// What comes of a call, and how long it took.
async fn timed<T>(call: impl Future<Output = T>) -> (T, Duration) {
    let began = Instant::now();
    let result = timeout(Duration::from_secs(3600), call).await.expect("it ends");
    (result, began.elapsed())
}

/// A wait may be over up to a millisecond late: that is how fine tokio's clock is.
#[track_caller]
fn assert_in_time(took: Duration) {
    assert!(took <= DEADLINE + Duration::from_millis(2), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn the_keys_and_the_question_share_one_deadline() {
    for mode in [ValidationMode::Online, ValidationMode::Connected] {
        let sdk = stage(late_keys).1.validation(mode).build().unwrap();
        let (error, took) = timed(sdk.get_user_context(&token())).await;
        assert_eq!(error.unwrap_err().code(), Code::DeadlineExceeded);
        assert_in_time(took);
    }
    let online = stage(late_keys).1.validation(ValidationMode::Online).build().unwrap();
    let (error, took) = timed(online.validate_user(&token())).await;
    assert_eq!(error.unwrap_err().code(), Code::DeadlineExceeded);
    assert_in_time(took);
}

/// Keys after forty seconds, of which the first are others than the token's.
fn late_and_other_keys(path: &str, asked: u32) -> (Duration, Value) {
    let other = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "other", "x": "A".repeat(43) });
    match (path, asked) {
        ("/.well-known/jwks.json", 0) => (Duration::from_secs(40), json!({ "keys": [other] })),
        ("/.well-known/jwks.json", _) => (Duration::from_secs(40), keys()),
        _ => (NEVER, Value::Null),
    }
}

#[tokio::test(start_paused = true)]
async fn keys_that_have_to_be_asked_for_twice_do_not_take_two_deadlines() {
    let minute = Duration::from_secs(60);
    for mode in [ValidationMode::Online, ValidationMode::Connected] {
        let builder = stage(late_and_other_keys).1.validation(mode).deadline(minute);
        let sdk = builder.build().unwrap();
        let (error, took) = timed(sdk.validate_user(&token())).await;
        assert_eq!(error.unwrap_err().code(), Code::DeadlineExceeded);
        assert!(took <= minute + Duration::from_millis(2), "{mode:?}: {took:?}");
        let sdk = stage(late_and_other_keys).1.validation(mode).deadline(minute).build().unwrap();
        let (error, took) = timed(sdk.get_user_context(&token())).await;
        assert_eq!(error.unwrap_err().code(), Code::DeadlineExceeded);
        assert!(took <= minute + Duration::from_millis(2), "{mode:?}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_was_asked_about_is_as_old_as_its_token() {
    let keys_at_once = stage(|_, _| (Duration::ZERO, keys()));
    let local = keys_at_once.1.validation(ValidationMode::Local).build().unwrap();
    for seconds in [1, 61] {
        let user = local.validate_user(&token()).await.unwrap();
        assert_eq!((user.verified(), user.freshness()), (Verified::Local, Freshness::Fresh));
        assert_eq!(user.age().as_secs(), seconds, "the token was a second old when this began");
        // Remembered for the moment, and of the same age.
        assert_eq!(local.validate_user(&token()).await.unwrap().age(), user.age());
        sleep(Duration::from_secs(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_feed_without_an_end_does_not_take_more_than_the_calls_time() {
    let sdk = stage(endless_feed).1.build().unwrap();
    let (user, took) = timed(sdk.validate_user(&token())).await;
    assert_eq!(user.unwrap().freshness(), Freshness::Offline, "at its word: nobody answered");
    assert_in_time(took);

    let (error, took) = timed(sdk.get_user_context(&token())).await;
    assert_eq!(error.unwrap_err().code(), Code::DeadlineExceeded);
    assert_in_time(took);
}

#[tokio::test(start_paused = true)]
async fn a_feed_without_an_end_is_not_read_for_ever() {
    let (stage, builder) = stage(endless_feed);
    let sdk = builder.build().unwrap();
    sdk.validate_user(&token()).await.unwrap();
    sleep(Duration::from_secs(3600)).await;
    assert!(stage.asked.load(Ordering::Relaxed) <= 1_010, "{:?}", stage.asked);
}

#[tokio::test(start_paused = true)]
async fn a_report_comes_although_the_feed_has_no_end() {
    let sdk = stage(|path, asked| match path {
        "/api/validate-token" => {
            (Duration::ZERO, json!({ "valid": false, "code": "token_malformed" }))
        }
        path => endless_feed(path, asked),
    });
    let sdk = sdk.1.build().unwrap();
    let (report, took) = timed(sdk.diagnose()).await;
    let feed = report.findings.iter().find(|it| it.code == Some(Code::DeadlineExceeded));
    assert!(feed.is_some(), "{report}");
    assert_in_time(took);
}

/// A feed that knows nothing of tokens from before, and that tells of a revocation the second time.
fn feed(asked_before: bool) -> Value {
    let revoked = json!({ "version": 1, "expires_at": "2027-01-15T09:00:00Z",
        "type": "tokens_revoked", "token_ids": ["tok_a"] });
    let changes = if asked_before { vec![revoked] } else { vec![] };
    json!({ "generation": "gen_a", "began_at": "2027-01-15T08:00:00Z", "version": changes.len(),
        "cursor": format!("gen_a.{}", changes.len()), "snapshot": !asked_before, "more": false,
        "changes": changes })
}

fn good() -> Value {
    let user = json!({ "customer_id": "cus_a", "solution_id": "sol_a", "token_id": "tok_a",
        "tier": "pro", "expires_at": "2027-01-15T08:15:00Z", "entitlements": [], "quotas": [] });
    json!({ "valid": true, "user": user })
}

#[tokio::test(start_paused = true)]
async fn who_joins_a_question_that_is_under_way_keeps_their_own_deadline() {
    // The keys come after a second and a half, and the question of whoever came last is asked first.
    let sdk = stage(|path, asked| match path {
        "/api/revocations" => (Duration::ZERO, page(asked)),
        path => late_keys(path, asked),
    });
    let sdk = sdk.1.build().unwrap();
    let token = token();
    let late = async {
        sleep(Duration::from_millis(1400)).await;
        timed(sdk.get_user_context(&token)).await
    };
    let ((_, late), (_, early)) = tokio::join!(late, timed(sdk.get_user_context(&token)));
    assert_in_time(late);
    assert_in_time(early);
}

#[tokio::test(start_paused = true)]
async fn what_the_feed_has_told_in_the_meantime_counts_for_an_answer_that_comes_late() {
    let sdk = stage(|path, asked| match path {
        "/.well-known/jwks.json" => (Duration::ZERO, keys()),
        "/api/revocations" => (Duration::ZERO, feed(asked > 2)),
        _ => (Duration::from_secs(3), good()),
    });
    let sdk = sdk.1.deadline(Duration::from_secs(4)).build().unwrap();
    let token = token();
    let second = async {
        // By now the feed is read again.
        sleep(Duration::from_millis(2100)).await;
        sdk.validate_user(&token).await
    };
    let (first, second) = tokio::join!(sdk.validate_user(&token), second);
    for refused in [first, second] {
        assert_eq!(refused.unwrap_err().code(), Code::TokenRevoked);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_taken_at_its_word_has_the_tier_that_the_feed_tells_of() {
    let sdk = stage(|path, _| match path {
        "/.well-known/jwks.json" => (Duration::ZERO, keys()),
        "/api/revocations" => {
            let mut feed = feed(false);
            feed["changes"] = json!([{ "version": 1, "expires_at": "2027-01-15T09:00:00Z",
                "type": "tier_changed", "customer_id": "cus_a", "tier": "registered",
                "changed_at": "2027-01-15T08:00:00Z" }]);
            (Duration::ZERO, feed)
        }
        _ => (NEVER, Value::Null),
    });
    let user = sdk.1.build().unwrap().validate_user(&token()).await.unwrap();
    assert_eq!((user.tier, user.freshness()), (Tier::Registered, Freshness::Offline));
    assert_eq!(user.age().as_secs(), 3, "as old as the token: of that the feed can't tell");
}

#[tokio::test(start_paused = true)]
async fn who_may_consume_and_how_much_share_one_deadline() {
    let sdk = stage(|path, asked| match path {
        "/.well-known/jwks.json" => (Duration::from_millis(500), keys()),
        "/api/revocations" => (Duration::ZERO, feed(asked > 2)),
        "/api/validate-token" => (Duration::from_secs(1), good()),
        _ => (NEVER, Value::Null),
    });
    let sdk = sdk.1.build().unwrap();
    let (error, took) = timed(sdk.consume(&token(), "export")).await;
    assert_eq!(error.unwrap_err().code(), Code::DeadlineExceeded);
    assert_in_time(took);
}
