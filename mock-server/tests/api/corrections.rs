//! Amendments and voids: what was counted is put right, in the window in which it occurred, and the
//! ledger keeps all of it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{both, codes, export, range, search, statuses};

fn numbered(producer: &str, number: u64) -> Value {
    json!({"producer": producer, "number": number})
}

fn amend(mut event: Value, named: &Value, quantity: u64) -> Value {
    event["amends"] = named.clone();
    event["quantity"] = json!(quantity);
    event
}

fn void(mut event: Value, named: &Value) -> Value {
    event["voids"] = named.clone();
    event
}

#[tokio::test]
async fn an_amendment_counts_as_the_difference_however_often_it_is_sent() {
    for server in both().await {
        let pair = server.pair("cus_ravi", "sol_faiss_search").await;
        let next = |id| search(&server, &pair, id);
        let thirty = amend(next(1), &Value::Null, 30);
        server.track(range("prd_a", 0, 1, vec![thirty])).await;
        let first = numbered("prd_a", 1);
        let less = range("prd_a", 0, 2, vec![amend(next(2), &first, 3)]);
        assert_eq!(statuses(&server.track(less.clone()).await), ["accepted"]);
        assert_eq!(statuses(&server.track(less).await), ["duplicate"]);
        assert_eq!(server.used("cus_ravi").await, 3);

        // On what the one before has left, in one range and by another producer.
        let more = vec![amend(next(3), &first, 10), amend(next(4), &first, 4)];
        assert_eq!(statuses(&server.track(range("prd_b", 0, 1, more)).await), ["accepted"; 2]);
        assert_eq!(server.used("cus_ravi").await, 4);
    }
}

#[tokio::test]
async fn what_is_voided_counts_nothing_and_can_not_be_corrected_again() {
    for server in both().await {
        let pair = server.pair("cus_ravi", "sol_faiss_search").await;
        let next = |id| search(&server, &pair, id);
        // The original, and what is wrong with it, in one range.
        let own = numbered("prd_a", 1);
        let events = vec![
            next(1),
            next(2),
            void(next(3), &own),
            void(next(4), &own),
            amend(next(5), &own, 2),
            void(next(6), &numbered("prd_a", 3)),
        ];
        let sent = range("prd_a", 0, 1, events);
        let expected = ["", "", "", "original_voided", "original_voided", "original_unknown"];
        assert_eq!(codes(&server.track(sent.clone()).await), expected);
        assert_eq!(codes(&server.track(sent).await), expected);
        assert_eq!(server.used("cus_ravi").await, 1);
    }
}

#[tokio::test]
async fn an_event_that_was_sent_alone_is_corrected_by_its_id() {
    for server in both().await {
        let pair = server.pair("cus_ravi", "sol_faiss_search").await;
        server.track(json!({"event": search(&server, &pair, 1)})).await;
        let wrong = void(search(&server, &pair, 2), &json!({"id": "evt_1"}));
        let wrong = json!({"event": wrong});
        assert_eq!(statuses(&server.track(wrong.clone()).await), ["accepted"]);
        assert_eq!(statuses(&server.track(wrong).await), ["duplicate"]);
        assert_eq!(server.used("cus_ravi").await, 0);
    }
}

#[tokio::test]
async fn what_a_void_gives_back_of_a_hard_limit_can_be_used_again() {
    for server in both().await {
        let pair = server.pair("cus_ravi", "sol_faiss_search").await;
        let next = |id, quantity| export(&server, &pair, id, quantity);
        let first = numbered("prd_a", 1);
        let events = vec![
            next(1, 3),
            next(2, 2),
            next(3, 1),
            amend(next(4, 1), &first, 4),
            amend(next(5, 1), &first, 1),
            next(6, 2),
            void(next(7, 1), &numbered("prd_a", 3)),
        ];
        let answer = server.track(range("prd_a", 0, 1, events)).await;
        let expected = ["", "", "quota_exceeded", "quota_exceeded", "", "", "original_unknown"];
        assert_eq!(codes(&answer), expected, "what was refused can't be given back");
        assert_eq!(server.quota("cus_ravi", "export").await["used"], 5);

        // After a reset nothing is used; taking back what was used before makes it no less.
        let body = json!({"customer_id": "cus_ravi", "solution_id": "sol_faiss_search"});
        server.call("POST /api/reset-quota", &server.admin_key(), body).await;
        let events = vec![void(next(8, 1), &first), next(9, 5), next(10, 1)];
        let answer = server.track(range("prd_a", 0, 8, events)).await;
        assert_eq!(codes(&answer), ["", "", "quota_exceeded"]);
    }
}

