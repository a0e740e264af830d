use std::io::Write;
use std::sync::Arc;

use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::host::{Request, Response};
use cloudnestle_marketplace::model::{
    EventStatus, Problem, Timestamp, TrackUsage, TrackUsageResult,
};
use cloudnestle_mock_server::sim::SimMarket;
use cloudnestle_mock_server::store::Memory;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::FutureExt;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

/// When the marketplace is asked: a while after what the seeds tell of.
const NOW: i64 = 1_795_392_000; // 2026-11-23 00:00 UTC

/// A body of `POST /api/track-usage`, after a byte that says how it is packed. It is taken or refused in the
/// words of the catalogue; what was taken counts once, however often it is sent.
pub fn range(bytes: &[u8]) {
    let Some((packing, body)) = bytes.split_first() else { return };
    let (encoding, sent) = match packing % 8 {
        0 => ("gzip", body.to_vec()),
        1 => ("zstd", body.to_vec()),
        2 => ("gzip", gzip(body)),
        3 => ("zstd", compress_to_vec(body, CompressionLevel::Fastest)),
        _ => ("identity", body.to_vec()),
    };
    let market = market();
    let Some(first) = taken(&track(&market, encoding, sent.clone())) else { return };
    let again = taken(&track(&market, encoding, sent)).expect("what was taken is taken again");
    assert_eq!(first.fence, again.fence, "the fence went on");
    let is_counted = |result: &TrackUsageResult| {
        result.results.iter().any(|result| result.status == EventStatus::Accepted)
    };
    assert!(!is_counted(&again), "it was counted twice");
    if encoding == "identity"
        && let Ok(TrackUsage::Range(range)) = serde_json::from_slice(body)
    {
        let last = range.items.last().map(|entry| entry.through());
        assert!(first.fence >= last, "a number is not answered for");
    }
}

fn track(market: &SimMarket, encoding: &str, body: Vec<u8>) -> Response {
    let key = market.solutions()[0].secret_key.expose().to_owned();
    let headers = vec![
        ("authorization", format!("Bearer {key}")),
        ("content-encoding", encoding.to_owned()),
        ("content-type", "application/json".to_owned()),
    ];
    let url = "https://market.test/api/track-usage".to_owned();
    let request = Request { method: "POST", url, headers, body };
    market.call(request).now_or_never().expect("memory does not wait")
}

/// What was answered, unless it was refused.
fn taken(response: &Response) -> Option<TrackUsageResult> {
    if response.status == 200 {
        return Some(serde_json::from_slice(&response.body).expect("an answer"));
    }
    let problem: Problem = serde_json::from_slice(&response.body).expect("a problem");
    assert!((400..500).contains(&response.status), "{problem:?}");
    assert_eq!(problem.status, response.status);
    assert_ne!(problem.code, Code::Unknown);
    None
}

/// A marketplace in which nothing has happened yet.
fn market() -> SimMarket {
    let (store, time) = (Arc::new(Memory::new()), || Timestamp::from_secs(NOW));
    let opened = SimMarket::open(store, "https://market.test", time, [7; 32]).now_or_never();
    opened.expect("memory does not wait").expect("an empty store")
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(plain).expect("memory");
    packed.finish().expect("memory")
}
