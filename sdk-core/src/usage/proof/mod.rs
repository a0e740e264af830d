//! The promises of the spool, kept on a simulated machine: each seed is a story of its own, and one
//! that breaks a promise names its seed. `SIM_SEED=7` tells that one story again; `SIM_SEEDS=100000`
//! makes a campaign of it, whose totals `cargo xtask sim` notes in `docs/evidence`.

mod fleet;
mod flips;
mod fuzz;
mod handover;
mod hurry;
mod ledger;
mod mishaps;
mod model;
mod outage;
mod power;
mod storm;
mod tabs;
#[cfg(feature = "shuttle")]
mod threads;

use std::fs::OpenOptions;
use std::io::Write;
use std::ops::{AddAssign, Range};

/// Tells a story for each seed: `ordinary` of them, unless a campaign asks for more.
fn each_seed<T: Default + AddAssign>(ordinary: u64, story: impl Fn(u64) -> T) -> T {
    let mut totals = T::default();
    for seed in seeds(ordinary) {
        let _told = NamesItsSeed(seed);
        totals += story(seed);
    }
    totals
}

fn seeds(ordinary: u64) -> Range<u64> {
    match (number("SIM_SEED"), number("SIM_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, seeds) => 0..seeds.unwrap_or(ordinary),
    }
}

/// Whether this is more than the ordinary run of the tests.
fn is_campaign() -> bool {
    number("SIM_SEEDS").is_some()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a whole number"))
}

/// Hands a campaign's totals to who asked for it.
fn note(campaign: &str, totals: impl std::fmt::Debug + serde::Serialize) {
    println!("{campaign}: {totals:?}");
    if let Some(file) = std::env::var_os("SIM_TOTALS") {
        let line = serde_json::json!({ "campaign": campaign, "totals": totals });
        let mut file = OpenOptions::new().append(true).create(true).open(file).expect("a file");
        writeln!(file, "{line}").expect("room for a line");
    }
}

struct NamesItsSeed(u64);

impl Drop for NamesItsSeed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("tell it again with SIM_SEED={}", self.0);
        }
    }
}
