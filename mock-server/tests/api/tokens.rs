//! Token pairs: opened, judged, renewed, revoked.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::{Answer, FAISS, NOTES, TestServer, both, claims, in_memory};
use cloudnestle_marketplace::model::{Jwks, Secret, TokenPair};
use cloudnestle_mock_server::{Flaw, MockServer};
use serde_json::{Value, json};

async fn refresh(server: &TestServer, token: &Secret) -> Answer {
    server.call_openly("POST /api/refresh-token", json!({"refresh_token": token})).await
}

fn pair_of(answer: &Answer) -> TokenPair {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.headers["cache-control"], "no-store");
    serde_json::from_value(answer.body.clone()).expect("a pair")
}

#[tokio::test]
async fn a_customer_opens_a_solution_and_its_backend_learns_who_it_is() {
    for server in both().await {
        let session = server.session("cus_asha").await.expect("a session");
        let opened =
            server.call("POST /api/generate-token", &session, json!({"solution_id": FAISS})).await;
        let pair = pair_of(&opened);

        let validation = server.validate(&pair.access_token).await;
        assert_eq!(validation["valid"], true);
        let user = &validation["user"];
        assert_eq!(user["customer_id"], "cus_asha");
        assert_eq!(user["name"], "Asha Nair");
        assert_eq!(user["solution_id"], FAISS);
        assert_eq!(user["tier"], "pro");
        assert_eq!(user["entitlements"], json!(["search", "index"]));
        assert_eq!(user["quotas"][0]["limit"], 10_000);
        assert_eq!(user["expires_at"], opened.body["expires_at"]);

        let context = server.call("GET /api/user-context", &pair.access_token, Value::Null).await;
        assert_eq!(&context.body, user, "the customer reads the same");
    }
}

#[tokio::test]
async fn tokens_are_what_other_peoples_libraries_expect() {
    let server = in_memory().await;
    let pair = server.pair("cus_ravi", FAISS).await;
    let claims = claims(&pair.access_token);
    assert_eq!(claims.iss, server.url());
    assert_eq!(claims.aud, FAISS);
    assert_eq!(claims.exp - claims.iat, 900);

    let answer = server.call_openly("GET /.well-known/jwks.json", Value::Null).await;
    assert_eq!(answer.headers["cache-control"], "public, max-age=300");
    let jwks: Jwks = serde_json::from_value(answer.body).expect("keys");
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let key = URL_SAFE_NO_PAD.decode(jwks.keys[0].x.as_ref().expect("x")).expect("base64");
    let (signed, signature) = pair.access_token.expose().rsplit_once('.').expect("a JWT");
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
    ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, key)
        .verify(signed.as_bytes(), &signature)
        .expect("the published key verifies it");
}

#[tokio::test]
async fn a_bad_token_is_answered_with_the_reason_and_never_with_an_error() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let other_solution = server.pair("cus_ravi", NOTES).await;
        let other_server = in_memory().await;
        let other_market = other_server.pair("cus_ravi", FAISS).await;
        let good = pair.access_token.expose();
        let cut = &good[..good.len() - 4];
        let forged = format!("{cut}AAAA");

        for (token, code) in [
            (other_solution.access_token.expose(), "token_wrong_solution"),
            (other_market.access_token.expose(), "token_key_unknown"),
            (forged.as_str(), "token_signature_invalid"),
            (pair.refresh_token.expose(), "token_malformed"),
            ("", "token_malformed"),
            (&"x".repeat(100_000), "token_malformed"),
        ] {
            let validation = server.validate(&Secret::new(token)).await;
            assert_eq!(validation, json!({"valid": false, "code": code}));
        }

        server.advance_clock(Duration::from_secs(900)).await.expect("in range");
        let expired = server.validate(&pair.access_token).await;
        assert_eq!(expired["code"], "token_expired");
    }
}

