//! What a customer has used, by hours, days and months.

use std::time::Duration;

use cloudnestle_marketplace::model::{Page, Timestamp, UsageBucket};
use serde_json::{Value, json};

use crate::common::{FAISS, NOTES, TestServer, both, in_memory, range, search, statuses};

const HOUR: Duration = Duration::from_secs(60 * 60);

fn at(text: &str) -> Timestamp {
    text.parse().expect("RFC 3339")
}

/// Ravi searches so often at that moment.
async fn searches(server: &TestServer, moment: &str, quantity: u64) {
    server.set_clock(at(moment)).await.expect("a time");
    let pair = server.pair("cus_ravi", FAISS).await;
    let mut event = search(server, &pair, server.now().as_millis().unsigned_abs());
    event["quantity"] = json!(quantity);
    let answer = server.track(json!({"event": event})).await;
    assert_eq!(statuses(&answer), ["accepted"]);
}

/// A page of Ravi's history as the solution sees it.
async fn page(server: &TestServer, query: &str) -> Page<UsageBucket> {
    let path = format!("GET /api/usage/cus_ravi?{query}");
    let answer = server.call(&path, &server.key(FAISS), Value::Null).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_value(answer.body).expect("a page")
}

/// From when to when, and how much.
async fn history(server: &TestServer, query: &str) -> Vec<(String, String, u64)> {
    let page = page(server, query).await;
    let tell = |bucket: UsageBucket| {
        (bucket.begins_at.to_string(), bucket.ends_at.to_string(), bucket.quantity)
    };
    page.items.into_iter().map(tell).collect()
}

fn bucket(begins_at: &str, ends_at: &str, quantity: u64) -> (String, String, u64) {
    (begins_at.to_owned(), ends_at.to_owned(), quantity)
}

#[tokio::test]
async fn usage_is_told_by_the_clocks_of_the_solution() {
    for server in both().await {
        // The last minute of November in Kolkata, and the first of December.
        searches(&server, "2026-11-30T18:00:00Z", 1).await;
        searches(&server, "2026-11-30T18:29:00Z", 2).await;
        searches(&server, "2026-11-30T18:30:00Z", 4).await;
        let hours = [
            bucket("2026-11-30T17:30:00Z", "2026-11-30T18:30:00Z", 3),
            bucket("2026-11-30T18:30:00Z", "2026-11-30T19:30:00Z", 4),
        ];
        assert_eq!(history(&server, "bucket=hour").await, hours);
        let days = [
            bucket("2026-11-29T18:30:00Z", "2026-11-30T18:30:00Z", 3),
            bucket("2026-11-30T18:30:00Z", "2026-12-01T18:30:00Z", 4),
        ];
        assert_eq!(history(&server, "bucket=day").await, days);
        assert_eq!(history(&server, "").await, days, "days unless asked otherwise");
        let months = [
            bucket("2026-10-31T18:30:00Z", "2026-11-30T18:30:00Z", 3),
            bucket("2026-11-30T18:30:00Z", "2026-12-31T18:30:00Z", 4),
        ];
        assert_eq!(history(&server, "bucket=month").await, months);
    }
}

#[tokio::test]
async fn a_time_is_told_in_whole_buckets() {
    let server = in_memory().await;
    for hour in ["01", "02", "03", "04"] {
        searches(&server, &format!("2026-11-22T{hour}:45:00Z"), 1).await;
    }
    let begins = async |query: &str| -> Vec<String> {
        let history = history(&server, &format!("bucket=hour&{query}")).await;
        history.into_iter().map(|(begin, ..)| begin[11..16].to_owned()).collect()
    };
    assert_eq!(begins("from=2026-11-22T02:31:00Z").await, ["02:30", "03:30", "04:30"]);
    assert_eq!(begins("to=2026-11-22T02:31:00Z").await, ["01:30", "02:30"]);
    assert_eq!(begins("to=2026-11-22T02:30:00Z").await, ["01:30"], "`to` itself is not asked for");
    let between = "from=2026-11-22T02:30:00Z&to=2026-11-22T04:30:00Z";
    assert_eq!(begins(between).await, ["02:30", "03:30"]);
    assert_eq!(begins("action=index").await, [""; 0]);

    for (query, field) in [
        ("from=2026-11-22T02:30:00Z&to=2026-11-22T02:30:00Z", "to"),
        ("bucket=fortnight", "bucket"),
        ("from=yesterday", "from"),
        ("limit=0", "limit"),
    ] {
        let path = format!("GET /api/usage/cus_ravi?{query}");
        let answer = server.call(&path, &server.key(FAISS), Value::Null).await;
        assert_eq!(answer.is_problem(422, "request_invalid").body["field"], field);
    }
}

#[tokio::test]
async fn what_arrives_late_is_told_where_it_occurred() {
    let server = in_memory().await;
    searches(&server, "2026-11-22T06:00:00Z", 1).await;
    let pair = server.pair("cus_ravi", FAISS).await;
    let mut event = search(&server, &pair, 1);
    event["quantity"] = json!(5);
    server.advance_clock(26 * HOUR).await.expect("a time");
    assert_eq!(statuses(&server.track(range("prd_a", 0, 1, vec![event])).await), ["accepted"]);
    let day = [bucket("2026-11-21T18:30:00Z", "2026-11-22T18:30:00Z", 6)];
    assert_eq!(history(&server, "").await, day);
}

