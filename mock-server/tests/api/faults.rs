//! Faults happen where they were planned, and nowhere else.

use std::time::{Duration, Instant};

use cloudnestle_marketplace::Code;
use cloudnestle_mock_server::{Fault, Reset};
use serde_json::{Value, json};

use crate::common::{FAISS, both, in_memory, range, search, statuses};

const TRACK: &str = "POST /api/track-usage";

#[tokio::test]
async fn a_reset_after_the_commit_has_its_effect_and_the_retry_counts_nothing_twice() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let body = range("prd_a", 0, 1, vec![search(&server, &pair, 1)]);
        let key = server.key(FAISS);
        server.inject(Fault::on(TRACK).reset(Reset::AfterCommit)).expect("a fault");

        let broken = server.try_call(TRACK, key.expose(), &body).await;
        assert!(broken.is_err_and(|error| was_reset(&error)), "the client sees a reset");
        assert_eq!(server.used("cus_ravi").await, 1, "and yet it counted");
        assert_eq!(statuses(&server.track(body).await), ["duplicate"]);
        assert_eq!(server.used("cus_ravi").await, 1);
    }
}

#[tokio::test]
async fn a_reset_before_the_commit_has_no_effect() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let body = range("prd_a", 0, 1, vec![search(&server, &pair, 1)]);
        let key = server.key(FAISS);
        server.inject(Fault::on(TRACK).reset(Reset::BeforeCommit)).expect("a fault");
        let broken = server.try_call(TRACK, key.expose(), &body).await;
        assert!(broken.is_err_and(|error| was_reset(&error)));
        assert_eq!(server.used("cus_ravi").await, 0);
        assert_eq!(statuses(&server.track(body).await), ["accepted"]);
    }
}

#[tokio::test]
async fn a_refresh_whose_answer_was_reset_logs_nobody_out() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let refresh = "POST /api/refresh-token";
        let body = json!({"refresh_token": pair.refresh_token});
        server.inject(Fault::on(refresh).reset(Reset::AfterCommit)).expect("a fault");
        assert!(server.try_call(refresh, "", &body).await.is_err());
        server.advance_clock(Duration::from_secs(300)).expect("in range");
        assert_eq!(server.call_openly(refresh, body).await.status, 200);
    }
}

#[tokio::test]
async fn a_planned_answer_has_its_status_code_and_headers_and_no_effect() {
    let server = in_memory().await;
    let pair = server.pair("cus_ravi", FAISS).await;
    let body = range("prd_a", 0, 1, vec![search(&server, &pair, 1)]);
    server.inject(Fault::on(TRACK).status(503).header("retry-after", "1")).expect("a fault");
    server.inject(Fault::on(TRACK).status(429)).expect("a fault");
    server.inject(Fault::on(TRACK).status(401).code(Code::CredentialMissing)).expect("a fault");

    let first = server.track(body.clone()).await;
    first.is_problem(503, "unavailable");
    assert_eq!(first.headers["retry-after"], "1");
    assert_eq!(first.body["retryable"], true);
    server.track(body.clone()).await.is_problem(429, "rate_limited");
    server.track(body.clone()).await.is_problem(401, "credential_missing");
    assert_eq!(server.used("cus_ravi").await, 0);
    assert_eq!(statuses(&server.track(body).await), ["accepted"], "the plan is used up");
}

#[tokio::test]
async fn a_delay_delays_and_then_the_call_is_answered() {
    let server = in_memory().await;
    let delay = Duration::from_millis(80);
    server.inject(Fault::on("GET /.well-known/jwks.json").delay(delay)).expect("a fault");
    let begin = Instant::now();
    let answer = server.call_openly("GET /.well-known/jwks.json", Value::Null).await;
    assert_eq!(answer.status, 200);
    assert!(begin.elapsed() >= delay);
}

#[tokio::test]
async fn an_outage_resets_everything_until_it_is_over_and_leaves_control_alone() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        server.control("POST /mock/outage", json!({"on": true})).await;
        let calls = [
            ("GET /api/user-context", pair.access_token.expose()),
            ("GET /.well-known/jwks.json", ""),
        ];
        for (operation, credential) in calls {
            let broken = server.try_call(operation, credential, &Value::Null).await;
            assert!(broken.is_err_and(|error| was_reset(&error)), "{operation}");
        }
        assert_eq!(server.control("GET /mock/outage", Value::Null).await.body["on"], true);
        server.set_outage(false);
        let answer = server.call("GET /api/user-context", &pair.access_token, Value::Null).await;
        assert_eq!(answer.status, 200);

        let journal = server.journal();
        assert_eq!((journal[0].status, journal[0].fault.as_deref()), (None, Some("outage")));
        assert_eq!((journal[2].status, journal[2].fault.as_deref()), (Some(200), None));
    }
}

#[tokio::test]
async fn a_plan_over_http_is_accounted_for() {
    let server = in_memory().await;
    let plan = async |fault: Value| server.control("POST /mock/faults", fault).await;
    assert_eq!(plan(json!({"on": TRACK, "reset": "after_commit"})).await.status, 200);
    plan(json!({"on": TRACK, "status": 503, "headers": {"retry-after": "1"}})).await;
    plan(json!({"on": TRACK, "delay_ms": 50})).await;
    let body = json!({"producer": "prd_a", "epoch": 0, "items": []});
    let request = server.request(TRACK).bearer_auth(server.key(FAISS).expose()).json(&body);
    assert!(request.header("x-request-id", "first").send().await.is_err());

    let report = server.control("GET /mock/faults", Value::Null).await.body;
    assert_eq!(
        report,
        json!({
            "left": [
                {"on": TRACK, "status": 503, "headers": {"retry-after": "1"}},
                {"on": TRACK, "delay_ms": 50},
            ],
            "used": [{"on": TRACK, "reset": "after_commit", "request_id": "first"}],
        })
    );
    assert_eq!(server.control("DELETE /mock/faults", Value::Null).await.status, 204);
    assert_eq!(server.faults(), Default::default());
}

#[tokio::test]
async fn a_fault_that_no_call_could_meet_is_refused() {
    let server = in_memory().await;
    for (fault, field) in [
        (json!({"on": "POST /api/track_usage", "status": 503}), json!("on")),
        (json!({"on": TRACK, "reset": "later"}), json!("reset")),
        (json!({"on": TRACK, "statuss": 503}), json!("statuss")),
        (json!({"on": TRACK}), Value::Null),
    ] {
        let refused = server.control("POST /mock/faults", fault).await;
        assert_eq!(refused.is_problem(422, "request_invalid").body["field"], field);
    }
}

/// Whether the peer broke the connection off, rather than closing it or answering.
fn was_reset(error: &reqwest::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return io.kind() == std::io::ErrorKind::ConnectionReset;
        }
        cause = error.source();
    }
    false
}
