//! Whatever goes wrong is answered as a problem: nothing else leaves the server.

use serde_json::{Value, json};

use crate::common::{FAISS, answer, both, in_memory};

#[tokio::test]
async fn what_the_router_refuses_is_a_problem_too() {
    for server in both().await {
        server.call_openly("GET /api/none", Value::Null).await.is_problem(404, "not_found");
        server.call_openly("GET /api/quotas/%ff/x", Value::Null).await; // must not end the server
        let wrong_method = server.call_openly("PUT /api/validate-token", Value::Null).await;
        wrong_method.is_problem(405, "method_not_allowed");
        assert_eq!(wrong_method.headers["allow"], "POST");
    }
}

#[tokio::test]
async fn a_caller_without_a_good_credential_is_told_which_kind_of_bad_it_is() {
    for server in both().await {
        let call = async |credential: &str| {
            let body = json!({"token": "x"});
            server.try_call("POST /api/validate-token", credential, &body).await.expect("an answer")
        };
        let missing = call("").await;
        missing.is_problem(401, "credential_missing");
        assert_eq!(missing.headers["www-authenticate"], "Bearer");
        call("cnsk_live_whatever").await.is_problem(401, "credential_live");
        call("cnsk_test_mistyped").await.is_problem(401, "credential_invalid");
        let elsewhere = in_memory().await.key(FAISS);
        call(elsewhere.expose()).await.is_problem(401, "credential_invalid");
        call("garbage").await.is_problem(401, "credential_invalid");

        let basic = server.request("POST /api/validate-token").basic_auth("a", Some("b"));
        let basic = answer(basic.json(&json!({}))).await.expect("an answer");
        basic.is_problem(401, "credential_invalid");
    }
}

