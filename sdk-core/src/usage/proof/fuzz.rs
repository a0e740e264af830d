//! What comes from outside, and may be anything: files, tokens, answers, ranges. proptest makes it up,
//! of noise and of the real thing with parts of it changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::ready;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::events::Announcer;
use crate::host::sim::{SimHost, Simulation, no_network};
use crate::host::{Files, MemoryFiles, Response};
use crate::http::{Call, Clock, HttpClient, RetryPolicy};
use crate::model::{Problem, TrackUsage, TrackUsageResult, UnverifiedToken};
use crate::usage::limits::SpoolLimits;
use crate::usage::log::{Most, Record, RecordLog, SegmentLog};

/// Something done to bytes that were whole.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Cut(Index),
    Remove(Index, u8),
    Insert(Index, Vec<u8>),
    /// A piece of it comes twice.
    Repeat(Index, Index),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let at = || any::<Index>();
    let change = prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        at().prop_map(Change::Cut),
        (at(), any::<u8>()).prop_map(|(at, len)| Change::Remove(at, len)),
        (at(), vec(any::<u8>(), 0..60)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (at(), at()).prop_map(|(from, to)| Change::Repeat(from, to)),
    ];
    vec(change, 0..5)
}

fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let end = bytes.len() + 1;
        match change {
            Change::Set(at, byte) => {
                let at = at.index(end);
                bytes.get_mut(at).into_iter().for_each(|place| *place = *byte);
            }
            Change::Cut(at) => bytes.truncate(at.index(end)),
            Change::Remove(at, len) => {
                let at = at.index(end);
                let to = bytes.len().min(at + usize::from(*len));
                bytes.drain(at..to);
            }
            Change::Insert(at, more) => {
                let at = at.index(end);
                bytes.splice(at..at, more.iter().copied());
            }
            Change::Repeat(from, to) => {
                let (from, to) = (from.index(end), to.index(end));
                let piece = bytes[from.min(to)..from.max(to)].to_vec();
                bytes.splice(from..from, piece);
            }
        }
    }
    bytes
}

fn written(host: &Arc<SimHost>) -> (Vec<u8>, Vec<Record>) {
    let (files, dir) = (Arc::new(MemoryFiles::default()), Path::new("written"));
    let log = SegmentLog::create(host.clone(), files.clone(), dir, SpoolLimits::default()).unwrap();
    let records: Vec<Record> = (1..=12)
        .map(|number| Record { number, bytes: vec![number as u8; 20 * number as usize] })
        .collect();
    for record in &records {
        log.append(&record.bytes).unwrap();
    }
    let file = dir.join("00000000000000000001.log");
    let read = files.read_at(&file, 0, usize::MAX).now_or_never();
    (read.expect("at once").unwrap(), records)
}

/// What a process finds in a segment with these bytes.
fn found(simulation: &Simulation, host: &Arc<SimHost>, bytes: &[u8]) -> Vec<Record> {
    let (files, dir) = (Arc::new(MemoryFiles::default()), PathBuf::from("found"));
    files.replace(&dir.join("00000000000000000001.log"), bytes).unwrap();
    simulation.run(async {
        let log = SegmentLog::left_behind(host.clone(), files, &dir).await.unwrap();
        let most = Most { records: usize::MAX, bytes: usize::MAX };
        let found = log.scan(0, most).await.unwrap();
        assert!(found.last().is_none_or(|record| record.number <= log.last()));
        found
    })
}

const TOKEN: &str = "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSIsImtpZCI6ImsifQ.\
                     eyJpc3MiOiJpIiwiYXVkIjoiYSIsInN1YiI6InMiLCJqdGkiOiJqIiwiaWF0IjoxLCJleHAiOjIsInRpZXIiOiJwcm8ifQ.c2ln";

