//! What a call does when it fails: what is tried again, after how long, and what is not.

use std::time::{Duration, Instant};

use super::script::{Act, Script};
use super::stage::Stage;
use cloudnestle_marketplace::{Code, Event, Freshness, MarketplaceSdk, ValidationMode};
use serde_json::json;
use wiremock::matchers::path;
use wiremock::{Mock, ResponseTemplate};

const REFRESH: &str = "/api/refresh-token";
const VALIDATE: &str = "/api/validate-token";
const TRACK: &str = "/api/track-usage";

impl Stage {
    /// Answers so once, and then as it is told next.
    pub(crate) async fn answers_once(&self, to: &str, answer: ResponseTemplate) {
        Mock::given(path(to)).respond_with(answer).up_to_n_times(1).mount(&self.marketplace).await;
    }

    fn renewed(&self) -> ResponseTemplate {
        ResponseTemplate::new(200).set_body_json(&self.pair)
    }

    fn online(&self) -> MarketplaceSdk {
        self.builder().validation(ValidationMode::Online).build().unwrap()
    }

    async fn idempotency_keys(&self, to: &str) -> Vec<Option<String>> {
        let requests = self.marketplace.received_requests().await.unwrap();
        let requests = requests.into_iter().filter(|request| request.url.path() == to);
        let key = |request: wiremock::Request| {
            Some(request.headers.get("idempotency-key")?.to_str().unwrap().to_owned())
        };
        requests.map(key).collect()
    }
}

fn answer(status: u16) -> ResponseTemplate {
    ResponseTemplate::new(status)
}

fn a_good_token() -> ResponseTemplate {
    let user = json!({ "customer_id": "cus_asha", "solution_id": "sol_faiss_search", "tier": "pro",
        "token_id": "tok_1", "expires_at": "2099-01-01T00:00:00Z" });
    answer(200).set_body_json(json!({ "valid": true, "user": user }))
}

fn accepted(number: u64) -> ResponseTemplate {
    let results = [json!({ "number": number, "status": "accepted" })];
    answer(200).set_body_json(json!({ "fence": number, "results": results }))
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_lasts_is_not() {
    let stage = Stage::set().await;
    let mut sent = 0;
    for status in [408, 409, 429, 500, 502, 503, 504] {
        stage.answers_once(REFRESH, answer(status)).await;
        stage.answers_once(REFRESH, stage.renewed()).await;
        stage.sdk().refresh(&stage.pair).await.unwrap();
        sent += 2;
        assert_eq!(stage.requests_to(REFRESH).await, sent, "{status}");
    }
    for status in [302, 400, 401, 403, 404, 413, 422] {
        stage.answers_once(REFRESH, answer(status)).await;
        stage.sdk().refresh(&stage.pair).await.unwrap_err();
        sent += 1;
        assert_eq!(stage.requests_to(REFRESH).await, sent, "{status}");
    }
}

#[tokio::test]
async fn the_servers_word_on_trying_again_is_the_last() {
    let stage = Stage::set().await;
    let again = answer(422)
        .insert_header("x-should-retry", "true")
        .set_body_json(json!({ "code": "request_invalid", "retryable": false }));
    stage.answers_once(REFRESH, again).await;
    stage.answers_once(REFRESH, stage.renewed()).await;
    stage.sdk().refresh(&stage.pair).await.unwrap();
    assert_eq!(stage.requests_to(REFRESH).await, 2);

    let not_again = answer(503).insert_header("x-should-retry", "false");
    stage.answers(REFRESH, not_again.clone()).await;
    let error = stage.sdk().refresh(&stage.pair).await.unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), (Code::Unavailable, false));
    assert_eq!(stage.requests_to(REFRESH).await, 3);

    // It is no verdict on a token.
    stage.answers(VALIDATE, not_again).await;
    let user = stage.sdk().validate_user(&stage.token).await.unwrap();
    assert_eq!(user.freshness(), Freshness::Offline);
}

#[tokio::test]
async fn a_wait_until_a_date_is_measured_by_the_servers_clock() {
    let stage = Stage::set().await;
    let busy = answer(503)
        .insert_header("date", "Sun, 22 Nov 2026 22:00:00 GMT")
        .insert_header("retry-after", "Sun, 22 Nov 2026 22:00:01 GMT");
    stage.answers_once(REFRESH, busy).await;
    stage.answers_once(REFRESH, stage.renewed()).await;
    let started = Instant::now();
    stage.sdk().refresh(&stage.pair).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1)); // longer is allowed, shorter is the mistake

    let busy = answer(503)
        .insert_header("date", "Sun, 22 Nov 2026 22:00:00 GMT")
        .insert_header("retry-after", "Sun, 22 Nov 2026 23:00:00 GMT");
    stage.answers(REFRESH, busy).await;
    let error = stage.sdk().refresh(&stage.pair).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    assert_eq!(stage.requests_to(REFRESH).await, 3);
}

#[tokio::test]
async fn nobody_is_made_to_wait_for_more_than_a_minute_however_much_time_there_is() {
    let stage = Stage::set().await;
    stage.answers(REFRESH, answer(503).insert_header("retry-after", "61")).await;
    let patient = stage.builder().deadline(Duration::from_secs(3600)).build().unwrap();
    let error = patient.refresh(&stage.pair).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(61)));
    assert_eq!(stage.requests_to(REFRESH).await, 1);
}

