//! Moments.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::calendar::{Civil, number, two};

/// What a moment looks like.
const RFC_3339: &str = "RFC 3339, such as 2026-11-01T12:00:00Z";

/// A moment in UTC, to the millisecond; RFC 3339 on the wire.
///
/// ```
/// use std::time::Duration;
/// use cloudnestle_marketplace::model::Timestamp;
///
/// let noon: Timestamp = "2026-11-01T12:00:00Z".parse()?;
/// assert_eq!((noon + Duration::from_millis(5)).to_string(), "2026-11-01T12:00:00.005Z");
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since 1970-01-01T00:00:00Z.
    pub const fn from_millis(millis: i64) -> Self {
        Timestamp(millis)
    }

    /// From seconds since 1970-01-01T00:00:00Z.
    pub const fn from_secs(secs: i64) -> Self {
        Timestamp(secs.saturating_mul(1000))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// From a JWT's `NumericDate` (RFC 7519, section 2). One beyond what can be counted lies at the end
    /// of time.
    ///
    /// ```
    /// use cloudnestle_marketplace::model::Timestamp;
    ///
    /// let exp = Timestamp::from_numeric_date(1_800_000_000);
    /// assert_eq!(exp.to_string(), "2027-01-15T08:00:00Z");
    /// assert_eq!(exp.numeric_date(), 1_800_000_000);
    /// ```
    pub fn from_numeric_date(secs: u64) -> Self {
        Timestamp::from_secs(i64::try_from(secs).unwrap_or(i64::MAX))
    }

    /// As a JWT's `NumericDate`: whole seconds, rounded down; 0 before 1970.
    pub fn numeric_date(self) -> u64 {
        u64::try_from(self.as_secs()).unwrap_or(0)
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0).max(0) as u64)
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;
    fn add(self, rhs: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(millis(rhs)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Timestamp;
    fn sub(self, rhs: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(millis(rhs)))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A moment as it is written, without a buffer of its own on the heap: each event has one.
struct Written {
    bytes: [u8; "2026-11-01T12:00:00.005Z".len()],
    len: usize,
}

impl Written {
    /// `None` outside the years RFC 3339 can name.
    fn of(Timestamp(millis): Timestamp) -> Option<Self> {
        let Civil { year, month, day, hour, minute, second } =
            Civil::of_secs(millis.div_euclid(1000))?;
        let mut bytes = *b"0000-00-00T00:00:00.000Z";
        let mut put = |at: usize, two: u16| {
            bytes[at] += (two / 10) as u8;
            bytes[at + 1] += (two % 10) as u8;
        };
        put(0, year / 100);
        put(2, year % 100);
        for (at, two) in [(5, month), (8, day), (11, hour), (14, minute), (17, second)] {
            put(at, two.into());
        }
        let millis = millis.rem_euclid(1000) as u16;
        put(20, millis / 10);
        bytes[22] += (millis % 10) as u8;
        // Without zeros at the end of the fraction, and without a fraction of nothing else.
        let len = match millis {
            0 => 20,
            _ if millis.is_multiple_of(100) => 22,
            _ if millis.is_multiple_of(10) => 23,
            _ => 24,
        };
        bytes[len - 1] = b'Z';
        Some(Written { bytes, len })
    }

    fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

/// RFC 3339, with any offset. To the millisecond: of a longer fraction the rest is left out.
fn read(text: &str) -> Option<i64> {
    let (moment, rest) = text.as_bytes().split_at_checked(19)?;
    let [y1, y2, y3, y4, b'-', month @ .., b'T' | b't' | b' ', _, _, b':', _, _, b':', _, _] =
        moment
    else {
        return None;
    };
    let [_, _, b'-', _, _] = month else { return None };
    let civil = Civil {
        year: number(&[*y1, *y2, *y3, *y4])?,
        month: two(month)?,
        day: two(&month[3..])?,
        hour: two(&moment[11..])?,
        minute: two(&moment[14..])?,
        second: two(&moment[17..])?,
    };
    let (millis, zone) = match rest {
        [b'.', rest @ ..] => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (fraction, zone) = rest.split_at(digits);
            let padded: Vec<u8> = fraction.iter().copied().chain(*b"000").take(3).collect();
            (number(&padded).filter(|_| digits > 0)?, zone)
        }
        _ => (0, rest),
    };
    let offset = match zone {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), hours @ .., b':', _, _] if hours.len() == 2 => {
            let (hours, minutes) = (two(hours)?, two(&zone[4..])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = i64::from(hours) * 3600 + i64::from(minutes) * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    Some((civil.to_secs()? - offset) * 1000 + i64::from(millis))
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Written::of(*self) {
            Some(written) => f.write_str(written.as_str()),
            None => write!(f, "{} ms", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let millis = read(text);
        millis.map(Timestamp).ok_or_else(|| format!("a time in {RFC_3339}"))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match Written::of(*self) {
            Some(written) => serializer.serialize_str(written.as_str()),
            None => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rfc3339;
        impl de::Visitor<'_> for Rfc3339 {
            type Value = Timestamp;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a time in {RFC_3339}")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
                let millis = read(text).map(Timestamp);
                millis.ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Rfc3339)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_jiff_writes_them_and_read_as_it_reads_them() {
        let mut random = 7_u64;
        for _ in 0..100_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Of the years 0 to 9999, a third of them to the tenth or hundredth of a second.
            let millis = (random >> 8) as i64 % 315_569_260_000_000 - 62_167_219_200_000;
            let millis = millis / [1, 10, 100, 1000][random as usize % 4]
                * [1, 10, 100, 1000][random as usize % 4];
            let (ours, theirs) =
                (Timestamp(millis), jiff::Timestamp::from_millisecond(millis).expect("in range"));
            assert_eq!(ours.to_string(), theirs.to_string());
            assert_eq!(ours.to_string().parse(), Ok(ours));
        }
    }

    #[test]
    fn what_is_a_time_in_rfc_3339_is_read_and_nothing_else() {
        for text in [
            "2026-11-01T12:00:00Z",
            "2026-11-01t12:00:00z",
            "2026-11-01 12:00:00.5Z",
            "2026-11-01T12:00:00.123456789+05:30",
            "2026-02-28T23:59:60-23:59",
            "0000-01-01T00:00:00Z",
            "9999-12-30T21:59:59.999Z",
        ] {
            let theirs: jiff::Timestamp = text.parse().expect(text);
            assert_eq!(text.parse(), Ok(Timestamp(theirs.as_millisecond())), "{text}");
        }
        for text in [
            "",
            "2026-11-01",
            "2026-11-01T12:00:00",
            "2026-11-01T12:00:00.Z",
            "2026-11-01T12:00:00 Z",
            "2026-11-01T12:00:00ZZ",
            "2026-11-01T12:00:00+5:30",
            "2026-11-01T12:00:00+0530",
            "2026-11-01T12:00:00+05:60",
            "2026-11-01T12:00:00+24:00",
            "2026-11-01T24:00:00Z",
            "2026-02-29T12:00:00Z",
            "2026-13-01T12:00:00Z",
            "2026-11-00T12:00:00Z",
            "+026-11-01T12:00:00Z",
            "2026-1\u{661}-01T12:00:00Z",
            "2026-11-01T12:00:0\u{661}Z",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }
}
