//! A slice of the campaign that `cargo xtask crash` runs: `kill -9` of writers and of servers.

use std::path::Path;

use cloudnestle_crash::kills::Kills;
use cloudnestle_crash::writer::Mode;

fn kill(kills: usize, mode: Mode) {
    let seed = fastrand::u64(..);
    let kills = Kills { kills, seed, pace_us: 10_000, mode };
    let report = kills.run(Path::new(env!("CARGO_BIN_EXE_crash"))).expect("an even count");
    println!("{report:?}");
    assert!(report.balance.acknowledged > 0, "{report:?}");
}

#[test]
fn what_was_acknowledged_counts_once_whoever_is_killed() {
    kill(24, Mode::Fast);
}

#[test]
fn what_was_acknowledged_in_durable_mode_counts_once_whoever_is_killed() {
    kill(12, Mode::Durable);
}
