//! What a test wants to hold: the clock, randomness, rate limits, faults, and a journal of what was asked.
//!
//! Each server has a world of its own; nothing in it is global. Whoever needs the time or a new id
//! asks the world, so that a test that moves the clock moves all of it.

mod clock;
#[cfg(feature = "control")]
mod fault;
#[cfg(feature = "control")]
mod journal;
mod metrics;
mod random;
mod rates;

use cloudnestle_marketplace::model::{Timestamp, new_id};

pub(crate) use clock::Clock;
#[cfg(feature = "sim")]
pub(crate) use clock::Simulated;
#[cfg(feature = "control")]
pub(crate) use clock::{OutOfRange, Reading, Scale, check_settable};
#[cfg(feature = "control")]
pub(crate) use fault::{
    Answer, Candidate, Content, Effect, FaultPlan, Kind, Malformed, Nonsense, Taken,
};
#[cfg(feature = "control")]
pub use fault::{Fault, FaultReport, PlannedFault, UnmetFaults, UsedFault, When};
#[cfg(feature = "control")]
pub use journal::{
    Because, JournalCall, JournalEntry, NotShown, RecordedAnswer, RecordedRequest, Unanswered,
};
#[cfg(feature = "control")]
pub(crate) use journal::{Journal, KeptBody, MAX_BODY_BYTES, Message, Recorded, Redactor};
pub(crate) use metrics::Metrics;
pub(crate) use random::{NoRandomness, Random};
pub use rates::{Callers, RateLimit};
pub(crate) use rates::{Charge, Rates};

/// Everything of a server that is not a fact.
#[derive(Debug)]
pub(crate) struct World {
    pub clock: Clock,
    pub random: Random,
    pub rates: Rates,
    pub metrics: Metrics,
    #[cfg(feature = "control")]
    pub faults: FaultPlan,
    #[cfg(feature = "control")]
    pub journal: Journal,
}

impl World {
    fn new(clock: Clock, random: Random) -> World {
        World {
            clock,
            random,
            rates: Rates::default(),
            metrics: Metrics::default(),
            #[cfg(feature = "control")]
            faults: FaultPlan::default(),
            #[cfg(feature = "control")]
            journal: Journal::default(),
        }
    }

    /// A world with this machine's time and randomness.
    pub(crate) fn real() -> Result<World, NoRandomness> {
        Ok(World::new(Clock::default(), Random::from_os()?))
    }

    /// A world with this machine's time, and the randomness of a name and a number.
    #[cfg(feature = "control")]
    pub(crate) fn seeded(name: &str, number: u64) -> World {
        World::new(Clock::default(), Random::named(name, number))
    }

    /// A world of a simulation: its time, and the randomness of a seed.
    #[cfg(feature = "sim")]
    pub(crate) fn simulated(time: Simulated, seed: &[u8; 32]) -> World {
        World::new(Clock::simulated(time), Random::seeded(seed))
    }

    /// Forgets who has called how often.
    #[cfg(feature = "control")]
    pub(crate) fn forget_callers(&self) {
        for callers in Callers::ALL {
            self.rates.set(callers, self.rates.limit(callers), self.now());
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A new id, such as `tok_01KAPM6T9Z…`.
    pub(crate) fn id(&self, prefix: &str) -> String {
        new_id(prefix, self.now(), self.random.bytes())
    }
}
