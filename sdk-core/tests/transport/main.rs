//! The corners of HTTP that a well-behaved server never shows: proxies, garbage, silence.

mod echo;
mod keys;
mod retries;
mod script;
mod stage;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cloudnestle_marketplace::{
    Code, Event, Freshness, MarketplaceSdk, Usage, ValidationMode, Verified,
};
use serde_json::json;
use stage::Stage;
use wiremock::matchers::path;
use wiremock::{Mock, ResponseTemplate};

fn a_problem(status: u16, code: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw(
        json!({ "code": code, "status": status, "detail": "in words", "request_id": "req_1" })
            .to_string(),
        "application/problem+json",
    )
}

fn all_accepted(numbers: std::ops::RangeInclusive<u64>) -> ResponseTemplate {
    let fence = *numbers.end();
    let results: Vec<_> =
        numbers.map(|number| json!({ "number": number, "status": "accepted" })).collect();
    ResponseTemplate::new(200).set_body_json(json!({ "fence": fence, "results": results }))
}

#[tokio::test]
async fn an_error_keeps_its_code_request_id_and_advice() {
    let stage = Stage::set().await;
    stage.answers("/api/validate-token", a_problem(401, "credential_invalid")).await;

    let error = stage.sdk().validate_user(&stage.token).await.unwrap_err();

    assert_eq!(error.code(), Code::CredentialInvalid);
    assert_eq!(error.request_id(), Some("req_1"));
    assert_eq!(error.to_string(), "credential_invalid: in words [request req_1]");
    assert!(error.advice().contains("CLOUDNESTLE_SECRET_KEY"));
}

#[tokio::test]
async fn who_asks_for_tls_where_there_is_none_is_told_so() {
    let server = cloudnestle_mock_server::MockServer::start().await.expect("a server");
    let sdk = MarketplaceSdk::builder()
        .url(server.url().replace("http://", "https://"))
        .solution("sol_faiss_search")
        .secret_key("cnsk_test_0123456789")
        .deadline(Duration::from_secs(2)) // a busy machine takes its time
        .spool_in_memory()
        .build();
    let error = sdk.expect("an SDK").quotas("cus_ravi").await.expect_err("no TLS");
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.to_string().contains("does not speak TLS"), "{error}");
}

#[tokio::test]
async fn an_error_links_to_the_page_of_whoever_answered() {
    let stage = Stage::set().await;
    let body = json!({ "code": "forbidden", "doc_url": "https://m.example/#forbidden" });
    let answer = ResponseTemplate::new(403).set_body_json(body);
    stage.answers("/api/validate-token", answer).await;
    stage.answers("/api/refresh-token", a_problem(403, "forbidden")).await;

    let error = stage.sdk().validate_user(&stage.token).await.unwrap_err();
    assert_eq!(error.docs_url(), "https://m.example/#forbidden");
    let error = stage.sdk().refresh(&stage.pair).await.unwrap_err();
    assert_eq!(error.docs_url(), "docs/errors.md#forbidden");
}

