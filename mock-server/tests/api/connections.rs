//! What comes over a socket, and is not always HTTP. Each is answered with a problem, as far as there is
//! anybody to answer.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use cloudnestle_mock_server::MockServer;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::common::{FAISS, TestServer, in_memory};

/// What was answered on a connection, to its end.
struct Heard {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Value,
}

/// Says something on a new connection, and nothing more.
async fn say(address: SocketAddr, request: &[u8]) -> Vec<Heard> {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(request).await.expect("somebody who hears it");
    stream.shutdown().await.expect("a socket");
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.expect("an answer, and not a reset");
    let mut rest = std::str::from_utf8(&heard).expect("UTF-8");
    let mut answers = Vec::new();
    while let Some((head, more)) = rest.split_once("\r\n\r\n") {
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
        let headers: BTreeMap<_, _> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let length = headers["content-length"].parse().expect("a number");
        let (body, more) = more.split_at(length);
        let body = serde_json::from_str(body).unwrap_or(Value::Null);
        answers.push(Heard { status: status.parse().expect("a number"), headers, body });
        rest = more;
    }
    assert_eq!(rest, "", "nothing follows");
    answers
}

#[track_caller]
fn is_problem(heard: &[Heard], status: u16, code: &str) {
    let [only] = heard else { panic!("{} answers instead of one", heard.len()) };
    assert_eq!((only.status, only.body["code"].as_str()), (status, Some(code)));
    assert_eq!(only.headers["content-type"], "application/problem+json");
    assert_eq!(only.body["request_id"], only.headers["x-request-id"]);
    assert!(only.headers["date"].ends_with(" GMT"));
}

#[tokio::test]
async fn what_is_not_http_is_answered_with_a_problem() {
    let server = in_memory().await;
    for garbage in [
        &b"garbage\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS client\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\na: \0\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n",
    ] {
        let heard = say(server.address(), garbage).await;
        is_problem(&heard, 400, "http_malformed");
    }
}

#[tokio::test]
async fn too_much_of_a_head_is_answered_with_a_problem() {
    let server = in_memory().await;
    let large = format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "x".repeat(200_000));
    is_problem(&say(server.address(), large.as_bytes()).await, 431, "headers_too_large");
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101));
    is_problem(&say(server.address(), many.as_bytes()).await, 431, "headers_too_large");
    for length in [9_000, 50_000, 70_000, 300_000] {
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(length));
        let heard = say(server.address(), long.as_bytes()).await;
        match heard[0].status {
            414 => is_problem(&heard, 414, "uri_too_long"),
            _ => is_problem(&heard, 431, "headers_too_large"),
        }
    }
}

#[tokio::test]
async fn a_good_call_before_garbage_is_answered_first() {
    let server = in_memory().await;
    let good = "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";
    let heard = say(server.address(), format!("{good}{good}garbage\r\n\r\n").as_bytes()).await;
    let statuses: Vec<_> = heard.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 200, 400]);
    is_problem(&heard[2..], 400, "http_malformed");
}

#[tokio::test]
async fn a_body_that_ends_early_is_answered_with_a_problem() {
    let server = in_memory().await;
    let key = server.key(FAISS);
    let head = format!(
        "POST /api/track-usage HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nauthorization: Bearer {}\r\n",
        key.expose()
    );
    for rest in [
        "content-length: 100\r\n\r\n{\"producer\": ",
        "transfer-encoding: chunked\r\n\r\n5\r\n{\"pro\r\n",
        "transfer-encoding: chunked\r\n\r\nnonsense\r\n",
    ] {
        let heard = say(server.address(), format!("{head}{rest}").as_bytes()).await;
        is_problem(&heard, 422, "request_invalid");
    }
}

#[tokio::test]
async fn a_server_without_room_closes_those_that_have_been_idle_longest() {
    let server = MockServer::builder().max_connections(20).start().await.expect("a server");
    let server = TestServer::new(server, None);
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(TcpStream::connect(server.address()).await.expect("a connection"));
    }
    for _ in 0..5 {
        assert_eq!(server.call_openly("GET /healthz", Value::Null).await.status, 200);
    }
    let is_closed = async |stream: &mut TcpStream| {
        let closed = stream.read(&mut [0]).await;
        matches!(&closed, Ok(0)) || closed.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset)
    };
    assert!(is_closed(&mut idle[0]).await, "the oldest has been closed");
    let newest = idle.last_mut().expect("a connection");
    newest.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("a connection");
    assert_eq!(newest.read(&mut [0]).await.expect("an answer"), 1, "the newest has been kept");
}

/// Time stands still while anything is going on, and leaps when everybody waits.
#[tokio::test(start_paused = true)]
async fn a_client_may_be_idle_for_a_while_but_not_slow_in_the_middle() {
    let server = in_memory().await;
    let connection_for_later = ("", 100);
    let headers_that_never_end = ("GET /healthz HTTP/1.1\r\nhost: a\r\nslowly: ", 10);
    for (said, seconds) in [connection_for_later, headers_that_never_end] {
        let mut stream = TcpStream::connect(server.address()).await.expect("a connection");
        stream.write_all(said.as_bytes()).await.expect("a connection");
        let begin = Instant::now();
        assert_eq!(stream.read(&mut [0]).await.expect("an end"), 0);
        assert_eq!(begin.elapsed().as_secs(), seconds, "{said:?}");
    }
}

/// How many answers a client gets that sends 2,000 calls at once, and reads after a pause.
async fn answers_to_2000_calls(server: &TestServer, pause: Duration) -> usize {
    let calls = "GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(1_999);
    let calls = calls + "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let mut stream = TcpStream::connect(server.address()).await.expect("a connection");
    let (mut reader, mut writer) = stream.split();
    let mut heard = Vec::new();
    let read = async {
        sleep(pause).await;
        reader.read_to_end(&mut heard).await
    };
    // Who is let go finds that nobody listens any more, and the connection reset.
    let (_written, _read) = tokio::join!(writer.write_all(calls.as_bytes()), read);
    heard.windows(12).filter(|bytes| bytes == b"HTTP/1.1 200").count()
}

#[tokio::test]
async fn a_client_that_sends_many_calls_at_once_is_answered_all_of_them() {
    assert_eq!(answers_to_2000_calls(&in_memory().await, Duration::ZERO).await, 2_000);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_of_its_answers_is_let_go() {
    let answers = answers_to_2000_calls(&in_memory().await, Duration::from_secs(31)).await;
    assert!(answers < 2_000, "{answers}");
}
