//! A token that is kept good, for programs that act for a user.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Refresher;
use crate::error::{Error, Result};
use crate::flights::Flights;
use crate::host::Host;
use crate::http::{Clock, full_jitter};
use crate::model::{Claims, Secret, Timestamp, TokenPair, UnverifiedToken};

/// How long before its end a token is renewed, at least: longer than a failed renewal cools down, so
/// that there is time for some more.
const AHEAD: Duration = Duration::from_secs(60);

/// Up to so much earlier, at random: tokens that were issued together must not all be renewed together.
/// A tenth of a token's life.
const JITTER: Duration = Duration::from_secs(90);

/// How long nobody tries again after a renewal that failed, unless the marketplace asks for longer.
const COOL_DOWN: Duration = Duration::from_secs(10);

/// A pair that is renewed before it ends: [`MarketplaceSdk::keep_fresh`](crate::MarketplaceSdk::keep_fresh).
///
/// Cheap to clone; clones share the pair.
///
/// * A token is renewed one to two and a half minutes before its end, behind the call that finds it
///   due; nobody waits while it is still good.
/// * However many ask, one renewal is made, and all who waited read the pair again after it.
/// * A renewal that failed is not tried again for 10 s; one that was refused, never.
#[derive(Clone)]
pub struct TokenSource {
    source: Arc<Source>,
}

struct Source {
    host: Arc<dyn Host>,
    clock: Arc<Clock>,
    refresher: Arc<Refresher>,
    kept: Mutex<Kept>,
    flights: Flights<()>,
}

struct Kept {
    pair: TokenPair,
    renew_at: Timestamp,
    /// Why the last renewal failed, and until when nobody tries again, by the monotonic clock.
    failed: Option<(Duration, Error)>,
}

impl TokenSource {
    pub(crate) fn new(
        host: Arc<dyn Host>,
        clock: Arc<Clock>,
        refresher: Arc<Refresher>,
        pair: TokenPair,
    ) -> Self {
        let renew_at = renew_at(&*host, clock.now(), &pair);
        let kept = Mutex::new(Kept { pair, renew_at, failed: None });
        let flights = Flights::new(host.clone());
        TokenSource { source: Arc::new(Source { host, clock, refresher, kept, flights }) }
    }

    /// An access token that is good now. Waits only if the one at hand has ended.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, _token, pair| {
    /// let source = sdk.keep_fresh(pair);
    /// let token = source.access_token().await?;
    /// println!("Authorization: Bearer {}", token.expose());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Why the token, which has ended, can't be renewed.
    pub async fn access_token(&self) -> Result<Secret> {
        let source = &self.source;
        let now = source.clock.now();
        {
            let kept = source.kept();
            let is_good = now < kept.pair.expires_at;
            let due = now >= kept.renew_at && kept.cooling(source.host.monotonic()).is_none();
            if is_good && due {
                let token = kept.pair.access_token.clone();
                drop(kept); // a host may run the renewal at once
                source.flights.launch("", || source.clone().renew());
                return Ok(token);
            }
            if is_good {
                return Ok(kept.pair.access_token.clone());
            }
        }
        source.renewed().await
    }

    /// The token in place of one that was refused although it should have been good, for one more
    /// attempt. If the refused one has been replaced already, nothing is renewed.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, _token, pair| {
    /// let source = sdk.keep_fresh(pair);
    /// let refused = source.access_token().await?;
    /// let other = source.replace(&refused).await?;
    /// assert_ne!(other, refused);
    /// assert_eq!(source.replace(&refused).await?, other); // that was done already
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Why the token can't be renewed.
    pub async fn replace(&self, refused: &Secret) -> Result<Secret> {
        let current = self.source.kept().pair.access_token.clone();
        if current != *refused {
            return Ok(current);
        }
        self.source.renewed().await
    }

    /// Makes a call with a good token; and once more, with a new one, if the token is refused in spite
    /// of that.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, _token, pair| {
    /// let source = sdk.keep_fresh(pair);
    /// let context = source.call(async |token| sdk.get_user_context(token).await).await?;
    /// assert_eq!(context.customer_id, "cus_asha");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// That of the last attempt.
    pub async fn call<T, F>(&self, call: F) -> Result<T>
    where
        F: AsyncFnOnce(&str) -> Result<T> + Clone,
    {
        let token = self.access_token().await?;
        match call.clone()(token.expose()).await {
            Err(error) if error.refuses_user() => call(self.replace(&token).await?.expose()).await,
            result => result,
        }
    }

    /// The newest pair: keep it where the first one came from, whenever
    /// [`Event::TokenRefreshed`](crate::Event::TokenRefreshed) says that there is another.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, _token, pair| {
    /// let source = sdk.keep_fresh(pair.clone());
    /// assert_eq!(source.pair(), pair); // nothing was due yet
    /// # Ok(()) });
    /// ```
    pub fn pair(&self) -> TokenPair {
        self.source.kept().pair.clone()
    }

