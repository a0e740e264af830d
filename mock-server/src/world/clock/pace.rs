//! How a clock goes: from where, how fast, and whether at all.

use std::ops::RangeInclusive;
use std::time::Duration;

use cloudnestle_marketplace::model::Timestamp;

/// The years a clock may show, 2000 to 2199: calendar arithmetic cannot leave what jiff can count.
const SETTABLE: RangeInclusive<Timestamp> =
    Timestamp::from_secs(946_684_800)..=Timestamp::from_secs(7_258_118_400);

/// A clock shows the years 2000 to 2199, and runs at most 1,000,000 times as fast as real time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutOfRange {
    Moment,
    Scale,
}

/// Whether a clock may be set to a moment.
pub(crate) fn check_settable(at: Timestamp) -> Result<(), OutOfRange> {
    if SETTABLE.contains(&at) { Ok(()) } else { Err(OutOfRange::Moment) }
}

/// How many times as fast as real time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale(f64);

impl Scale {
    /// At this rate a century passes in 53 minutes.
    const MOST: f64 = 1_000_000.0;

    pub(crate) fn new(scale: f64) -> Result<Scale, OutOfRange> {
        match scale > 0.0 && scale <= Scale::MOST {
            true => Ok(Scale(scale)),
            false => Err(OutOfRange::Scale),
        }
    }

    pub(crate) fn get(self) -> f64 {
        self.0
    }
}

/// `base + (machine − machine at base) × scale`, in milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// What the clock showed when the machine's showed `machine`.
    base: i64,
    machine: i64,
    pub(super) scale: f64,
    pub(super) is_frozen: bool,
    /// Somebody moves it from moment to moment.
    pub(super) is_held: bool,
}

/// As the machine's clock goes.
impl Default for Pace {
    fn default() -> Pace {
        Pace { base: 0, machine: 0, scale: 1.0, is_frozen: false, is_held: false }
    }
}

impl Pace {
    /// What is shown when the machine's clock shows `machine`.
    pub(super) fn shown(&self, machine: i64) -> i64 {
        if self.is_still() {
            return self.base;
        }
        let passed = machine.saturating_sub(self.machine);
        if self.scale == 1.0 {
            return self.base.saturating_add(passed);
        }
        // A machine's clock that is put right by a second must not take days off.
        let passed = (passed.max(0) as f64 * self.scale).floor() as i64;
        // It has run out of the years it can show, and stands.
        self.base.saturating_add(passed).min(SETTABLE.end().as_millis().max(self.base))
    }

    /// What is shown now is what it goes on from.
    pub(super) fn rest(&mut self, machine: i64) {
        self.rest_at(self.shown(machine), machine);
    }

    /// Shows `shown` when the machine's clock shows `machine`.
    pub(super) fn rest_at(&mut self, shown: i64, machine: i64) {
        (self.base, self.machine) = (shown, machine);
    }

    /// How long the machine takes until `at` is shown; `None` if it never is.
    pub(super) fn real_time_until(&self, at: i64, machine: i64) -> Option<Duration> {
        let left = at.saturating_sub(self.shown(machine));
        match left {
            ..=0 => Some(Duration::ZERO),
            _ if self.is_still() => None,
            // At most 290 million years, of which at least a millionth.
            _ => Some(Duration::from_millis((left as f64 / self.scale).ceil() as u64)),
        }
    }

    fn is_still(&self) -> bool {
        self.is_frozen || self.is_held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_that_nobody_set_is_the_machines() {
        for machine in [0, 1, 1_800_000_000_123, -5] {
            assert_eq!(Pace::default().shown(machine), machine);
        }
    }

    #[test]
    fn a_scaled_clock_goes_so_many_times_as_fast() {
        let pace = Pace { base: 1_000_000, machine: 500, scale: 60.0, ..Pace::default() };
        assert_eq!(
            (pace.shown(500), pace.shown(501), pace.shown(1_500)),
            (1_000_000, 1_000_060, 1_060_000)
        );
        assert_eq!(pace.shown(400), 1_000_000, "the machine's clock was put right");
        assert_eq!(pace.real_time_until(1_060_000, 500), Some(Duration::from_secs(1)));
        assert_eq!(pace.real_time_until(1_000_001, 500), Some(Duration::from_millis(1)));
        assert_eq!(pace.real_time_until(7, 500), Some(Duration::ZERO));
        let slow = Pace { scale: 0.5, ..pace };
        assert_eq!((slow.shown(501), slow.shown(502)), (1_000_000, 1_000_001));
        assert_eq!(slow.real_time_until(1_000_001, 500), Some(Duration::from_millis(2)));
    }

    #[test]
    fn a_clock_that_runs_out_of_years_stands() {
        let scale = Scale::MOST;
        let pace = Pace { base: 1_800_000_000_000, machine: 0, scale, ..Pace::default() };
        assert_eq!(pace.shown(i64::MAX), 7_258_118_400_000);
    }

    #[test]
    fn a_scale_is_more_than_nothing_and_at_most_a_million() {
        for scale in [0.0, -1.0, f64::NAN, f64::INFINITY, 1_000_000.1] {
            assert_eq!(Scale::new(scale), Err(OutOfRange::Scale));
        }
        assert_eq!(Scale::new(0.001).map(Scale::get), Ok(0.001));
        assert_eq!(check_settable(Timestamp::from_millis(0)), Err(OutOfRange::Moment));
        assert_eq!(check_settable(Timestamp::from_millis(i64::MAX)), Err(OutOfRange::Moment));
    }
}