const RANGE: &str = r#"{"producer":"prd_1","epoch":0,"items":[{"number":7,"event":{"id":"evt_1",
    "customer_id":"cus_1","token_id":"tok_1","action":"search","quantity":1,
    "occurred_at":"2026-11-22T22:00:00Z"}},{"number":8,"lost":"damaged"}]}"#;

const PROBLEM: &str = r#"{"type":"https://x/y","title":"t","status":409,"detail":"d",
    "code":"sequence_gap","retryable":false,"request_id":"req_1","doc_url":"u","fence":7}"#;

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn a_segment_of_anything_is_read_to_its_end(bytes in vec(any::<u8>(), 0..3_000)) {
        let simulation = Simulation::new(1);
        let host = SimHost::new(&simulation, None, no_network());
        prop_assert_eq!(found(&simulation, &host, &bytes), Vec::new());
    }

    #[test]
    fn of_a_changed_segment_nothing_is_read_that_was_not_written(changes in changes()) {
        let simulation = Simulation::new(1);
        let host = SimHost::new(&simulation, None, no_network());
        let (whole, records) = written(&host);
        let found = found(&simulation, &host, &changed(whole, &changes));
        prop_assert!(found.is_sorted_by(|one, next| one.number < next.number));
        prop_assert!(found.iter().all(|record| records.contains(record)));
    }

    #[test]
    fn a_token_of_anything_is_refused_or_read(noise in ".{0,200}", changes in changes()) {
        let changed = changed(TOKEN.into(), &changes);
        for token in [noise.as_str(), &String::from_utf8_lossy(&changed)] {
            if let Ok(unverified) = UnverifiedToken::parse(token, UnverifiedToken::ACCESS) {
                let _ = unverified.claims(true);
            }
        }
    }

    #[test]
    fn an_answer_of_anything_is_a_value_or_an_error(
        status in 100_u16..600,
        names in vec(prop_oneof![Just("retry-after"), Just("retry-after-ms"), Just("ratelimit"),
            Just("date"), Just("cloudnestle-version"), Just("x-should-retry")], 0..5),
        value in prop_oneof![".{0,40}", "[0-9]{1,25}", "\"[a-z]\";r=0;t=[0-9]{1,25}",
            Just("Sun, 22 Nov 2026 22:00:00 GMT".to_owned())],
        noise in vec(any::<u8>(), 0..200),
        changes in changes(),
    ) {
        for body in [noise, changed(PROBLEM.into(), &changes)] {
            let headers = names.iter().map(|name| (name.to_string(), value.clone())).collect();
            let response = Response { status, headers, body };
            let network = Arc::new(move |_| ready(Ok(response.clone())).boxed());
            let simulation = Simulation::new(1);
            let host = SimHost::new(&simulation, None, network);
            let clock = Arc::new(Clock::new(host.clone(), None));
            let (url, solution) = ("http://sim".to_owned(), "sol_x".to_owned());
            let announcer = Arc::new(Announcer::default());
            let http = HttpClient::new(host, clock, announcer, url, solution, RetryPolicy::CALL);
            let deadline = std::time::Duration::from_secs(10);
            let result: crate::Result<TrackUsageResult> =
                simulation.run(http.call(Call::get("/api/anything"), deadline));
            prop_assert!(result.is_err() || (200..300).contains(&status));
            prop_assert!(simulation.now() <= deadline, "a call keeps its deadline");
        }
    }

    #[test]
    fn a_range_of_anything_is_refused_or_says_what_it_says(
        noise in vec(any::<u8>(), 0..200),
        changes in changes(),
    ) {
        for body in [noise, changed(RANGE.into(), &changes)] {
            if let Ok(range) = serde_json::from_slice::<TrackUsage>(&body) {
                let again = serde_json::to_vec(&range).unwrap();
                prop_assert_eq!(serde_json::from_slice::<TrackUsage>(&again).unwrap(), range);
            }
            let _ = serde_json::from_slice::<Problem>(&body);
        }
    }
}

fn cases() -> u32 {
    super::number("SIM_SEEDS").map_or(256, |seeds| seeds as u32)
}
