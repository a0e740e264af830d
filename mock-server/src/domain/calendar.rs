//! The calendar usage is counted in: hours, days and months by the clocks of the solution's time zone.
//!
//! Days have 23 or 25 hours where clocks change, so days and months are civil date arithmetic; nothing
//! adds 24 hours. An hour is named by its beginning in UTC, because where clocks go back an hour comes
//! twice; in UTC it begins at half past where a zone is that far off.

use std::ops::Range;

use cloudnestle_marketplace::model::{Bucket, Timestamp};
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Every event is counted in each of these, whatever its customer's plan limits: a plan may change in
/// the middle of a window.
pub(crate) const COUNTED: [Bucket; 3] = [Bucket::Hour, Bucket::Day, Bucket::Month];

const HOUR_MILLIS: i64 = 60 * 60 * 1000;

/// The moment lies outside the years the calendar knows, or the bucket is of no known kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutsideCalendar;

/// The name of the bucket that contains `at`: `hour/2026-11-22T07:30Z`, `day/2026-11-22` or
/// `month/2026-11`. Names sort by time among their kind.
pub(crate) fn name(
    bucket: Bucket,
    zone: &TimeZone,
    at: Timestamp,
) -> Result<String, OutsideCalendar> {
    match bucket {
        Bucket::Hour => {
            let begin = moment(hour_began(zone, at)?)?;
            Ok(format!("{}{}", prefix(bucket)?, begin.strftime("%Y-%m-%dT%H:%MZ")))
        }
        Bucket::Day => Ok(format!("{}{}", prefix(bucket)?, date(zone, at)?)),
        Bucket::Month => {
            let date = date(zone, at)?;
            Ok(format!("{}{:04}-{:02}", prefix(bucket)?, date.year(), date.month()))
        }
        _ => Err(OutsideCalendar),
    }
}

/// What the names of a kind of bucket begin with.
pub(crate) fn prefix(bucket: Bucket) -> Result<&'static str, OutsideCalendar> {
    match bucket {
        Bucket::Hour => Ok("hour/"),
        Bucket::Day => Ok("day/"),
        Bucket::Month => Ok("month/"),
        _ => Err(OutsideCalendar),
    }
}

/// From the first moment of the bucket of that name to the first of the next.
pub(crate) fn extent(name: &str, zone: &TimeZone) -> Result<Range<Timestamp>, OutsideCalendar> {
    let parse = |date: &str| date.parse::<Date>().map_err(|_| OutsideCalendar);
    let (first, next) = match name.split_once('/') {
        Some(("hour", begin)) => {
            let begin: jiff::Timestamp = begin.parse().map_err(|_| OutsideCalendar)?;
            let begin = begin.as_millisecond();
            let end = Timestamp::from_millis(begin + HOUR_MILLIS);
            return Ok(Timestamp::from_millis(begin)..end);
        }
        Some(("day", date)) => {
            let date = parse(date)?;
            (date, date.tomorrow())
        }
        Some(("month", month)) => {
            let first = parse(&format!("{month}-01"))?;
            (first, first.last_of_month().tomorrow())
        }
        _ => return Err(OutsideCalendar),
    };
    Ok(midnight(first, zone)?..midnight(next.map_err(|_| OutsideCalendar)?, zone)?)
}

/// When the hour that contains `at` began.
pub(crate) fn hour_began(zone: &TimeZone, at: Timestamp) -> Result<Timestamp, OutsideCalendar> {
    let offset = i64::from(zone.to_offset(moment(at)?).seconds()) * 1000;
    let into_the_hour = (at.as_millis() + offset).rem_euclid(HOUR_MILLIS);
    Ok(Timestamp::from_millis(at.as_millis() - into_the_hour))
}

/// When the day that contains `at` began.
pub(crate) fn day_began(zone: &TimeZone, at: Timestamp) -> Result<Timestamp, OutsideCalendar> {
    midnight(date(zone, at)?, zone)
}

fn date(zone: &TimeZone, at: Timestamp) -> Result<Date, OutsideCalendar> {
    Ok(zone.to_datetime(moment(at)?).date())
}

fn moment(at: Timestamp) -> Result<jiff::Timestamp, OutsideCalendar> {
    jiff::Timestamp::from_millisecond(at.as_millis()).map_err(|_| OutsideCalendar)
}