    /// Takes over a pair that another program of the same user has renewed, such as another tab of a page;
    /// whether it is kept: if it is for the same user and solution, and ends later than the one at hand. A
    /// renewal that is under way does not replace it by an older one.
    ///
    /// Whose it is, the token says of itself. So pairs are taken from programs that are trusted with the
    /// user's tokens, and from nobody else.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, _token, pair| {
    /// let (mine, other) = (sdk.keep_fresh(pair.clone()), sdk.keep_fresh(pair.clone()));
    /// assert!(!mine.adopt(other.pair()).await); // it is no newer
    /// # Ok(()) });
    /// ```
    pub async fn adopt(&self, pair: TokenPair) -> bool {
        let source = &self.source;
        {
            let mut kept = source.kept();
            if !kept.is_succeeded_by(&pair) {
                return false;
            }
            let renew_at = renew_at(&*source.host, source.clock.now(), &pair);
            *kept = Kept { pair: pair.clone(), renew_at, failed: None };
        }
        source.refresher.announce(&pair).await;
        true
    }
}

/// Shows no secret.
impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expires_at = self.source.kept().pair.expires_at;
        f.debug_struct("TokenSource").field("expires_at", &expires_at).finish_non_exhaustive()
    }
}

impl Source {
    /// The token after a renewal.
    async fn renewed(self: &Arc<Self>) -> Result<Secret> {
        if let Some(error) = self.kept().cooling(self.host.monotonic()) {
            return Err(error);
        }
        self.flights.join("", || self.clone().renew()).await?;
        // Read again: whoever renewed it, this is the newest.
        Ok(self.kept().pair.access_token.clone())
    }

    async fn renew(self: Arc<Self>) -> Result<()> {
        // Read only now: another flight may have landed since this one was called for.
        let pair = self.kept().pair.clone();
        let result = self.refresher.refresh(&pair).await;
        let mut kept = self.kept();
        let was_adopted = kept.pair != pair; // another one, while this one was under way
        match result {
            Ok(renewed) if !was_adopted || kept.is_succeeded_by(&renewed) => {
                let renew_at = renew_at(&*self.host, self.clock.now(), &renewed);
                *kept = Kept { pair: renewed, renew_at, failed: None };
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(_) if was_adopted => Ok(()),
            Err(error) => {
                let until = match error.is_retryable() {
                    true => {
                        let asked = error.retry_after().unwrap_or_default();
                        self.host.monotonic().saturating_add(asked.max(COOL_DOWN))
                    }
                    false => Duration::MAX,
                };
                kept.failed = Some((until, error.clone()));
                Err(error)
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Whether that is a newer pair of the same user, for the same solution.
    fn is_succeeded_by(&self, pair: &TokenPair) -> bool {
        let mine = holder(&self.pair.access_token);
        pair.expires_at > self.pair.expires_at
            && mine.is_some()
            && mine == holder(&pair.access_token)
    }

    /// Why nobody tries to renew the pair now.
    fn cooling(&self, now: Duration) -> Option<Error> {
        let (until, error) = self.failed.as_ref()?;
        (now < *until).then(|| error.clone())
    }
}

/// Whom a token speaks for, where, and by whom it was issued: by its own words, which is enough to tell whether two
/// tokens that are both in hand belong together, and for nothing else.
fn holder(token: &Secret) -> Option<(String, String, String)> {
    let token = UnverifiedToken::parse(token.expose(), UnverifiedToken::ACCESS).ok()?;
    let Claims { iss, aud, sub, .. } = token.claims(true).ok()?;
    Some((iss, aud, sub))
}

/// When to renew a pair that was received at `now`. One that has not long to live gets half of that.
fn renew_at(host: &dyn Host, now: Timestamp, pair: &TokenPair) -> Timestamp {
    let ahead = AHEAD + full_jitter(host, JITTER);
    pair.expires_at - ahead.min(pair.expires_at.since(now) / 2)
}

#[cfg(all(test, feature = "native"))]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    #[test]
    fn a_pair_is_renewed_well_ahead_and_never_before_half_its_time() {
        let host = crate::host::native("http://localhost").unwrap();
        let pair = |secs| TokenPair {
            access_token: Secret::new("a"),
            refresh_token: Secret::new("r"),
            expires_at: NOW + Duration::from_secs(secs),
        };
        let long: Vec<_> = (0..100).map(|_| renew_at(&*host, NOW, &pair(900))).collect();
        let earliest = NOW + Duration::from_secs(900) - AHEAD - JITTER;
        assert!(long.iter().all(|at| (earliest..=earliest + JITTER).contains(at)), "{long:?}");
        assert!(long.iter().any(|at| *at != long[0]), "not all at once");
        assert_eq!(renew_at(&*host, NOW, &pair(10)), NOW + Duration::from_secs(5));
        assert_eq!(renew_at(&*host, NOW + Duration::from_secs(20), &pair(10)), pair(10).expires_at);
    }
}
