use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::host::cache::TokenCache;

/// How long an answer may be given again without asking. Without the revocation feed this is the
/// bound on how late a revocation is noticed.
pub(crate) const FRESH_FOR: Duration = Duration::from_secs(5);

/// How old an answer may be when the marketplace can't be reached. A token's life is 15 minutes;
/// this is how long a revocation may go unnoticed in an outage.
pub(crate) const OFFLINE_FOR: Duration = Duration::from_secs(5 * 60);

/// How long the SDK goes without asking after it found the marketplace out of reach, so that an
/// outage does not cost every call its whole deadline.
pub(crate) const OFFLINE_RECHECK: Duration = Duration::from_secs(1);

/// What the marketplace says, and how sure it is. Reads like the value itself.
///
/// ```
/// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
/// # example::run(async |sdk, token, _pair| {
/// use cloudnestle_marketplace::{Freshness, Verified};
///
/// let user = sdk.validate_user(token).await?;
/// println!("{} is a {:?} customer", user.customer_id, user.tier);
/// assert_eq!(user.verified(), Verified::Online);
/// assert_eq!(user.freshness(), Freshness::Fresh);
/// # Ok(()) });
/// ```
#[derive(Debug)]
pub struct Answer<T> {
    value: Arc<T>,
    verified: Verified,
    freshness: Freshness,
    age: Duration,
}

/// Who stands behind an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verified {
    /// The marketplace itself, which knows of revocations.
    Online,
    /// The token's signature and its own words alone.
    Local,
}

/// Whether an answer may be out of date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Freshness {
    /// Within the bound: at most 5 s old.
    Fresh,
    /// Older than the bound, because the marketplace can't be reached; at most 5 minutes old.
    Offline,
}

impl<T> Answer<T> {
    /// What a token said of itself `age` ago, when there is nobody to ask.
    pub(crate) fn as_issued(value: Arc<T>, age: Duration) -> Option<Self> {
        let within = age <= OFFLINE_FOR;
        let (verified, freshness) = (Verified::Local, Freshness::Offline);
        within.then_some(Answer { value, verified, freshness, age })
    }

    /// Who stands behind it.
    pub fn verified(&self) -> Verified {
        self.verified
    }

    /// Whether it may be out of date.
    pub fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// How long ago the marketplace was asked (or, of a token it was never asked about, how long
    /// ago that token was issued).
    pub fn age(&self) -> Duration {
        self.age
    }

    /// The value, shared and without what is known about it.
    pub fn into_inner(self) -> Arc<T> {
        self.value
    }
}

impl<T> Deref for Answer<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Clone for Answer<T> {
    fn clone(&self) -> Self {
        Answer { value: self.value.clone(), ..*self }
    }
}

/// An answer as it is remembered: the rule about how long it may be believed. Moments are of the
/// host's monotonic clock, because the wall clock may jump.
pub(crate) struct Known<T> {
    value: Arc<T>,
    verified: Verified,
    /// When the marketplace was asked, or the signature checked where that is enough.
    asked: Duration,
    /// Until when it is given without asking.
    fresh_until: Duration,
    /// When the token ends, and the answer with it.
    ends: Duration,
}

impl<T> Known<T> {
    /// `asked`: when the request was *sent*, since the answer may have been true only then.
    /// `lives`: how much longer the token is good for.
    pub(crate) fn new(value: Arc<T>, verified: Verified, asked: Duration, lives: Duration) -> Self {
        let ends = asked + lives;
        Known { value, verified, asked, fresh_until: ends.min(asked + FRESH_FOR), ends }
    }

    /// The answer, to whoever caused the asking.
    pub(crate) fn just_asked(&self) -> Answer<T> {
        self.answer(self.asked, Freshness::Fresh)
    }

    /// The answer, while nobody needs to be asked.
    pub(crate) fn fresh(&self, now: Duration) -> Option<Answer<T>> {
        (now < self.fresh_until).then(|| self.answer(now, Freshness::Fresh))
    }

    /// The answer, while it is still better than none.
    pub(crate) fn offline(&self, now: Duration) -> Option<Answer<T>> {
        let within = now < self.ends && now <= self.asked + OFFLINE_FOR;
        within.then(|| self.answer(now, Freshness::Offline))
    }

    fn answer(&self, now: Duration, freshness: Freshness) -> Answer<T> {
        let age = now.saturating_sub(self.asked);
        Answer { value: self.value.clone(), verified: self.verified, freshness, age }
    }
}

/// What is known about tokens, by token.
pub(crate) type KnownByToken<T> = TokenCache<Arc<Known<T>>>;

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn known(lives: Duration) -> Known<()> {
        Known::new(Arc::new(()), Verified::Online, MINUTE, lives)
    }

    #[test]
    fn an_answer_is_fresh_for_five_seconds_from_the_asking() {
        let known = known(15 * MINUTE);
        assert!(known.fresh(MINUTE + Duration::from_millis(4_999)).is_some());
        assert!(known.fresh(MINUTE + Duration::from_secs(5)).is_none());
    }

    #[test]
    fn an_answer_never_outlives_its_token() {
        let known = known(Duration::from_secs(2));
        assert!(known.fresh(MINUTE + Duration::from_millis(1_999)).is_some());
        assert!(known.fresh(MINUTE + Duration::from_secs(2)).is_none());
        assert!(known.offline(MINUTE + Duration::from_secs(2)).is_none());
    }

    #[test]
    fn offline_an_answer_lasts_five_minutes_and_says_its_age() {
        let known = known(15 * MINUTE);
        let answer = known.offline(6 * MINUTE).unwrap();
        assert_eq!((answer.freshness(), answer.age()), (Freshness::Offline, 5 * MINUTE));
        assert!(known.offline(6 * MINUTE + Duration::from_millis(1)).is_none());
    }
}