#[tokio::test]
async fn a_code_of_a_newer_marketplace_is_an_error_and_not_a_panic() {
    let stage = Stage::set().await;
    stage.answers("/api/validate-token", a_problem(418, "teapot_too_hot")).await;
    let error = stage.sdk().validate_user(&stage.token).await.unwrap_err();
    assert_eq!(error.code(), Code::Unknown);
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_proxys_page_is_read_by_its_status() {
    let stage = Stage::set().await;
    let page = ResponseTemplate::new(403).set_body_raw("<h1>no</h1>", "text/html");
    stage.answers("/api/validate-token", page).await;
    let error = stage.sdk().validate_user(&stage.token).await.unwrap_err();
    assert_eq!(error.code(), Code::Forbidden);
}

#[tokio::test]
async fn an_answer_that_is_not_the_marketplaces_is_no_permission() {
    let stage = Stage::set().await;
    let not_ours = ResponseTemplate::new(200).set_body_json(json!({ "valid": true }));
    stage.answers("/api/validate-token", not_ours).await;

    let online = stage.builder().validation(ValidationMode::Online).build().unwrap();
    let error = online.validate_user(&stage.token).await.unwrap_err();
    assert_eq!(error.code(), Code::AnswerInvalid);

    // Whoever may answer from what the token says is told that it is no more than that.
    let user = stage.sdk().validate_user(&stage.token).await.unwrap();
    assert_eq!((user.verified(), user.freshness()), (Verified::Local, Freshness::Offline));
}

#[tokio::test]
async fn an_error_about_an_answer_does_not_quote_it() {
    let stage = Stage::set().await;
    let leak = json!({ "access_token": 7, "refresh_token": "cnrt_test_leaked", "expires_at": "cnrt_test_leaked" });
    stage.answers("/api/refresh-token", ResponseTemplate::new(200).set_body_json(leak)).await;
    let error = stage.sdk().refresh(&stage.pair).await.unwrap_err();
    assert_eq!(error.code(), Code::AnswerInvalid);
    assert!(!format!("{error:?}").contains("leaked"), "{error:?}");
}

#[tokio::test]
async fn silence_ends_with_the_deadline() {
    let stage = Stage::set().await;
    let never = ResponseTemplate::new(200).set_delay(Duration::from_secs(600));
    stage.answers("/api/validate-token", never).await;
    let sdk =
        stage.builder().validation(ValidationMode::Online).deadline(Duration::from_millis(300));
    let sdk = sdk.build().unwrap();

    let error = sdk.validate_user(&stage.token).await.unwrap_err();

    assert_eq!(error.code(), Code::DeadlineExceeded);
    assert_eq!(stage.requests_to("/api/validate-token").await, 1);
}

#[tokio::test]
async fn a_token_of_another_issuer_is_refused_by_an_error_that_names_both() {
    let stage = Stage::set().await;
    let issuer = stage.marketplace.uri().replace("127.0.0.1", "localhost");
    let sdk = stage.builder().issuer(&issuer).build().unwrap();
    let error = sdk.validate_user(&stage.token).await.unwrap_err();
    assert_eq!(error.code(), Code::TokenWrongIssuer);
    let words = error.to_string();
    assert!(words.contains(&issuer) && words.contains(&stage.marketplace.uri()), "{words}");
}

#[tokio::test]
async fn what_the_server_asks_to_wait_is_waited_at_least() {
    let stage = Stage::set().await;
    let busy = a_problem(429, "rate_limited").insert_header("retry-after", "1");
    Mock::given(path("/api/refresh-token"))
        .respond_with(busy)
        .up_to_n_times(1)
        .mount(&stage.marketplace)
        .await;
    stage
        .answers("/api/refresh-token", ResponseTemplate::new(200).set_body_json(&stage.pair))
        .await;

    let started = Instant::now();
    stage.sdk().refresh(&stage.pair).await.unwrap();

    // A lower bound: waiting longer than this is allowed, waiting less is the mistake.
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_wait_that_is_longer_than_the_deadline_is_an_error_at_once() {
    let stage = Stage::set().await;
    let busy = a_problem(429, "rate_limited").insert_header("retry-after", "3600");
    stage.answers("/api/refresh-token", busy).await;

    let error = stage.sdk().refresh(&stage.pair).await.unwrap_err();

    assert_eq!(error.code(), Code::RateLimited);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    assert_eq!(stage.requests_to("/api/refresh-token").await, 1);
}

#[tokio::test]
async fn a_key_that_is_not_published_is_asked_for_once() {
    let stage = Stage::set().await;
    let sdk = stage.builder().validation(ValidationMode::Local).build().unwrap();
    sdk.validate_user(&stage.token).await.unwrap();
    let unknown = stage.token_signed_by("somebody-else");
    for _ in 0..5 {
        let error = sdk.validate_user(&unknown).await.unwrap_err();
        assert_eq!(error.code(), Code::TokenKeyUnknown);
    }
    assert_eq!(stage.requests_to("/.well-known/jwks.json").await, 1);
}

#[tokio::test]
async fn requests_say_who_asks_and_in_which_version() {
    let stage = Stage::set().await;
    stage.answers("/api/validate-token", a_problem(403, "forbidden")).await;
    stage.sdk().validate_user(&stage.token).await.unwrap_err();
    let sent = stage.last_request("/api/validate-token").await;
    assert_eq!(sent.headers["cloudnestle-version"], "2026-11-01");
    assert_eq!(sent.headers["cloudnestle-solution"], "sol_faiss_search");
    assert!(
        sent.headers["user-agent"].to_str().unwrap().starts_with("cloudnestle-marketplace-rust/")
    );
}

#[tokio::test]
async fn a_caller_that_gives_up_does_not_lose_the_renewed_pair() {
    let stage = Stage::set().await;
    let slow =
        ResponseTemplate::new(200).set_body_json(&stage.pair).set_delay(Duration::from_millis(300));
    Mock::given(path("/api/refresh-token"))
        .respond_with(slow)
        .expect(1)
        .mount(&stage.marketplace)
        .await;
    let sdk = stage.sdk();

    let impatient = tokio::time::timeout(Duration::from_millis(50), sdk.refresh(&stage.pair));
    assert!(impatient.await.is_err());
    let renewed = sdk.refresh(&stage.pair).await.unwrap();

    assert_eq!(renewed, stage.pair);
}

#[tokio::test]
async fn a_range_that_is_too_large_is_split() {
    let stage = Stage::set().await;
    let sdk = stage.sdk();
    Mock::given(path("/api/track-usage"))
        .respond_with(a_problem(413, "request_too_large"))
        .up_to_n_times(1)
        .mount(&stage.marketplace)
        .await;
    for numbers in [1..=2, 3..=4] {
        Mock::given(path("/api/track-usage"))
            .respond_with(all_accepted(numbers))
            .up_to_n_times(1)
            .mount(&stage.marketplace)
            .await;
    }
    for _ in 0..4 {
        sdk.track_usage(&stage.token, "search").await.unwrap();
    }
    sdk.flush().await.unwrap();
    assert_eq!(sdk.stats().usage.delivered, 4);
    assert_eq!(stage.requests_to("/api/track-usage").await, 3);
}

#[tokio::test]
async fn a_rotated_key_raises_the_alarm_and_loses_nothing() {
    let stage = Stage::set().await;
    stage.answers("/api/track-usage", a_problem(401, "credential_invalid")).await;
    let sdk = stage.sdk();
    let mut events = sdk.events();
    sdk.track_usage(&stage.token, "search").await.unwrap();

    let report = sdk.close(Duration::from_millis(200)).await;

    assert_eq!((report.usage.pending, report.usage.delivered), (1, 0));
    let Some(Event::UsageWaiting { error }) = events.next().await else { panic!("no alarm") };
    assert_eq!(error.code(), Code::CredentialInvalid);
}

#[tokio::test]
async fn a_flush_that_waiting_does_not_help_ends_before_one_that_waits() {
    let (silent, refusing) = (Stage::set().await, Stage::set().await);
    let never = ResponseTemplate::new(200).set_delay(Duration::from_secs(600));
    silent.answers("/api/track-usage", never).await;
    refusing.answers("/api/track-usage", a_problem(401, "credential_invalid")).await;
    let (waiting, refused) = (silent.sdk(), refusing.sdk());
    waiting.track_usage(&silent.token, "search").await.unwrap();
    refused.track_usage(&refusing.token, "search").await.unwrap();

    tokio::select! {
        biased;
        waited = waiting.flush() => panic!("the one that waits was first: {waited:?}"),
        error = refused.flush() => assert_eq!(error.unwrap_err().code(), Code::CredentialInvalid),
    }
}

#[tokio::test]
async fn a_flush_is_answered_by_an_attempt_of_its_own() {
    let stage = Stage::set().await;
    Mock::given(path("/api/track-usage"))
        .respond_with(a_problem(401, "credential_invalid"))
        .up_to_n_times(2)
        .mount(&stage.marketplace)
        .await;
    stage.answers("/api/track-usage", all_accepted(1..=1)).await;
    let sdk = stage.sdk();
    sdk.track_usage(&stage.token, "search").await.unwrap();

    for _ in 0..2 {
        let error = sdk.flush().await.unwrap_err();
        assert_eq!(error.code(), Code::CredentialInvalid);
    }
    assert_eq!(stage.requests_to("/api/track-usage").await, 2, "it did not go on trying");
    sdk.flush().await.unwrap(); // the key was mended
    assert_eq!(sdk.stats().usage.delivered, 1);
}

#[tokio::test]
async fn usage_that_an_answer_does_not_account_for_is_sent_again() {
    let stage = Stage::set().await;
    Mock::given(path("/api/track-usage"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "results": [] })))
        .up_to_n_times(1)
        .mount(&stage.marketplace)
        .await;
    stage.answers("/api/track-usage", all_accepted(1..=1)).await;
    let sdk = stage.sdk();
    sdk.track_usage(&stage.token, "search").await.unwrap();
    sdk.flush().await.unwrap();
    assert_eq!(sdk.stats().usage.delivered, 1);
    assert_eq!(stage.requests_to("/api/track-usage").await, 2);
}

