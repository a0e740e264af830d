//! Hard limits: what is beyond them does not count, whoever sends it and however.

use std::time::Duration;

use cloudnestle_marketplace::model::Timestamp;
use serde_json::{Value, json};

use crate::common::{FAISS, both, codes, export, range, search, statuses};

#[tokio::test]
async fn the_unit_after_the_last_is_refused_and_its_refusal_is_told_again() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let events: Vec<_> = (1..=7).map(|id| export(&server, &pair, id, 1)).collect();
        let answer = server.track(range("prd_a", 0, 1, events.clone())).await;
        let exceeded = ["", "", "", "", "", "quota_exceeded", "quota_exceeded"];
        assert_eq!(codes(&answer), exceeded);
        let quota = &answer.body["quotas"][0];
        let shown = (&quota["limit"], &quota["used"], &quota["remaining"], &quota["policy"]);
        assert_eq!(shown, (&json!(5), &json!(5), &json!(0), &json!("hard")));

        let again = server.track(range("prd_a", 0, 1, events)).await;
        assert_eq!(codes(&again), exceeded, "however often it is sent");
        assert_eq!(statuses(&again)[..5], ["duplicate"; 5]);
        let single = server.track(json!({"event": export(&server, &pair, 8, 1)})).await;
        assert_eq!(codes(&single), ["quota_exceeded"]);
        assert_eq!(server.quota("cus_ravi", "export").await["used"], 5);

        let others = vec![search(&server, &pair, 9)];
        let answer = server.track(range("prd_a", 0, 8, others)).await;
        assert_eq!(statuses(&answer), ["accepted"], "other actions have limits of their own");
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused_whole_and_leaves_room_for_what_does() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let events = [3, 3, 2, 1].into_iter().zip(1..).map(|(n, id)| export(&server, &pair, id, n));
        let answer = server.track(range("prd_a", 0, 1, events.collect())).await;
        assert_eq!(codes(&answer), ["", "quota_exceeded", "", "quota_exceeded"]);
        assert_eq!(server.quota("cus_ravi", "export").await["used"], 5);
    }
}

#[tokio::test]
async fn each_tier_has_its_limit_and_none_is_no_limit() {
    for server in both().await {
        let visitor = server.pair("cus_visitor", FAISS).await;
        let refused = server.track(json!({"event": export(&server, &visitor, 1, 1)})).await;
        assert_eq!(codes(&refused), ["quota_exceeded"]);
        let meera = server.pair("cus_meera", FAISS).await;
        let much = server.track(json!({"event": export(&server, &meera, 2, 1_000_000_000)})).await;
        assert_eq!(statuses(&much), ["accepted"]);
        let quota = server.quota("cus_meera", "export").await;
        let shown = (&quota["limit"], &quota["used"], &quota["remaining"]);
        assert_eq!(shown, (&Value::Null, &json!(1_000_000_000), &Value::Null));
    }
}

#[tokio::test]
async fn a_hard_limit_begins_anew_at_midnight_and_late_usage_comes_under_that_of_its_day() {
    for server in both().await {
        // Ten minutes before midnight in Kolkata.
        let evening: Timestamp = "2027-01-15T18:20:00Z".parse().expect("RFC 3339");
        server.set_clock(evening).await.expect("in range");
        let pair = server.pair("cus_ravi", FAISS).await;
        let late = [export(&server, &pair, 1, 1), export(&server, &pair, 2, 1)];
        let first = server.track(json!({"event": export(&server, &pair, 3, 4)})).await;
        assert_eq!(statuses(&first), ["accepted"]);

        server.advance_clock(Duration::from_secs(11 * 60)).await.expect("in range");
        let [one, another] = late;
        let events = vec![export(&server, &pair, 4, 5), one, another, export(&server, &pair, 5, 1)];
        let answer = server.track(range("prd_a", 0, 1, events)).await;
        // Five of today, the fifth of yesterday, and one too many of each.
        assert_eq!(codes(&answer), ["", "", "quota_exceeded", "quota_exceeded"]);
        assert_eq!(server.quota("cus_ravi", "export").await["used"], 5);
        server.set_clock(evening).await.expect("in range");
        assert_eq!(server.quota("cus_ravi", "export").await["used"], 5);
    }
}

#[tokio::test]
async fn what_was_refused_has_not_used_its_key_up() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let keyed = |id, quantity| {
            let mut event = export(&server, &pair, id, quantity);
            event["idempotency_key"] = json!("report-7");
            event
        };
        let too_much = server.track(range("prd_a", 0, 1, vec![keyed(1, 6)])).await;
        assert_eq!(codes(&too_much), ["quota_exceeded"]);
        let less = server.track(range("prd_a", 0, 2, vec![keyed(2, 5), keyed(3, 5)])).await;
        assert_eq!(statuses(&less), ["accepted", "duplicate"], "and a duplicate takes nothing");
    }
}
