//! How often callers may call: a bucket for each of them, which a call takes one out of and time fills
//! again, up to its brim.
//!
//! The time is the world's: a test that moves the clock fills the buckets. Callers are known by a hash
//! alone. Whose bucket is full again is forgotten, so memory is bounded by how many callers there are
//! within the time it takes to fill one.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use cloudnestle_marketplace::model::Timestamp;
use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// After how many calls the buckets are looked through for those that are full.
const CLEANING_INTERVAL: u32 = 4096;
/// How far the clock may seem to go back because several threads read it at once.
const CLOCK_SLACK: Duration = Duration::from_secs(1);
/// 2000-01-01, where the world's clock begins.
const EPOCH: Timestamp = Timestamp::from_secs(946_684_800);

/// Callers that may call equally often. Each of them has a bucket of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Callers {
    /// Each secret key and each admin key.
    Key,
    /// Each customer session and each solution token.
    Token,
    /// Each address, for calls with a publishable key or without any credential, and for those that
    /// are refused for it.
    Open,
    /// Each address, for calls that make customers, or check passwords.
    SignIn,
}

impl Callers {
    /// All there are.
    pub const ALL: [Callers; 4] = [Callers::Key, Callers::Token, Callers::Open, Callers::SignIn];

    /// The name in `RateLimit`, and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Callers::Key => "key",
            Callers::Token => "token",
            Callers::Open => "open",
            Callers::SignIn => "sign_in",
        }
    }

    /// Generous: what is bounded is a program that runs wild, not one that works hard. A laptop
    /// counts some 20,000 events a second.
    fn limit(self) -> RateLimit {
        match self {
            Callers::Key | Callers::Token => RateLimit::per_second(50_000),
            Callers::Open => RateLimit::per_second(5_000),
            Callers::SignIn => RateLimit::per_second(10).burst(100),
        }
    }
}

/// How often one caller may call.
///
/// ```
/// use cloudnestle_mock_server::RateLimit;
///
/// let steady = RateLimit::per_second(100); // and up to 100 at once
/// let patient = RateLimit::per_second(1).burst(60);
/// # let _ = (steady, patient);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    pub(crate) per_second: NonZeroU32,
    pub(crate) burst: NonZeroU32,
}

impl RateLimit {
    /// That many calls a second, and as many at once. At least one.
    pub const fn per_second(calls: u32) -> RateLimit {
        let calls = at_least_one(calls);
        RateLimit { per_second: calls, burst: calls }
    }

    /// That many calls at once, after a pause. At least one.
    pub const fn burst(self, calls: u32) -> RateLimit {
        RateLimit { burst: at_least_one(calls), ..self }
    }

    /// Whole seconds in which so many calls are free again.
    pub(crate) fn seconds_for(&self, calls: u32) -> u32 {
        calls.div_ceil(self.per_second.get())
    }
}

const fn at_least_one(calls: u32) -> NonZeroU32 {
    match NonZeroU32::new(calls) {
        Some(calls) => calls,
        None => NonZeroU32::MIN,
    }
}

/// Of `100` or `100,500`: calls a second, and at once.
impl FromStr for RateLimit {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<RateLimit, Self::Err> {
        let (per_second, burst) = text.split_once(',').unwrap_or((text, text));
        let (per_second, burst) = (per_second.parse()?, burst.parse()?);
        Ok(RateLimit { per_second, burst })
    }
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Charge {
    pub limit: RateLimit,
    /// How many more calls there is room for now.
    pub remaining: u32,
    /// How long to wait, if there was no room for this one.
    pub wait: Option<Duration>,
}

/// The buckets of a world.
pub(crate) struct Rates {
    hasher: RandomState,
    buckets: RwLock<[Buckets; 4]>,
}

impl Default for Rates {
    fn default() -> Self {
        let buckets = Callers::ALL.map(|callers| Buckets::new(callers.limit(), EPOCH));
        Rates { hasher: RandomState::new(), buckets: RwLock::new(buckets) }
    }
}

impl Rates {
    /// Takes one out of a caller's bucket, or says that there is none.
    pub(crate) fn charge(&self, callers: Callers, who: impl Hash, now: Timestamp) -> Charge {
        let who = self.hasher.hash_one(who);
        {
            let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
            let buckets = &buckets[callers as usize];
            if buckets.time.moves_to(now) {
                return buckets.charge(who);
            }
        }
        // The clock was set back. What was taken before happens in the future now; all begins anew.
        let full = Buckets::new(self.limit(callers), now);
        let charge = full.charge(who);
        self.replace(callers, full);
        charge
    }

    /// The limit that is in force.
    pub(crate) fn limit(&self, callers: Callers) -> RateLimit {
        self.buckets.read().unwrap_or_else(PoisonError::into_inner)[callers as usize].limit
    }

    /// From now on, with full buckets.
    pub(crate) fn set(&self, callers: Callers, limit: RateLimit, now: Timestamp) {
        self.replace(callers, Buckets::new(limit, now));
    }

