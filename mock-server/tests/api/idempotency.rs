//! One effect for one `Idempotency-Key`.

use cloudnestle_marketplace::model::Secret;
use serde_json::{Value, json};

use crate::common::{Answer, FAISS, NOTES, TestServer, answer, both, claims, in_memory};

async fn generate(server: &TestServer, session: &Secret, key: &str, solution: &str) -> Answer {
    let request = server.request("POST /api/generate-token").bearer_auth(session.expose());
    let request = request.header("idempotency-key", key).json(&json!({"solution_id": solution}));
    answer(request).await.expect("an answer")
}

#[tokio::test]
async fn a_call_that_is_repeated_under_its_key_is_answered_as_before() {
    for server in both().await {
        let session = server.session("cus_asha").await.expect("a session");
        let first = generate(&server, &session, "open-1", FAISS).await;
        assert_eq!(first.status, 200, "{first:?}");
        let again = generate(&server, &session, "open-1", FAISS).await;
        assert_eq!(again.body, first.body, "secrets included");
        let other = generate(&server, &session, "open-2", FAISS).await;
        assert_ne!(other.body, first.body);
    }
}

#[tokio::test]
async fn calls_at_the_same_time_under_one_key_have_one_effect() {
    for server in both().await {
        let session = server.session("cus_asha").await.expect("a session");
        let calls = (0..32).map(|_| generate(&server, &session, "open-1", FAISS));
        let answers = futures_util::future::join_all(calls).await;
        assert_eq!(answers[0].status, 200, "{:?}", answers[0]);
        assert!(answers.iter().all(|answer| answer.body == answers[0].body));
    }
}

#[tokio::test]
async fn a_key_stands_for_one_call_of_one_caller() {
    let server = in_memory().await;
    let asha = server.session("cus_asha").await.expect("a session");
    let ravi = server.session("cus_ravi").await.expect("a session");
    generate(&server, &asha, "open-1", FAISS).await;

    let mistaken = generate(&server, &asha, "open-1", NOTES).await;
    mistaken.is_problem(422, "idempotency_mismatch");

    let of_ravi = generate(&server, &ravi, "open-1", FAISS).await;
    assert_eq!(of_ravi.status, 200);
    let token = of_ravi.body["access_token"].as_str().expect("a token");
    assert_eq!(claims(&token.into()).sub, "cus_ravi");
}

#[tokio::test]
async fn a_stranger_does_not_use_up_the_key_of_another() {
    let server = in_memory().await;
    let register = async |email: &str, password: &str| {
        let request = server.request("POST /api/users").header("idempotency-key", "1");
        let body = json!({"email": email, "password": password});
        answer(request.json(&body)).await.expect("an answer")
    };
    let first = register("kavya@example.com", "correct horse").await;
    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!(register("tara@example.com", "correct horse").await.status, 201);
    assert_eq!(register("KAVYA@example.com", "correct horse").await.status, 422, "another body");
    assert_eq!(register("kavya@example.com", "correct horse").await.body, first.body);
}

#[tokio::test]
async fn what_was_ended_may_be_ended_again_by_whom_the_answer_was_lost() {
    for server in both().await {
        let end = async |call: &str, credential: &Secret, key: &str, body: Value| {
            let request = server.request(call).bearer_auth(credential.expose());
            answer(request.header("idempotency-key", key).json(&body)).await.expect("an answer")
        };
        let session = server.session("cus_asha").await.expect("a session");
        for key in ["out-1", "out-1", "out-2"] {
            let out = end("DELETE /api/sessions", &session, key, Value::Null).await;
            assert_eq!(out.status, 204, "{key}: {out:?}");
        }
        let refused = server.call("GET /api/user-solutions", &session, Value::Null).await;
        refused.is_problem(401, "credential_invalid");

        let token = |pair: Secret| json!({"token": pair});
        let one = token(server.pair("cus_ravi", FAISS).await.access_token);
        let two = token(server.pair("cus_ravi", FAISS).await.access_token);
        let secret_key = server.key(FAISS);
        let end_token = async |body: &Value| {
            end("DELETE /api/revoke-token", &secret_key, "end-1", body.clone()).await
        };
        assert_eq!(end_token(&one).await.status, 204);
        assert_eq!(end_token(&one).await.status, 204);
        end_token(&two).await.is_problem(422, "idempotency_mismatch");
    }
}

