//! A marketplace that is away for long, and a program that goes on: what waits stays within its limits,
//! and every event is accounted for.

use std::time::Duration;

use serde::Serialize;

use super::fleet::{Marketplace, Member};
use super::{is_campaign, note};
use crate::error::Error;
use crate::host::Host;
use crate::host::sim::Simulation;
use crate::model::Code;
use crate::usage::limits::{Overflow, SpoolLimits};

const EVENTS_A_SECOND: u64 = 1_000;

#[derive(Debug, Serialize)]
struct Totals {
    overflow: String,
    hours: f64,
    tried: u64,
    refused: u64,
    counted: u64,
    lost: u64,
    spool_limit: u64,
    most_on_disk: u64,
    /// What this process has had at most, all of the simulation in it (Linux).
    most_resident: Option<u64>,
    /// How long it took until everything was delivered or declared.
    caught_up_after_s: u64,
}

#[test]
fn a_long_outage_fills_the_spool_and_no_more_and_each_event_is_accounted_for() {
    for overflow in [Overflow::Reject, Overflow::DropOldest, Overflow::DropNewest] {
        let totals = live_through(overflow);
        assert_eq!(totals.tried, totals.refused + totals.counted + totals.lost);
        assert!(totals.most_on_disk <= totals.spool_limit + 16 * 1024, "{totals:?}");
        match overflow {
            Overflow::Reject => assert!(totals.refused > 0 && totals.lost == 0, "{totals:?}"),
            _ => assert!(totals.refused == 0 && totals.lost > 0, "{totals:?}"),
        }
        note("outage", totals);
    }
}

fn live_through(overflow: Overflow) -> Totals {
    // A day and 64 MB in a campaign; else a spool that is full after some seconds.
    let (outage, bytes) = match is_campaign() {
        true => (Duration::from_secs(24 * 3_600), 64 * 1024 * 1024),
        false => (Duration::from_secs(20), 512 * 1024),
    };
    let simulation = Simulation::new(1);
    let marketplace = Marketplace::default();
    let limits = SpoolLimits::default().bytes(bytes).overflow(overflow);
    let member = Member::new(&simulation, 1, limits, &marketplace);
    let mut totals = Totals {
        overflow: format!("{overflow:?}"),
        hours: outage.as_secs_f64() / 3_600.0,
        tried: 0,
        refused: 0,
        counted: 0,
        lost: 0,
        spool_limit: bytes,
        most_on_disk: 0,
        most_resident: None,
        caught_up_after_s: 0,
    };
    simulation.run(async {
        let mut accepted = 0;
        marketplace.books().down = true;
        while simulation.now() < outage {
            for _ in 0..EVENTS_A_SECOND / 100 {
                totals.tried += 1;
                match member.track().await {
                    Ok(_) => accepted += 1,
                    Err(error) => refused(&error, &mut totals),
                }
            }
            totals.most_on_disk = totals.most_on_disk.max(member.disk.bytes());
            member.host.sleep(Duration::from_millis(10)).await;
        }
        let stats = member.tracker.stats();
        assert_eq!((stats.tracked, stats.delivered), (accepted, 0));
        assert_eq!(stats.pending + stats.lost.total(), accepted);

        marketplace.books().down = false;
        let back = simulation.now();
        while member.tracker.stats().pending > 0
            || member.tracker.stats().lost.total() > marketplace.books().lost
        {
            member.host.sleep(Duration::from_secs(1)).await;
        }
        totals.caught_up_after_s = (simulation.now() - back).as_secs();
        let (stats, books) = (member.tracker.stats(), marketplace.books());
        assert_eq!((stats.tracked, stats.delivered), (accepted, books.counted));
        assert_eq!((stats.lost.overflow, stats.lost.total()), (books.lost, books.lost));
        (totals.counted, totals.lost) = (books.counted, books.lost);
    });
    totals.most_resident = most_resident();
    totals
}

fn refused(error: &Error, totals: &mut Totals) {
    assert_eq!(error.code(), Code::SpoolFull);
    totals.refused += 1;
}

fn most_resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}
