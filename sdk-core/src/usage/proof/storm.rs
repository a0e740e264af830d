//! A thousand SDKs that find out together that the marketplace is back.

use std::time::Duration;

use fastrand::Rng;
use futures_util::FutureExt;
use serde::Serialize;

use super::fleet::{Marketplace, Member, next_event};
use super::{is_campaign, note};
use crate::host::Host;
use crate::host::sim::{SimHost, Simulation, no_network};
use crate::usage::limits::SpoolLimits;

const SDKS: u64 = 1_000;
const BEFORE: u64 = 40;
const OUTAGE: u64 = 60;
const AFTER: u64 = 60;

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
}

#[test]
fn an_outage_of_a_minute_is_followed_by_no_storm() {
    // Each takes seconds of work, so that there is one in the ordinary run.
    let rates: &[f64] = if is_campaign() { &[0.1, 1.0, 10.0, 100.0] } else { &[1.0] };
    for rate in rates {
        let totals = tell(1, *rate);
        // Those that otherwise send once in ten seconds all have something to send now, and those
        // whose backlog is many requests send them one after another: these are only noted.
        if (1.0..=10.0).contains(rate) {
            assert!(totals.peak_to_steady <= 1.2, "{totals:?}");
        }
        note("storm", totals);
    }
}

fn tell(seed: u64, rate: f64) -> Totals {
    let simulation = Simulation::new(seed);
    let marketplace = Marketplace::default();
    let mut chance = Rng::with_seed(seed);
    for _ in 0..SDKS {
        let limits = SpoolLimits::default();
        let member = Member::new(&simulation, chance.u64(..), limits, &marketplace);
        let (host, mut chance) = (member.host.clone(), chance.fork());
        let work = async move {
            loop {
                member.host.sleep(next_event(&mut chance, rate)).await;
                member.track().await.expect("there is room");
            }
        };
        host.spawn(work.boxed());
    }
    let clock = SimHost::new(&simulation, None, no_network());
    simulation.run(async {
        clock.sleep(Duration::from_secs(BEFORE)).await;
        marketplace.books().down = true;
        clock.sleep(Duration::from_secs(OUTAGE)).await;
        marketplace.books().down = false;
        clock.sleep(Duration::from_secs(AFTER)).await;
    });
    let books = marketplace.books();
    let back = BEFORE + OUTAGE;
    let (steady, peak) = (books.mean(BEFORE / 3, BEFORE), books.peak(back, back + AFTER));
    Totals {
        sdks: SDKS,
        events_a_second: rate,
        steady,
        steady_peak: books.peak(BEFORE / 3, BEFORE),
        outage_peak: books.peak(BEFORE, back),
        peak,
        peak_to_steady: peak as f64 / steady,
    }
}