    fn replace(&self, callers: Callers, buckets: Buckets) {
        self.buckets.write().unwrap_or_else(PoisonError::into_inner)[callers as usize] = buckets;
    }
}

impl fmt::Debug for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(Callers::ALL.map(|it| (it.name(), self.limit(it)))).finish()
    }
}

/// The buckets of callers that have the same limit.
struct Buckets {
    limit: RateLimit,
    time: Time,
    limiter: RateLimiter<u64, HashMapStateStore<u64>, Time, StateInformationMiddleware>,
    until_cleaning: AtomicU32,
}

impl Buckets {
    fn new(limit: RateLimit, now: Timestamp) -> Buckets {
        let quota = Quota::per_second(limit.per_second).allow_burst(limit.burst);
        let time = Time::at(now);
        Buckets {
            limit,
            limiter: RateLimiter::hashmap_with_clock(quota, time.clone()).with_middleware(),
            time,
            until_cleaning: AtomicU32::new(CLEANING_INTERVAL),
        }
    }

    fn charge(&self, who: u64) -> Charge {
        let countdown = |left: u32| Some(left.checked_sub(1).unwrap_or(CLEANING_INTERVAL));
        if self.until_cleaning.fetch_update(Ordering::Relaxed, Ordering::Relaxed, countdown)
            == Ok(0)
        {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        let limit = self.limit;
        match self.limiter.check_key(&who) {
            Ok(state) => Charge { limit, remaining: state.remaining_burst_capacity(), wait: None },
            Err(not_until) => {
                let wait = not_until.wait_time_from(self.time.now());
                Charge { limit, remaining: 0, wait: Some(wait) }
            }
        }
    }
}

/// The world's time as it was last told. It never goes back.
#[derive(Clone, Debug)]
struct Time(Arc<AtomicU64>);

impl Time {
    fn at(now: Timestamp) -> Time {
        Time(Arc::new(AtomicU64::new(nanos(now))))
    }

    /// Whether time has gone on to `now`, or thereabouts.
    fn moves_to(&self, now: Timestamp) -> bool {
        let now = nanos(now);
        let before = self.0.fetch_max(now, Ordering::Relaxed);
        Nanos::from(before).saturating_sub(now.into()) <= Nanos::from(CLOCK_SLACK)
    }
}

impl Clock for Time {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.load(Ordering::Relaxed).into()
    }
}

/// Since 2000. The years up to 2199 are less than a third of what 64 bits hold.
fn nanos(time: Timestamp) -> u64 {
    let nanos = time.since(EPOCH).as_nanos();
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn rates(limit: RateLimit) -> Rates {
        let rates = Rates::default();
        rates.set(Callers::Key, limit, NOON);
        rates
    }

    /// How many of that many calls there is room for.
    fn calls(rates: &Rates, who: &str, count: u32, now: Timestamp) -> u32 {
        let charges = (0..count).map(|_| rates.charge(Callers::Key, who, now));
        charges.filter(|charge| charge.wait.is_none()).count() as u32
    }

    #[test]
    fn a_bucket_empties_by_calls_and_fills_by_time() {
        let rates = rates(RateLimit::per_second(10).burst(50));
        assert_eq!(rates.charge(Callers::Key, "a", NOON).remaining, 49);
        assert_eq!(calls(&rates, "a", 100, NOON), 49);
        let refused = rates.charge(Callers::Key, "a", NOON);
        assert_eq!((refused.remaining, refused.wait), (0, Some(Duration::from_millis(100))));
        assert_eq!(calls(&rates, "b", 100, NOON), 50, "others have buckets of their own");

        assert_eq!(calls(&rates, "a", 100, NOON + Duration::from_secs(2)), 20);
        assert_eq!(calls(&rates, "a", 100, NOON + Duration::from_secs(3600)), 50);
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let rates = rates(RateLimit::per_second(1));
        assert_eq!(calls(&rates, "a", 2, NOON), 1);
        for year in 1..20 {
            let earlier = Timestamp::from_secs(NOON.as_secs() - year * 365 * 86_400);
            assert_eq!(calls(&rates, "a", 2, earlier), 1, "{year} years earlier");
            assert_eq!(calls(&rates, "a", 2, earlier + Duration::from_secs(1)), 1);
        }
    }

    #[test]
    fn callers_who_went_away_are_forgotten() {
        let rates = rates(RateLimit::per_second(10));
        for n in 0..100_000_u64 {
            rates.charge(Callers::Key, n, NOON + Duration::from_millis(n));
        }
        let buckets = rates.buckets.read().expect("no panic");
        let kept = buckets[Callers::Key as usize].limiter.len();
        // Those of the last tenth of a second, and those since the last cleaning.
        assert!(kept <= 100 + CLEANING_INTERVAL as usize, "{kept}");
    }

    #[test]
    fn limits_are_read_from_the_command_line() {
        assert_eq!("100".parse(), Ok(RateLimit::per_second(100)));
        assert_eq!("1,60".parse(), Ok(RateLimit::per_second(1).burst(60)));
        for wrong in ["", "0", "1,", "1,0", "-1", "1;2"] {
            assert!(wrong.parse::<RateLimit>().is_err(), "{wrong}");
        }
    }
}