#[tokio::test]
async fn a_reset_gives_the_quota_back_and_leaves_the_history() {
    for server in both().await {
        searches(&server, "2026-11-22T06:00:00Z", 7).await;
        let told = history(&server, "").await;
        for forgiven_and_used_again in 1..3 {
            let reset = json!({"customer_id": "cus_ravi", "solution_id": FAISS});
            let answer = server.call("POST /api/reset-quota", &server.admin_key(), reset).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(server.used("cus_ravi").await, 0);
            searches(&server, &format!("2026-11-22T0{forgiven_and_used_again}:00:00Z"), 2).await;
            assert_eq!(server.used("cus_ravi").await, 2);
        }
        let now = history(&server, "").await;
        assert_eq!((told[0].2, now[0].2), (7, 11));
    }
}

#[tokio::test]
async fn page_after_page_tells_each_bucket_of_each_action_once() {
    for server in both().await {
        for day in 10..14 {
            searches(&server, &format!("2026-11-{day}T06:00:00Z"), 1).await;
            let pair = server.pair("cus_ravi", FAISS).await;
            let mut event = search(&server, &pair, 100 + day);
            event["action"] = json!("index");
            event["quantity"] = json!(day);
            let range = range(&format!("prd_{day}"), 0, 1, vec![event]);
            assert_eq!(statuses(&server.track(range).await), ["accepted"]);
        }
        let all = page(&server, "").await;
        assert_eq!(all.next_cursor, None);
        let quantities: Vec<_> = all.items.iter().map(|bucket| bucket.quantity).collect();
        assert_eq!(quantities, [10, 11, 12, 13, 1, 1, 1, 1]);
        for limit in [1, 3, 4, 7] {
            let (mut read, mut cursor) = (Vec::new(), String::new());
            loop {
                let next = page(&server, &format!("limit={limit}{cursor}")).await;
                assert!(next.items.len() <= limit);
                read.extend(next.items);
                let Some(next) = next.next_cursor else { break };
                cursor = format!("&cursor={next}");
            }
            assert_eq!(read, all.items, "{limit} at a time");
        }
    }
}

#[tokio::test]
async fn hours_days_and_months_come_to_the_same() {
    let server = in_memory().await;
    server.set_clock(at("2026-10-24T21:10:00Z")).await.expect("a time");
    // Through the night in which Berlin has an hour twice.
    for n in 1..=8_u64 {
        let pair = server.pair("cus_ravi", NOTES).await;
        let mut event = search(&server, &pair, n);
        event["action"] = json!("note");
        event["quantity"] = json!(n);
        let body = json!({"event": event});
        let answer = server.call("POST /api/track-usage", &server.key(NOTES), body).await;
        assert_eq!(statuses(&answer), ["accepted"]);
        server.advance_clock(HOUR / 2).await.expect("a time");
    }
    for (bucket, buckets) in [("hour", 4), ("day", 2), ("month", 1)] {
        let path = format!("GET /api/usage/cus_ravi?bucket={bucket}");
        let answer = server.call(&path, &server.key(NOTES), Value::Null).await;
        let items = answer.body["items"].as_array().expect("items").clone();
        assert_eq!(items.len(), buckets, "{bucket}");
        let sum: u64 = items.iter().filter_map(|item| item["quantity"].as_u64()).sum();
        assert_eq!(sum, 36, "{bucket}");
    }
}

#[tokio::test]
async fn a_history_is_told_to_the_solution_and_to_the_customer() {
    let server = in_memory().await;
    searches(&server, "2026-11-22T06:00:00Z", 3).await;
    let own = server.pair("cus_ravi", FAISS).await.access_token;
    let session = server.session("cus_ravi").await.expect("a session");
    let history = format!("GET /api/usage/cus_ravi?solution_id={FAISS}");
    for reader in [&server.key(FAISS), &own, &session] {
        let answer = server.call(&history, reader, Value::Null).await;
        assert_eq!(answer.body["items"][0]["quantity"], 3, "{answer:?}");
    }
    let other_solution = server.pair("cus_ravi", NOTES).await.access_token;
    let other_customer = server.pair("cus_asha", FAISS).await.access_token;
    let other_session = server.session("cus_asha").await.expect("a session");
    for reader in [&server.key(NOTES), &other_solution, &other_customer, &other_session] {
        server.call(&history, reader, Value::Null).await.is_problem(403, "forbidden");
    }
    let unnamed = server.call("GET /api/usage/cus_ravi", &session, Value::Null).await;
    assert_eq!(unnamed.is_problem(422, "request_invalid").body["field"], "solution_id");
    let unknown = server.call("GET /api/usage/cus_ravi?solution_id=sol_x", &session, Value::Null);
    unknown.await.is_problem(404, "not_found");

    // A cursor is good for the list it came from.
    searches(&server, "2026-11-23T06:00:00Z", 1).await;
    let cursor = page(&server, "limit=1").await.next_cursor.expect("a second page");
    let elsewhere = format!("GET /api/usage/cus_asha?limit=1&cursor={cursor}");
    let answer = server.call(&elsewhere, &server.key(FAISS), Value::Null).await;
    answer.is_problem(422, "cursor_invalid");
}

#[tokio::test]
async fn a_mistyped_name_is_no_empty_history() {
    let server = in_memory().await;
    let key = server.key(FAISS);
    for events in ["", "/events"] {
        let ask = async |path: &str| {
            server.call(&format!("GET /api/usage/{path}"), &key, Value::Null).await
        };
        let nobody = ask(&format!("cus_nobody{events}")).await;
        nobody.is_problem(403, "forbidden"); // as their quotas are
        ask(&format!("cus_ravi{events}?action=serach")).await.is_problem(422, "action_unknown");
        assert_eq!(ask(&format!("cus_ravi{events}?action=search")).await.status, 200);
    }
}