#[tokio::test]
async fn a_token_of_the_same_database_at_another_url_is_another_issuers() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = async |url: &str| {
        let builder = MockServer::builder().db(folder.path().join("market.db"));
        TestServer::new(builder.public_url(url).start().await.expect("a server"), None)
    };
    let first = at("http://first.test").await;
    let pair = first.pair("cus_ravi", FAISS).await;
    let keys = first.key(FAISS);
    first.into_inner().stop().await;

    let second = at("https://second.test").await;
    assert_eq!(second.key(FAISS), keys, "keys stay as long as the database does");
    assert_eq!(second.validate(&pair.access_token).await["code"], "token_wrong_issuer");
    second.into_inner().stop().await;

    let first = at("http://first.test").await;
    assert_eq!(first.validate(&pair.access_token).await["valid"], true);
    assert!(MockServer::builder().public_url("http://a.test/").start().await.is_err());
}

#[tokio::test]
async fn only_a_subscriber_opens_a_solution() {
    for server in both().await {
        let session = server.session("cus_ravi").await.expect("a session");
        let open = async |credential: &Secret, solution: &str| {
            let body = json!({"solution_id": solution});
            server.call("POST /api/generate-token", credential, body).await
        };
        open(&session, "sol_invoice_ocr").await.is_problem(403, "forbidden");
        open(&session, "sol_none").await.is_problem(404, "not_found");
        let pair = server.pair("cus_ravi", FAISS).await;
        open(&pair.access_token, FAISS).await.is_problem(403, "forbidden");
        server.advance_clock(Duration::from_secs(900)).await.expect("in range");
        open(&session, FAISS).await.is_problem(401, "credential_invalid");
        assert!(server.session("cus_nobody").await.is_err());
    }
}

#[tokio::test]
async fn a_bad_token_of_the_caller_is_a_401_with_the_tokens_code() {
    for server in both().await {
        let read =
            async |token: &Secret| server.call("GET /api/user-context", token, Value::Null).await;
        read(&Secret::new("garbage")).await.is_problem(401, "token_malformed");
        let pair = server.pair("cus_ravi", FAISS).await;
        server.advance_clock(Duration::from_secs(900)).await.expect("in range");
        let expired = read(&pair.access_token).await;
        expired.is_problem(401, "token_expired");
        assert_eq!(expired.headers["www-authenticate"], "Bearer");
    }
}

#[tokio::test]
async fn a_refresh_whose_answer_was_lost_gives_the_same_pair_again() {
    for server in both().await {
        let first = server.pair("cus_ravi", FAISS).await;
        server.advance_clock(Duration::from_secs(600)).await.expect("in range");
        let lost = pair_of(&refresh(&server, &first.refresh_token).await);
        assert_ne!(lost.refresh_token, first.refresh_token);
        assert_ne!(lost.access_token, first.access_token);

        // Long after the ten seconds, because nobody has used the new one.
        server.advance_clock(Duration::from_secs(600)).await.expect("in range");
        let again = pair_of(&refresh(&server, &first.refresh_token).await);
        assert_eq!(again, lost, "to the last byte");

        let next = pair_of(&refresh(&server, &again.refresh_token).await);
        assert_eq!(server.validate(&next.access_token).await["valid"], true);
    }
}

#[tokio::test]
async fn sixteen_tabs_that_refresh_at_once_get_one_pair() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let tabs = (0..16).map(|_| refresh(&server, &pair.refresh_token));
        let answers = futures_util::future::join_all(tabs).await;
        let pairs: BTreeSet<_> = answers.iter().map(|answer| answer.body.to_string()).collect();
        assert_eq!(pairs.len(), 1, "{pairs:?}");
        pair_of(&answers[0]);
    }
}

#[tokio::test]
async fn a_copied_refresh_token_ends_the_whole_family() {
    for server in both().await {
        let first = server.pair("cus_ravi", FAISS).await;
        let second = pair_of(&refresh(&server, &first.refresh_token).await);
        let third = pair_of(&refresh(&server, &second.refresh_token).await);
        // A straggler is forgiven for ten seconds, and gets the pair it missed.
        assert_eq!(pair_of(&refresh(&server, &first.refresh_token).await), second);

        server.advance_clock(Duration::from_secs(11)).await.expect("in range");
        refresh(&server, &first.refresh_token).await.is_problem(401, "refresh_token_reused");

        refresh(&server, &third.refresh_token).await.is_problem(401, "refresh_token_invalid");
        for pair in [&first, &second, &third] {
            assert_eq!(server.validate(&pair.access_token).await["code"], "token_revoked");
        }
        let other = server.pair("cus_ravi", FAISS).await;
        assert_eq!(server.validate(&other.access_token).await["valid"], true, "others live on");
    }
}

