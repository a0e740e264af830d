//! The clock of a server, and what is due while a test moves it.

use std::time::Duration;

use cloudnestle_marketplace::model::Timestamp;
use cloudnestle_mock_server::Task;
use serde_json::{Value, json};

use crate::common::{Answer, FAISS, TestServer, both, claims, in_memory};

/// 2026-11-22 is a Sunday; a day in Kolkata ends at 18:30 UTC.
const NOON: &str = "2026-11-22T12:00:00Z";
const MINUTE: u64 = 60_000;

impl TestServer {
    async fn clock(&self, change: Value) -> Value {
        let answer: Answer = self.control("POST /mock/clock", change).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// As at noon, and it stays noon.
    async fn stands_at_noon(&self) {
        let clock = self.clock(json!({"set": NOON, "freeze": true})).await;
        assert_eq!((&clock["now"], &clock["frozen"]), (&json!(NOON), &json!(true)));
    }
}

fn at(moment: &str) -> Timestamp {
    moment.parse().expect("RFC 3339")
}

#[tokio::test]
async fn a_clock_that_was_frozen_stands_and_every_answer_has_its_date() {
    for server in both().await {
        server.stands_at_noon().await;
        let answer = server.call_openly("GET /healthz", Value::Null).await;
        assert_eq!(answer.headers["date"], "Sun, 22 Nov 2026 12:00:00 GMT");
        let moved = server.clock(json!({"advance_ms": 90 * 1000})).await;
        assert_eq!(
            (&moved["now"], &moved["frozen"]),
            (&json!("2026-11-22T12:01:30Z"), &json!(true))
        );
        let answer = server.call_openly("GET /healthz", Value::Null).await;
        assert_eq!(answer.headers["date"], "Sun, 22 Nov 2026 12:01:30 GMT");
        assert_eq!(server.now(), at("2026-11-22T12:01:30Z"));
    }
}

#[tokio::test]
async fn a_token_that_expires_on_the_way_is_told_of() {
    for server in both().await {
        server.stands_at_noon().await;
        let pair = server.pair("cus_ravi", FAISS).await;
        let told = json!({
            "at": "2026-11-22T12:15:00Z",
            "task": "token_expires",
            "token_id": claims(&pair.access_token).jti,
        });
        let before = server.control("GET /mock/clock", Value::Null).await.body;
        assert_eq!(before["next"], told);

        let moved = server.clock(json!({"advance_ms": 14 * MINUTE})).await;
        assert_eq!((&moved["fired"], &moved["next"]), (&json!([]), &told));
        let moved = server.clock(json!({"advance_ms": 2 * MINUTE})).await;
        assert_eq!(moved["now"], "2026-11-22T12:16:00Z");
        assert_eq!((&moved["fired"], &moved["fired_total"]), (&json!([told]), &json!(1)));
        assert_eq!(moved["next"], Value::Null);
        // What has happened is not undone, and does not happen again.
        server.clock(json!({"set": NOON})).await;
        let moved = server.clock(json!({"advance_ms": 60 * MINUTE})).await;
        assert_eq!(moved["fired"], json!([]));
    }
}

#[tokio::test]
async fn in_rust_the_clock_moves_as_over_http() {
    let server = in_memory().await;
    server.freeze_clock(true);
    server.set_clock(at(NOON)).await.expect("in range");
    server.pair("cus_ravi", FAISS).await;
    let happened = server.advance_to_next_event().await.expect("in range");
    assert_eq!(server.now(), at("2026-11-22T12:15:00Z"));
    assert!(matches!(happened.fired[0].task, Task::TokenExpires { .. }));
    let happened = server.advance_to_next_event().await.expect("nothing to do");
    assert_eq!((happened.fired_total, server.now()), (0, at("2026-11-22T12:15:00Z")));
    server.scale_clock(0.0).expect_err("out of range");
    server.scale_clock(1_000_000.0).expect("in range");
    while server.now() < at("2026-11-23T12:00:00Z") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn what_can_be_no_change_of_a_clock_is_refused() {
    let server = in_memory().await;
    server.stands_at_noon().await;
    for change in [
        json!({}),
        json!({"set": NOON, "advance_ms": 1}),
        json!({"advance_ms": 1, "advance_to_next_event": true}),
        json!({"freeze": true, "scale": 2}),
        json!({"scale": 0}),
        json!({"scale": 1_000_001}),
        json!({"freeze": false, "set": "2200-01-02T00:00:00Z"}),
        json!({"advance_ms": u64::MAX}),
        json!({"forward": 1}),
    ] {
        let refused = server.control("POST /mock/clock", change).await;
        refused.is_problem(422, "request_invalid");
    }
    let clock = server.control("GET /mock/clock", Value::Null).await.body;
    assert_eq!((&clock["now"], &clock["frozen"]), (&json!(NOON), &json!(true)));
}