#[tokio::test]
async fn what_is_sent_as_usage_holds_no_token() {
    let stage = Stage::set().await;
    stage.answers("/api/track-usage", all_accepted(1..=1)).await;
    let sdk = stage.sdk();
    sdk.track_usage(&stage.token, "search").await.unwrap();
    sdk.flush().await.unwrap();
    let sent = stage.last_request("/api/track-usage").await;
    let body = String::from_utf8(sent.body).unwrap();
    let signature = stage.token.rsplit('.').next().unwrap();
    assert!(body.contains("cus_asha") && !body.contains(signature), "{body}");
}

/// The marketplace rejects an event whose idempotency key and metadata are those words.
async fn reject_usage_with([key, word]: &[&str; 2]) {
    let stage = Stage::set().await;
    let rejected = json!({ "number": 1, "status": "rejected", "code": "action_unknown" });
    let answer =
        ResponseTemplate::new(200).set_body_json(json!({ "fence": 1, "results": [rejected] }));
    stage.answers("/api/track-usage", answer).await;
    let sdk = stage.local().build().unwrap();
    let usage = Usage::of("search").idempotency_key(*key).metadata("colour", *word);
    sdk.track_usage(&stage.token, usage).await.unwrap();
    sdk.flush().await.unwrap();
}

/// Everything that is logged while these tests run, by all of them.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn nothing_the_sdk_prints_or_logs_holds_a_secret() {
    let log = Log::default();
    let writer = log.clone();
    let everything = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
    everything.with_writer(move || writer.clone()).init();
    let stage = Stage::set().await;
    stage.answers("/api/track-usage", a_problem(401, "credential_invalid")).await;
    stage.answers("/api/validate-token", ResponseTemplate::new(500)).await;
    stage.answers("/api/refresh-token", a_problem(401, "refresh_token_invalid")).await;
    let builder = stage.builder();
    let sdk: MarketplaceSdk = builder.clone().build().unwrap();

    let user = sdk.validate_user(&stage.token).await.unwrap();
    let receipt = sdk.track_usage(&stage.token, "search").await.unwrap();
    let error = sdk.refresh(&stage.pair).await.unwrap_err();
    let report = sdk.close(Duration::from_millis(500)).await;
    reject_usage_with(&["order-4711", "blue"]).await;

    let pair = &stage.pair;
    let printed =
        format!("{builder:?} {sdk:?} {user:?} {receipt:?} {error:?} {error} {report:?} {pair:?}");
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("UsageWaiting"), "the SDK's own words are among them");
    assert!(logged.contains("rejected usage"), "{logged}");
    assert!(!logged.contains("order-4711") && !logged.contains("blue"), "{logged}");
    for secret in [&stage.secret_key, &stage.token, stage.pair.refresh_token.expose()] {
        assert!(!printed.contains(secret), "{printed}");
        assert!(!logged.contains(secret), "{logged}");
    }
}

