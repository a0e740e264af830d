//! Usage: each event counts once, in the window in which it occurred.

use std::time::Duration;

use cloudnestle_marketplace::model::{Secret, Timestamp};
use cloudnestle_mock_server::MockServer;
use serde_json::{Value, json};

use crate::common::{FAISS, NOTES, TestServer, both, in_memory, range, search, statuses};

#[tokio::test]
async fn a_range_counts_and_its_answer_shows_the_quota_after_it() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let events = (1..=3).map(|id| search(&server, &pair, id)).collect();
        let answer = server.track(range("prd_a", 0, 1, events)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.body["fence"], 3);
        assert_eq!(statuses(&answer), ["accepted"; 3]);
        assert_eq!(answer.body["results"][2], json!({"number": 3, "status": "accepted"}));
        let quota = &answer.body["quotas"][0];
        assert_eq!(quota["customer_id"], "cus_ravi");
        assert_eq!((&quota["used"], &quota["remaining"]), (&json!(3), &json!(97)));
        assert_eq!(server.used("cus_ravi").await, 3);
    }
}

#[tokio::test]
async fn a_range_may_be_sent_again_or_cut_differently_and_counts_once() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let events: Vec<_> = (1..=6).map(|id| search(&server, &pair, id)).collect();
        let send = async |first: usize, last: usize| {
            let events = events[first - 1..last].to_vec();
            server.track(range("prd_a", 0, first as u64, events)).await
        };
        send(1, 4).await;
        assert_eq!(statuses(&send(1, 4).await), ["duplicate"; 4]);
        assert_eq!(statuses(&send(2, 3).await), ["duplicate"; 2]);
        let overlap = send(3, 6).await;
        assert_eq!(statuses(&overlap), ["duplicate", "duplicate", "accepted", "accepted"]);
        assert_eq!(overlap.body["fence"], 6);
        assert_eq!(server.used("cus_ravi").await, 6);
    }
}

#[tokio::test]
async fn many_who_send_the_same_range_at_once_count_it_once() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let events: Vec<_> = (1..=20).map(|id| search(&server, &pair, id)).collect();
        let sends = (0..12).map(|_| server.track(range("prd_a", 0, 1, events.clone())));
        let answers = futures_util::future::join_all(sends).await;
        let accepted = answers.iter().filter(|answer| statuses(answer)[0] == "accepted").count();
        assert_eq!(accepted, 1);
        assert_eq!(server.used("cus_ravi").await, 20);
    }
}

#[tokio::test]
async fn producers_count_beside_each_other() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let producers: Vec<_> = (0..10).map(|n| format!("prd_{n}")).collect();
        let send = async |producer: &str| {
            for first in [1, 6, 11] {
                let events = (first..first + 5).map(|id| search(&server, &pair, id)).collect();
                let answer = server.track(range(producer, 0, first, events)).await;
                assert_eq!(statuses(&answer), ["accepted"; 5]);
            }
        };
        futures_util::future::join_all(producers.iter().map(|producer| send(producer))).await;
        assert_eq!(server.used("cus_ravi").await, 150, "more than the limit: the quota is soft");
    }
}

#[tokio::test]
async fn a_gap_is_refused_until_it_is_declared_lost() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        server.track(range("prd_a", 0, 1, vec![search(&server, &pair, 1)])).await;
        let fourth = || range("prd_a", 0, 4, vec![search(&server, &pair, 4)]);
        let refused = server.track(fourth()).await;
        let detail = refused.is_problem(409, "sequence_gap").body["detail"].as_str();
        assert!(detail.is_some_and(|detail| detail.contains("fence is at 1")), "{detail:?}");

        let declared = server
            .track(json!({"producer": "prd_a", "epoch": 0, "items": [
                {"number": 2, "lost": "damaged"},
                {"number": 3, "lost": "overflow"},
                {"number": 4, "event": search(&server, &pair, 4)},
            ]}))
            .await;
        assert_eq!(statuses(&declared), ["lost", "lost", "accepted"]);
        assert_eq!(server.used("cus_ravi").await, 2);
    }
}

