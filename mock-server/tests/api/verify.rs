//! What a test expects to have been asked: that it was, or what came near.

use cloudnestle_mock_server::{Expected, Unverified};
use serde_json::{Value, json};

use crate::common::{FAISS, TestServer, in_memory, search};

const TRACK: &str = "POST /api/track-usage";

async fn verdict(server: &TestServer, expected: Value) -> Value {
    let answer = server.control("POST /mock/verify", expected).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.body
}

/// Events of these quantities have been tracked, one a call.
async fn tracked(quantities: &[u64]) -> TestServer {
    let server = in_memory().await;
    let pair = server.pair("cus_ravi", FAISS).await;
    for (n, quantity) in quantities.iter().enumerate() {
        let mut event = search(&server, &pair, n as u64 + 1);
        event["quantity"] = json!(quantity);
        assert_eq!(server.track(json!({"event": event})).await.status, 200);
    }
    server
}

#[tokio::test]
async fn calls_that_were_made_are_told_by_their_numbers() {
    let server = tracked(&[1, 2, 2]).await;
    let twice =
        json!({"operation": TRACK, "times": 2, "status": 200, "body": {"event": {"quantity": 2}}});
    let told = verdict(&server, twice).await;
    assert_eq!(told, json!({"verified": true, "matched": [2, 3], "near_misses": []}));

    let of_two = Expected::call(TRACK).body(json!({"event": {"quantity": {"$gte": 2}}}));
    assert_eq!(server.verify(&of_two.clone().times(2)), Ok(vec![2, 3]));
    assert_eq!(server.verify(&of_two.clone().after(2)), Ok(vec![3]));
    assert_eq!(server.verify(&of_two.clone().at_least(1).at_most(2)), Ok(vec![2, 3]));
    assert_eq!(server.verify(&of_two.at_most(1).after(3)), Ok(vec![]));
    let json = Expected::call(TRACK).header("Content-Type", "application/json").times(3);
    assert_eq!(server.verify(&json), Ok(vec![1, 2, 3]));
}

#[tokio::test]
async fn what_was_not_asked_is_told_with_what_came_near_the_nearest_first() {
    let server = tracked(&[1, 2]).await;
    let expected =
        Expected::call(TRACK).times(1).body(json!({"event": {"quantity": 2, "action": "export"}}));
    let unmet = server.verify(&expected).expect_err("nobody has exported");
    assert_eq!(
        unmet.to_string(),
        "expected POST /api/track-usage once; found 0, and these come near:\n\
         call 2: body.event.action is \"search\", expected \"export\"\n\
         call 1: body.event.action is \"search\", expected \"export\"; body.event.quantity is 1, expected 2"
    );
    let body = json!({"event": {"quantity": 2, "action": "export"}});
    let told = verdict(&server, json!({"operation": TRACK, "times": 1, "body": body})).await;
    assert_eq!((&told["verified"], &told["matched"]), (&json!(false), &json!([])));
    assert_eq!(told["near_misses"][0]["seq"], 2);
    assert_eq!(told["report"], unmet.to_string());
}

#[tokio::test]
async fn only_the_five_nearest_calls_are_told_the_latest_of_those_that_are_as_near() {
    let server = tracked(&[1, 1, 1, 1, 1, 1, 7]).await;
    let expected = Expected::call(TRACK).times(2).body(json!({"event": {"quantity": 7}}));
    let Err(Unverified::Calls(unmet)) = server.verify(&expected) else { panic!("only one has 7") };
    assert_eq!(unmet.matched, [7]);
    assert_eq!(unmet.near_misses.iter().map(|miss| miss.seq).collect::<Vec<_>>(), [6, 5, 4, 3, 2]);
    assert!(
        unmet
            .to_string()
            .starts_with("expected POST /api/track-usage 2 times; found 1 (calls 7), and")
    );
}

#[tokio::test]
async fn a_call_too_many_is_told() {
    let server = tracked(&[1, 1]).await;
    for (expected, often) in [
        (Expected::call(TRACK).times(0), "never"),
        (Expected::call(TRACK).times(1), "once"),
        (Expected::call(TRACK).at_most(1), "at most 1 times"),
    ] {
        let unmet = server.verify(&expected).expect_err("there are two");
        assert_eq!(unmet.to_string(), format!("expected {TRACK} {often}; found 2 (calls 1, 2)"));
    }
}

#[tokio::test]
async fn no_secret_is_told_of_a_call_that_came_near() {
    let server = tracked(&[1]).await;
    let expected = Expected::call(TRACK).header("Authorization", "Bearer mine").times(1);
    let report = server.verify(&expected).expect_err("it was another key").to_string();
    assert!(report.contains("[secret key "), "{report}");
    assert!(!report.contains(server.key(FAISS).expose()), "{report}");
}

#[tokio::test]
async fn what_no_call_could_be_is_refused_and_not_taken_for_never() {
    let server = in_memory().await;
    for (expected, field) in [
        (json!({"operation": "POST /api/track-usages", "times": 0}), "operation"),
        (json!({"operation": TRACK, "times": 1, "at_least": 1}), "times"),
        (json!({"operation": TRACK, "at_least": 2, "at_most": 1}), "at_most"),
        (json!({"operation": TRACK, "body": {"event": {"$near": 1}}}), "body.event"),
        (json!({"operation": TRACK, "headers": {"a": {"$gt": "1"}}}), "headers.a"),
        (json!({"operation": TRACK, "time": 1}), "time"),
        (json!({"operation": TRACK, "times": -1}), "times"),
    ] {
        let refused = server.control("POST /mock/verify", expected.clone()).await;
        assert_eq!(refused.status, 422, "{expected}");
        assert_eq!(refused.body["field"], field, "{expected}: {}", refused.body);
    }
    let senseless = server.verify(&Expected::call("GET /api/nothing").times(0));
    assert!(matches!(senseless, Err(Unverified::Senseless(_))), "{senseless:?}");
}