#[tokio::test]
async fn a_family_ends_after_thirty_days_however_often_it_was_renewed() {
    let server = in_memory().await;
    let mut pair = server.pair("cus_ravi", FAISS).await;
    for _ in 0..29 {
        server.advance_clock(Duration::from_secs(86_400)).await.expect("in range");
        pair = pair_of(&refresh(&server, &pair.refresh_token).await);
    }
    server.advance_clock(Duration::from_secs(86_400)).await.expect("in range");
    refresh(&server, &pair.refresh_token).await.is_problem(401, "refresh_token_invalid");
}

#[tokio::test]
async fn what_is_no_refresh_token_renews_nothing() {
    for server in both().await {
        let elsewhere = in_memory().await.pair("cus_ravi", FAISS).await;
        for token in [elsewhere.refresh_token, Secret::new(""), Secret::new("cnrt_test_x")] {
            refresh(&server, &token).await.is_problem(401, "refresh_token_invalid");
        }
    }
}

#[tokio::test]
async fn a_revoked_token_and_its_family_are_dead_at_once() {
    for server in both().await {
        let first = server.pair("cus_ravi", FAISS).await;
        let second = pair_of(&refresh(&server, &first.refresh_token).await);
        let revoke = async |key: &Secret, token: &Secret| {
            server.call("DELETE /api/revoke-token", key, json!({"token": token})).await
        };
        let key = server.key(FAISS);

        revoke(&server.key(NOTES), &first.access_token).await.is_problem(403, "forbidden");
        let refused = revoke(&key, &Secret::new("garbage")).await;
        assert_eq!(refused.is_problem(422, "request_invalid").body["field"], "token");
        assert_eq!(server.validate(&second.access_token).await["valid"], true, "nothing happened");

        assert_eq!(revoke(&key, &first.access_token).await.status, 204);
        assert_eq!(revoke(&key, &first.access_token).await.status, 204, "as often as one likes");
        for pair in [&first, &second] {
            assert_eq!(server.validate(&pair.access_token).await["code"], "token_revoked");
        }
        refresh(&server, &second.refresh_token).await.is_problem(401, "refresh_token_invalid");
        let context = server.call("GET /api/user-context", &first.access_token, Value::Null).await;
        context.is_problem(401, "token_revoked");
    }
}

#[tokio::test]
async fn a_token_that_was_made_to_be_refused_is_refused_for_what_is_wrong_with_it() {
    for server in both().await {
        for (flaw, code) in [
            (Flaw::Expired, "token_expired"),
            (Flaw::NotYetValid, "token_not_yet_valid"),
            (Flaw::Revoked, "token_revoked"),
            (Flaw::WrongSolution, "token_wrong_solution"),
            (Flaw::WrongIssuer, "token_wrong_issuer"),
            (Flaw::UnknownKey, "token_key_unknown"),
            (Flaw::BadSignature, "token_signature_invalid"),
            (Flaw::Malformed, "token_malformed"),
        ] {
            let token = server.spoiled_token(flaw, "cus_ravi", FAISS).await.expect("a token");
            let told = server.validate(&token).await;
            assert_eq!((&told["valid"], &told["code"]), (&json!(false), &json!(code)), "{flaw:?}");
            let body = json!({"flaw": flaw, "customer_id": "cus_ravi", "solution_id": FAISS});
            let token = server.control("POST /mock/tokens", body).await.body["token"].clone();
            let told = server.validate(&Secret::new(token.as_str().expect("a token"))).await;
            assert_eq!(told["code"], code, "{flaw:?}");
        }
        let body = json!({"flaw": "expired", "customer_id": "cus_nobody", "solution_id": FAISS});
        assert!(server.control("POST /mock/tokens", body).await.status >= 400);
    }
}
