//! The server's clock: this machine's (or a simulation's), until a test sets it, stops it or lets it run
//! faster.

#[cfg(feature = "control")]
mod pace;

use std::fmt;
#[cfg(feature = "sim")]
use std::sync::Arc;
#[cfg(feature = "control")]
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime};

use cloudnestle_marketplace::model::Timestamp;

#[cfg(feature = "control")]
use pace::Pace;
#[cfg(feature = "control")]
pub(crate) use pace::{OutOfRange, Scale, check_settable};

/// What tells the time in a simulation.
#[cfg(feature = "sim")]
pub(crate) type Simulated = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Runs at the speed of real time, unless a test wants another.
#[derive(Default)]
pub(crate) struct Clock {
    #[cfg(feature = "control")]
    pace: RwLock<Pace>,
    #[cfg(feature = "sim")]
    simulated: Option<Simulated>,
}

/// Everything a clock shows, at one moment.
#[cfg(feature = "control")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reading {
    pub now: Timestamp,
    /// How far it is ahead of the machine's clock.
    pub offset_millis: i64,
    pub is_frozen: bool,
    pub scale: f64,
}

impl Clock {
    #[cfg(feature = "control")]
    pub(crate) fn now(&self) -> Timestamp {
        let pace = self.pace();
        // Read while nobody changes the pace: no reader sees a moment that the clock has never shown.
        Timestamp::from_millis(pace.shown(self.machine()))
    }

    #[cfg(not(feature = "control"))]
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.machine())
    }

    /// How long it takes, in real time, until the clock shows a moment; `None` while it stands still.
    #[cfg(feature = "control")]
    pub(crate) fn real_time_until(&self, at: Timestamp) -> Option<Duration> {
        let pace = self.pace();
        pace.real_time_until(at.as_millis(), self.machine())
    }

    /// How long it takes, in real time, until the clock shows a moment.
    #[cfg(not(feature = "control"))]
    pub(crate) fn real_time_until(&self, at: Timestamp) -> Option<Duration> {
        Some(at.since(self.now()))
    }

    /// A clock of a machine that exists in a simulation alone.
    #[cfg(feature = "sim")]
    pub(crate) fn simulated(simulated: Simulated) -> Clock {
        Clock { simulated: Some(simulated), ..Clock::default() }
    }

    /// Milliseconds since 1970 by the machine's clock.
    fn machine(&self) -> i64 {
        #[cfg(feature = "sim")]
        if let Some(simulated) = &self.simulated {
            return simulated().as_millis();
        }
        real()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

#[cfg(feature = "control")]
impl Clock {
    pub(crate) fn read(&self) -> Reading {
        let pace = self.pace();
        let machine = self.machine();
        let shown = pace.shown(machine);
        Reading {
            now: Timestamp::from_millis(shown),
            offset_millis: shown - machine,
            is_frozen: pace.is_frozen,
            scale: pace.scale,
        }
    }

    /// Lets it stand still, or run on at the speed it had.
    pub(crate) fn freeze(&self, is_frozen: bool) {
        let mut pace = self.pace_to_change();
        pace.rest(self.machine());
        pace.is_frozen = is_frozen;
    }

    /// Lets it run, so many times as fast as real time.
    pub(crate) fn scale(&self, scale: Scale) {
        let mut pace = self.pace_to_change();
        pace.rest(self.machine());
        (pace.is_frozen, pace.scale) = (false, scale.get());
    }

    /// Stops it for somebody who says what it [shows](Self::show), until it is let go. For one at a
    /// time.
    pub(crate) fn hold(&self) {
        let mut pace = self.pace_to_change();
        pace.rest(self.machine());
        pace.is_held = true;
    }

    /// Lets it go on as it did before it was held, from what it shows.
    pub(crate) fn let_go(&self) {
        let mut pace = self.pace_to_change();
        pace.rest(self.machine());
        pace.is_held = false;
    }

    /// Lets it show what it showed when it was read, and go on from there as it did then; by the machine's
    /// clock, if it was never read.
    pub(crate) fn go_on_from(&self, reading: Option<Reading>) {
        let mut pace = self.pace_to_change();
        *pace = Pace::default();
        if let Some(Reading { now, is_frozen, scale, .. }) = reading {
            (pace.is_frozen, pace.scale) = (is_frozen, scale);
            pace.rest_at(now.as_millis(), self.machine());
        }
    }

    /// Lets it show a moment, and go on from there as it did.
    pub(crate) fn show(&self, at: Timestamp) {
        self.pace_to_change().rest_at(at.as_millis(), self.machine());
    }

    /// Lets it show a moment, unless it shows a later one.
    pub(crate) fn reach(&self, at: Timestamp) {
        let mut pace = self.pace_to_change();
        let machine = self.machine();
        if pace.shown(machine) < at.as_millis() {
            pace.rest_at(at.as_millis(), machine);
        }
    }

    fn pace(&self) -> RwLockReadGuard<'_, Pace> {
        // Nothing can panic half-way through a change.
        self.pace.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn pace_to_change(&self) -> RwLockWriteGuard<'_, Pace> {
        self.pace.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds since 1970 by this machine's clock; 0 if it stands before that.
fn real() -> i64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(all(test, feature = "control"))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn noon() -> Timestamp {
        "2031-05-06T12:00:00Z".parse().expect("RFC 3339")
    }

    #[test]
    fn a_clock_runs_on_from_where_it_was_set() {
        let clock = Clock::default();
        let before = real();
        clock.show(noon());
        let shown = clock.now();
        let passed = Duration::from_millis(real().abs_diff(before));
        assert!((noon()..=noon() + passed).contains(&shown), "{shown}");
    }

    #[test]
    fn a_clock_that_is_held_shows_what_its_holder_says_and_then_goes_on_as_before() {
        let clock = Clock::default();
        clock.hold();
        clock.show(noon());
        assert_eq!((clock.now(), clock.real_time_until(noon())), (noon(), Some(Duration::ZERO)));
        assert_eq!(clock.real_time_until(noon() + Duration::from_secs(1)), None);
        clock.reach(noon() - Duration::from_secs(1));
        assert_eq!(clock.now(), noon(), "it is later than that already");
        clock.let_go();
        assert!(clock.real_time_until(noon() + Duration::from_secs(1)).is_some());

        clock.freeze(true);
        clock.hold();
        clock.show(noon());
        clock.let_go();
        assert_eq!(clock.real_time_until(noon() + Duration::from_secs(1)), None);
        assert_eq!(clock.now(), noon());
    }

    #[test]
    fn nobody_sees_a_moment_that_a_clock_has_never_shown() {
        let clock = Arc::new(Clock::default());
        clock.freeze(true);
        clock.show(noon());
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // A million times real time, for moments: between two machine readings lie years.
            scope.spawn(|| {
                for _ in 0..1_000 {
                    clock.scale(Scale::new(1_000_000.0).expect("in range"));
                    clock.freeze(true);
                }
                done.store(true, Ordering::SeqCst);
            });
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut last = noon();
                    while !done.load(Ordering::SeqCst) {
                        let now = clock.now();
                        assert!(now >= last, "{now} after {last}");
                        last = now;
                    }
                });
            }
        });
    }
}
