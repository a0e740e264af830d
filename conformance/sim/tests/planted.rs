//! That the simulation sees. `cargo xtask sim --planted` runs the same, and says what was noticed.

use cloudnestle_sim::planted::{ALL, find};

#[test]
fn every_bug_that_is_planted_is_found() {
    let blind: Vec<_> = ALL.iter().filter(|(bug, most)| find(*bug, *most).is_none()).collect();
    assert!(blind.is_empty(), "{blind:?}");
}