#[tokio::test]
async fn a_correction_counts_in_the_window_of_the_original() {
    for server in both().await {
        // Ten minutes before midnight in Kolkata.
        let evening = "2027-01-15T18:20:00Z".parse().expect("RFC 3339");
        server.set_clock(evening).await.expect("in range");
        let pair = server.pair("cus_ravi", "sol_faiss_search").await;
        let events = vec![search(&server, &pair, 1), export(&server, &pair, 2, 5)];
        server.track(range("prd_a", 0, 1, events)).await;
        server.advance_clock(Duration::from_secs(11 * 60)).await.expect("in range");
        let events = vec![
            void(search(&server, &pair, 3), &numbered("prd_a", 1)),
            void(export(&server, &pair, 4, 1), &numbered("prd_a", 2)),
            search(&server, &pair, 5),
        ];
        let answer = server.track(range("prd_a", 0, 3, events)).await;
        assert_eq!(statuses(&answer), ["accepted"; 3]);
        assert_eq!(server.used("cus_ravi").await, 1);
        assert_eq!(server.quota("cus_ravi", "export").await["used"], 0);
        server.set_clock(evening).await.expect("in range");
        assert_eq!(server.used("cus_ravi").await, 0);
        assert_eq!(server.quota("cus_ravi", "export").await["used"], 0);
    }
}

#[tokio::test]
async fn nobody_corrects_what_is_not_theirs() {
    for server in both().await {
        let ravi = server.pair("cus_ravi", "sol_faiss_search").await;
        let asha = server.pair("cus_asha", "sol_faiss_search").await;
        let mut view = search(&server, &ravi, 1);
        view["action"] = json!("view");
        let events = vec![search(&server, &ravi, 1), view.clone()];
        server.track(range("prd_a", 0, 1, events)).await;
        let (searched, viewed) = (numbered("prd_a", 1), numbered("prd_a", 2));
        let events = vec![
            void(search(&server, &asha, 2), &searched),
            void(search(&server, &ravi, 3), &viewed),
            void(search(&server, &ravi, 4), &numbered("prd_none", 1)),
            void(search(&server, &ravi, 5), &json!({"id": "evt_1"})),
        ];
        let answer = server.track(range("prd_b", 0, 1, events)).await;
        assert_eq!(codes(&answer), ["original_unknown"; 4]);

        // What the backend has sent, the customer's browser does not take back.
        let body = json!({"event": void(view, &viewed)});
        let answer = server.call("POST /api/track-usage", &ravi.access_token, body).await;
        assert_eq!(codes(&answer), ["original_unknown"]);

        let both = amend(void(search(&server, &ravi, 6), &searched), &searched, 1);
        let answer = server.track(range("prd_b", 0, 5, vec![both])).await;
        assert_eq!(codes(&answer), ["request_invalid"]);
        assert_eq!(server.used("cus_ravi").await, 1);
    }
}

#[tokio::test]
async fn many_who_void_one_event_at_once_take_it_back_once() {
    for server in both().await {
        let pair = server.pair("cus_ravi", "sol_faiss_search").await;
        server.track(range("prd_a", 0, 1, vec![export(&server, &pair, 1, 5)])).await;
        let first = numbered("prd_a", 1);
        let voids = (0..16).map(|n| {
            let void = void(export(&server, &pair, 100 + n, 1), &first);
            server.track(range(&format!("prd_{n}"), 0, 1, vec![void]))
        });
        let answers = futures_util::future::join_all(voids).await;
        let taken = answers.iter().filter(|answer| statuses(answer) == ["accepted"]).count();
        assert_eq!(taken, 1);
        assert_eq!(server.quota("cus_ravi", "export").await["used"], 0);
    }
}

#[tokio::test]
async fn a_range_of_nothing_but_corrections_is_taken() {
    for server in both().await {
        let pair = server.pair("cus_ravi", "sol_faiss_search").await;
        let events = (1..=250).map(|id| search(&server, &pair, id));
        let voids = (1..=250).map(|n| void(search(&server, &pair, 250 + n), &numbered("prd_a", n)));
        let sent = range("prd_a", 0, 1, events.chain(voids).collect());
        assert_eq!(statuses(&server.track(sent.clone()).await), ["accepted"; 500]);
        assert_eq!(statuses(&server.track(sent).await), ["duplicate"; 500]);
        assert_eq!(server.used("cus_ravi").await, 0);
    }
}
