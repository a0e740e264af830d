//! When a log's requests are sent: gathered while all is well, tried again ever more rarely while
//! nothing comes through, and evenly once it does again.
//!
//! A thousand programs learn at the same time that the marketplace is back. None of them may then send
//! more often than it does anyway, or hardly, or together they take it down again.

use std::time::Duration;

use crate::error::Error;
use crate::host::Host;
use crate::http::{RetryPolicy, full_jitter};
use crate::model::UsageRange;
use crate::planted::{Bug, planted};

/// How long an event waits for others to travel with.
const LINGER: Duration = Duration::from_secs(1);

/// How often the uploader looks whether what blocks it was mended, such as a rotated key.
const BLOCKED_RECHECK: Duration = Duration::from_secs(30);

/// The longest wait that is granted to whoever asks for one: a proxy's `Retry-After: 86400` must
/// not stop usage for a day.
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 60);

/// Of our own wait after a failure, what nobody's hurry shortens: who flushes in a loop must not make
/// every client hammer a marketplace that is down.
const HURRIED_WAIT: Duration = Duration::from_millis(500);

/// What has gathered in an outage is sent within this, evenly, beside what comes meanwhile. An outage of
/// a minute is a tenth of it, so that its backlog adds a tenth to the load.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(10 * 60);

/// The rhythm of one log.
pub(super) struct Pace {
    delays: Box<dyn Iterator<Item = Duration> + Send + Sync>,
    /// When the last request began.
    sent: Duration,
    /// Since when nothing comes through.
    failing: Option<Mark>,
    catching_up: Option<CatchUp>,
}

/// How long it is until another attempt after one that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) whole: Duration,
    /// Of that, what nobody's hurry shortens: all that the marketplace has asked for.
    pub(super) least: Duration,
}

/// A moment in the life of a log.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    /// On the monotonic clock.
    pub(super) at: Duration,
    /// The log's last number then.
    pub(super) last: u64,
}

struct CatchUp {
    outage_began: Mark,
    until: Duration,
    /// What waited when it began.
    backlog: u64,
    /// How many numbers the last request was about.
    taken: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            delays: Box::new(RetryPolicy::UPLOAD.delays()),
            sent: Duration::ZERO,
            failing: None,
            catching_up: None,
        }
    }
}

impl Pace {
    /// A request begins.
    pub(super) fn send(&mut self, now: Duration) {
        self.sent = now;
    }

    /// Whether what is sent next was sent before, in vain.
    pub(super) fn is_retrying(&self) -> bool {
        self.failing.is_some()
    }

    /// Nothing came through; the answer is how long to wait before the next attempt.
    pub(super) fn failed(&mut self, host: &dyn Host, now: Mark, error: &Error) -> Wait {
        self.failing.get_or_insert(now);
        self.catching_up = None;
        let own = match error.is_retryable() {
            true => full_jitter(host, self.delays.next().unwrap_or_default()),
            false => BLOCKED_RECHECK,
        };
        let asked = error.retry_after().unwrap_or_default().min(LONGEST_WAIT);
        let whole = own.max(asked);
        let least = match planted(Bug::RetryAfterHurried) {
            true => whole.min(HURRIED_WAIT),
            false => own.min(HURRIED_WAIT).max(asked),
        };
        Wait { whole, least }
    }

    /// A request about so many numbers was answered, and so many wait.
    pub(super) fn answered(&mut self, now: Mark, taken: u64, waiting: u64) {
        if let Some(outage_began) = self.failing.take() {
            self.delays = Box::new(RetryPolicy::UPLOAD.delays());
            let until = now.at + CATCH_UP_WITHIN;
            self.catching_up = Some(CatchUp { outage_began, until, backlog: waiting, taken });
        }
        let caught_up = waiting < UsageRange::MAX_ITEMS as u64;
        self.catching_up = self
            .catching_up
            .take()
            .map(|catching_up| CatchUp { taken, ..catching_up })
            .filter(|catching_up| !caught_up && now.at < catching_up.until);
    }

    /// How long those that wait, so many, wait for more.
    pub(super) fn pause(&self, now: Mark, waiting: u64) -> Duration {
        match &self.catching_up {
            Some(catching_up) => (self.sent + catching_up.interval(now)).saturating_sub(now.at),
            None if waiting < UsageRange::MAX_ITEMS as u64 => LINGER,
            None => Duration::ZERO,
        }
    }
}

impl CatchUp {
    /// From one request to the next: as rarely as is enough for what comes and for a share of what
    /// has gathered, and at least as often as when nothing has.
    fn interval(&self, now: Mark) -> Duration {
        let since = now.at.saturating_sub(self.outage_began.at).as_secs_f64().max(1.0);
        let comes = (now.last - self.outage_began.last) as f64 / since;
        let gathered = self.backlog as f64 / CATCH_UP_WITHIN.as_secs_f64();
        let needed = self.taken as f64 / (comes + gathered).max(1.0);
        LINGER.min(Duration::from_secs_f64(needed))
    }
}

#[cfg(all(test, feature = "native"))]
mod tests {
    use super::*;
    use crate::host::sim::{SimHost, Simulation, no_network};
    use crate::model::Code;

    fn mark(seconds: u64, last: u64) -> Mark {
        Mark { at: Duration::from_secs(seconds), last }
    }

    /// A pace after an outage of a minute in which so many events came a second.
    fn after_a_minute(events_a_second: u64) -> (Pace, Mark, u64) {
        let (mut pace, back) = (Pace::default(), mark(100, 100 * events_a_second));
        let host = SimHost::new(&Simulation::new(1), None, no_network());
        let error = Error::without_answer(Code::Unavailable, "silence");
        pace.failed(&*host, mark(40, 40 * events_a_second), &error);
        pace.send(back.at);
        let waiting = 60 * events_a_second - 500;
        pace.answered(back, 500, waiting);
        (pace, back, waiting)
    }

    #[test]
    fn a_backlog_adds_a_tenth_to_the_requests_of_a_busy_program_and_none_to_others() {
        for (events, most) in [(10, 1.0), (100, 1.0), (400, 1.0), (1_000, 2.2), (5_000, 11.0)] {
            let (pace, back, waiting) = after_a_minute(events);
            let pause = pace.pause(back, waiting).as_secs_f64();
            assert!((0.95..=1.0).contains(&(1.0 / pause / most)), "{events}: {pause}");
        }
    }

    #[test]
    fn who_has_caught_up_or_had_ten_minutes_for_it_goes_on_as_ever() {
        let (mut pace, back, waiting) = after_a_minute(1_000);
        assert!(!pace.pause(back, waiting).is_zero());
        pace.answered(mark(700, 700_000), 500, waiting);
        assert_eq!(pace.pause(mark(700, 700_000), waiting), Duration::ZERO);

        let (mut pace, back, _) = after_a_minute(1_000);
        pace.answered(back, 500, 0);
        assert_eq!(pace.pause(back, 1), LINGER);
    }
}
