//! What a customer has used, event by event.

use std::collections::BTreeMap;
use std::time::Duration;

use cloudnestle_marketplace::model::{
    CountedEvent, EventRef, Page, Secret, Timestamp, UsageBucket,
};
use cloudnestle_mock_server::MockServer;
use serde_json::{Value, json};

use crate::common::{FAISS, TestServer, both, claims, export, in_memory, range, search, statuses};

const MINUTE: Duration = Duration::from_secs(60);

fn at(text: &str) -> Timestamp {
    text.parse().expect("RFC 3339")
}

/// A page of a customer's events, as whoever holds `credential` sees it.
async fn page(
    server: &TestServer,
    customer: &str,
    credential: &Secret,
    query: &str,
) -> Page<CountedEvent> {
    let path = format!("GET /api/usage/{customer}/events?solution_id={FAISS}&{query}");
    let answer = server.call(&path, credential, Value::Null).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_value(answer.body).expect("a page")
}

/// All of Ravi's events, so many a page, as the solution sees them.
async fn events(server: &TestServer, query: &str, limit: usize) -> Vec<CountedEvent> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let query = format!("limit={limit}&{query}{cursor}");
        let page = page(server, "cus_ravi", &server.key(FAISS), &query).await;
        assert!(page.items.len() <= limit);
        all.extend(page.items);
        let Some(next) = page.next_cursor else { return all };
        cursor = format!("&cursor={next}");
    }
}

fn ids(events: &[CountedEvent]) -> Vec<&str> {
    events.iter().map(|event| &*event.id).collect()
}

fn numbered(producer: &str, number: u64) -> EventRef {
    EventRef::Numbered { producer: producer.to_owned(), number }
}

async fn accepted(server: &TestServer, body: Value) {
    let answer = server.track(body).await;
    assert!(statuses(&answer).iter().all(|status| *status == "accepted"), "{answer:?}");
}

/// Something of everything: two days, two actions, single events and ranges, the customer's own, late
/// ones, corrections, and what does not count.
async fn use_it(server: &TestServer) {
    for (n, moment) in
        ["2026-11-22T05:50:00Z", "2026-11-22T06:10:00Z", "2026-11-23T06:00:00Z"].iter().enumerate()
    {
        server.set_clock(at(moment)).await.expect("a time");
        let pair = server.pair("cus_ravi", FAISS).await;
        let (base, producer) = (100 * n as u64, format!("prd_{n}"));
        let mut alone = search(server, &pair, base);
        alone["metadata"] = json!({"index": "products", "of": null});
        accepted(server, json!({"event": alone})).await;
        let mut named = search(server, &pair, base + 1);
        (named["quantity"], named["idempotency_key"]) = (json!(10), json!(format!("own/{n}")));
        let wrong = search(server, &pair, base + 2);
        let mut amends = search(server, &pair, base + 3);
        (amends["quantity"], amends["amends"]) = (json!(4), json!(numbered(&producer, 1)));
        let mut voids = search(server, &pair, base + 4);
        voids["voids"] = json!(numbered(&producer, 2));
        let mut early = search(server, &pair, base + 5);
        early["occurred_at"] = json!(server.now() - MINUTE / 2);
        let events = vec![named, wrong, amends, voids, early, export(server, &pair, base + 6, 1)];
        accepted(server, range(&producer, 0, 1, events)).await;
        let mut unknown = search(server, &pair, base + 7);
        unknown["action"] = json!("teleport");
        let refused = server.track(range(&producer, 0, 7, vec![unknown])).await;
        assert_eq!(statuses(&refused), ["rejected"]);
        let mut view = search(server, &pair, base + 8);
        view["action"] = json!("view");
        let own = json!({"event": view});
        let answer = server.call("POST /api/track-usage", &pair.access_token, own).await;
        assert_eq!(statuses(&answer), ["accepted"]);
        let mut late = search(server, &pair, base + 9);
        late["quantity"] = json!(3);
        let late = range(&format!("prd_late_{n}"), 0, 1, vec![late]);
        server.advance_clock(26 * 60 * MINUTE).await.expect("a time");
        accepted(server, late).await;
    }
}

