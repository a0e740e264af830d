//! Bugs that can be planted, one at a time, to show that the simulation finds them. Only
//! `conformance/sim` does that: without the feature `planted`, which nothing switches on by itself, the
//! compiler knows that there are none.

#![cfg_attr(not(feature = "planted"), allow(unreachable_pub, reason = "then nobody plants any"))]

/// Something that would break a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// The successor of a refresh token is another each time it is asked for.
    SuccessorDrawn,
    /// The fence is committed behind the ledger, and apart from it.
    FenceApart,
    /// Who loses a race over items adds to the counters all the same, and then again.
    AddedTwiceOnConflict,
    /// What was done under an idempotency key is noted behind the effect, and apart from it.
    RecordAfterEffect,
    /// A hard limit is looked at, and is no condition of the commit.
    LimitUnchecked,
    /// A token ends, and the feed does not tell.
    FeedUntold,
    /// A lease that is over does not pay for what it has allowed.
    LeaseUnpaidAfterItsEnd,
    /// A refresh token that comes twice is taken for a thief's, though nobody has used its successor.
    ReuseAtOnce,
}

#[cfg(feature = "planted")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Plants a bug, for this thread, in place of the one before.
#[cfg(feature = "planted")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Whether this bug is planted.
#[cfg(feature = "planted")]
pub(crate) fn planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Nobody has planted any.
#[cfg(not(feature = "planted"))]
pub(crate) const fn planted(_: Bug) -> bool {
    false
}
