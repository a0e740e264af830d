//! The Gregorian calendar in UTC, as far as texts on the wire need it: which second a date and a time of
//! day name, and back.
//!
//! It takes the place of a library for two texts, RFC 3339 and HTTP's `Date`: the smallest that reads both
//! is a tenth of what a browser may load of the SDK. The tests hold it against jiff.

/// Seconds of a day: UTC as computers count it has no leap seconds.
const DAY: i64 = 86_400;

/// Days from the beginning of the calendar's year 0, which begins in March, to 1970-01-01.
const TO_1970: i64 = 719_468;

/// The calendar repeats itself after 400 years, which have so many days.
const DAYS_OF_ERA: i64 = 146_097;

/// A date and a time of day. It need not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    /// 0 to 9999: what has four digits.
    pub(crate) year: u16,
    pub(crate) month: u8,
    pub(crate) day: u8,
    pub(crate) hour: u8,
    pub(crate) minute: u8,
    /// 60 in a leap second, which counts as the one before.
    pub(crate) second: u8,
}

impl Civil {
    /// Seconds since 1970; `None` if there is no such day or time.
    pub(crate) fn to_secs(self) -> Option<i64> {
        let Civil { year, month, day, hour, minute, second } = self;
        let exists = year <= 9999
            && (1..=12).contains(&month)
            && (1..=days_of(year, month)).contains(&day)
            && hour <= 23
            && minute <= 59
            && second <= 60;
        if !exists {
            return None;
        }
        // Years begin in March, so that a leap day is the last of its year: Howard Hinnant,
        // "chrono-Compatible Low-Level Date Algorithms", days_from_civil.
        let (month, day) = (i64::from(month), i64::from(day));
        let year = i64::from(year) - i64::from(month <= 2);
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let days = era * DAYS_OF_ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - TO_1970;
        let of_day = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second.min(59));
        Some(days * DAY + of_day)
    }

    /// What a second since 1970 is called; `None` outside the years 0 to 9999.
    pub(crate) fn of_secs(secs: i64) -> Option<Self> {
        // The same backwards: civil_from_days.
        let (days, of_day) = (secs.div_euclid(DAY) + TO_1970, secs.rem_euclid(DAY));
        let (era, of_era) = (days.div_euclid(DAYS_OF_ERA), days.rem_euclid(DAYS_OF_ERA));
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let year = era * 400 + year + i64::from(month >= 10);
        let month = if month < 10 { month + 3 } else { month - 9 };
        Some(Civil {
            year: u16::try_from(year).ok().filter(|year| *year <= 9999)?,
            month: month as u8,
            day: day as u8,
            hour: (of_day / 3600) as u8,
            minute: (of_day / 60 % 60) as u8,
            second: (of_day % 60) as u8,
        })
    }
}

fn days_of(year: u16, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(400) || year.is_multiple_of(4) && !year.is_multiple_of(100) => 29,
        2 => 28,
        _ => 31,
    }
}

/// The number that a text is, if it is nothing but digits.
pub(crate) fn number(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0_u16, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u16::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// As [`number`], of two digits.
pub(crate) fn two(digits: &[u8]) -> Option<u8> {
    u8::try_from(number(digits.get(..2)?)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By jiff.
    fn jiffs(civil: Civil) -> Option<i64> {
        let Civil { year, month, day, hour, minute, second } = civil;
        let date = jiff::civil::Date::new(year as i16, month as i8, day as i8).ok()?;
        let time = date.at(hour as i8, minute as i8, second as i8, 0);
        Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
    }

    #[test]
    fn every_day_of_four_centuries_is_where_jiff_has_it() {
        // jiff's moments end two days before the last year of four digits does.
        for year in [0..=0, 1_582..=1_583, 1_899..=2_300, 9_998..=9_998].into_iter().flatten() {
            for month in 0..=13 {
                for day in 0..=32 {
                    let (hour, minute, second) = (day % 24, month * 4, (day + month) % 60);
                    let civil = Civil { year, month, day, hour, minute, second };
                    let secs = civil.to_secs();
                    assert_eq!(secs, jiffs(civil), "{civil:?}");
                    assert!(secs.is_none() || secs.and_then(Civil::of_secs) == Some(civil));
                }
            }
        }
    }

    #[test]
    fn what_is_no_time_of_day_or_beyond_the_years_of_four_digits_is_none() {
        let noon = Civil { year: 2026, month: 11, day: 1, hour: 12, minute: 0, second: 0 };
        for civil in [
            Civil { hour: 24, ..noon },
            Civil { minute: 60, ..noon },
            Civil { second: 61, ..noon },
            Civil { year: 10_000, ..noon },
        ] {
            assert_eq!(civil.to_secs(), None, "{civil:?}");
        }
        let leap = Civil { second: 60, ..noon }.to_secs();
        assert_eq!(leap, Civil { second: 59, ..noon }.to_secs());
        for secs in [i64::MIN, -62_167_219_201, 253_402_300_800, i64::MAX / DAY * DAY] {
            assert_eq!(Civil::of_secs(secs), None, "{secs}");
        }
    }
}