/// When `date` begins in `zone`: its first moment, where clocks skip midnight.
fn midnight(date: Date, zone: &TimeZone) -> Result<Timestamp, OutsideCalendar> {
    let begin = date
        .to_zoned(zone.clone())
        .and_then(|midnight| midnight.start_of_day())
        .map_err(|_| OutsideCalendar)?;
    Ok(Timestamp::from_millis(begin.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("RFC 3339")
    }

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).expect("a known zone")
    }

    #[test]
    fn an_hour_begins_by_the_clocks_of_its_zone() {
        for (place, moment, expected) in [
            ("Asia/Kolkata", "2026-11-22T07:29:59.999Z", "hour/2026-11-22T06:30Z"),
            ("Asia/Kolkata", "2026-11-22T07:30:00Z", "hour/2026-11-22T07:30Z"),
            ("Asia/Kathmandu", "2026-11-22T07:30:00Z", "hour/2026-11-22T07:15Z"),
            ("Europe/Berlin", "2026-11-22T07:59:00Z", "hour/2026-11-22T07:00Z"),
            // From three o'clock back to two: the hour comes twice, and is counted as two.
            ("Europe/Berlin", "2026-10-25T00:30:00Z", "hour/2026-10-25T00:00Z"),
            ("Europe/Berlin", "2026-10-25T01:30:00Z", "hour/2026-10-25T01:00Z"),
        ] {
            assert_eq!(name(Bucket::Hour, &zone(place), at(moment)).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn a_name_tells_from_when_to_when() {
        let berlin = zone("Europe/Berlin");
        for (name, begin, end) in [
            ("hour/2026-11-22T07:30Z", "2026-11-22T07:30:00Z", "2026-11-22T08:30:00Z"),
            ("day/2026-03-29", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
            ("month/2026-12", "2026-11-30T23:00:00Z", "2026-12-31T23:00:00Z"),
        ] {
            assert_eq!(extent(name, &berlin), Ok(at(begin)..at(end)));
        }
        for name in ["", "day", "day/", "week/2026-01", "month/2026-13", "hour/2026-11-22"] {
            assert_eq!(extent(name, &berlin), Err(OutsideCalendar), "{name}");
        }
    }

    #[test]
    fn every_moment_lies_in_its_bucket_and_buckets_follow_each_other() {
        for place in ["Asia/Kolkata", "Europe/Berlin", "America/St_Johns", "Pacific/Apia", "UTC"] {
            let zone = zone(place);
            for bucket in COUNTED {
                let mut moment = at("2026-01-01T00:00:00Z");
                while moment < at("2027-01-01T00:00:00Z") {
                    let now = name(bucket, &zone, moment).expect("inside the calendar");
                    let extent = extent(&now, &zone).expect("a name");
                    assert!(extent.contains(&moment), "{now} in {place}");
                    let last = Timestamp::from_millis(extent.end.as_millis() - 1);
                    assert_eq!(name(bucket, &zone, last).as_ref(), Ok(&now));
                    let next = name(bucket, &zone, extent.end).expect("inside the calendar");
                    assert!(next > now, "{next} after {now} in {place}");
                    moment = extent.end;
                }
            }
        }
    }

    #[test]
    fn what_has_the_hour_in_common_has_the_day_in_common() {
        const MINUTE_MILLIS: i64 = 60 * 1000;
        // Lord Howe moves its clocks by half an hour, Cairo at midnight.
        for place in ["Asia/Kolkata", "Europe/Berlin", "Africa/Cairo", "Australia/Lord_Howe"] {
            let zone = zone(place);
            let mut last: Option<(String, String)> = None;
            let mut moment = at("2026-01-01T00:00:00Z");
            while moment < at("2027-01-01T00:00:00Z") {
                let name = |bucket| name(bucket, &zone, moment).expect("inside the calendar");
                let now = (name(Bucket::Hour), name(Bucket::Day));
                if let Some((hour, day)) = last
                    && hour == now.0
                {
                    assert_eq!(day, now.1, "{moment} in {place}");
                }
                last = Some(now);
                moment = Timestamp::from_millis(moment.as_millis() + 10 * MINUTE_MILLIS);
            }
        }
    }
}
