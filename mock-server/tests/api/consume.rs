//! Check and spend in one call.

use std::time::Duration;

use cloudnestle_marketplace::model::TokenPair;
use serde_json::{Value, json};

use crate::common::{
    Answer, FAISS, NOTES, TestServer, answer, both, claims, codes, export, in_memory, range,
};

const CONSUME: &str = "POST /api/quotas/cus_ravi/sol_faiss_search/consume";

fn body(pair: &TokenPair, action: &str, quantity: u64) -> Value {
    let token_id = claims(&pair.access_token).jti;
    json!({"token_id": token_id, "action": action, "quantity": quantity})
}

fn named(id: &str, mut body: Value) -> Value {
    body["id"] = json!(id);
    body
}

async fn consume(server: &TestServer, body: Value) -> Answer {
    server.call(CONSUME, &server.key(FAISS), body).await
}

async fn consume_under(server: &TestServer, key: &str, body: &Value) -> Answer {
    let request = server.request(CONSUME).bearer_auth(server.key(FAISS).expose());
    answer(request.header("idempotency-key", key).json(body)).await.expect("an answer")
}

#[tokio::test]
async fn the_last_unit_is_allowed_and_the_next_is_refused_with_when_to_come_back() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let first = consume(&server, named("evt_1", body(&pair, "export", 3))).await;
        assert_eq!((first.status, &first.body["allowed"]), (200, &json!(true)), "{first:?}");
        assert_eq!(first.body["quotas"][0]["remaining"], 2);
        let too_much = consume(&server, named("evt_2", body(&pair, "export", 3))).await;
        assert_eq!((too_much.status, &too_much.body["allowed"]), (200, &json!(false)));
        assert_eq!(too_much.body["code"], "quota_exceeded");
        let quota = &too_much.body["quotas"][0];
        assert_eq!((&quota["limit"], &quota["used"]), (&json!(5), &json!(3)));
        assert!(quota["resets_at"].as_str().is_some_and(|at| at.ends_with("18:30:00Z")));

        // The ledger and this call spend from one quota.
        let events = vec![export(&server, &pair, 3, 2), export(&server, &pair, 4, 1)];
        let tracked = server.track(range("prd_a", 0, 1, events)).await;
        assert_eq!(codes(&tracked), ["", "quota_exceeded"]);
        let one = consume(&server, named("evt_5", body(&pair, "export", 1))).await;
        assert_eq!(one.body["allowed"], false);
    }
}

#[tokio::test]
async fn beyond_a_soft_limit_it_counts_and_allows() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let answer = consume(&server, named("evt_1", body(&pair, "search", 150))).await;
        assert_eq!(answer.body["allowed"], true);
        assert_eq!(answer.body["quotas"][0]["used"], 150);
        let unlimited = consume(&server, named("evt_2", body(&pair, "index", 512))).await;
        assert_eq!(unlimited.body, json!({"allowed": true, "quotas": []}));
    }
}

#[tokio::test]
async fn a_call_that_is_repeated_takes_once() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let two = body(&pair, "export", 2);
        for _ in 0..3 {
            // The server's clock goes on between a call and its repetition.
            server.advance_clock(Duration::from_secs(1)).await.expect("in range");
            let by_id = consume(&server, named("evt_1", two.clone())).await;
            assert_eq!(by_id.body["allowed"], true, "{by_id:?}");
            let by_key = consume_under(&server, "job-1", &two).await;
            assert_eq!(by_key.body["allowed"], true, "{by_key:?}");
        }
        assert_eq!(server.quota("cus_ravi", "export").await["used"], 4);

        let other = consume(&server, named("evt_1", body(&pair, "export", 1))).await;
        other.is_problem(422, "idempotency_mismatch");
        let other = consume_under(&server, "job-1", &body(&pair, "export", 1)).await;
        other.is_problem(422, "idempotency_mismatch");

        // Even when the token has ended, what was allowed was allowed.
        server.advance_clock(Duration::from_secs(20 * 60)).await.expect("in range");
        for again in [
            consume(&server, named("evt_1", two.clone())).await,
            consume_under(&server, "job-1", &two).await,
        ] {
            assert_eq!(again.body["allowed"], true, "{again:?}");
        }
        assert_eq!(server.quota("cus_ravi", "export").await["used"], 4);
    }
}

#[tokio::test]
async fn many_repetitions_at_once_take_once() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let two = body(&pair, "export", 2);
        let calls = (0..16).map(|_| consume_under(&server, "job-1", &two));
        let answers = futures_util::future::join_all(calls).await;
        assert!(answers.iter().all(|answer| answer.body["allowed"] == true), "{answers:?}");
        assert_eq!(server.quota("cus_ravi", "export").await["used"], 2);
    }
}

#[tokio::test]
async fn what_was_refused_may_be_asked_again_under_its_name() {
    for server in both().await {
        server
            .set_clock("2027-01-15T18:20:00Z".parse().expect("RFC 3339"))
            .await
            .expect("in range");
        let pair = server.pair("cus_ravi", FAISS).await;
        consume(&server, named("evt_1", body(&pair, "export", 5))).await;
        let one = body(&pair, "export", 1);
        assert_eq!(consume(&server, named("evt_2", one.clone())).await.body["allowed"], false);
        assert_eq!(consume_under(&server, "job-1", &one).await.body["allowed"], false);
        // After midnight in Kolkata there is quota again.
        server.advance_clock(Duration::from_secs(11 * 60)).await.expect("in range");
        assert_eq!(consume(&server, named("evt_2", one.clone())).await.body["allowed"], true);
        assert_eq!(consume_under(&server, "job-1", &one).await.body["allowed"], true);
    }
}

#[tokio::test]
async fn a_bad_token_is_an_answer_and_a_bad_call_is_an_error() {
    let server = in_memory().await;
    let pair = server.pair("cus_ravi", FAISS).await;
    let asha = server.pair("cus_asha", FAISS).await;
    for token in [&asha, &server.pair("cus_ravi", NOTES).await] {
        let refused = consume(&server, named("evt_1", body(token, "export", 1))).await;
        assert_eq!((refused.status, &refused.body["allowed"]), (200, &json!(false)));
        assert_eq!(refused.body["code"], "token_not_for_customer");
    }
    let unnamed = consume(&server, body(&pair, "export", 1)).await;
    assert_eq!(unnamed.is_problem(422, "request_invalid").body["field"], "id");
    let unknown = consume(&server, named("evt_1", body(&pair, "fly", 1))).await;
    unknown.is_problem(422, "action_unknown");
    let nothing = consume(&server, named("evt_1", body(&pair, "export", 0))).await;
    nothing.is_problem(422, "quantity_invalid");
    let elsewhere = named("evt_1", body(&pair, "export", 1));
    let elsewhere = server.call(CONSUME, &server.key(NOTES), elsewhere).await;
    elsewhere.is_problem(403, "forbidden");
    assert_eq!(server.quota("cus_ravi", "export").await["used"], 0);
}