#[tokio::test]
async fn a_log_that_another_process_has_taken_over_is_left_to_it() {
    let stage = Stage::set().await;
    stage.answers_once("/api/track-usage", a_problem(409, "epoch_superseded")).await;
    stage.answers("/api/track-usage", all_accepted(1..=1)).await;
    let sdk = stage.local().build().unwrap();
    let theirs = sdk.track_usage(&stage.token, "search").await.unwrap();
    assert_eq!(theirs.delivered().await.unwrap_err().code(), Code::Closed);

    let ours = sdk.track_usage(&stage.token, "search").await.unwrap();
    ours.delivered().await.unwrap();

    let producer = |request: &wiremock::Request| {
        request.body_json::<serde_json::Value>().unwrap()["producer"].clone()
    };
    let requests = stage.requests("/api/track-usage").await;
    let [first, second] = requests.as_slice() else { panic!("{} requests", requests.len()) };
    assert_ne!(producer(first), producer(second));
    let usage = sdk.stats().usage;
    assert_eq!((usage.tracked, usage.delivered, usage.pending), (1, 1, 0), "what is ours");
}

#[tokio::test]
async fn an_answer_that_does_not_speak_of_an_event_does_not_count_it() {
    for answer in [
        json!({ "fence": 2, "results": [] }),
        json!({ "fence": 2, "results": [{ "number": 1, "status": "accepted" }] }),
        json!({ "fence": 2, "results": [
            { "number": 1, "status": "accepted" },
            { "number": 2, "status": "a status of next year" },
        ] }),
        json!({ "fence": u64::MAX, "results": [
            { "number": 1, "status": "accepted" },
            { "number": 2, "status": "accepted" },
        ] }),
    ] {
        let stage = Stage::set().await;
        let answer = ResponseTemplate::new(200).set_body_json(answer);
        stage.answers_once("/api/track-usage", answer).await;
        stage.answers("/api/track-usage", all_accepted(1..=2)).await;
        let sdk = stage.local().build().unwrap();
        for _ in 0..2 {
            sdk.track_usage(&stage.token, "search").await.unwrap();
        }
        sdk.flush().await.unwrap();
        assert_eq!(stage.requests_to("/api/track-usage").await, 2, "it was asked again");
        assert_eq!(sdk.stats().usage.delivered, 2);
    }
}

