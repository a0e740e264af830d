use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::model::Timestamp;

/// When a simulation begins, by the wall clocks in it: 2027-01-15T08:00:00Z.
const EPOCH: Timestamp = Timestamp::from_secs(1_800_000_000);

/// A million millionths: a clock that is right.
const WHOLE: u128 = 1_000_000;

/// A machine's clocks. They are as wrong as they are told to be.
pub(super) struct Clock {
    /// How many millionths of a second they show in one.
    rate: u128,
    /// How far the time of day was set on.
    ahead_ms: AtomicI64,
}

impl Clock {
    pub(super) fn drifting(ppm: i32) -> Clock {
        let rate = WHOLE.saturating_add_signed(i128::from(ppm)).max(1);
        Clock { rate, ahead_ms: AtomicI64::new(0) }
    }

    pub(super) fn jump(&self, millis: i64) {
        self.ahead_ms.fetch_add(millis, Ordering::Relaxed);
    }

    pub(super) fn wall(&self, now: Duration) -> Timestamp {
        let shown = EPOCH + self.monotonic(now);
        Timestamp::from_millis(shown.as_millis() + self.ahead_ms.load(Ordering::Relaxed))
    }

    pub(super) fn monotonic(&self, now: Duration) -> Duration {
        nanos(now.as_nanos() * self.rate / WHOLE)
    }

    /// How long it takes until the clock has gone on by `shown`, at least.
    pub(super) fn time_for(&self, shown: Duration) -> Duration {
        match self.rate {
            WHOLE => shown,
            rate => nanos((shown.as_nanos() * WHOLE).div_ceil(rate) + 1),
        }
    }
}

fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
