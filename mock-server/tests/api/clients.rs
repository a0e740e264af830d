//! Usage that a customer's browser sends with a solution token: less is believed, and nothing of it
//! gets in the way of the solution's backend.

use cloudnestle_marketplace::model::{Secret, TokenPair};
use serde_json::{Value, json};

use crate::common::{Answer, FAISS, NOTES, TestServer, both, codes, range, search, statuses};

fn view(server: &TestServer, pair: &TokenPair, id: u64) -> Value {
    let mut event = search(server, pair, id);
    event["action"] = json!("view");
    event
}

async fn send(server: &TestServer, token: &Secret, body: Value) -> Answer {
    server.call("POST /api/track-usage", token, body).await
}

#[tokio::test]
async fn a_browser_reports_what_the_solution_lets_clients_report_and_of_its_customer_alone() {
    for server in both().await {
        let ravi = server.pair("cus_ravi", FAISS).await;
        let asha = server.pair("cus_asha", FAISS).await;
        let token = &ravi.access_token;
        let events =
            vec![view(&server, &ravi, 1), search(&server, &ravi, 2), view(&server, &asha, 3)];
        let answer = send(&server, token, range("prd_a", 0, 1, events)).await;
        assert_eq!(codes(&answer), ["", "action_not_for_clients", "token_not_for_customer"]);

        let single = send(&server, token, json!({"event": search(&server, &ravi, 4)})).await;
        assert_eq!(codes(&single), ["action_not_for_clients"]);
        assert_eq!(server.used("cus_ravi").await, 0);

        // The backend may report everything.
        let events = vec![view(&server, &ravi, 1), search(&server, &asha, 2)];
        assert_eq!(statuses(&server.track(range("prd_a", 0, 1, events)).await), ["accepted"; 2]);
    }
}

#[tokio::test]
async fn a_browser_learns_no_quota_but_its_customers() {
    for server in both().await {
        let ravi = server.pair("cus_ravi", FAISS).await;
        let asha = server.pair("cus_asha", FAISS).await;
        let events = vec![search(&server, &ravi, 1), search(&server, &asha, 2)];
        let answer = send(&server, &ravi.access_token, range("prd_a", 0, 1, events)).await;
        let quotas = answer.body["quotas"].as_array().expect("quotas");
        let whose: Vec<_> = quotas.iter().map(|quota| quota["customer_id"].as_str()).collect();
        assert_eq!(whose, [Some("cus_ravi")]);
    }
}

#[tokio::test]
async fn what_a_browser_numbers_and_names_is_its_own() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let keyed = |id| {
            let mut event = view(&server, &pair, id);
            event["idempotency_key"] = json!("a");
            event
        };
        // A browser that has gone far with a producer's numbers, an event's id and a key …
        let events = vec![keyed(1), view(&server, &pair, 2), view(&server, &pair, 3)];
        let far = send(&server, &pair.access_token, range("prd_a", 9, 1, events)).await;
        assert_eq!(statuses(&far), ["accepted"; 3]);
        let single = json!({"event": view(&server, &pair, 4)});
        assert_eq!(
            statuses(&send(&server, &pair.access_token, single.clone()).await),
            ["accepted"]
        );

        // … has taken none of them from the backend.
        let backend = server.track(range("prd_a", 0, 1, vec![keyed(1)])).await;
        assert_eq!(
            (backend.body["fence"].as_u64(), statuses(&backend)),
            (Some(1), vec!["accepted"])
        );
        assert_eq!(statuses(&server.track(single).await), ["accepted"]);

        // Nor from another customer's browser.
        let asha = server.pair("cus_asha", FAISS).await;
        let events = vec![view(&server, &asha, 1)];
        let other = send(&server, &asha.access_token, range("prd_a", 0, 1, events)).await;
        assert_eq!(statuses(&other), ["accepted"]);
    }
}

#[tokio::test]
async fn the_next_token_goes_on_where_the_last_one_was() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let events = vec![view(&server, &pair, 1), view(&server, &pair, 2)];
        send(&server, &pair.access_token, range("prd_a", 0, 1, events.clone())).await;

        let body = json!({"refresh_token": pair.refresh_token});
        let renewed = server.call_openly("POST /api/refresh-token", body).await.body;
        let renewed: TokenPair = serde_json::from_value(renewed).expect("a pair");
        let events = [events, vec![view(&server, &renewed, 3)]].concat();
        let answer = send(&server, &renewed.access_token, range("prd_a", 0, 1, events)).await;
        assert_eq!(statuses(&answer), ["duplicate", "duplicate", "accepted"]);
    }
}

#[tokio::test]
async fn a_token_reports_for_its_solution_alone() {
    for server in both().await {
        let notes = server.pair("cus_ravi", NOTES).await;
        let faiss = server.pair("cus_ravi", FAISS).await;
        let events = vec![view(&server, &faiss, 1)];
        let answer = send(&server, &notes.access_token, range("prd_a", 0, 1, events)).await;
        assert_eq!(codes(&answer), ["action_unknown"], "the notes have no views");
    }
}
