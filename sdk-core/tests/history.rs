//! What was used, read as far as somebody reads on.

use cloudnestle_marketplace::{Bucket, Code, MarketplaceSdk, Usage, UsageFilter};
use cloudnestle_mock_server::{Fault, MockServer};
use futures_util::{FutureExt, StreamExt, TryStreamExt};

const SOLUTION: &str = "sol_faiss_search";

/// Ravi has searched seven times: once, twice, …
async fn used() -> (MockServer, MarketplaceSdk) {
    let server = MockServer::start().await.unwrap();
    let key = server.secret_key(SOLUTION).unwrap();
    let builder = MarketplaceSdk::builder().url(server.url()).secret_key(key).solution(SOLUTION);
    let sdk = builder.spool_in_memory().build().unwrap();
    let pair = server.token_pair("cus_ravi", SOLUTION).await.unwrap();
    for quantity in 1..=7 {
        let usage = Usage::of("search").quantity(quantity);
        sdk.track_usage(pair.access_token.expose(), usage).await.unwrap();
    }
    sdk.flush().await.unwrap();
    (server, sdk)
}

fn by(limit: u32) -> UsageFilter {
    UsageFilter::all().page_size(limit)
}

#[tokio::test]
async fn a_list_is_asked_for_page_by_page_as_it_is_read() {
    let (_server, sdk) = used().await;
    let requests = sdk.stats().requests;
    let asked = || sdk.stats().requests - requests;
    let mut events = sdk.usage_events("cus_ravi", by(3));
    assert_eq!(asked(), 0, "nobody has read anything");
    let mut counts = Vec::new();
    for pages in [1, 1, 1, 2, 2, 2, 3] {
        counts.push(events.next().await.unwrap().unwrap().counts);
        assert_eq!(asked(), pages);
    }
    assert!(events.next().await.is_none() && events.next().await.is_none());
    assert_eq!((counts, asked()), (vec![7, 6, 5, 4, 3, 2, 1], 3));

    // As a stream, and what is left of a page.
    let mut events = sdk.usage_events("cus_ravi", by(3));
    let first: Vec<_> = events.by_ref().take(2).try_collect().await.unwrap();
    assert_eq!(first.iter().map(|event| event.counts).collect::<Vec<_>>(), [7, 6]);
    for expected in [vec![5], vec![4, 3, 2], vec![1]] {
        let page = events.next_page().await.unwrap().unwrap();
        let counts: Vec<_> = page.items.iter().map(|event| event.counts).collect();
        assert_eq!((counts, page.next_cursor.is_some()), (expected.clone(), expected != [1]));
    }
    assert!(events.next_page().await.unwrap().is_none());

    let days: Vec<_> =
        sdk.usage_history("cus_ravi", Bucket::Day, by(1)).try_collect().await.unwrap();
    assert_eq!(days.iter().map(|day| day.quantity).sum::<u64>(), 28);
}

#[tokio::test]
async fn a_read_that_is_given_up_loses_nothing() {
    let (server, sdk) = used().await;
    let mut events = sdk.usage_events("cus_ravi", by(4));
    let mut counts = Vec::new();
    while counts.len() < 7 {
        // Given up at once, however often: the request goes on.
        if let Some(event) = events.next().now_or_never() {
            counts.push(event.unwrap().unwrap().counts);
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(counts, [7, 6, 5, 4, 3, 2, 1]);
    let reads = server.journal().into_iter();
    let reads = reads.filter(|call| call.operation == "GET /api/usage/{customer_id}/events");
    assert_eq!(reads.count(), 2);
}

#[tokio::test]
async fn an_error_ends_the_list_and_it_is_taken_up_where_it_was() {
    let (server, sdk) = used().await;
    let mut events = sdk.usage_events("cus_ravi", by(4));
    for _ in 0..4 {
        events.next().await.unwrap().unwrap();
    }
    let broken = Fault::on("GET /api/usage/{customer_id}/events").status(422);
    server.inject(broken).unwrap();
    assert!(events.next().await.unwrap().is_err());
    assert!(events.next().await.is_none(), "a loop that skips errors ends");

    let cursor = events.cursor().expect("a place to go on").to_owned();
    let rest = sdk.usage_events("cus_ravi", by(4).after(cursor));
    let rest: Vec<_> = rest.map(|event| event.unwrap().counts).collect().await;
    assert_eq!(rest, [3, 2, 1]);
}

#[tokio::test]
async fn what_can_not_be_asked_is_not_and_what_makes_no_sense_is_refused() {
    let (_server, sdk) = used().await;
    let requests = sdk.stats().requests;
    for id in ["", "ravi", "cus_", "cus_../../healthz", "cus_a?b"] {
        let mut events = sdk.usage_events(id, UsageFilter::all());
        assert_eq!(events.next().await.unwrap().unwrap_err().code(), Code::RequestInvalid, "{id}");
        assert!(events.next().await.is_none());
    }
    assert_eq!(sdk.stats().requests, requests);

    let refused = async |filter: UsageFilter| {
        sdk.usage_events("cus_ravi", filter).next().await.unwrap().unwrap_err().code()
    };
    let noon = "2026-11-22T12:00:00Z".parse().unwrap();
    assert_eq!(refused(UsageFilter::all().since(noon).until(noon)).await, Code::RequestInvalid);
    assert_eq!(refused(by(101)).await, Code::RequestInvalid);
    assert_eq!(refused(UsageFilter::all().after("made&up=1")).await, Code::CursorInvalid);
    assert_eq!(refused(UsageFilter::all().action("a&b=c#d e")).await, Code::ActionUnknown);
    let nobody = sdk.usage_events("cus_nobody", UsageFilter::all()).next().await.unwrap();
    assert_eq!(nobody.unwrap_err().code(), Code::Forbidden, "which is no empty history");
}