#[tokio::test]
async fn many_numbers_are_declared_lost_at_once_and_as_often_as_one_likes() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let send = async |items: Value| {
            let answer =
                server.track(json!({"producer": "prd_a", "epoch": 0, "items": items})).await;
            assert_eq!(answer.status, 200, "{:?}", answer.body);
            answer.body
        };
        let hole = json!({"number": 2, "through": 3_000_000, "lost": "overflow"});
        let first = json!({"number": 1, "event": search(&server, &pair, 1)});
        let next = json!({"number": 3_000_001, "event": search(&server, &pair, 2)});
        let lost = |number: u64, through: u64| json!({"number": number, "through": through, "status": "lost"});
        let counted = |number: u64, status: &str| json!({"number": number, "status": status});
        let whole = json!([first, hole, next]);
        let told = send(whole.clone()).await;
        assert_eq!(told["fence"], 3_000_001);
        let results = [counted(1, "accepted"), lost(2, 3_000_000), counted(3_000_001, "accepted")];
        assert_eq!(told["results"], json!(results));

        let again = [counted(1, "duplicate"), lost(2, 3_000_000), counted(3_000_001, "duplicate")];
        assert_eq!(send(whole).await["results"], json!(again));
        // Cut differently, beginning within what is known and ending behind it.
        let told = send(json!([
            {"number": 500, "through": 900, "lost": "overflow"},
            {"number": 901, "lost": "damaged"},
            {"number": 902, "through": 3_000_005, "lost": "damaged"},
        ]));
        let told = told.await;
        assert_eq!(told["fence"], 3_000_005);
        let parts = [
            lost(500, 900),
            counted(901, "lost"),
            lost(902, 3_000_000),
            counted(3_000_001, "duplicate"),
            lost(3_000_002, 3_000_005),
        ];
        assert_eq!(told["results"], json!(parts));
        assert_eq!(server.used("cus_ravi").await, 2);
    }
}

#[tokio::test]
async fn what_is_declared_lost_after_it_was_counted_is_told_in_parts_that_are_soon_told() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        for number in 1..=40 {
            server.track(range("prd_a", 0, number, vec![search(&server, &pair, number)])).await;
        }
        let many = (41..=540).map(|number| search(&server, &pair, number)).collect();
        server.track(range("prd_a", 0, 41, many)).await;
        let (mut next, mut parts) = (1, 0);
        while next <= 900 {
            let rest = json!([{"number": next, "through": 900, "lost": "overflow"}]);
            let answer =
                server.track(json!({"producer": "prd_a", "epoch": 0, "items": rest})).await;
            let results = answer.body["results"].as_array().expect("a list").clone();
            assert_eq!(results[0]["number"], next, "{:?}", answer.body);
            for result in results {
                let last =
                    result["through"].as_u64().or(result["number"].as_u64()).expect("a number");
                assert_eq!(result["status"] == "lost", last > 540, "{result}");
                next = last + 1;
            }
            parts += 1;
        }
        assert_eq!((next, parts), (901, 3));
        assert_eq!(server.used("cus_ravi").await, 540);
    }
}

#[tokio::test]
async fn who_was_taken_over_is_not_heard_any_more() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let send = async |epoch, first| {
            server.track(range("prd_a", epoch, first, vec![search(&server, &pair, first)])).await
        };
        send(1, 1).await;
        assert_eq!(send(2, 2).await.body["fence"], 2);
        for first in [1, 2, 3] {
            send(1, first).await.is_problem(409, "epoch_superseded");
        }
        assert_eq!(statuses(&send(2, 3).await), ["accepted"]);
        assert_eq!(server.used("cus_ravi").await, 3);
    }
}

#[tokio::test]
async fn a_rejected_event_stops_nobody_and_its_rejection_is_told_again() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let other = server.pair("cus_ravi", NOTES).await;
        let good = || search(&server, &pair, 1);
        let but = |field: &str, value: Value| {
            let mut event = good();
            event[field] = value;
            event
        };
        let long_ago = server.now() - Duration::from_secs(36 * 86_400);
        let events = vec![
            good(),
            but("action", json!("fly")),
            but("quantity", json!(0)),
            but("occurred_at", json!(long_ago)),
            but("customer_id", json!("cus_asha")),
            but("token_id", json!("tok_none")),
            search(&server, &other, 1),
            but("metadata", json!({"nested": {}})),
            but("id", json!("e".repeat(65))),
            good(),
        ];
        let answer = server.track(range("prd_a", 0, 1, events.clone())).await;
        let codes = answer.body["results"].as_array().expect("results").iter();
        let codes: Vec<_> = codes.map(|result| result["code"].as_str().unwrap_or("")).collect();
        let expected = [
            "",
            "action_unknown",
            "quantity_invalid",
            "occurred_out_of_range",
            "token_not_for_customer",
            "token_not_for_customer",
            "token_not_for_customer",
            "metadata_invalid",
            "request_invalid",
            "",
        ];
        assert_eq!(codes, expected);
        assert_eq!(answer.body["fence"], 10);

        let again = server.track(range("prd_a", 0, 1, events)).await;
        let told = again.body["results"].as_array().expect("results");
        assert_eq!(told[0]["status"], "duplicate");
        assert_eq!(told[1..9], answer.body["results"].as_array().expect("results")[1..9]);
        assert_eq!(server.used("cus_ravi").await, 2);
    }
}

