//! The server's clock: this machine's (or a simulation's), and an offset that a test may change.

use std::fmt;
#[cfg(feature = "control")]
use std::ops::RangeInclusive;
#[cfg(feature = "sim")]
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
#[cfg(feature = "control")]
use std::time::Duration;
use std::time::SystemTime;

use cloudnestle_marketplace::model::Timestamp;

/// The years a clock may show, 2000 to 2199: calendar arithmetic cannot leave what jiff can count.
#[cfg(feature = "control")]
const SETTABLE: RangeInclusive<Timestamp> =
    Timestamp::from_secs(946_684_800)..=Timestamp::from_secs(7_258_118_400);

/// What tells the time in a simulation.
#[cfg(feature = "sim")]
pub(crate) type Simulated = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Runs at the speed of real time, from wherever it was set.
#[derive(Default)]
pub(crate) struct Clock {
    /// Milliseconds ahead of this machine's clock.
    offset: AtomicI64,
    #[cfg(feature = "sim")]
    simulated: Option<Simulated>,
}

/// A clock shows the years 2000 to 2199.
#[cfg(feature = "control")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfRange;

impl Clock {
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.machine() + self.offset.load(Ordering::SeqCst))
    }

    /// A clock of a machine that exists in a simulation alone.
    #[cfg(feature = "sim")]
    pub(crate) fn simulated(simulated: Simulated) -> Clock {
        Clock { offset: AtomicI64::new(0), simulated: Some(simulated) }
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
    /// How far it is ahead of this machine's clock.
    pub(crate) fn offset_millis(&self) -> i64 {
        self.offset.load(Ordering::SeqCst)
    }

    /// Lets it show `now` from now on.
    pub(crate) fn set(&self, now: Timestamp) -> Result<(), OutOfRange> {
        if !SETTABLE.contains(&now) {
            return Err(OutOfRange);
        }
        self.offset.store(now.as_millis() - self.machine(), Ordering::SeqCst);
        Ok(())
    }

    pub(crate) fn advance(&self, by: Duration) -> Result<(), OutOfRange> {
        let advanced = |offset: i64| {
            let offset = offset.checked_add(i64::try_from(by.as_millis()).ok()?)?;
            let now = Timestamp::from_millis(self.machine().checked_add(offset)?);
            SETTABLE.contains(&now).then_some(offset)
        };
        let moved = self.offset.fetch_update(Ordering::SeqCst, Ordering::SeqCst, advanced);
        moved.map(drop).map_err(|_| OutOfRange)
    }
}

/// Milliseconds since 1970 by this machine's clock; 0 if it stands before that.
fn real() -> i64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(all(test, feature = "control"))]
mod tests {
    use super::*;

    #[test]
    fn a_clock_runs_on_from_where_it_was_set() {
        let clock = Clock::default();
        let noon: Timestamp = "2031-05-06T12:00:00Z".parse().expect("RFC 3339");
        let before = real();
        clock.set(noon).expect("in range");
        let shown = clock.now();
        let passed = Duration::from_millis(real().abs_diff(before));
        assert!((noon..=noon + passed).contains(&shown), "{shown}");
        clock.advance(Duration::from_secs(3_600)).expect("in range");
        assert!(clock.now() >= noon + Duration::from_secs(3_600));
    }

    #[test]
    fn a_clock_that_cannot_go_further_stays_where_it_is() {
        let clock = Clock::default();
        assert_eq!(clock.advance(Duration::MAX), Err(OutOfRange));
        assert_eq!(clock.advance(Duration::from_secs(300 * 365 * 86_400)), Err(OutOfRange));
        assert_eq!(clock.set(Timestamp::from_millis(i64::MAX)), Err(OutOfRange));
        assert_eq!(clock.offset_millis(), 0);
    }
}