#[tokio::test]
async fn a_bad_body_is_answered_with_its_field_and_without_its_content() {
    let server = in_memory().await;
    let key = server.key(FAISS);
    let send = async |body: &str| {
        let request = server.request("POST /api/track-usage").bearer_auth(key.expose());
        let request = request.header("content-type", "application/json").body(body.to_owned());
        answer(request).await.expect("an answer")
    };
    for (body, field) in [
        ("", Value::Null),
        ("{", Value::Null),
        ("nonsense", Value::Null),
        ("null", Value::Null),
        ("[]", Value::Null),
        ("{}", Value::Null),
        (r#"{"event": {}, "producer": "p"}"#, json!("event")),
        (r#"{"producer": "p", "epoch": -1, "items": []}"#, json!("epoch")),
        (r#"{"producer": "p", "epoch": 0, "items": [{"number": 1.5}]}"#, json!("items[0].number")),
        (
            r#"{"producer": "p", "epoch": 0, "items": [{"number": 1, "event": {"id": 5}}]}"#,
            json!("items[0].event.id"),
        ),
        (r#"{"producer": "p", "epoch": 0, "items": []} more"#, Value::Null),
    ] {
        let refused = send(body).await;
        assert_eq!(refused.is_problem(422, "request_invalid").body["field"], field, "{body}");
    }
    let bare = send(r#"{"id": "e", "customer_id": "cus_ravi", "action": "search"}"#).await;
    let detail = bare.body["detail"].as_str().expect("a text");
    assert_eq!(detail, "expected either `event`, or `producer`, `epoch` and `items`");
    let secret = send(r#"{"event": "cnrt_test_secret"}"#).await;
    assert!(!secret.is_problem(422, "request_invalid").body.to_string().contains("secret"));
    let depth = 100_000;
    let deep = format!(r#"{{"event": {}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    send(&deep).await.is_problem(422, "request_invalid");
}

#[tokio::test]
async fn no_body_whatever_breaks_a_call() {
    let server = in_memory().await;
    let pair = server.pair("cus_ravi", FAISS).await;
    let session = server.session("cus_ravi").await.expect("a session");
    let key = server.key(FAISS);
    let bodies: [&[u8]; 12] = [
        b"",
        b"\0",
        b"\xff\xfe",
        b"{\"a\":",
        b"\"\\ud800\"",
        b"1e999",
        b"{\"token\":null}",
        b"{\"token\":\"\\u0000\"}",
        b"{\"refresh_token\":\"\"}",
        b"{\"solution_id\":\"../..\"}",
        b"{\"customer_id\":{}}",
        b"[[[[[[[[[[[[[[[[[[",
    ];
    for operation in [
        "POST /api/generate-token",
        "POST /api/validate-token",
        "POST /api/refresh-token",
        "DELETE /api/revoke-token",
        "POST /api/track-usage",
        "POST /mock/clock",
        "POST /mock/faults",
        "POST /mock/sessions",
        "POST /mock/outage",
    ] {
        let credential = match operation {
            "POST /api/generate-token" => &session,
            _ if operation.contains("/mock/") => server.control_token(),
            _ => &key,
        };
        for body in bodies {
            let request = server.request(operation).bearer_auth(credential.expose());
            let request = request.header("content-type", "application/json").body(body.to_vec());
            let answer = answer(request).await.expect("an answer");
            assert!(answer.status < 500, "{operation} {body:?}: {answer:?}");
            if answer.status >= 400 {
                answer.is_problem(answer.status, answer.body["code"].as_str().unwrap_or_default());
            }
        }
    }
    assert_eq!(server.validate(&pair.access_token).await["valid"], true, "and it goes on");
}

#[tokio::test]
async fn a_body_must_be_json_and_at_most_a_megabyte() {
    for server in both().await {
        let post = || server.request("POST /api/refresh-token");
        let text = answer(post().body("refresh_token=x")).await.expect("an answer");
        text.is_problem(415, "media_type_unsupported");
        let charset = post().header("content-type", "application/json; charset=utf-8");
        let charset = answer(charset.body(r#"{"refresh_token": "x"}"#)).await.expect("an answer");
        charset.is_problem(401, "refresh_token_invalid");

        for megabytes in [2, 8] {
            let large = json!({"refresh_token": "x".repeat(megabytes << 20)});
            let large = server.call_openly("POST /api/refresh-token", large).await;
            large.is_problem(413, "request_too_large");
        }
    }
}

#[tokio::test]
async fn every_answer_has_an_id_the_version_and_the_servers_time() {
    let server = in_memory().await;
    server.set_clock("2031-05-06T12:00:00Z".parse().expect("RFC 3339")).await.expect("in range");
    let call = async |id: &str| {
        let request = server.request("GET /healthz").header("x-request-id", id);
        answer(request).await.expect("an answer").headers
    };
    let headers = call("req-of_mine.1").await;
    assert_eq!(headers["x-request-id"], "req-of_mine.1");
    assert_eq!(headers["cloudnestle-version"], "2026-11-01");
    let date = headers["date"].to_str().expect("ASCII");
    assert!(date.starts_with("Tue, 06 May 2031 12:00:0") && date.ends_with(" GMT"), "{date}");
    for harmful in ["a b", "<script>", &"x".repeat(65), ""] {
        let id = call(harmful).await["x-request-id"].to_str().expect("ASCII").to_owned();
        assert!(id.starts_with("req_"), "{harmful} became {id}");
    }
}

#[tokio::test]
async fn the_api_page_lists_every_call_and_every_code_and_no_secret() {
    let server = in_memory().await;
    let page = server.request("GET /").send().await.expect("an answer").text().await.expect("text");
    for operation in ["/api/track-usage", "/api/quotas/{customer_id}/{solution_id}", "/mock/clock"]
    {
        assert!(page.contains(operation), "{operation}");
    }
    let refused = server.call_openly("GET /api/user-context", Value::Null).await;
    let anchor = refused.body["doc_url"].as_str().and_then(|url| url.split_once('#'));
    let (_, code) = anchor.expect("an anchor of the page");
    assert!(page.contains(&format!(r#"id="{code}""#)));
    assert!(!page.contains(server.key(FAISS).expose()));
    assert!(!page.contains(server.control_token().expose()));
}
