//! Who calls too often is asked to wait; who waits gets through.

use std::time::Duration;

use cloudnestle_mock_server::{Callers, MockServer, RateLimit};
use serde_json::{Value, json};

use crate::common::{Answer, FAISS, NOTES, TestServer, both, in_memory};

async fn read_quotas(server: &TestServer, solution: &str) -> Answer {
    let path = format!("GET /api/quotas/cus_ravi/{solution}");
    server.call(&path, &server.key(solution), Value::Null).await
}

#[tokio::test]
async fn a_key_that_calls_too_often_waits_and_gets_through() {
    for server in both().await {
        server.set_rate_limit(Callers::Key, RateLimit::per_second(1).burst(2));
        let first = read_quotas(&server, FAISS).await;
        assert_eq!(first.status, 200);
        assert_eq!(first.headers["ratelimit"], r#""key";r=1;t=1"#);
        assert_eq!(first.headers["ratelimit-policy"], r#""key";q=2;w=2"#);

        let mut refused = read_quotas(&server, FAISS).await;
        while refused.status == 200 {
            refused = read_quotas(&server, FAISS).await;
        }
        refused.is_problem(429, "rate_limited");
        assert_eq!(refused.body["retryable"], true);
        assert_eq!(refused.headers["retry-after"], "1");
        assert_eq!(refused.headers["ratelimit"], r#""key";r=0;t=2"#);
        assert_eq!(read_quotas(&server, NOTES).await.status, 200, "another key has its own limit");

        server.advance_clock(Duration::from_secs(1)).await.expect("in range");
        assert_eq!(read_quotas(&server, FAISS).await.status, 200);
    }
}

#[tokio::test]
async fn the_document_declares_what_answers_tell_of_limits() {
    let server = in_memory().await;
    let document = server.call_openly("GET /openapi.json", Value::Null).await.body;
    let declared = |status: &str| {
        let responses = &document["paths"]["/api/quotas/{customer_id}/{solution_id}"]["get"];
        let mut response = &responses["responses"][status];
        if let Some(place) = response["$ref"].as_str() {
            response = document.pointer(&place[1..]).expect("a place of the document");
        }
        let names = response["headers"].as_object().expect("headers").keys();
        names.map(|name| name.to_ascii_lowercase()).collect::<Vec<_>>()
    };
    server.set_rate_limit(Callers::Key, RateLimit::per_second(1).burst(1));
    let mut seen = Vec::new();
    while !seen.contains(&429) {
        let answer = read_quotas(&server, FAISS).await;
        for header in ["ratelimit", "ratelimit-policy", "retry-after", "date", "x-request-id"] {
            let told = answer.headers.contains_key(header);
            let declared = declared(&answer.status.to_string()).iter().any(|name| name == header);
            assert_eq!(told, declared, "{header} of {}", answer.status);
        }
        seen.push(answer.status);
    }
    assert!(seen.contains(&200));
}

#[tokio::test]
async fn what_is_refused_has_no_effect_and_is_in_the_journal() {
    let server = in_memory().await;
    let pair = server.pair("cus_ravi", FAISS).await;
    server.set_rate_limit(Callers::Open, RateLimit::per_second(1));
    let refresh = async || {
        let body = json!({"refresh_token": pair.refresh_token});
        server.call_openly("POST /api/refresh-token", body).await
    };
    let wrong = json!({"refresh_token": "cnrt_test_wrong"});
    for _ in 0..20 {
        server.call_openly("POST /api/refresh-token", wrong.clone()).await;
    }
    refresh().await.is_problem(429, "rate_limited");
    let last = server.journal().pop().expect("an entry");
    assert_eq!((last.status, last.operation.as_str()), (Some(429), "POST /api/refresh-token"));
    server.advance_clock(Duration::from_secs(60)).await.expect("in range");
    assert_eq!(refresh().await.status, 200, "the token was not used up");
}

#[tokio::test]
async fn who_guesses_credentials_is_slowed_down_by_address() {
    let server = in_memory().await;
    server.set_rate_limit(Callers::Open, RateLimit::per_second(1).burst(5));
    let mut statuses = Vec::new();
    for n in 0..20 {
        let guess = format!("cnsk_test_{n}");
        let answer = server.try_call("POST /api/validate-token", &guess, &json!({})).await;
        statuses.push(answer.expect("an answer").status);
    }
    assert_eq!(statuses[..5], [401; 5]);
    assert!(statuses[5..].contains(&429), "{statuses:?}");
    assert_eq!(read_quotas(&server, FAISS).await.status, 200, "who has a good one is not");
}

#[tokio::test]
async fn who_guesses_passwords_is_slowed_down_by_address() {
    let server = in_memory().await;
    server.set_rate_limit(Callers::SignIn, RateLimit::per_second(1).burst(3));
    let sign_in = async |password: &str| {
        let body = json!({"email": "asha@example.com", "password": password});
        server.call_openly("POST /api/sessions", body).await
    };
    // All at once: hashing takes its time, and would fill the bucket again.
    let guesses = futures_util::future::join_all((0..20).map(|_| sign_in("a guess"))).await;
    let statuses: Vec<u16> = guesses.iter().map(|answer| answer.status).collect();
    assert!(statuses.contains(&401) && statuses.contains(&429), "{statuses:?}");
    server.advance_clock(Duration::from_secs(3)).await.expect("in range");
    assert_eq!(sign_in("cloudnestle-test").await.status, 200, "who waits gets in");
}

#[tokio::test]
async fn limits_are_set_at_the_start_and_over_http() {
    let limit = RateLimit::per_second(7).burst(70);
    let server = MockServer::builder().rate_limit(Callers::Token, limit).start().await;
    let server = TestServer::new(server.expect("a server"), None);
    let limits = server.control("GET /mock/rate-limits", Value::Null).await.body;
    let token = json!({"callers": "token", "per_second": 7, "burst": 70});
    assert!(limits["limits"].as_array().expect("limits").contains(&token), "{limits}");

    let set = json!({"callers": "key", "per_second": 3});
    let limits = server.control("POST /mock/rate-limits", set).await.body;
    let key = json!({"callers": "key", "per_second": 3, "burst": 3});
    assert!(limits["limits"].as_array().expect("limits").contains(&key), "{limits}");
    for wrong in [
        json!({"callers": "everybody", "per_second": 3}),
        json!({"callers": "key", "per_second": 0}),
        json!({"callers": "key"}),
    ] {
        server.control("POST /mock/rate-limits", wrong).await.is_problem(422, "request_invalid");
    }
}
