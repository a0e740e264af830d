//! The slice of the campaign that every run of the tests has.

use std::process::Command;

use cloudnestle_sim::{Coverage, Options, tell};

/// So many stories that each fault has happened in each place where it can, and at each kind of time.
const SEEDS: u64 = 320;

fn hash(seed: u64) -> u64 {
    tell(seed, Options::default()).unwrap_or_else(|error| panic!("{error:?}")).hash
}

#[test]
fn every_promise_is_kept_whatever_fails_and_wherever_it_does() {
    let (mut coverage, mut acknowledged) = (Coverage::default(), 0);
    for seed in 0..SEEDS {
        let told = tell(seed, Options::default()).unwrap_or_else(|error| {
            panic!("tell it again with `cargo xtask sim --seed {seed}`: {error:#?}")
        });
        coverage += told.coverage;
        acknowledged += told.acknowledged;
    }
    assert_eq!(coverage.missing(), [""; 0], "never happened");
    assert!(acknowledged > 20 * SEEDS, "{acknowledged}");
}

#[test]
fn one_seed_is_one_story_and_others_are_others() {
    assert_eq!(hash(11), hash(11));
    assert_ne!(hash(11), hash(12));
}

#[test]
fn a_seed_is_the_same_story_in_another_process() {
    for seed in [3, 11] {
        let sim =
            Command::new(env!("CARGO_BIN_EXE_sim")).args(["--seed", &seed.to_string()]).output();
        let told = String::from_utf8(sim.expect("it runs").stdout).expect("text");
        let end = format!("seed {seed}: every promise was kept; hash {:016x}", hash(seed));
        assert_eq!(told.lines().last(), Some(end.as_str()));
    }
}
