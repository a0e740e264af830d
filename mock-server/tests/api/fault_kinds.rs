//! Everything that can go wrong with an answer, as a client meets it on the wire.

use std::time::{Duration, Instant};

use cloudnestle_mock_server::{Fault, Search, Unanswered, When};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::{FAISS, TestServer, both, in_memory, range, search, statuses};

const TRACK: &str = "POST /api/track-usage";
const JWKS: &str = "GET /.well-known/jwks.json";

/// What a client is told that tracks one event, to the connection's end.
async fn heard(server: &TestServer, body: &Value) -> String {
    let (body, key) = (body.to_string(), server.key(FAISS));
    let request = format!(
        "POST /api/track-usage HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\n\
         authorization: Bearer {}\r\naccept-encoding: gzip\r\ncontent-length: {}\r\n\r\n{body}",
        key.expose(),
        body.len()
    );
    let mut stream = TcpStream::connect(server.address()).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("somebody who hears it");
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.expect("an end, and not a reset");
    String::from_utf8_lossy(&heard).into_owned()
}

/// One event, which counts once however often it is sent.
async fn an_event(server: &TestServer) -> Value {
    let pair = server.pair("cus_ravi", FAISS).await;
    range("prd_a", 0, 1, vec![search(server, &pair, 1)])
}

/// The length that an answer says it has, and its body.
fn told(answer: &str) -> (usize, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    (length.expect("a length").parse().expect("a number"), body)
}

#[tokio::test]
async fn a_connection_may_be_closed_without_a_word_before_the_effect_or_after_it() {
    for server in both().await {
        let event = an_event(&server).await;
        for (when, used) in [(When::BeforeCommit, 0), (When::AfterCommit, 1)] {
            server.inject(Fault::on(TRACK).empty(when)).expect("a fault");
            assert_eq!(heard(&server, &event).await, "");
            assert_eq!(server.used("cus_ravi").await, used);
        }
        let calls = server.find(&Search::default().operation(TRACK));
        assert_eq!(calls[0].entry.unanswered, Some(Unanswered::Closed));
        assert_eq!(calls[0].entry.fault.as_deref(), Some("flt_1: empty before_commit"));
        assert_eq!(statuses(&server.track(event).await), ["duplicate"]);
    }
}

#[tokio::test]
async fn an_answer_may_be_no_http() {
    let server = in_memory().await;
    let event = an_event(&server).await;
    server.inject(Fault::on(TRACK).malformed_http()).expect("a fault");
    let answer = heard(&server, &event).await;
    assert!(!answer.is_empty() && !answer.starts_with("HTTP"), "{answer}");
    assert_eq!(server.used("cus_ravi").await, 1);
    let calls = server.find(&Search::default().operation(TRACK));
    assert_eq!(calls[0].entry.unanswered, Some(Unanswered::Garbled));
}

#[tokio::test]
async fn an_answer_may_be_no_json() {
    let server = in_memory().await;
    let event = an_event(&server).await;
    server.inject(Fault::on(TRACK).malformed_json()).expect("a fault");
    let answer = heard(&server, &event).await;
    let (length, body) = told(&answer);
    assert_eq!(length, body.len(), "it is whole as far as HTTP goes");
    assert!(body.starts_with('{'), "{body}");
    assert!(serde_json::from_str::<Value>(body).is_err(), "{body}");
    assert_eq!(server.used("cus_ravi").await, 1);
    // One that is compressed is half of what it says, too; and an error.
    let pair = server.pair("cus_ravi", FAISS).await;
    let many = range("prd_b", 0, 1, (1..=50).map(|n| search(&server, &pair, 100 + n)).collect());
    assert!(heard(&server, &many).await.contains("content-encoding: gzip"));
    server.inject(Fault::on(TRACK).malformed_json()).expect("a fault");
    let answer = heard(&server, &many).await;
    let (_, half) = told(&answer);
    assert!(half.starts_with('{') && serde_json::from_str::<Value>(half).is_err(), "{half}");
    server.inject(Fault::on("POST /api/users").malformed_json()).expect("a fault");
    let refused =
        server.request("POST /api/users").json(&json!([])).send().await.expect("an answer");
    assert_eq!(refused.status(), 422);
    assert!(refused.json::<Value>().await.is_err());
}

#[tokio::test]
async fn an_answer_may_end_before_the_length_it_has_said() {
    let server = in_memory().await;
    let event = an_event(&server).await;
    let truncated = Fault::on(TRACK).truncated(0.25);
    for (fault, share) in [(truncated, 4), (Fault::on(TRACK).stall(Duration::from_millis(20)), 2)] {
        server.inject(fault).expect("a fault");
        let answer = heard(&server, &event).await;
        let (length, body) = told(&answer);
        assert_eq!(body.len(), length / share, "{body}");
    }
    assert_eq!(server.used("cus_ravi").await, 1);
    server.inject(Fault::on(JWKS).truncated(0.5)).expect("a fault");
    let broken = server.request(JWKS).send().await.expect("a head").bytes().await;
    assert!(broken.is_err(), "the client sees that it is not all");
}

