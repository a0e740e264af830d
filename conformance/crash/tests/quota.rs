//! A slice of the campaign that `cargo xtask crash quota` runs: programs spend hard limits by leases, and
//! are killed, as is the server.

use std::path::Path;

use cloudnestle_crash::quota::Quota;

#[test]
fn the_last_unit_is_used_and_none_beyond_whoever_is_killed() {
    let quota = Quota {
        kills: 14,
        seed: fastrand::u64(..),
        programs: 4,
        tasks: 16,
        pace_us: 20_000,
        files: 4_000,
        megabytes: 400_000,
    };
    let report = quota.run(Path::new(env!("CARGO_BIN_EXE_crash"))).expect("an even count");
    println!("{report:?}");
}
