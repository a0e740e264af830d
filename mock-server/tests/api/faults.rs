//! Faults happen where they were planned, and nowhere else.

use std::time::{Duration, Instant};

use cloudnestle_marketplace::Code;
use cloudnestle_mock_server::{Fault, When};
use serde_json::{Value, json};

use crate::common::{FAISS, NOTES, answer, both, in_memory, range, search, statuses};

const TRACK: &str = "POST /api/track-usage";

#[tokio::test]
async fn a_reset_after_the_commit_has_its_effect_and_the_retry_counts_nothing_twice() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let body = range("prd_a", 0, 1, vec![search(&server, &pair, 1)]);
        let key = server.key(FAISS);
        server.inject(Fault::on(TRACK).reset(When::AfterCommit)).expect("a fault");

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
        server.inject(Fault::on(TRACK).reset(When::BeforeCommit)).expect("a fault");
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
        server.inject(Fault::on(refresh).reset(When::AfterCommit)).expect("a fault");
        assert!(server.try_call(refresh, "", &body).await.is_err());
        server.advance_clock(Duration::from_secs(300)).await.expect("in range");
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
            "used_up": false,
            "left": [
                {"id": "flt_2", "on": TRACK, "status": 503, "headers": {"retry-after": "1"}, "times_left": 1},
                {"id": "flt_3", "on": TRACK, "delay_ms": 50, "times_left": 1},
            ],
            "used": [{"id": "flt_1", "on": TRACK, "reset": "after_commit", "request_id": "first"}],
        })
    );
    assert_eq!(server.journal()[0].fault.as_deref(), Some("flt_1: reset after_commit"));
    let unmet = server.verify_faults().expect_err("two are left");
    assert_eq!(unmet.left.len(), 2);
    assert_eq!(server.control("DELETE /mock/faults/flt_2", Value::Null).await.status, 204);
    let unknown = server.control("DELETE /mock/faults/flt_4", Value::Null).await;
    unknown.is_problem(404, "not_found");
    assert_eq!(server.control("DELETE /mock/faults", Value::Null).await.status, 204);
    let report = server.control("GET /mock/faults", Value::Null).await.body;
    assert_eq!(report, json!({"used_up": true, "left": [], "used": []}));
    server.verify_faults().expect("nothing is left");
}

#[tokio::test]
async fn a_fault_that_no_call_could_meet_is_refused() {
    let server = in_memory().await;
    for (fault, field) in [
        (json!({"on": "POST /api/track_usage", "status": 503}), json!("on")),
        (json!({"on": TRACK, "reset": "later"}), json!("reset")),
        (json!({"on": TRACK, "statuss": 503}), json!("statuss")),
        (json!({"on": TRACK}), Value::Null),
        (json!({"on": TRACK, "status": 503, "solution": "sol_nobodys"}), json!("solution")),
        (json!({"on": TRACK, "status": 503, "test": "a b"}), json!("test")),
        (json!({"on": "*", "status": 503, "times": 0}), json!("times")),
        (json!({"on": "*", "status": 503, "probability": 2}), json!("probability")),
        (json!([{"on": TRACK, "status": 503}, {"on": "track"}]), json!("[1].on")),
        (
            json!([{"on": TRACK, "status": 503}, {"on": TRACK, "reset": "later"}]),
            json!("[1].reset"),
        ),
    ] {
        let refused = server.control("POST /mock/faults", fault.clone()).await;
        assert_eq!(refused.is_problem(422, "request_invalid").body["field"], field, "{fault}");
    }
    assert!(server.faults().used_up, "of a list that has a mistake, nothing is planned");
}

#[tokio::test]
async fn a_list_is_planned_at_once_and_answered_with_its_ids() {
    let server = in_memory().await;
    let list = json!([{"on": "*", "status": 500, "times": 2}, {"on": "*", "status": 503}]);
    let planned = server.control("POST /mock/faults", list).await;
    assert_eq!(planned.body["ids"], json!(["flt_1", "flt_2"]));
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let answer = server.call_openly("GET /.well-known/jwks.json", Value::Null).await;
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [500, 500, 503, 200]);
    server.verify_faults().expect("all were met");
}

#[tokio::test]
async fn a_fault_of_a_solution_meets_its_keys_and_tokens_and_nobody_elses() {
    for server in both().await {
        let (own, other) = (server.pair("cus_ravi", FAISS).await, server.key(NOTES));
        let fault = || Fault::on_any().solution(FAISS).status(503);
        let quotas = format!("GET /api/quotas/cus_ravi/{NOTES}");
        server.inject(fault().times(4)).expect("a fault");
        assert_ne!(server.call(&quotas, &other, Value::Null).await.status, 503);
        let openly = server.call_openly("GET /.well-known/jwks.json", Value::Null).await;
        assert_eq!(openly.status, 200);

        server.call(&quotas, &server.key(FAISS), Value::Null).await.is_problem(503, "unavailable");
        let page =
            server.solutions().into_iter().find(|it| it.id == FAISS).expect("it is built in");
        let visit = json!({"solution_id": FAISS});
        let by_page = server.call("POST /api/generate-token", &page.publishable_key, visit).await;
        by_page.is_problem(503, "unavailable");
        let by_token = server.call("GET /api/user-context", &own.access_token, Value::Null).await;
        by_token.is_problem(503, "unavailable");
        // As a program of the solution asks for the keys.
        let named = server.request("GET /.well-known/jwks.json");
        let named = answer(named.header("cloudnestle-solution", FAISS)).await.expect("an answer");
        named.is_problem(503, "unavailable");
        server.verify_faults().expect("each of them met it");
    }
}

#[tokio::test]
async fn tests_that_share_a_server_meet_their_own_faults() {
    let server = in_memory().await;
    server.inject(Fault::on_any().test("checkout-7").status(503)).expect("a fault");
    let call = async |test: &str| {
        let request = server.request("GET /.well-known/jwks.json");
        let request =
            if test.is_empty() { request } else { request.header("cloudnestle-test", test) };
        answer(request).await.expect("an answer").status
    };
    assert_eq!(
        [call("").await, call("checkout-8").await, call("checkout-7").await],
        [200, 200, 503]
    );

    let preflight = server.request("OPTIONS /api/user-context").header("origin", "http://a.test");
    let preflight = preflight.header("access-control-request-method", "GET");
    let allowed = answer(preflight).await.expect("an answer");
    let allowed = allowed.headers["access-control-allow-headers"].to_str().expect("ASCII");
    assert!(allowed.contains("cloudnestle-test"), "{allowed}");
}

#[tokio::test]
async fn a_fault_ends_by_the_servers_clock_whatever_became_of_its_test() {
    let server = in_memory().await;
    let minute = Duration::from_secs(60);
    let id = server.inject(Fault::on_any().status(503).expires_after(minute)).expect("a fault");
    server.advance_clock(minute).await.expect("in range");
    assert_eq!(server.call_openly("GET /.well-known/jwks.json", Value::Null).await.status, 200);
    let unmet = server.verify_faults().expect_err("nobody has met it");
    assert_eq!((unmet.left[0].id.as_str(), unmet.left[0].expired), (id.as_str(), true));
    server.remove_fault(&id).expect("it is in the plan");
    server.verify_faults().expect("nothing is left");
    assert_eq!(server.remove_fault("flt_9").expect_err("none").code(), Code::NotFound);
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