#[tokio::test]
async fn each_attempt_of_a_call_with_an_effect_has_the_same_key_and_each_call_another() {
    let stage = Stage::set().await;
    stage.answers_once(REFRESH, answer(503)).await;
    stage.answers(REFRESH, stage.renewed()).await;
    let sdk = stage.sdk();
    sdk.refresh(&stage.pair).await.unwrap();
    sdk.refresh(&stage.pair).await.unwrap();

    let keys = stage.idempotency_keys(REFRESH).await;
    let [Some(first), Some(again), Some(next)] = &keys[..] else { panic!("{keys:?}") };
    assert_eq!(first, again);
    assert_ne!(first, next);
}

#[tokio::test]
async fn questions_have_no_key_and_neither_has_usage_which_has_its_fence() {
    let stage = Stage::set().await;
    stage.answers(VALIDATE, a_good_token()).await;
    stage.answers(TRACK, accepted(1)).await;
    let sdk = stage.online();
    sdk.validate_user(&stage.token).await.unwrap();
    sdk.track_usage(&stage.token, "search").await.unwrap();
    sdk.flush().await.unwrap();
    for to in [VALIDATE, TRACK] {
        assert_eq!(stage.idempotency_keys(to).await, [None], "{to}");
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_while_nobody_looked_costs_no_retry() {
    let stage = Stage::set().await;
    let pair = serde_json::to_string(&stage.pair).unwrap();
    let good = || Act::Answer(200, pair.clone());
    let busy = || Act::Answer(503, String::new());
    // The first connection is kept, and closed when the second call has been sent on it.
    let script = Script::of(vec![
        vec![good(), Act::Close],
        vec![busy(), Act::Close],
        vec![busy(), Act::Close],
    ]);
    let sdk = stage.builder().url(script.play().await).build().unwrap();
    sdk.refresh(&stage.pair).await.unwrap();
    let error = sdk.refresh(&stage.pair).await.unwrap_err();

    // Attempt: closed, busy. Retry: closed, busy. Retry: closed, and nobody listens any more.
    assert_eq!(error.code(), Code::Unavailable);
    assert_eq!(sdk.stats().requests, 7);
}

#[tokio::test]
async fn a_connection_that_breaks_at_its_first_request_costs_a_retry() {
    let stage = Stage::set().await;
    let script = Script::of((0..4).map(|_| vec![Act::Close]).collect());
    let sdk = stage.builder().url(script.play().await).build().unwrap();
    sdk.refresh(&stage.pair).await.unwrap_err();
    assert_eq!(sdk.stats().requests, 3);
}

#[tokio::test]
async fn a_limit_that_is_used_up_is_waited_for_before_the_marketplace_has_to_refuse() {
    let stage = Stage::set().await;
    let last = a_good_token()
        .insert_header("ratelimit-policy", r#""default";q=100;w=60"#)
        .insert_header("ratelimit", r#""default";r=0;t=1"#);
    stage.answers_once(VALIDATE, last).await;
    stage.answers(VALIDATE, a_good_token()).await;
    let sdk = stage.online();
    let mut events = sdk.events();
    sdk.validate_user(&stage.token).await.unwrap();

    let started = Instant::now();
    sdk.validate_user(&stage.token).await.unwrap();

    // A part of the second had gone by already.
    assert!(started.elapsed() >= Duration::from_millis(500));
    let Some(Event::RateLimited { wait }) = events.next().await else { panic!("nothing said") };
    assert!(wait <= Duration::from_secs(1));
}

#[tokio::test]
async fn a_limit_that_is_used_up_for_longer_than_the_call_has_is_an_error_at_once() {
    let stage = Stage::set().await;
    let last = a_good_token().insert_header("ratelimit", r#""default";r=0;t=3000"#);
    stage.answers(VALIDATE, last).await;
    stage.answers(REFRESH, stage.renewed()).await;
    let sdk = stage.online();
    sdk.validate_user(&stage.token).await.unwrap();

    let error = sdk.validate_user(&stage.token).await.unwrap_err();

    assert_eq!((error.code(), error.is_retryable()), (Code::RateLimited, true));
    let wait = error.retry_after().unwrap();
    let minute = Duration::from_secs(60);
    assert!(wait <= minute && wait > minute / 2, "the marketplace is asked again after a minute");
    assert_eq!(stage.requests_to(VALIDATE).await, 1);
    sdk.refresh(&stage.pair).await.unwrap(); // what counts against another limit goes on
}

#[tokio::test]
async fn usage_waits_for_a_limit_and_is_not_lost() {
    let stage = Stage::set().await;
    let last = accepted(1).insert_header("ratelimit", r#""usage";r=0;t=1"#);
    stage.answers_once(TRACK, last).await;
    stage.answers(TRACK, accepted(2)).await;
    let sdk = stage.sdk();
    for delivered in [1, 2] {
        sdk.track_usage(&stage.token, "search").await.unwrap();
        sdk.flush().await.unwrap();
        assert_eq!(sdk.stats().usage.delivered, delivered);
    }
    assert_eq!(stage.requests_to(TRACK).await, 2);
}