#[tokio::test]
async fn what_is_counted_is_the_sum_of_what_the_events_count() {
    for server in both().await {
        use_it(&server).await;
        let all = events(&server, "", 100).await;
        assert_eq!(all.len(), 3 * 9);
        let mut sums: BTreeMap<(String, Timestamp), i64> = BTreeMap::new();
        let path = "GET /api/usage/cus_ravi?bucket=hour";
        let history = server.call(path, &server.key(FAISS), Value::Null).await.body;
        let history: Page<UsageBucket> = serde_json::from_value(history).expect("a page");
        for event in &all {
            let bucket = history.items.iter().find(|bucket| {
                let hours = bucket.begins_at..bucket.ends_at;
                bucket.action == event.action && hours.contains(&event.counts_at)
            });
            let bucket = bucket.unwrap_or_else(|| panic!("{event:?} is in no bucket"));
            *sums.entry((bucket.action.clone(), bucket.begins_at)).or_default() += event.counts;
        }
        for bucket in history.items {
            let sum = sums.remove(&(bucket.action.clone(), bucket.begins_at));
            assert_eq!(sum, Some(bucket.quantity as i64), "{bucket:?}");
        }
        assert!(sums.is_empty());
    }
}

#[tokio::test]
async fn a_correction_is_told_with_what_it_changes_and_so_is_what_it_corrects() {
    for server in both().await {
        use_it(&server).await;
        let all = events(&server, "", 100).await;
        let find = |id: &str| all.iter().find(|event| event.id == id).expect(id);
        let original = find("evt_1");
        assert_eq!((original.quantity, original.counts, original.left), (10, 10, Some(4)));
        assert_eq!(original.reference, numbered("prd_0", 1));
        assert_eq!(original.idempotency_key.as_deref(), Some("own/0"));
        let amendment = find("evt_3");
        assert_eq!((amendment.quantity, amendment.counts, amendment.left), (4, -6, None));
        assert_eq!(amendment.amends.as_ref(), Some(&original.reference));
        assert_eq!(amendment.counts_at, original.occurred_at);
        let (voided, void) = (find("evt_2"), find("evt_4"));
        assert_eq!((voided.counts, voided.left, void.counts), (1, Some(0), -1));
        assert_eq!(void.voids.as_ref(), Some(&voided.reference));
        let alone = find("evt_0");
        assert_eq!(alone.reference, EventRef::Single { id: "evt_0".to_owned() });
        assert_eq!((alone.left, alone.late), (None, false));
        assert_eq!(json!(alone.metadata), json!({"index": "products", "of": null}));
        let late = find("evt_9");
        assert!(late.late && late.received_at > late.occurred_at + MINUTE, "{late:?}");
    }
}

#[tokio::test]
async fn the_newest_hour_is_first_and_in_an_hour_what_came_last() {
    for server in both().await {
        use_it(&server).await;
        let all = events(&server, "action=search", 100).await;
        let of_day = |n: u64| [9, 5, 4, 3, 2, 1, 0].map(|id| format!("evt_{}", 100 * n + id));
        let expected: Vec<String> = [2, 1, 0].into_iter().flat_map(of_day).collect();
        // What was noted at 06:10 and is half a minute old counts in the hour of 06:00; that of 05:59:30
        // comes after all of it.
        let mut expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        let early = expected.remove(1);
        expected.insert(6, early);
        assert_eq!(ids(&all), expected);
    }
}

#[tokio::test]
async fn page_after_page_tells_each_event_once() {
    for server in both().await {
        use_it(&server).await;
        let all = events(&server, "", 100).await;
        for limit in [1, 2, 5, 26, 27] {
            assert_eq!(events(&server, "", limit).await, all, "{limit} at a time");
        }
        let of = |wanted: &dyn Fn(&CountedEvent) -> bool| {
            all.iter().filter(|event| wanted(event)).cloned().collect::<Vec<_>>()
        };
        let (from, to) = (at("2026-11-22T05:50:00Z"), at("2026-11-22T06:10:00Z"));
        for limit in [1, 4, 100] {
            let told = events(&server, "action=export", limit).await;
            assert_eq!(told, of(&|event| event.action == "export"));
            let told = events(&server, &format!("from={to}"), limit).await;
            assert_eq!(told, of(&|event| event.counts_at >= to));
            let told = events(&server, &format!("from={from}&to={to}"), limit).await;
            assert_eq!(told, of(&|event| event.counts_at >= from && event.counts_at < to));
            assert!(!told.is_empty());
        }
    }
}

#[tokio::test]
async fn what_comes_in_while_somebody_reads_moves_nothing() {
    for server in both().await {
        use_it(&server).await;
        let all = events(&server, "", 100).await;
        let key = server.key(FAISS);
        let first = page(&server, "cus_ravi", &key, "limit=10").await;
        use_it_again(&server).await;
        let cursor = first.next_cursor.expect("a second page");
        let rest = page(&server, "cus_ravi", &key, &format!("limit=100&cursor={cursor}")).await;
        let read = [first.items, rest.items].concat();
        assert_eq!(ids(&read), ids(&all));
    }
}

