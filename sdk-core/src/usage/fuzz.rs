//! A folder that somebody made up, found as a process finds what another has left.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::log::fuzz::Segments;
use super::log::{Most, Record, SegmentLog};
use super::range::{Losses, Range};
use crate::host::sim::{SimHost, Simulation, no_network};
use crate::host::{Files, MemoryFiles};

pub(crate) use super::log::fuzz::frames;

/// Finds a folder of segments, written as a recipe says. What is read is what was written, in order, however
/// much of it at once; what is sent tells of every number once.
pub(crate) fn folder(recipe: &[u8]) {
    let segments = Segments::of(recipe);
    let simulation = Simulation::new(1);
    let host = SimHost::new(&simulation, None, no_network());
    let (files, dir) = (Arc::new(MemoryFiles::default()), PathBuf::from("found"));
    for (first, bytes) in &segments.files {
        let name = dir.join(format!("{first:020}.log"));
        files.replace(&name, bytes).expect("memory");
    }
    simulation.run(async {
        let log = SegmentLog::left_behind(host, files, &dir).await.expect("it can be read");
        let found = read(&log, Most { records: usize::MAX, bytes: usize::MAX }).await;
        assert!(found.is_sorted_by(|one, next| one.number < next.number), "out of order");
        assert!(segments.have(&found), "never written");
        assert!(found.last().is_none_or(|record| record.number <= log.last()));
        if let Some((expected, last)) = segments.expected() {
            assert_eq!((&found, log.last()), (&expected, last));
        }
        let few = read(&log, Most { records: 2, bytes: 100 }).await;
        assert_eq!(few, found, "read in pieces, it is something else");
        send(&log, &found).await;
    });
}

/// Everything, so much at once.
async fn read(log: &Arc<SegmentLog>, most: Most) -> Vec<Record> {
    let mut found = Vec::<Record>::new();
    loop {
        let after = found.last().map_or(0, |record| record.number);
        let more = log.scan(after, most).await.expect("it can be read");
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

/// Goes through a log as an uploader does whose every range is answered.
async fn send(log: &Arc<SegmentLog>, found: &[Record]) {
    let events =
        found.iter().filter(|record| serde_json::from_slice::<Value>(&record.bytes).is_ok());
    let mut unsent: BTreeSet<u64> = events.map(|record| record.number).collect();
    let mut answered = log.trimmed();
    while answered < log.last() {
        let records = log.scan(answered, Most::A_BATCH).await.expect("it can be read");
        let missing = |first, last| log.losses(first, last);
        let losses = Losses { missing, expired_before: None };
        let range = Range::after(answered, records, log.last(), &losses);
        let wire: Value = serde_json::from_str(&range.wire("prd_x", 1)).expect("JSON");
        for item in wire["items"].as_array().expect("a list") {
            let number = item["number"].as_u64().expect("a number");
            assert_eq!(number, answered + 1, "a gap, or one number twice");
            answered = item["through"].as_u64().unwrap_or(number);
            assert!(answered >= number && (item["lost"].is_null() != item["event"].is_null()));
            if item["lost"].is_null() {
                assert!(unsent.remove(&number), "an event that is not there");
            }
        }
        assert_eq!(answered, range.last());
        log.trim(answered).expect("memory");
    }
    assert_eq!(answered, log.last().max(log.trimmed()));
    assert!(unsent.is_empty(), "not sent: {unsent:?}");
}
