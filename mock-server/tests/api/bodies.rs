//! Bodies that are compressed, wrong, or meant to do harm: each is answered, and none costs much.

use std::io::Write;

use cloudnestle_mock_server::MockServer;
use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::{Value, json};

use crate::common::{Answer, FAISS, TestServer, answer, both, in_memory, range, search, statuses};

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(plain).expect("in memory");
    packed.finish().expect("in memory")
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    compress_to_vec(plain, CompressionLevel::Fastest)
}

async fn track(server: &TestServer, encoding: &str, body: Vec<u8>) -> Answer {
    let request = server.request("POST /api/track-usage").bearer_auth(server.key(FAISS).expose());
    let request = request.header("content-type", "application/json");
    answer(request.header("content-encoding", encoding).body(body)).await.expect("an answer")
}

#[tokio::test]
async fn compressed_usage_counts_like_any_other() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let body = |n| range("prd_a", 0, n, vec![search(&server, &pair, n)]).to_string();
        let plain = track(&server, "identity", body(1).into()).await;
        let gzip = track(&server, "gzip", gzip(body(2).as_bytes())).await;
        let zstd = track(&server, "zstd", zstd(body(3).as_bytes())).await;
        for answer in [plain, gzip, zstd] {
            assert_eq!(statuses(&answer), ["accepted"]);
        }
        assert_eq!(server.used("cus_ravi").await, 3);
    }
}

#[tokio::test]
async fn a_small_body_that_stands_for_a_large_one_is_refused() {
    let server = in_memory().await;
    let spaces = vec![b' '; 16 << 20];
    for (encoding, bomb) in [("gzip", gzip(&spaces)), ("zstd", zstd(&spaces))] {
        assert!(bomb.len() < 1 << 20, "{encoding}: {} bytes", bomb.len());
        track(&server, encoding, bomb).await.is_problem(413, "request_too_large");
    }
}

#[tokio::test]
async fn a_body_that_is_not_compressed_as_it_says_is_refused() {
    let server = in_memory().await;
    for encoding in ["gzip", "zstd"] {
        track(&server, encoding, b"{}".to_vec()).await.is_problem(422, "request_invalid");
    }
    for encoding in ["br", "deflate", "gzip, gzip", "aes128gcm", ""] {
        let refused = track(&server, encoding, b"{}".to_vec()).await;
        refused.is_problem(415, "encoding_unsupported");
        assert_eq!(refused.headers["accept-encoding"], "gzip, zstd");
    }
}

#[tokio::test]
async fn a_field_that_is_given_twice_is_refused() {
    let server = in_memory().await;
    for body in [
        r#"{"refresh_token": "cnrt_a", "refresh_token": "cnrt_b"}"#,
        r#"{"refresh_token": "cnrt_a", "refresh\u005ftoken": "cnrt_b"}"#,
    ] {
        let request = server.request("POST /api/refresh-token");
        let request = request.header("content-type", "application/json").body(body);
        let refused = answer(request).await.expect("an answer");
        assert_eq!(refused.is_problem(422, "request_invalid").body["detail"], "duplicate field");
    }
}

#[tokio::test]
async fn a_long_answer_is_compressed_for_who_takes_it() {
    let server = in_memory().await;
    let page = async |accepted: &str| {
        let request = server.request("GET /").header("accept-encoding", accepted);
        let answer = request.send().await.expect("an answer");
        let encoding = answer.headers().get("content-encoding").cloned();
        assert_eq!(answer.headers()["vary"], "accept-encoding");
        (encoding, answer.bytes().await.expect("a body"))
    };
    let (none, plain) = page("br").await;
    assert!(none.is_none());
    let (gzip, packed) = page("gzip, br").await;
    assert_eq!(gzip.expect("an encoding"), "gzip");
    assert!(packed.len() < plain.len() / 2, "{} of {}", packed.len(), plain.len());
    let mut unpacked = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(&packed[..]);
    std::io::Read::read_to_end(&mut decoder, &mut unpacked).expect("gzip");
    assert_eq!(unpacked, plain);
    let (zstd, packed) = page("gzip, zstd").await;
    assert_eq!(zstd.expect("an encoding"), "zstd");
    assert!(packed.len() < plain.len() / 2, "{} of {}", packed.len(), plain.len());

    let short = server.request("GET /healthz").header("accept-encoding", "gzip, zstd");
    assert!(!short.send().await.expect("an answer").headers().contains_key("content-encoding"));
}

#[tokio::test]
async fn a_path_that_is_too_long_is_refused() {
    let server = TestServer::new(MockServer::start().await.expect("a server"), None);
    let key = server.key(FAISS);
    let long = format!("GET /api/quotas/cus_{}/{FAISS}", "x".repeat(61));
    server.call(&long, &key, Value::Null).await.is_problem(404, "not_found");
    for path in [format!("/{}", "x/".repeat(5_000)), format!("/healthz?{}", "x".repeat(9_000))] {
        let refused = server.try_call(&format!("GET {path}"), "", &json!(null)).await;
        refused.expect("an answer").is_problem(414, "uri_too_long");
    }
}

#[tokio::test]
async fn what_brings_no_usage_has_a_small_body() {
    let server = in_memory().await;
    let body = json!({"refresh_token": "x".repeat(100_000)});
    server.call_openly("POST /api/refresh-token", body).await.is_problem(413, "request_too_large");
    let usage = json!({"padding": "x".repeat(100_000)}).to_string();
    track(&server, "identity", usage.into()).await.is_problem(422, "request_invalid");
}
