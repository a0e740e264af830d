//! That the simulation sees: bugs are planted, one after the other, and each must be found within so many
//! stories. A bound is about four times what it took when the bug was planted first, since a change of
//! anything makes other stories of the seeds.

use cloudnestle_marketplace::planted as core;
use cloudnestle_mock_server::planted as server;

use crate::{Options, tell};

/// A bug that can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// In the SDK.
    Core(core::Bug),
    /// In the server.
    Server(server::Bug),
}

/// How a bug was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// How many stories it took.
    pub after: u64,
    /// What was noticed first.
    pub by: String,
}

/// All that can be planted, and within how many stories each is found.
pub const ALL: &[(Bug, u64)] = {
    use core::Bug::*;
    use server::Bug::*;
    &[
        (Bug::Core(RenumberedRetry), 50),
        (Bug::Core(AcknowledgedBeforeWrite), 50),
        (Bug::Core(UnsyncedDurable), 200),
        (Bug::Core(SkippedHole), 500),
        (Bug::Core(AdopterKeepsEpoch), 50),
        (Bug::Core(FlightDroppedWithCaller), 50),
        (Bug::Core(RetryAfterIgnored), 50),
        (Bug::Core(RetryAfterHurried), 50),
        (Bug::Core(FeedAgedFromArrival), 500),
        (Bug::Core(OvertakenAnswer), 1_000),
        (Bug::Core(CloseForgetsTheRest), 500),
        (Bug::Core(FeedForgottenByTheClock), 500),
        (Bug::Core(ReplayUnnamed), 50),
        (Bug::Server(SuccessorDrawn), 50),
        (Bug::Server(FenceApart), 50),
        (Bug::Server(LimitUnchecked), 500),
        (Bug::Server(AddedTwiceOnConflict), 200),
        (Bug::Server(RecordAfterEffect), 1_000),
        (Bug::Server(StampedByTheClock), 200),
        (Bug::Server(LeaseUnpaidAfterItsEnd), 500),
        (Bug::Server(FeedUntold), 50),
        (Bug::Server(ReuseAtOnce), 50),
        (Bug::Server(ReuseUnnoticed), 200),
        (Bug::Server(CodeTakenTwice), 50),
    ]
};

/// Plants a bug, and tells stories until one of them breaks a promise; `None` if none of `most` does.
pub fn find(bug: Bug, most: u64) -> Option<Found> {
    plant(Some(bug));
    let found = (0..most).find_map(|seed| {
        let broken = tell(seed, Options::default()).err()?;
        let by = broken.promises.into_iter().next().unwrap_or_default();
        Some(Found { after: seed + 1, by })
    });
    plant(None);
    found
}

fn plant(bug: Option<Bug>) {
    core::plant(bug.and_then(|bug| match bug {
        Bug::Core(bug) => Some(bug),
        Bug::Server(_) => None,
    }));
    server::plant(bug.and_then(|bug| match bug {
        Bug::Server(bug) => Some(bug),
        Bug::Core(_) => None,
    }));
}