#[tokio::test]
async fn usage_counts_until_nobody_can_have_missed_that_its_token_was_revoked() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let before = search(&server, &pair, 1);
        server.advance_clock(Duration::from_secs(60)).await.expect("in range");
        let body = json!({"token": pair.access_token});
        server.call("DELETE /api/revoke-token", &server.key(FAISS), body).await;
        // In an outage the SDK believes for five minutes what it knew.
        server.advance_clock(Duration::from_secs(5 * 60)).await.expect("in range");
        let in_good_faith = search(&server, &pair, 2);
        server.advance_clock(Duration::from_secs(2 * 60)).await.expect("in range");
        let after = search(&server, &pair, 3);
        let events = vec![before, in_good_faith, after];
        let answer = server.track(range("prd_a", 0, 1, events)).await;
        assert_eq!(statuses(&answer), ["accepted", "accepted", "rejected"]);
    }
}

#[tokio::test]
async fn an_idempotency_key_counts_once_wherever_it_comes_from() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let keyed = |id, key: &str, quantity: u64| {
            let mut event = search(&server, &pair, id);
            event["idempotency_key"] = json!(key);
            event["quantity"] = json!(quantity);
            event
        };
        let first = server
            .track(range("prd_a", 0, 1, vec![keyed(1, "a", 5), keyed(2, "a", 5), keyed(3, "a", 6)]))
            .await;
        assert_eq!(statuses(&first), ["accepted", "duplicate", "rejected"]);
        assert_eq!(first.body["results"][2]["code"], "idempotency_mismatch");
        let elsewhere = server.track(range("prd_b", 0, 1, vec![keyed(4, "a", 5)])).await;
        assert_eq!(statuses(&elsewhere), ["duplicate"]);
        let single = server.track(json!({"event": keyed(5, "a", 5)})).await;
        assert_eq!(statuses(&single), ["duplicate"]);
        assert_eq!(server.used("cus_ravi").await, 5);
    }
}

#[tokio::test]
async fn a_range_is_as_large_as_it_may_be_and_no_larger() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let events = |count| (1..=count).map(|id| search(&server, &pair, id)).collect::<Vec<_>>();
        let too_many = server.track(range("prd_a", 0, 1, events(501))).await;
        too_many.is_problem(413, "request_too_large");

        let keyed = |count| {
            let mut events = events(count);
            for (n, event) in events.iter_mut().enumerate() {
                event["idempotency_key"] = json!(n.to_string());
            }
            events
        };
        let too_many_keys = server.track(range("prd_a", 0, 1, keyed(51))).await;
        too_many_keys.is_problem(413, "request_too_large");
        assert_eq!(
            statuses(&server.track(range("prd_a", 0, 1, keyed(50))).await),
            ["accepted"; 50]
        );

        // Nearly a megabyte: several pages of the ledger.
        let mut large = events(500);
        for event in &mut large {
            event["metadata"] =
                json!({"a": "x".repeat(500), "b": "y".repeat(500), "c": "z".repeat(500)});
        }
        let answer = server.track(range("prd_b", 0, 1, large.clone())).await;
        assert_eq!(statuses(&answer), ["accepted"; 500]);
        let again = server.track(range("prd_b", 0, 1, large)).await;
        assert_eq!(statuses(&again), ["duplicate"; 500]);
        assert_eq!(server.used("cus_ravi").await, 550);
    }
}

#[tokio::test]
async fn a_range_of_the_wrong_form_is_refused_as_a_whole() {
    let server = in_memory().await;
    let pair = server.pair("cus_ravi", FAISS).await;
    let event = || search(&server, &pair, 1);
    let item = |number: u64| json!({"number": number, "event": event()});
    for (body, field) in [
        (json!({"producer": "prd_a", "epoch": 0, "items": [item(1), item(3)]}), "items[1].number"),
        (json!({"producer": "prd_a", "epoch": 0, "items": [item(0)]}), "items[0].number"),
        (json!({"producer": "prd_a", "epoch": 0, "items": []}), "items"),
        (range("", 0, 1, vec![event()]), "producer"),
    ] {
        let refused = server.track(body).await;
        assert_eq!(refused.is_problem(422, "request_invalid").body["field"], field);
    }
    assert_eq!(server.used("cus_ravi").await, 0);
}

