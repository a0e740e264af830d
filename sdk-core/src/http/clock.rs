//! The marketplace's time, as far as its answers tell. It measures, and judges no token.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::error::Error;
use crate::host::Host;
use crate::model::{Civil, Code, Timestamp, number, two};

/// `Date` has a resolution of one second: what is within that, and half the time the answer took,
/// is no measurement of a wrong clock.
const NOISE_MS: i64 = 1_000;

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// The marketplace's time: this machine's clock, corrected by what the server's answers say.
pub(crate) struct Clock {
    host: Arc<dyn Host>,
    /// The most a server may correct us by. None against a test server, whose clock is moved.
    cap: Option<Duration>,
    offset_ms: AtomicI64,
}

/// The time by two clocks: this machine's wall clock may be set, and then the other goes on as before.
#[derive(Clone, Copy)]
pub(crate) struct Now {
    /// By this machine's monotonic one.
    pub(crate) here: Duration,
    /// By the marketplace's.
    pub(crate) there: Timestamp,
}

impl Clock {
    pub(crate) fn new(host: Arc<dyn Host>, cap: Option<Duration>) -> Self {
        Clock { host, cap, offset_ms: AtomicI64::new(0) }
    }

    /// The time, as the marketplace has it.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.host.wall().as_millis() + self.offset_ms())
    }

    pub(crate) fn both(&self) -> Now {
        Now { here: self.host.monotonic(), there: self.now() }
    }

    /// How far the server's clock is ahead of ours.
    pub(crate) fn offset_ms(&self) -> i64 {
        self.offset_ms.load(Ordering::Relaxed)
    }

    /// That a token is refused because of the time. Where the clocks differ, by which one and by how much:
    /// a token that looks good to whoever reads this machine's clock is a riddle otherwise.
    pub(crate) fn refusal(&self, code: Code) -> Error {
        let millis = self.offset_ms();
        if millis == 0 {
            return Error::new(code);
        }
        let which = if millis > 0 { "ahead of" } else { "behind" };
        let seconds = millis.unsigned_abs().div_ceil(1000);
        let words = format!(
            "{} That is by the marketplace's clock, which is {seconds} s {which} this machine's.",
            code.reason()
        );
        Error::because(code, words)
    }

    /// Reads an answer's `Date`, which was written somewhere between `sent` and `received`.
    pub(crate) fn observe(&self, sent: Timestamp, received: Timestamp, date: Option<&str>) {
        let Some(date) = date.and_then(http_date) else { return };
        let half = (received.as_millis() - sent.as_millis()).max(0) / 2;
        let offset = date.as_millis() + 500 - (sent.as_millis() + half); // half a second on average
        let offset = if offset.abs() <= NOISE_MS + half { 0 } else { offset };
        let cap = self.cap.map_or(i64::MAX, |cap| cap.as_millis() as i64);
        self.offset_ms.store(offset.clamp(-cap, cap), Ordering::Relaxed);
    }
}

/// `Sun, 22 Nov 2026 22:00:00 GMT` (RFC 9110, the one form that is still written).
pub(super) fn http_date(text: &str) -> Option<Timestamp> {
    let text = text.trim_ascii().as_bytes();
    let [_, _, _, b',', b' ', day @ .., b' ', b'G', b'M', b'T'] = text else { return None };
    let [d1, d2, b' ', month @ .., b' ', h1, h2, b':', m1, m2, b':', s1, s2] = day else {
        return None;
    };
    let [m @ .., b' ', y1, y2, y3, y4] = month else { return None };
    let month = (1..).zip(MONTHS).find(|(_, name)| name.as_slice() == m)?.0;
    let civil = Civil {
        year: number(&[*y1, *y2, *y3, *y4])?,
        month,
        day: two(&[*d1, *d2])?,
        hour: two(&[*h1, *h2])?,
        minute: two(&[*m1, *m2])?,
        second: two(&[*s1, *s2])?,
    };
    civil.to_secs().map(Timestamp::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "native")]
    fn offset(cap: Option<Duration>, date: &str) -> i64 {
        let clock = Clock::new(crate::host::native("http://localhost").unwrap(), cap);
        let sent = Timestamp::from_secs(1_795_384_800); // Sun, 22 Nov 2026 22:00:00 GMT
        clock.observe(sent, sent + Duration::from_millis(200), Some(date));
        clock.offset_ms()
    }

    #[cfg(feature = "native")]
    #[test]
    fn the_clock_is_corrected_by_the_server_up_to_a_cap_and_without_one_against_a_test_server() {
        let (cap, hour) = (Some(Duration::from_secs(600)), "Sun, 22 Nov 2026 23:00:00 GMT");
        assert_eq!(offset(cap, hour), 600_000);
        assert_eq!(offset(cap, "Sun, 22 Nov 2026 21:00:00 GMT"), -600_000);
        assert_eq!(offset(None, hour), 3_600_400); // half a second more, half the way less
        assert_eq!(offset(None, "Sun, 22 Nov 2026 22:00:01 GMT"), 1_400);
        assert_eq!(offset(None, "Sun, 22 Nov 2026 22:00:00 GMT"), 0, "within what can be measured");
    }

    #[cfg(feature = "native")]
    #[test]
    fn a_refusal_because_of_the_time_names_the_clock_it_goes_by_where_they_differ() {
        let clock = Clock::new(crate::host::native("http://localhost").unwrap(), None);
        let said = || clock.refusal(Code::TokenExpired).to_string();
        assert_eq!(said(), "token_expired: The token has expired.");
        clock.offset_ms.store(7_200_400, Ordering::Relaxed);
        assert!(said().ends_with("clock, which is 7201 s ahead of this machine's."), "{}", said());
        clock.offset_ms.store(-1_500, Ordering::Relaxed);
        assert!(said().ends_with("clock, which is 2 s behind this machine's."), "{}", said());
    }

    #[test]
    fn the_date_of_an_answer_is_read() {
        let date = http_date("Sun, 22 Nov 2026 22:00:00 GMT").unwrap();
        assert_eq!(date.to_string(), "2026-11-22T22:00:00Z");
        let leap = http_date("Thu, 29 Feb 2024 23:59:60 GMT").unwrap();
        assert_eq!(leap.to_string(), "2024-02-29T23:59:59Z");
        for text in [
            "yesterday",
            "",
            "Sun, 22 Nov 2026 22:00:00",
            "Sun, 22 Nov 2026 22:00:00 CET",
            "Sun, 31 Nov 2026 22:00:00 GMT",
            "Sun, 22 nov 2026 22:00:00 GMT",
            "Sun, 22 Nov 26 22:00:00 GMT",
            "Sunday, 22-Nov-26 22:00:00 GMT",
        ] {
            assert_eq!(http_date(text), None, "{text}");
        }
    }
}
