//! Control over the server's world: who may, and what it does.

use std::time::Duration;

use cloudnestle_marketplace::model::Timestamp;
use cloudnestle_mock_server::MockServer;
use serde_json::{Value, json};

use crate::common::{FAISS, TestServer, answer, both, in_memory, range, search};

#[tokio::test]
async fn control_takes_the_token_and_nobody_elses_page() {
    let server = in_memory().await;
    let token = server.control_token().expose();
    let port = server.address().port();
    let ask = async |token: &str, host: &str, origin: Option<&str>| {
        let mut request = server.request("GET /mock/clock").header("host", host);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        answer(request).await.expect("an answer")
    };
    let (own, localhost) = (format!("127.0.0.1:{port}"), format!("localhost:{port}"));
    assert_eq!(ask(token, &own, None).await.status, 200);
    assert_eq!(ask(token, &localhost, None).await.status, 200);
    assert_eq!(ask(token, &own, Some(server.url())).await.status, 200);

    ask("", &own, None).await.is_problem(401, "credential_missing");
    ask("cnct_test_wrong", &own, None).await.is_problem(401, "credential_invalid");
    ask(server.key(FAISS).expose(), &own, None).await.is_problem(401, "credential_invalid");
    for host in ["evil.test", &format!("evil.test:{port}"), "127.0.0.1:1", "localhost"] {
        ask(token, host, None).await.is_problem(403, "forbidden");
    }
    for origin in ["http://evil.test", "null", "http://localhost:1", "https://127.0.0.1", ""] {
        let refused = ask(token, &own, Some(origin)).await;
        refused.is_problem(403, "forbidden");
        assert!(!refused.headers.contains_key("access-control-allow-origin"));
    }
}

#[tokio::test]
async fn a_server_behind_a_public_name_takes_control_by_that_name() {
    let server = MockServer::builder().public_url("https://market.test").start().await;
    let server = TestServer::new(server.expect("a server"), None);
    let request = |host: &str| {
        let request = server.request("GET /mock/clock").header("host", host);
        request.bearer_auth(server.control_token().expose())
    };
    let named = request("market.test").header("origin", "https://market.test");
    assert_eq!(answer(named).await.expect("an answer").status, 200);
    answer(request("other.test")).await.expect("an answer").is_problem(403, "forbidden");
}

#[tokio::test]
async fn the_clock_is_set_and_moved_over_http() {
    for server in both().await {
        let noon = "2030-01-01T12:00:00Z";
        let set = server.control("POST /mock/clock", json!({"set": noon})).await;
        assert!(set.body["now"].as_str().is_some_and(|now| now.starts_with("2030-01-01T12:00:0")));
        let moved = server.control("POST /mock/clock", json!({"advance_ms": 3_600_000})).await;
        assert!(
            moved.body["now"].as_str().is_some_and(|now| now.starts_with("2030-01-01T13:00:0"))
        );
        assert!(moved.body["offset_ms"].is_i64());
        let noon: Timestamp = noon.parse().expect("RFC 3339");
        assert!(server.now().since(noon) >= Duration::from_secs(3_600));

        for body in [
            json!({}),
            json!({"set": "soon"}),
            json!({"set": "1999-01-01T00:00:00Z"}),
            json!({"advance_ms": -1}),
        ] {
            let refused = server.control("POST /mock/clock", body).await;
            refused.is_problem(422, "request_invalid");
        }
    }
}

#[tokio::test]
async fn a_session_over_http_opens_a_solution() {
    for server in both().await {
        let session =
            server.control("POST /mock/sessions", json!({"customer_id": "cus_meera"})).await;
        let session = session.body["access_token"].as_str().expect("a session").into();
        let opened =
            server.call("POST /api/generate-token", &session, json!({"solution_id": FAISS})).await;
        assert_eq!(opened.status, 200);
        let nobody = server.control("POST /mock/sessions", json!({"customer_id": "cus_x"})).await;
        nobody.is_problem(404, "not_found");
    }
}

#[tokio::test]
async fn the_world_is_listed_with_its_keys() {
    let server = in_memory().await;
    let world = server.control("GET /mock/world", Value::Null).await.body;
    assert_eq!(world["url"], server.url());
    assert_eq!(world["solutions"][0]["id"], FAISS);
    assert_eq!(world["solutions"][0]["secret_key"], server.key(FAISS).expose());
    assert_eq!(world["customers"][1]["id"], "cus_ravi");
    assert_eq!(world["customers"][1]["subscriptions"][FAISS], "registered");
}

#[tokio::test]
async fn the_journal_says_what_was_asked_and_holds_no_secret() {
    let server = in_memory().await;
    let pair = server.pair("cus_ravi", FAISS).await;
    server.track(range("prd_a", 0, 1, vec![search(&server, &pair, 1)])).await;
    server.used("cus_ravi").await;
    server.call_openly("GET /api/user-context", Value::Null).await;
    server.call_openly("GET /healthz", Value::Null).await;
    server.call_openly("PUT /api/user-context", Value::Null).await;

    let journal = server.control("GET /mock/journal", Value::Null).await.body;
    let entries = journal["entries"].as_array().expect("entries");
    let told: Vec<_> = entries
        .iter()
        .map(|entry| (entry["operation"].as_str().unwrap_or(""), &entry["status"], &entry["code"]))
        .collect();
    assert_eq!(
        told,
        [
            ("POST /api/track-usage", &json!(200), &Value::Null),
            ("GET /api/quotas/{customer_id}/{solution_id}", &json!(200), &Value::Null),
            ("GET /api/user-context", &json!(401), &json!("credential_missing")),
            ("PUT /api/user-context", &json!(405), &json!("method_not_allowed")),
        ]
    );
    let text = journal.to_string();
    assert!(!text.contains("cnsk_") && !text.contains("eyJ"), "{text}");
    assert_eq!(server.control("DELETE /mock/journal", Value::Null).await.status, 204);
    assert!(server.journal().is_empty());
}

#[tokio::test]
async fn two_servers_in_one_process_share_nothing() {
    let (one, two) = (in_memory().await, in_memory().await);
    let pair = one.pair("cus_ravi", FAISS).await;
    one.track(range("prd_a", 0, 1, vec![search(&one, &pair, 1)])).await;
    one.advance_clock(Duration::from_secs(86_400)).await.expect("in range");
    one.set_outage(true);

    assert_ne!(one.key(FAISS), two.key(FAISS));
    assert_ne!(one.control_token(), two.control_token());
    assert_eq!(two.used("cus_ravi").await, 0);
    assert_eq!(two.validate(&pair.access_token).await["code"], "token_key_unknown");
    assert_eq!(two.journal().len(), 2);
    assert!(one.now().since(two.now()) > Duration::from_secs(86_000));
}

#[tokio::test]
async fn a_server_that_was_dropped_does_not_answer() {
    let server = in_memory().await;
    let address = server.address();
    assert_eq!(server.call_openly("GET /healthz", Value::Null).await.status, 200);
    drop(server);
    for _ in 0..100 {
        if tokio::net::TcpStream::connect(address).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it still listens");
}