#[tokio::test]
async fn a_single_event_counts_once_by_its_id() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let event = search(&server, &pair, 1);
        let first = server.track(json!({"event": event})).await;
        assert_eq!(first.body["results"], json!([{"status": "accepted"}]));
        assert_eq!(first.body["quotas"][0]["used"], 1);
        assert_eq!(statuses(&server.track(json!({"event": event})).await), ["duplicate"]);
        let mut other = event.clone();
        other["quantity"] = json!(2);
        let mismatch = server.track(json!({"event": other})).await;
        mismatch.is_problem(422, "idempotency_mismatch");

        let mut wrong = search(&server, &pair, 2);
        wrong["action"] = json!("serach");
        let rejected = server.track(json!({"event": wrong})).await;
        assert_eq!(
            rejected.body["results"],
            json!([{"status": "rejected", "code": "action_unknown"}])
        );
        wrong["action"] = json!("search");
        let corrected = server.track(json!({"event": wrong})).await;
        assert_eq!(statuses(&corrected), ["accepted"], "a rejected event has not used its id up");
        assert_eq!(server.used("cus_ravi").await, 2);
    }
}

#[tokio::test]
async fn a_quota_begins_anew_at_midnight_and_late_usage_falls_in_its_own_day() {
    for server in both().await {
        // Ten minutes before midnight in Kolkata.
        let evening: Timestamp = "2027-01-15T18:20:00Z".parse().expect("RFC 3339");
        server.set_clock(evening).await.expect("in range");
        let pair = server.pair("cus_ravi", FAISS).await;
        let late = search(&server, &pair, 1);
        server.track(range("prd_a", 0, 1, vec![search(&server, &pair, 2)])).await;
        assert_eq!(server.used("cus_ravi").await, 1);

        server.advance_clock(Duration::from_secs(11 * 60)).await.expect("in range");
        assert_eq!(server.used("cus_ravi").await, 0);
        server.track(range("prd_a", 0, 2, vec![late, search(&server, &pair, 3)])).await;
        assert_eq!(server.used("cus_ravi").await, 1, "the late one was yesterday's");

        server.set_clock(evening).await.expect("in range");
        assert_eq!(server.used("cus_ravi").await, 2, "and yesterday shows it");
    }
}

#[tokio::test]
async fn quotas_are_read_by_the_solution_and_by_the_customer_alone() {
    for server in both().await {
        let path = format!("GET /api/quotas/cus_ravi/{FAISS}");
        let read = async |credential: &Secret| server.call(&path, credential, Value::Null).await;
        let own = server.pair("cus_ravi", FAISS).await.access_token;
        assert_eq!(read(&own).await.body, read(&server.key(FAISS)).await.body);
        assert_eq!(
            read(&own).await.body["quotas"][0]["resets_at"].as_str().map(str::len),
            Some(20)
        );

        read(&server.key(NOTES)).await.is_problem(403, "forbidden");
        for (customer, solution) in [("cus_asha", FAISS), ("cus_ravi", NOTES)] {
            let others = server.pair(customer, solution).await.access_token;
            read(&others).await.is_problem(403, "forbidden");
        }
        let session = server.session("cus_ravi").await.expect("a session");
        assert_eq!(read(&session).await.body, read(&own).await.body);
        let session = server.session("cus_asha").await.expect("a session");
        read(&session).await.is_problem(403, "forbidden");

        let notes = format!("GET /api/quotas/cus_meera/{NOTES}");
        let quotas = server.call(&notes, &server.key(NOTES), Value::Null).await.body;
        assert_eq!(quotas["quotas"].as_array().map(Vec::len), Some(2));
        assert_eq!(quotas["quotas"][1]["window"], "month");
        assert_eq!(quotas["quotas"][1]["limit"], Value::Null);
    }
}

#[tokio::test]
async fn what_was_counted_is_still_counted_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = async || {
        let builder = MockServer::builder().db(folder.path().join("market.db"));
        let server = builder.public_url("http://market.test").start().await;
        TestServer::new(server.expect("a server"), None)
    };
    let server = start().await;
    let pair = server.pair("cus_ravi", FAISS).await;
    let events: Vec<_> = (1..=4).map(|id| search(&server, &pair, id)).collect();
    server.track(range("prd_a", 3, 1, events.clone())).await;
    server.into_inner().stop().await;

    let server = start().await;
    assert_eq!(server.used("cus_ravi").await, 4);
    assert_eq!(statuses(&server.track(range("prd_a", 3, 1, events)).await), ["duplicate"; 4]);
    let late = range("prd_a", 2, 5, vec![search(&server, &pair, 5)]);
    server.track(late).await.is_problem(409, "epoch_superseded");
    assert_eq!(server.validate(&pair.access_token).await["valid"], true);
}
