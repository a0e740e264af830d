//! The launch flow: from the marketplace to a solution, with a code in between.

use std::time::Duration;

use cloudnestle_marketplace::model::Secret;
use serde_json::{Value, json};

use crate::common::{Answer, FAISS, NOTES, TestServer, answer, both, claims, in_memory};

/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

async fn launch(server: &TestServer, body: Value) -> Answer {
    let session = server.session("cus_ravi").await.expect("a session");
    server.call("POST /api/launches", &session, body).await
}

/// The code in the URL a browser is sent to.
fn code(launch: &Answer) -> String {
    let url = launch.body["redirect_url"].as_str().unwrap_or_else(|| panic!("{launch:?}"));
    let (_, query) = url.split_once("?code=").expect("a code");
    query.split('&').next().expect("a code").to_owned()
}

async fn exchange(server: &TestServer, key: &Secret, code: &str) -> Answer {
    server.call("POST /api/exchange-code", key, json!({"code": code})).await
}

fn publishable_key(server: &TestServer) -> Secret {
    let found = server.solutions().into_iter().find(|it| it.id == FAISS);
    found.expect("a solution").publishable_key
}

#[tokio::test]
async fn a_customer_is_sent_to_the_solution_with_a_code_that_its_backend_exchanges() {
    for server in both().await {
        let launched = launch(&server, json!({"solution_id": FAISS, "state": "a b&c"})).await;
        let url = launched.body["redirect_url"].as_str().expect("a URL");
        assert!(url.starts_with("http://localhost:3000/launch?code=cnlc_test_"), "{url}");
        assert!(url.ends_with("&state=a+b%26c"), "{url}");

        let pair = exchange(&server, &server.key(FAISS), &code(&launched)).await;
        assert_eq!(pair.status, 200, "{pair:?}");
        let token = pair.body["access_token"].as_str().expect("a token").into();
        assert_eq!((claims(&token).sub.as_str(), claims(&token).aud.as_str()), ("cus_ravi", FAISS));
    }
}

#[tokio::test]
async fn a_code_is_for_its_own_solution_and_for_a_minute() {
    for server in both().await {
        let launched = launch(&server, json!({"solution_id": FAISS})).await;
        let other = exchange(&server, &server.key(NOTES), &code(&launched)).await;
        other.is_problem(401, "launch_code_invalid");
        let page = exchange(&server, &publishable_key(&server), &code(&launched)).await;
        page.is_problem(401, "launch_code_invalid");
        server.advance_clock(Duration::from_secs(60)).await.expect("in range");
        let late = exchange(&server, &server.key(FAISS), &code(&launched)).await;
        late.is_problem(401, "launch_code_invalid");
        let invented = exchange(&server, &server.key(FAISS), "cnlc_test_invented").await;
        invented.is_problem(401, "launch_code_invalid");
    }
}

#[tokio::test]
async fn a_code_that_comes_twice_ends_what_it_was_exchanged_for() {
    for server in both().await {
        let launched = launch(&server, json!({"solution_id": FAISS})).await;
        let pair = exchange(&server, &server.key(FAISS), &code(&launched)).await;
        let again = exchange(&server, &server.key(FAISS), &code(&launched)).await;
        again.is_problem(401, "launch_code_invalid");
        let token = pair.body["access_token"].as_str().expect("a token").into();
        assert_eq!(server.validate(&token).await["code"], "token_revoked");
    }
}

#[tokio::test]
async fn an_exchange_whose_answer_was_lost_can_be_repeated_under_its_key() {
    let server = in_memory().await;
    let launched = launch(&server, json!({"solution_id": FAISS})).await;
    let exchange = async || {
        let request = server.request("POST /api/exchange-code");
        let request = request.bearer_auth(server.key(FAISS).expose());
        let request = request.header("idempotency-key", "exchange-1");
        answer(request.json(&json!({"code": code(&launched)}))).await.expect("an answer")
    };
    let first = exchange().await;
    let again = exchange().await;
    assert_eq!((first.status, again.status), (200, 200));
    assert_eq!(first.body, again.body);
    let token = first.body["access_token"].as_str().expect("a token").into();
    assert_eq!(server.validate(&token).await["valid"], true);
}

#[tokio::test]
async fn a_page_exchanges_its_own_code_with_the_verifier_alone() {
    for server in both().await {
        let page = publishable_key(&server);
        let start = json!({"publishable_key": page, "code_challenge": CHALLENGE});
        let launched = launch(&server, start).await;
        let exchange = |key: Secret, verifier: &'static str| {
            let body = json!({"code": code(&launched), "code_verifier": verifier});
            let server = &server;
            async move { server.call("POST /api/exchange-code", &key, body).await }
        };
        let wrong = exchange(page.clone(), &"x".repeat(43).leak()[..]).await;
        wrong.is_problem(401, "launch_code_invalid");
        let backend = exchange(server.key(FAISS), VERIFIER).await;
        backend.is_problem(401, "launch_code_invalid");
        assert_eq!(exchange(page, VERIFIER).await.status, 200);
    }
}

#[tokio::test]
async fn what_is_no_launch_is_refused() {
    let server = in_memory().await;
    let page = publishable_key(&server);
    for (body, field) in [
        (json!({}), Value::Null),
        (json!({"solution_id": FAISS, "publishable_key": page}), Value::Null),
        (json!({"publishable_key": page}), json!("code_challenge")),
        (
            json!({"publishable_key": "cnpk_test_x", "code_challenge": CHALLENGE}),
            json!("publishable_key"),
        ),
        (json!({"solution_id": FAISS, "code_challenge": "plain"}), json!("code_challenge")),
        (json!({"solution_id": FAISS, "state": "x".repeat(513)}), json!("state")),
    ] {
        let refused = launch(&server, body).await;
        refused.is_problem(422, "request_invalid");
        assert_eq!(refused.body["field"], field);
    }
    let refused = launch(&server, json!({"solution_id": "sol_invoice_ocr"})).await;
    refused.is_problem(403, "forbidden");
}

#[tokio::test]
async fn a_replaced_secret_key_is_good_until_its_overlap_is_over() {
    for server in both().await {
        let old = server.key(FAISS);
        let body = json!({"overlap_secs": 3600});
        let rotated = server.call("POST /api/secret-keys/rotate", &old, body).await;
        let new: Secret = rotated.body["secret_key"].as_str().expect("a key").into();
        let token = server.pair("cus_ravi", FAISS).await.access_token;
        let ask = async |key: &Secret| {
            let body = json!({"token": token});
            server.call("POST /api/validate-token", key, body).await.status
        };
        assert_eq!((ask(&old).await, ask(&new).await), (200, 200));
        server.advance_clock(Duration::from_secs(3600)).await.expect("in range");
        assert_eq!((ask(&old).await, ask(&new).await), (401, 200));
    }
}

#[tokio::test]
async fn a_rotation_ends_the_keys_that_a_thief_has_made() {
    for server in both().await {
        let stolen = server.key(FAISS);
        let rotate = async |key: &Secret, overlap: u64| {
            let body = json!({"overlap_secs": overlap});
            let rotated = server.call("POST /api/secret-keys/rotate", key, body).await;
            rotated.body["secret_key"].as_str().map(Secret::new)
        };
        let thiefs = rotate(&stolen, 604_800).await.expect("a key");
        let owners = rotate(&stolen, 0).await.expect("a key");
        assert_eq!(rotate(&thiefs, 0).await, None);
        assert_eq!(rotate(&stolen, 0).await, None);
        assert!(rotate(&owners, 0).await.is_some());
    }
}
