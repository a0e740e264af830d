//! An admin gives a customer their quota back.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{
    Answer, FAISS, NOTES, TestServer, answer, both, codes, export, in_memory, search, statuses,
};

async fn reset(server: &TestServer, body: Value) -> Answer {
    server.call("POST /api/reset-quota", &server.admin_key(), body).await
}

async fn track(server: &TestServer, event: Value) -> Answer {
    server.track(json!({"event": event})).await
}

#[tokio::test]
async fn after_a_reset_nothing_is_used_and_the_whole_quota_is_there_again() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        track(&server, search(&server, &pair, 1)).await;
        let before = export(&server, &pair, 2, 5);
        track(&server, before.clone()).await;
        assert_eq!(codes(&track(&server, export(&server, &pair, 3, 1)).await), ["quota_exceeded"]);

        let body = json!({"customer_id": "cus_ravi", "solution_id": FAISS});
        let answer = reset(&server, body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let quotas = answer.body["quotas"].as_array().expect("quotas");
        assert!(quotas.iter().all(|quota| quota["used"] == 0), "{quotas:?}");
        assert_eq!(server.used("cus_ravi").await, 0);
        assert_eq!(statuses(&track(&server, export(&server, &pair, 3, 5)).await), ["accepted"]);
        assert_eq!(codes(&track(&server, export(&server, &pair, 4, 1)).await), ["quota_exceeded"]);

        // What counted before the reset is not counted again.
        assert_eq!(statuses(&track(&server, before).await), ["duplicate"]);
    }
}

#[tokio::test]
async fn a_reset_is_of_one_action_if_it_names_one_and_of_the_windows_of_now() {
    for server in both().await {
        // Ten minutes before midnight in Kolkata.
        let evening = "2027-01-15T18:20:00Z".parse().expect("RFC 3339");
        server.set_clock(evening).await.expect("in range");
        let pair = server.pair("cus_ravi", FAISS).await;
        track(&server, search(&server, &pair, 1)).await;
        track(&server, export(&server, &pair, 2, 3)).await;
        let exports = json!({"customer_id": "cus_ravi", "solution_id": FAISS, "action": "export"});
        server.advance_clock(Duration::from_secs(11 * 60)).await.expect("in range");
        reset(&server, exports.clone()).await;
        server.set_clock(evening).await.expect("in range");
        assert_eq!(server.quota("cus_ravi", "export").await["used"], 3, "yesterday is over");

        reset(&server, exports).await;
        assert_eq!(server.quota("cus_ravi", "export").await["used"], 0);
        assert_eq!(server.used("cus_ravi").await, 1, "searches were not meant");
    }
}

#[tokio::test]
async fn a_reset_that_is_repeated_under_its_key_happens_once() {
    let server = in_memory().await;
    let pair = server.pair("cus_ravi", FAISS).await;
    let reset = async || {
        let request = server.request("POST /api/reset-quota");
        let request = request.bearer_auth(server.admin_key().expose());
        let request = request.header("idempotency-key", "goodwill-7");
        let body = json!({"customer_id": "cus_ravi", "solution_id": FAISS});
        answer(request.json(&body)).await.expect("an answer")
    };
    track(&server, export(&server, &pair, 1, 5)).await;
    assert_eq!(reset().await.status, 200);
    track(&server, export(&server, &pair, 2, 5)).await;
    assert_eq!(reset().await.status, 200);
    assert_eq!(server.quota("cus_ravi", "export").await["used"], 5);
}

#[tokio::test]
async fn a_reset_names_what_exists() {
    let server = in_memory().await;
    let body = |customer: &str, solution: &str, action: &str| json!({"customer_id": customer, "solution_id": solution, "action": action});
    let unknown = reset(&server, body("cus_ravi", FAISS, "fly")).await;
    unknown.is_problem(422, "action_unknown");
    reset(&server, body("cus_visitor", NOTES, "note")).await.is_problem(403, "forbidden");
    reset(&server, body("cus_ravi", "sol_none", "note")).await.is_problem(404, "not_found");
}

/// A correction of an event that was sent alone: an amendment to that quantity, or a void for 0.
fn correct(mut event: Value, id: u64, quantity: u64) -> Value {
    let named = json!({"id": format!("evt_{id}")});
    match quantity {
        0 => event["voids"] = named,
        _ => {
            event["amends"] = named;
            event["quantity"] = json!(quantity);
        }
    }
    event
}

#[tokio::test]
async fn what_a_reset_has_forgiven_is_not_given_back_again() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let everything = json!({"customer_id": "cus_ravi", "solution_id": FAISS});
        let mut many = search(&server, &pair, 1);
        many["quantity"] = json!(50);
        track(&server, many).await;
        track(&server, export(&server, &pair, 2, 5)).await;
        reset(&server, everything.clone()).await;
        server.advance_clock(Duration::from_secs(1)).await.expect("in range");

        // Soft: 20 are used since.
        track(&server, correct(search(&server, &pair, 3), 1, 0)).await;
        let mut some = search(&server, &pair, 4);
        some["quantity"] = json!(20);
        track(&server, some).await;
        assert_eq!(server.used("cus_ravi").await, 20);
        // Hard: 3 are used since, of 5.
        track(&server, export(&server, &pair, 5, 3)).await;
        let void = track(&server, correct(export(&server, &pair, 6, 1), 2, 0)).await;
        assert_eq!(statuses(&void), ["accepted"]);
        assert_eq!(server.quota("cus_ravi", "export").await["used"], 3);
        let beyond = track(&server, export(&server, &pair, 7, 5)).await;
        assert_eq!(codes(&beyond), ["quota_exceeded"]);

        // What came after the reset is given back, until the next.
        track(&server, correct(search(&server, &pair, 8), 4, 5)).await;
        track(&server, correct(export(&server, &pair, 9, 1), 5, 1)).await;
        assert_eq!(server.used("cus_ravi").await, 5);
        assert_eq!(server.quota("cus_ravi", "export").await["used"], 1);
        reset(&server, everything).await;
        track(&server, correct(search(&server, &pair, 10), 4, 0)).await;
        track(&server, correct(export(&server, &pair, 11, 1), 5, 0)).await;
        track(&server, search(&server, &pair, 12)).await;
        assert_eq!(server.used("cus_ravi").await, 1);
        assert_eq!(server.quota("cus_ravi", "export").await["used"], 0);
    }
}

#[tokio::test]
async fn what_a_reset_has_forgiven_is_not_charged_again_and_what_goes_beyond_is() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let mut five = search(&server, &pair, 1);
        five["quantity"] = json!(5);
        track(&server, five).await;
        track(&server, export(&server, &pair, 2, 5)).await;
        reset(&server, json!({"customer_id": "cus_ravi", "solution_id": FAISS})).await;

        for (place, (quantity, used)) in (0..).zip([(1, 0), (5, 0), (8, 3), (4, 0)]) {
            let id = 10 + 2 * place;
            track(&server, correct(search(&server, &pair, id), 1, quantity)).await;
            let answer = track(&server, correct(export(&server, &pair, id + 1, 1), 2, quantity));
            assert_eq!(statuses(&answer.await), ["accepted"]);
            assert_eq!(server.used("cus_ravi").await, used, "amended to {quantity}");
            assert_eq!(server.quota("cus_ravi", "export").await["used"], used);
        }
    }
}