#[tokio::test]
async fn a_call_that_failed_leaves_its_key_unused() {
    let server = in_memory().await;
    let session = server.session("cus_ravi").await.expect("a session");
    let refused = generate(&server, &session, "open-1", "sol_invoice_ocr").await;
    assert_eq!(refused.status, 403, "{refused:?}");
    assert_eq!(generate(&server, &session, "open-1", FAISS).await.status, 200);
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    let server = in_memory().await;
    let session = server.session("cus_asha").await.expect("a session");
    let first = generate(&server, &session, "open-1", FAISS).await;
    server.advance_clock(std::time::Duration::from_secs(24 * 60 * 60)).await.expect("in range");
    let session = server.session("cus_asha").await.expect("a session");
    assert_ne!(generate(&server, &session, "open-1", FAISS).await.body, first.body);
}

#[tokio::test]
async fn a_key_that_is_none_is_refused() {
    let server = in_memory().await;
    let session = server.session("cus_asha").await.expect("a session");
    for key in ["", "two words", &"k".repeat(256)] {
        let refused = generate(&server, &session, key, FAISS).await;
        refused.is_problem(422, "request_invalid");
    }
}

#[tokio::test]
async fn a_rotated_key_signs_new_tokens_and_refuses_no_old_one() {
    for server in both().await {
        let before = server.pair("cus_ravi", FAISS).await.access_token;
        let published = server.call_openly("GET /.well-known/jwks.json", Value::Null).await.body;
        let answer = server.control("POST /mock/keys", Value::Null).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let after = server.pair("cus_ravi", FAISS).await.access_token;
        for token in [&before, &after] {
            assert_eq!(server.validate(token).await["valid"], true);
        }
        assert_ne!(kid(&before), kid(&after));
        let known = published["keys"].as_array().expect("keys").iter();
        let known: Vec<_> = known.filter_map(|key| key["kid"].as_str()).collect();
        assert!(known.contains(&kid(&after).as_str()), "the new key was published before");
    }
}

fn kid(token: &Secret) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let header = token.expose().split('.').next().expect("a header");
    let header = URL_SAFE_NO_PAD.decode(header).expect("base64");
    let header: Value = serde_json::from_slice(&header).expect("JSON");
    header["kid"].as_str().expect("a kid").to_owned()
}

#[tokio::test]
async fn two_visitors_of_a_page_that_names_their_calls_alike_are_two() {
    let server = in_memory().await;
    let solution = server.solutions().into_iter().find(|it| it.id == FAISS).expect("it");
    let page = solution.publishable_key;
    let one = generate(&server, &page, "visit-1", FAISS).await;
    let other = generate(&server, &page, "visit-1", FAISS).await;
    assert_eq!((one.status, other.status), (200, 200));
    let who =
        |answer: &Answer| claims(&answer.body["access_token"].as_str().expect("it").into()).sub;
    assert_ne!(who(&one), who(&other));
}

#[tokio::test]
async fn a_strangers_key_does_not_stand_in_the_way_of_a_registration() {
    let server = in_memory().await;
    let register = async |email: &str| {
        let body = json!({"email": email, "password": "cloudnestle-test"});
        let request = server.request("POST /api/users").header("idempotency-key", "reg-1");
        answer(request.json(&body)).await.expect("an answer")
    };
    assert_eq!(register("stranger@example.com").await.status, 201);
    let mine = register("me@example.com").await;
    assert_eq!(mine.status, 201, "{mine:?}");
    assert_eq!(register("me@example.com").await.body, mine.body, "the same again");
}
