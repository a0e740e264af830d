//! A spool of 64 KB with one byte that is another than was written, each byte in turn.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::{is_campaign, note};
use crate::host::sim::{SimHost, Simulation, no_network};
use crate::host::{Files, MemoryFiles};
use crate::model::LossReason;
use crate::usage::limits::SpoolLimits;
use crate::usage::log::{Most, Record, SegmentLog};

const SPOOL_BYTES: usize = 64 * 1024;

/// A spool whose every byte matters: events of ordinary size.
fn written(host: &Arc<SimHost>) -> (Vec<u8>, Vec<Record>) {
    let (files, dir) = (Arc::new(MemoryFiles::default()), Path::new("written"));
    let log = SegmentLog::create(host.clone(), files.clone(), dir, SpoolLimits::default()).unwrap();
    let mut records = Vec::new();
    for number in 1.. {
        let event = format!(r#"{{"id":"evt_{number:026}","action":"search","quantity":{number}}}"#);
        let bytes = event.repeat(1 + number % 4).into_bytes();
        if log.bytes() as usize + bytes.len() + 24 > SPOOL_BYTES {
            break;
        }
        log.append(&bytes).unwrap();
        records.push(Record { number: number as u64, bytes });
    }
    let name = files.list(dir).unwrap().pop().unwrap();
    let read = futures_util::FutureExt::now_or_never(files.read_at(&dir.join(name), 0, usize::MAX));
    (read.unwrap().unwrap(), records)
}

#[derive(Debug, Serialize)]
struct Totals {
    bytes: usize,
    flips: u64,
    records: usize,
    /// Declared as damaged, one for each flip that touched a record.
    declared: u64,
    quarantined: u64,
}

#[test]
fn a_flip_of_any_byte_of_the_spool_costs_its_own_record_and_invents_none() {
    let simulation = Simulation::new(1);
    let host = SimHost::new(&simulation, None, no_network());
    let (whole, records) = written(&host);
    assert!(whole.len() > SPOOL_BYTES - 512, "{}", whole.len());
    let mut totals = Totals {
        bytes: whole.len(),
        flips: 0,
        records: records.len(),
        declared: 0,
        quarantined: 0,
    };
    // Each byte in each run; each of its bits in a campaign.
    let bits = if is_campaign() { 0..8 } else { 0..1 };
    for at in 0..whole.len() {
        for bit in bits.clone() {
            let mut damaged = whole.clone();
            damaged[at] ^= if is_campaign() { 1 << bit } else { 1 << (at % 8) };
            totals.flips += 1;
            let (lost, quarantined) = simulation.run(read_back(&host, &damaged, &records));
            totals.declared += lost;
            totals.quarantined += quarantined;
        }
    }
    // The bytes that belong to no record are the eight of the file's header.
    assert_eq!(totals.declared, totals.flips - 8 * (totals.flips / whole.len() as u64));
    note("flips", totals);
}

/// How many records a process declares lost that finds the spool so, and how many pieces it keeps.
async fn read_back(host: &Arc<SimHost>, damaged: &[u8], written: &[Record]) -> (u64, u64) {
    let (files, dir) = (Arc::new(MemoryFiles::default()), PathBuf::from("found"));
    files.replace(&dir.join("00000000000000000001.log"), damaged).unwrap();
    let log = SegmentLog::left_behind(host.clone(), files.clone(), &dir).await.unwrap();
    let most = Most { records: usize::MAX, bytes: usize::MAX };
    let found = log.scan(0, most).await.unwrap();
    assert_eq!(log.last(), written.len() as u64, "each number is known");
    let mut found = found.into_iter().peekable();
    let mut lost = 0;
    for record in written {
        if found.next_if(|next| next == record).is_none() {
            assert_eq!(log.loss(record.number), LossReason::Damaged);
            lost += 1;
        }
    }
    assert_eq!(found.next(), None, "an event that was never written");
    assert!(lost <= 1, "{lost} records were lost by one flip");
    (lost, files.list(Path::new("quarantine")).unwrap().len() as u64)
}
