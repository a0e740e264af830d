//! A thousand SDKs that find out together that the marketplace is back.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_util::FutureExt;
use serde::Serialize;

use super::fleet::{Marketplace, Member, next_event};
use super::{is_campaign, note};
use crate::host::Host;
use crate::host::sim::{SimHost, Simulation, no_network};
use crate::usage::limits::SpoolLimits;

/// A minute of the steady load is looked at, and as long an outage, and so long after it.
const MINUTE: u64 = 60;
/// Until the load is steady.
const SETTLES: u64 = 15;

#[derive(Debug, Default, Serialize)]
struct Totals {
    sdks: u64,
    /// Of each SDK.
    events_a_second: f64,
    /// Requests a second, of all of them, before the outage.
    steady: f64,
    steady_peak: u64,
    outage_peak: u64,
    /// After it.
    peak: u64,
    peak_to_steady: f64,
    /// How many events waited when the marketplace was back, and two minutes later.
    gathered: u64,
    left: u64,
}

#[test]
fn an_outage_of_a_minute_is_followed_by_no_storm() {
    // Each takes seconds of work, so that there is one in the ordinary run.
    let fleets: &[(u64, f64)] = if is_campaign() {
        // Events of a thousand programs that have one in ten seconds come so much by chance that a
        // second of the steady load is 1.3 times the mean: ten thousand show what the outage adds.
        &[(1_000, 0.1), (10_000, 0.1), (1_000, 1.0), (1_000, 10.0), (1_000, 100.0)]
    } else {
        &[(1_000, 0.1), (1_000, 1.0)]
    };
    for (sdks, rate) in fleets {
        let totals = tell(1, *sdks, *rate);
        let chance = totals.steady_peak as f64 / totals.steady;
        let steady = if chance > 1.2 { totals.steady_peak as f64 } else { totals.steady };
        assert!(totals.peak as f64 <= 1.2 * steady, "{totals:?}");
        note("storm", totals);
    }
}

fn tell(seed: u64, sdks: u64, rate: f64) -> Totals {
    let simulation = Simulation::new(seed);
    let marketplace = Marketplace::default();
    let mut chance = Rng::with_seed(seed);
    let mut trackers = Vec::new();
    for _ in 0..sdks {
        let limits = SpoolLimits::default();
        let member = Arc::new(Member::new(&simulation, chance.u64(..), limits, &marketplace));
        trackers.push(member.clone());
        let (host, mut chance) = (member.host.clone(), chance.fork());
        let work = async move {
            loop {
                member.host.sleep(next_event(&mut chance, rate)).await;
                member.track().await.expect("there is room");
            }
        };
        host.spawn(work.boxed());
    }
    let waiting = || trackers.iter().map(|member| member.tracker.stats().pending).sum();
    let clock = SimHost::new(&simulation, None, no_network());
    let mut totals = Totals { sdks, events_a_second: rate, ..Totals::default() };
    let (away, back) = (SETTLES + MINUTE, SETTLES + 2 * MINUTE);
    let end = back + 2 * MINUTE;
    simulation.run(async {
        clock.sleep(Duration::from_secs(away)).await;
        marketplace.books().down = true;
        clock.sleep(Duration::from_secs(back - away)).await;
        marketplace.books().down = false;
        totals.gathered = waiting();
        clock.sleep(Duration::from_secs(end - back)).await;
        totals.left = waiting();
    });
    let books = marketplace.books();
    totals.steady = books.mean(SETTLES, away);
    totals.steady_peak = books.peak(SETTLES, away);
    totals.outage_peak = books.peak(away, back);
    totals.peak = books.peak(back, end);
    totals.peak_to_steady = totals.peak as f64 / totals.steady;
    totals
}
