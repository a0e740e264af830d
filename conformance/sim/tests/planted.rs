//! That the simulation sees. `cargo xtask sim --planted` runs the same, and says what was noticed.

use std::sync::Mutex;
use std::thread;

use cloudnestle_sim::planted::{ALL, find};

#[test]
fn every_bug_that_is_planted_is_found() {
    let left = Mutex::new(ALL.iter());
    let blind = Mutex::new(Vec::new());
    let workers = thread::available_parallelism().map_or(1, |many| many.get());
    let next = || left.lock().expect("nobody panics with it").next();
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((bug, most)) = next() {
                    if find(*bug, *most).is_none() {
                        blind.lock().expect("nobody panics with it").push((bug, most));
                    }
                }
            });
        }
    });
    let blind = blind.into_inner().expect("nobody panics with it");
    assert!(blind.is_empty(), "not found in so many stories: {blind:?}");
}