async fn use_it_again(server: &TestServer) {
    let pair = server.pair("cus_ravi", FAISS).await;
    accepted(server, json!({"event": search(server, &pair, 1000)})).await;
    accepted(server, range("prd_0", 0, 8, vec![search(server, &pair, 1001)])).await;
}

#[tokio::test]
async fn a_range_of_many_customers_is_found_by_each() {
    for server in both().await {
        let (mut visitors, mut events) = (Vec::new(), Vec::new());
        for n in 0..130 {
            let body = json!({"solution_id": FAISS});
            let pair = server.call("POST /api/generate-token", &server.key(FAISS), body).await;
            let pair = serde_json::from_value(pair.body).expect("a pair");
            events.extend((0..3).map(|m| search(&server, &pair, 3 * n + m)));
            visitors.push(pair);
        }
        accepted(&server, range("prd_a", 0, 1, events)).await;
        for (n, pair) in visitors.iter().enumerate() {
            let visitor = claims(&pair.access_token).sub;
            let page = page(&server, &visitor, &pair.access_token, "").await;
            let expected = [2, 1, 0].map(|m| format!("evt_{}", 3 * n + m));
            assert_eq!(ids(&page.items), expected);
        }
    }
}

#[tokio::test]
async fn events_are_told_to_the_customer_without_what_the_solution_noted() {
    let server = in_memory().await;
    use_it(&server).await;
    let own = server.pair("cus_ravi", FAISS).await.access_token;
    let session = server.session("cus_ravi").await.expect("a session");
    let all = events(&server, "", 100).await;
    for reader in [&own, &session] {
        let told = page(&server, "cus_ravi", reader, "limit=100").await.items;
        assert_eq!(ids(&told), ids(&all));
        let private =
            |event: &CountedEvent| event.metadata.is_some() || event.idempotency_key.is_some();
        assert!(all.iter().any(private) && !told.iter().any(private));
    }
}

#[tokio::test]
async fn an_hour_with_much_in_it_is_told_in_pages_that_end() {
    let server = in_memory().await;
    server.set_clock(at("2026-11-22T06:00:00Z")).await.expect("a time");
    let pair = server.pair("cus_ravi", FAISS).await;
    accepted(&server, json!({"event": search(&server, &pair, 0)})).await;
    server.advance_clock(MINUTE).await.expect("a time");
    for n in 1..=900 {
        accepted(&server, json!({"event": search(&server, &pair, n)})).await;
    }
    let first = format!("to={}&limit=2", at("2026-11-22T06:01:00Z"));
    let key = server.key(FAISS);
    let (mut pages, mut found, mut cursor) = (0, Vec::new(), String::new());
    loop {
        let page = page(&server, "cus_ravi", &key, &format!("{first}{cursor}")).await;
        (pages, found) = (pages + 1, [found, page.items].concat());
        let Some(next) = page.next_cursor else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!((pages, ids(&found)), (3, vec!["evt_0"]));
}

#[tokio::test]
async fn a_database_of_before_tells_the_same_events() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("market.db");
    let start = || MockServer::builder().db(&db).start();
    let server = TestServer::new(start().await.expect("a server"), None);
    use_it(&server).await;
    let told = events(&server, "", 100).await;
    let now = server.now();
    server.into_inner().stop().await;

    // As the release before the events were listed has left it.
    let index = || {
        let file = rusqlite::Connection::open(&db).expect("the file");
        let sql = "SELECT partition, sort FROM usage_tracking WHERE partition LIKE 'events/%'";
        let mut rows = file.prepare(sql).expect("a query");
        let rows =
            rows.query_map((), |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
        rows.expect("rows").collect::<Result<Vec<_>, _>>().expect("rows")
    };
    let before = index();
    assert!(before.len() > 10);
    let file = rusqlite::Connection::open(&db).expect("the file");
    let undone =
        "DELETE FROM usage_tracking WHERE partition LIKE 'events/%'; PRAGMA user_version = 2";
    file.execute_batch(undone).expect("the file is ours");
    drop(file);
    assert_eq!(index(), []);

    let server = TestServer::new(start().await.expect("a server"), None);
    server.set_clock(now).await.expect("a time");
    assert_eq!(events(&server, "", 100).await, told);
    assert_eq!(index(), before);
}