#[tokio::test]
async fn what_an_answer_says_of_events_that_were_not_sent_is_not_booked() {
    let stage = Stage::set().await;
    let rejected =
        |number: u64| json!({ "number": number, "status": "rejected", "code": "action_unknown" });
    let accepted = |number: u64| json!({ "number": number, "status": "accepted" });
    let results = json!([accepted(1), rejected(1), rejected(2), rejected(u64::MAX)]);
    let first = ResponseTemplate::new(200).set_body_json(json!({ "fence": 1, "results": results }));
    stage.answers_once("/api/track-usage", first).await;
    stage.answers("/api/track-usage", all_accepted(2..=2)).await;
    let sdk = stage.local().build().unwrap();
    for _ in 0..2 {
        let receipt = sdk.track_usage(&stage.token, "search").await.unwrap();
        receipt.delivered().await.unwrap();
    }
    let usage = sdk.stats().usage;
    assert_eq!((usage.tracked, usage.delivered, usage.rejected), (2, 2, 0));
}

#[tokio::test]
async fn the_accounts_stay_even_when_the_marketplace_has_forgotten_what_it_answered() {
    let stage = Stage::set().await;
    let rejected =
        |number: u64| json!({ "number": number, "status": "rejected", "code": "action_unknown" });
    let accepted = |number: u64| json!({ "number": number, "status": "accepted" });
    let answer = |fence: u64, results| {
        ResponseTemplate::new(200).set_body_json(json!({ "fence": fence, "results": results }))
    };
    let gap = json!({ "code": "sequence_gap", "status": 409, "fence": 0, "detail": "a gap" });
    let gap = ResponseTemplate::new(409).set_body_raw(gap.to_string(), "application/problem+json");
    let three = json!([accepted(1), rejected(2), rejected(3)]);
    stage.answers_once("/api/track-usage", answer(3, three)).await;
    stage.answers_once("/api/track-usage", gap).await;
    let four = json!([accepted(1), rejected(2), rejected(3), accepted(4)]);
    stage.answers("/api/track-usage", answer(4, four)).await;
    let sdk = stage.local().build().unwrap();
    for _ in 0..3 {
        sdk.track_usage(&stage.token, "search").await.unwrap();
    }
    sdk.flush().await.unwrap();
    sdk.track_usage(&stage.token, "search").await.unwrap();
    sdk.flush().await.unwrap();
    let usage = sdk.stats().usage;
    assert_eq!((usage.tracked, usage.delivered, usage.rejected, usage.pending), (4, 2, 2, 0));
    assert_eq!(sdk.rejected_usage().await.unwrap().len(), 2, "each is kept once");
}

#[tokio::test]
async fn a_list_that_leads_to_itself_ends_with_an_error() {
    let stage = Stage::set().await;
    let page = json!({ "items": [], "next_cursor": "the same" });
    let page = ResponseTemplate::new(200).set_body_json(page);
    stage.answers("/api/usage/cus_asha/events", page).await;
    let mut events = stage.local().build().unwrap().usage_events("cus_asha", Default::default());
    assert_eq!(events.next().await.unwrap().unwrap_err().code(), Code::AnswerInvalid);
    assert_eq!(stage.requests_to("/api/usage/cus_asha/events").await, 2);
}
