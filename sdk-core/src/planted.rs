//! Bugs that can be planted, one at a time, to show that the simulation finds them. Only
//! `conformance/sim` does that: without the feature `planted`, which nothing switches on by itself, the
//! compiler knows that there are none.

/// The bugs that can be planted in a crate with the feature `planted`: this one, and the server.
#[doc(hidden)]
#[macro_export]
macro_rules! plantable {
    ($($(#[doc = $what:literal])+ $bug:ident,)+) => {
        /// Something that would break a promise.
        #[cfg_attr(not(feature = "planted"), allow(unreachable_pub, reason = "nobody plants any"))]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Bug {
            $($(#[doc = $what])+ $bug,)+
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
    };
}

plantable! {
    /// A range that is sent again has other numbers.
    RenumberedRetry,
    /// An event is acknowledged, and then written.
    AcknowledgedBeforeWrite,
    /// A durable event is acknowledged before the disk has it.
    UnsyncedDurable,
    /// A number whose event is gone is left out, and not declared.
    SkippedHole,
    /// Who takes a log over goes on as its old owner.
    AdopterKeepsEpoch,
    /// A request that many wait for ends with the caller who began it.
    FlightDroppedWithCaller,
    /// `Retry-After` is not read.
    RetryAfterIgnored,
    /// Whoever is in a hurry cuts a `Retry-After` short.
    RetryAfterHurried,
    /// What the revocation feed tells is as old as its answer, not as the question.
    FeedAgedFromArrival,
    /// An answer about a token is believed although the feed has overtaken it.
    OvertakenAnswer,
    /// `close` takes away what it could not deliver.
    CloseForgetsTheRest,
    /// What the feed has told is forgotten by the clock that may be set.
    FeedForgottenByTheClock,
    /// What is replayed has no name by which it counts once.
    ReplayUnnamed,
}
