//! What a tracker hands its uploader: whichever of them goes on first, and whatever the marketplace does
//! meanwhile, nobody is forgotten who waits.

use std::ops::AddAssign;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use serde::Serialize;

use super::fleet::{Marketplace, Member};
use super::{each_seed, note};
use crate::host::Host;
use crate::host::sim::Simulation;
use crate::usage::limits::SpoolLimits;

/// The longest that anything waits once the marketplace is back: a backoff, its jitter and a request.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Default, Serialize)]
struct Totals {
    stories: u64,
    events: u64,
    flushes: u64,
    outages: u64,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.stories += other.stories;
        self.events += other.events;
        self.flushes += other.flushes;
        self.outages += other.outages;
    }
}

#[test]
fn whoever_waits_for_an_event_is_told_in_whatever_order_things_happen() {
    let totals = each_seed(200, tell);
    assert!(totals.stories < 100 || totals.outages > 100 && totals.flushes > 100);
    note("handover", totals);
}

fn tell(seed: u64) -> Totals {
    let simulation = Simulation::new(seed);
    let marketplace = Marketplace::default();
    let mut chance = Rng::with_seed(seed);
    let member = Member::new(&simulation, seed, SpoolLimits::default(), &marketplace);
    let member = Arc::new(member);
    let mut totals = Totals { stories: 1, ..Totals::default() };
    let (writers, events) = (chance.u64(1..=4), chance.u64(1..=12));
    totals.events = writers * events;
    let (done, mut waiting) = futures_channel::mpsc::unbounded();
    for _ in 0..writers {
        let (member, mut chance, done) = (member.clone(), chance.fork(), done.clone());
        let host = member.host.clone();
        let work = async move {
            let mut receipts = Vec::new();
            for _ in 0..events {
                receipts.push(member.track().await.expect("there is room"));
                // Often at the very moments that the uploader wakes up, too.
                if chance.bool() {
                    let pause = [0, 1, 20, 500, 1_000, 1_020, 3_000][chance.usize(..7)];
                    member.host.sleep(Duration::from_millis(pause)).await;
                }
            }
            for receipt in receipts {
                receipt.delivered().await.expect("it is counted");
            }
            drop(done);
        };
        host.spawn(work.boxed());
    }
    drop(done);
    simulation.run(async {
        for _ in 0..chance.u64(..6) {
            member.host.sleep(Duration::from_millis(chance.u64(..4_000))).await;
            let is_down = chance.bool();
            marketplace.books().down = is_down;
            totals.outages += u64::from(is_down);
            if chance.bool() {
                let flushed = member.tracker.flush().await;
                totals.flushes += 1;
                assert!(is_down || flushed.is_ok(), "{flushed:?}");
            }
        }
        marketplace.books().down = false;
        let everybody = futures_util::StreamExt::next(&mut waiting);
        let told = select(everybody, member.host.sleep(PATIENCE)).await;
        assert!(matches!(told, Either::Left((None::<()>, _))), "somebody still waits");
    });
    let stats = member.tracker.stats();
    assert_eq!((stats.tracked, stats.delivered), (totals.events, marketplace.books().counted));
    assert_eq!(stats.delivered, totals.events);
    totals
}
