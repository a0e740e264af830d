//! SDKs and the marketplace in one world: seeded, single-threaded, in virtual time. The whole public SDK runs
//! on simulated machines, joined to the server's own router, without a socket; and everything between and
//! around them fails, as the seed says. What was promised to anybody is held against the marketplace's books
//! in the end.
//!
//! ```
//! use cloudnestle_sim::{Options, tell};
//!
//! let told = tell(7, Options::default()).expect("every promise was kept");
//! let again = tell(7, Options::default()).expect("and is again");
//! assert_eq!(told.hash, again.hash); // the same story, to the last detail
//! ```
//!
//! [`README.md`](https://github.com/cloudnestle/marketplace-sdk/tree/main/conformance/sim) has the faults, the
//! invariants, and how to look into a seed.

mod call;
mod fault;
mod judge;
mod network;
mod oracle;
mod people;
#[cfg(feature = "planted")]
pub mod planted;
mod program;
mod scene;
mod server;
mod store;
mod story;
mod trace;
mod work;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use cloudnestle_marketplace::host::sim::Simulation;

pub use fault::{Coverage, Fault, REACH, When, Where};
use oracle::Outcome;
pub use scene::Scene;
use story::Story;
use world::World;

/// How a story is told.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether anything fails in it.
    pub faults: bool,
    /// Prints every line of it.
    pub show: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { faults: true, show: false }
    }
}

/// A story that is over, and in which every promise was kept.
#[derive(Clone, Debug)]
pub struct Told {
    /// Of everything that happened, in its order.
    pub hash: u64,
    /// How long it took, for those in it.
    pub lasted: Duration,
    /// What went wrong in it.
    pub coverage: Coverage,
    /// How many events were acknowledged.
    pub acknowledged: u64,
    /// How many of them count.
    pub counted: u64,
}

/// A promise was broken.
#[derive(Clone, Debug)]
pub struct Broken {
    /// Whose story it is.
    pub seed: u64,
    /// Which promises, in the order in which it was noticed.
    pub promises: Vec<String>,
}

/// Tells the story of a seed.
///
/// # Errors
/// [`Broken`] says which promises were not kept in it.
pub fn tell(seed: u64, options: Options) -> Result<Told, Broken> {
    let telling = AssertUnwindSafe(|| {
        let simulation = Simulation::new(seed);
        let world = World::new(&simulation, seed, options.show);
        simulation.run(Story::new(&world, options).tell());
        let oracle = world.oracle();
        let acknowledged = oracle
            .attempts
            .iter()
            .filter(|attempt| matches!(attempt.outcome, Outcome::Acknowledged { .. }));
        let told = Told {
            hash: world.hash(),
            lasted: simulation.now(),
            coverage: world.coverage(),
            acknowledged: acknowledged.count() as u64,
            counted: oracle.counted.len() as u64,
        };
        (oracle.violations.clone(), told)
    });
    match catch_unwind(telling) {
        Ok((promises, told)) if promises.is_empty() => Ok(told),
        Ok((promises, _)) => Err(Broken { seed, promises }),
        Err(_panic) => Err(Broken { seed, promises: vec!["it panicked".to_owned()] }),
    }
}
