//! Quotas, and the windows of the [calendar](super::calendar) that they begin anew with.

use cloudnestle_marketplace::model::{Bucket, Quota, Timestamp, Window};
use jiff::tz::TimeZone;

use super::calendar::{self, OutsideCalendar};
use super::catalogue::Allowance;

/// The windows that quotas have.
pub(crate) const WINDOWS: [Window; 2] = [Window::Day, Window::Month];

/// One day or month of a calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    /// `day/2026-11-22` or `month/2026-11`: sorts by time among its kind.
    pub name: String,
    /// When the next one begins.
    pub ends_at: Timestamp,
}

/// The period of that kind which contains `at`.
pub(crate) fn period(
    window: Window,
    zone: &TimeZone,
    at: Timestamp,
) -> Result<Period, OutsideCalendar> {
    let bucket = match window {
        Window::Day => Bucket::Day,
        Window::Month => Bucket::Month,
        _ => return Err(OutsideCalendar),
    };
    let name = calendar::name(bucket, zone, at)?;
    let ends_at = calendar::extent(&name, zone)?.end;
    Ok(Period { name, ends_at })
}

/// What a customer sees of an allowance of which `spent` is used or leased in `period`, and `leased` of
/// that is leased.
pub(crate) fn quota(allowance: &Allowance, spent: u64, leased: u64, period: &Period) -> Quota {
    Quota {
        action: allowance.action.clone(),
        limit: allowance.limit,
        used: spent.saturating_sub(leased),
        leased,
        remaining: allowance.limit.map(|limit| limit.saturating_sub(spent)),
        window: allowance.window,
        resets_at: period.ends_at,
        policy: allowance.policy,
    }
}

#[cfg(test)]
mod tests {
    use cloudnestle_marketplace::model::QuotaPolicy;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("RFC 3339")
    }

    fn period_of(window: Window, zone: &str, moment: &str) -> (String, String) {
        let zone = TimeZone::get(zone).expect("a known zone");
        let period = period(window, &zone, at(moment)).expect("inside the calendar");
        (period.name, period.ends_at.to_string())
    }

    fn is(name: &str, ends_at: &str) -> (String, String) {
        (name.to_owned(), ends_at.to_owned())
    }

    #[test]
    fn a_day_in_kolkata_ends_at_half_past_six_in_the_evening_utc() {
        let day = |moment| period_of(Window::Day, "Asia/Kolkata", moment);
        let sunday = is("day/2026-11-22", "2026-11-22T18:30:00Z");
        assert_eq!(day("2026-11-21T18:30:00Z"), sunday);
        assert_eq!(day("2026-11-22T18:29:59.999Z"), sunday);
        assert_eq!(day("2026-11-22T18:30:00Z"), is("day/2026-11-23", "2026-11-23T18:30:00Z"));
    }

    #[test]
    fn the_day_the_clocks_go_forward_has_23_hours_and_the_day_they_go_back_25() {
        let day = |moment| period_of(Window::Day, "Europe/Berlin", moment);
        // 2026-03-29, 00:00 CET to 24:00 CEST.
        let spring = is("day/2026-03-29", "2026-03-29T22:00:00Z");
        assert_eq!(day("2026-03-28T23:00:00Z"), spring);
        assert_eq!(day("2026-03-29T21:59:59Z"), spring);
        // 2026-10-25, 00:00 CEST to 24:00 CET.
        let autumn = is("day/2026-10-25", "2026-10-25T23:00:00Z");
        assert_eq!(day("2026-10-24T22:00:00Z"), autumn);
        assert_eq!(day("2026-10-25T22:59:59Z"), autumn);
    }

    #[test]
    fn where_clocks_skip_midnight_the_day_begins_at_one() {
        // Cairo went from 00:00 to 01:00 on 2026-04-24.
        let day = period_of(Window::Day, "Africa/Cairo", "2026-04-23T12:00:00Z");
        assert_eq!(day, is("day/2026-04-23", "2026-04-23T22:00:00Z"));
        let next = period_of(Window::Day, "Africa/Cairo", "2026-04-23T22:00:00Z");
        assert_eq!(next.0, "day/2026-04-24");
    }

    #[test]
    fn months_end_where_they_end() {
        let month = |moment| period_of(Window::Month, "Asia/Kolkata", moment);
        assert_eq!(month("2026-01-31T12:00:00Z"), is("month/2026-01", "2026-01-31T18:30:00Z"));
        assert_eq!(month("2026-01-31T18:30:00Z"), is("month/2026-02", "2026-02-28T18:30:00Z"));
        assert_eq!(month("2028-02-15T00:00:00Z"), is("month/2028-02", "2028-02-29T18:30:00Z"));
        assert_eq!(month("2026-12-31T18:29:59Z"), is("month/2026-12", "2026-12-31T18:30:00Z"));
        assert_eq!(month("2026-12-31T18:30:00Z"), is("month/2027-01", "2027-01-31T18:30:00Z"));
    }

    #[test]
    fn every_moment_of_two_years_lies_in_the_period_that_ends_next() {
        for zone in ["Asia/Kolkata", "Europe/Berlin", "America/New_York", "Pacific/Apia", "UTC"] {
            let zone = TimeZone::get(zone).expect("a known zone");
            for window in WINDOWS {
                let mut moment = at("2026-01-01T00:00:00Z");
                while moment < at("2028-01-01T00:00:00Z") {
                    let now = period(window, &zone, moment).expect("inside the calendar");
                    assert!(now.ends_at > moment);
                    let last = Timestamp::from_millis(now.ends_at.as_millis() - 1);
                    assert_eq!(period(window, &zone, last), Ok(now.clone()));
                    let next = period(window, &zone, now.ends_at).expect("inside the calendar");
                    assert!(next.name > now.name);
                    moment = now.ends_at;
                }
            }
        }
    }

    #[test]
    fn beyond_the_calendar_there_is_no_period() {
        for moment in [i64::MAX, i64::MIN, 253_402_207_200_000] {
            let moment = Timestamp::from_millis(moment);
            assert!(period(Window::Day, &TimeZone::UTC, moment).is_err());
        }
        assert!(period(Window::Unknown, &TimeZone::UTC, Timestamp::from_millis(0)).is_err());
    }

    #[test]
    fn what_remains_never_goes_below_zero_and_no_limit_has_no_remainder() {
        let zone = TimeZone::UTC;
        let today = period(Window::Day, &zone, at("2026-11-22T00:00:00Z")).expect("a day");
        let mut allowance = Allowance {
            action: "search".to_owned(),
            limit: Some(100),
            window: Window::Day,
            policy: QuotaPolicy::Soft,
        };
        assert_eq!(quota(&allowance, 40, 0, &today).remaining, Some(60));
        assert_eq!(quota(&allowance, 140, 0, &today).remaining, Some(0));
        let leased = quota(&allowance, 40, 30, &today);
        assert_eq!((leased.used, leased.leased, leased.remaining), (10, 30, Some(60)));
        allowance.limit = None;
        assert_eq!(quota(&allowance, 140, 0, &today).remaining, None);
    }
}