#[tokio::test]
async fn an_answer_may_come_bit_by_bit_and_is_whole_in_the_end() {
    let server = in_memory().await;
    let event = an_event(&server).await;
    let over = Duration::from_millis(60);
    server.inject(Fault::on(TRACK).drip(7, over)).expect("a fault");
    let begin = Instant::now();
    let answer = heard(&server, &event).await;
    assert!(begin.elapsed() >= over);
    let (length, body) = told(&answer);
    assert_eq!(length, body.len());
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body["results"][0]["status"], "accepted");
}

#[tokio::test]
async fn a_call_may_be_performed_twice_and_the_second_answer_is_heard() {
    for server in both().await {
        let event = an_event(&server).await;
        server.inject(Fault::on(TRACK).duplicate()).expect("a fault");
        assert_eq!(statuses(&server.track(event).await), ["duplicate"]);
        assert_eq!(server.used("cus_ravi").await, 1);
        server.inject(Fault::on("POST /api/refresh-token").duplicate()).expect("a fault");
        let pair = server.pair("cus_ravi", FAISS).await;
        let body = json!({"refresh_token": pair.refresh_token});
        let again = server.call_openly("POST /api/refresh-token", body).await;
        assert_eq!(again.status, 200, "a refresh that was repeated at once is answered again");
    }
}

#[tokio::test]
async fn the_signing_key_may_change_while_a_call_is_under_way() {
    let server = in_memory().await;
    let kid = async || {
        let body = json!({"solution_id": FAISS});
        let pair = server.call("POST /api/generate-token", &server.key(FAISS), body).await.body;
        let head =
            pair["access_token"].as_str().and_then(|it| it.split('.').next()).map(str::to_owned);
        head.expect("a token")
    };
    let first = kid().await;
    server
        .inject(Fault::on("POST /api/generate-token").rotate_key(When::AfterCommit))
        .expect("a fault");
    assert_eq!(kid().await, first);
    let second = kid().await;
    assert_ne!(second, first);
    server
        .inject(Fault::on("POST /api/generate-token").rotate_key(When::BeforeCommit))
        .expect("a fault");
    assert_ne!(kid().await, second);
}

#[tokio::test]
async fn the_date_of_an_answer_may_be_wrong() {
    let server = in_memory().await;
    server.freeze_clock(true);
    let date = async || {
        let answer = server.request(JWKS).send().await.expect("an answer");
        answer.headers()["date"].to_str().expect("text").to_owned()
    };
    let right = date().await;
    server.inject(Fault::on(JWKS).date_offset_ms(-3_600_000)).expect("a fault");
    let wrong = date().await;
    server.set_clock(server.now() - Duration::from_secs(3_600)).await.expect("in range");
    assert_eq!(date().await, wrong);
    assert_ne!(wrong, right);
}

#[tokio::test]
async fn an_answer_may_be_anything_that_a_test_writes() {
    let server = in_memory().await;
    let event = an_event(&server).await;
    let page =
        Fault::on(TRACK).status(502).header("content-type", "text/html").body("<h1>Oh no</h1>");
    server.inject(page).expect("a fault");
    let body = json!({"results": [], "of": "tomorrow"});
    server.inject(Fault::on(TRACK).status(200).body(body.clone())).expect("a fault");

    let request = server.request(TRACK).bearer_auth(server.key(FAISS).expose()).json(&event);
    let page = request.send().await.expect("an answer");
    assert_eq!(
        (page.status().as_u16(), &page.headers()["content-type"]),
        (502, &"text/html".parse().expect("a type"))
    );
    assert_eq!(page.text().await.expect("text"), "<h1>Oh no</h1>");
    assert_eq!(server.track(event.clone()).await.body, body);
    assert_eq!(server.used("cus_ravi").await, 0);
}

#[tokio::test]
async fn a_delay_may_be_drawn_and_the_journal_says_what_it_was() {
    let server = in_memory().await;
    let between = [Duration::from_millis(1), Duration::from_millis(9)];
    server.inject(Fault::on(JWKS).delay_between(between[0], between[1]).times(8)).expect("a fault");
    server.inject(Fault::on(JWKS).delay_lognormal(between[0], 0.5).times(2)).expect("a fault");
    let mut drawn = Vec::new();
    for _ in 0..10 {
        let begin = Instant::now();
        server.call_openly(JWKS, Value::Null).await;
        let fault = server.journal().pop().and_then(|entry| entry.fault).expect("a fault");
        let millis = fault.split("delay_ms ").nth(1).and_then(|it| it.parse::<u64>().ok());
        let millis = millis.unwrap_or_else(|| panic!("{fault}"));
        assert!(begin.elapsed() >= Duration::from_millis(millis), "{fault}");
        drawn.push(millis);
    }
    assert!(drawn[..8].iter().all(|millis| (1..=9).contains(millis)), "{drawn:?}");
    assert!(drawn[..8].iter().any(|millis| *millis != drawn[0]), "{drawn:?}");
    server.verify_faults().expect("all were met");
}
