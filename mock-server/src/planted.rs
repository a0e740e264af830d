//! Bugs that can be planted, one at a time, to show that the simulation finds them: see the SDK's.

cloudnestle_marketplace::plantable! {
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
    /// What is done to all tokens of a customer is stamped by a clock that may have gone back.
    StampedByTheClock,
    /// A lease that is over does not pay for what it has allowed.
    LeaseUnpaidAfterItsEnd,
    /// A refresh token that comes twice is taken for a thief's, though nobody has used its successor.
    ReuseAtOnce,
    /// A refresh token that was copied is renewed for whoever comes second, too.
    ReuseUnnoticed,
    /// A launch code is exchanged as often as it comes.
    CodeTakenTwice,
}
