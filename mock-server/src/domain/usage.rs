//! Which events of usage count, and what an event adds to which counter.

use std::collections::BTreeMap;
use std::time::Duration;

use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{Timestamp, UsageEvent};
use jiff::tz::TimeZone;
use ring::digest;
use serde::{Deserialize, Serialize};

use super::calendar::{self, COUNTED, OutsideCalendar, hour_began};
use super::catalogue::{Solution, Source};
use super::correction::Difference;

/// How late an event may arrive (`docs/guides/api.md`, Usage): a month, and a long weekend of being
/// offline.
pub(crate) const MAX_AGE: Duration = Duration::from_secs(35 * 24 * 60 * 60);
/// How far a client's clock may run ahead (`docs/guides/api.md`, Usage).
const MAX_AHEAD: Duration = Duration::from_secs(5 * 60);
/// How far an event may lie outside its token's life. The client's clock is corrected by the
/// `Date` of our answers, which counts whole seconds and travels for a while; a minute is what JWT
/// libraries commonly grant (RFC 7519, 4.1.4: "no more than a few minutes").
pub(crate) const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// How long after a token was revoked its user may have been let in in good faith: in an outage the
/// SDK believes what it knows for 5 minutes, and clocks differ. What was done then is billed.
const GOOD_FAITH: Duration = Duration::from_secs(6 * 60);

/// What is known of the token that an event names.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub customer_id: String,
    pub solution_id: String,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

/// Who sends usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender<'a> {
    /// The solution's backend.
    Solution,
    /// A customer's browser. It is believed for its own customer and what solutions let clients
    /// report.
    Customer(&'a str),
}

/// Whether an event of `solution` counts. `grant` is the token it names, if that was ever issued.
/// An event that is malformed is refused alone: a range that were refused for it could never be
/// sent.
pub(crate) fn judge(
    event: &UsageEvent,
    sender: Sender<'_>,
    solution: &Solution,
    grant: Option<&Grant>,
    now: Timestamp,
) -> Result<(), Code> {
    if let Some((code, _)) = event.malformed() {
        return Err(code);
    }
    let Some(action) = solution.action(&event.action) else {
        return Err(Code::ActionUnknown);
    };
    if let Sender::Customer(id) = sender {
        if event.customer_id != id {
            return Err(Code::TokenNotForCustomer);
        }
        if action.source != Source::Client {
            return Err(Code::ActionNotForClients);
        }
    }
    if !UsageEvent::QUANTITY.contains(&event.quantity) {
        return Err(Code::QuantityInvalid);
    }
    let occurred_at = event.occurred_at;
    if occurred_at < now - MAX_AGE || occurred_at > now + MAX_AHEAD {
        return Err(Code::OccurredOutOfRange);
    }
    if !grant.is_some_and(|grant| covers(grant, event, solution)) {
        return Err(Code::TokenNotForCustomer);
    }
    Ok(())
}

fn covers(grant: &Grant, event: &UsageEvent, solution: &Solution) -> bool {
    let occurred_at = event.occurred_at;
    grant.customer_id == event.customer_id
        && grant.solution_id == solution.id
        && occurred_at >= grant.issued_at - CLOCK_TOLERANCE
        && occurred_at <= grant.expires_at + CLOCK_TOLERANCE
        && grant.revoked_at.is_none_or(|revoked_at| occurred_at <= revoked_at + GOOD_FAITH)
}

/// A counter: one action of one customer in one period.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Counter {
    pub customer_id: String,
    pub solution_id: String,
    pub action: String,
    /// The period's name, such as `day/2026-11-22`.
    pub period: String,
}

/// What an event counts as.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effect<'a> {
    pub customer_id: &'a str,
    pub action: &'a str,
    /// How much it adds; what is less than zero is taken back.
    pub amount: i64,
    /// In the windows of when.
    pub occurred_at: Timestamp,
}

impl<'a> Effect<'a> {
    /// Of an event that counts: its quantity, when it occurred, unless it makes a difference to an
    /// earlier one.
    pub(crate) fn of(event: &'a UsageEvent, difference: Option<Difference>) -> Effect<'a> {
        // `judge` has bounded the quantity.
        let own = Difference { amount: event.quantity as i64, occurred_at: event.occurred_at };
        let Difference { amount, occurred_at } = difference.unwrap_or(own);
        Effect { customer_id: &event.customer_id, action: &event.action, amount, occurred_at }
    }
}

/// What is added to which counters. Usage counts in the hour, day and month in which it occurred,
/// however late it arrives.
pub(crate) fn additions<'a>(
    effects: impl IntoIterator<Item = Effect<'a>>,
    solution: &Solution,
    zone: &TimeZone,
) -> Result<BTreeMap<Counter, i64>, OutsideCalendar> {
    // What has the hour in common has the day and the month in common.
    let mut by_hour: BTreeMap<_, (Timestamp, i64)> = BTreeMap::new();
    for effect in effects {
        let hour = hour_began(zone, effect.occurred_at)?;
        let alike = (effect.customer_id, effect.action, hour);
        let (_, amount) = by_hour.entry(alike).or_insert((effect.occurred_at, 0));
        // At most 500 times the largest quantity: far below 2^63.
        *amount += effect.amount;
    }
    let mut additions = BTreeMap::new();
    for ((customer_id, action, _), (occurred_at, amount)) in by_hour {
        for bucket in COUNTED {
            let counter = Counter {
                customer_id: customer_id.to_owned(),
                solution_id: solution.id.clone(),
                action: action.to_owned(),
                period: calendar::name(bucket, zone, occurred_at)?,
            };
            *additions.entry(counter).or_insert(0) += amount;
        }
    }
    Ok(additions)
}

/// Tells whether two events with one id are the same event.
pub(crate) fn event_fingerprint(event: &UsageEvent) -> String {
    // Its fields come in one order, and metadata is sorted.
    fingerprint(event)
}

/// Tells whether two events with one idempotency key are one deed. What the client made up when it
/// was called a second time (id, time, the token in use) does not make it another.
pub(crate) fn deed_fingerprint(event: &UsageEvent) -> String {
    let UsageEvent { customer_id, action, quantity, metadata, amends, voids, .. } = event;
    fingerprint(&(customer_id, action, quantity, metadata, amends, voids))
}

/// Of a value's JSON form, which everything of the model has.
fn fingerprint(value: &impl Serialize) -> String {
    let json = serde_json::to_vec(value).unwrap_or_default();
    let hash = digest::digest(&digest::SHA256, &json);
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use cloudnestle_marketplace::model::Tier;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::catalogue::{Action, Plan};

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn solution() -> Solution {
        Solution {
            id: "sol_a".to_owned(),
            name: "A".to_owned(),
            time_zone: "Asia/Kolkata".to_owned(),
            actions: [("search", Source::Server), ("view", Source::Client)]
                .map(|(name, source)| Action {
                    name: name.to_owned(),
                    unit: "request".to_owned(),
                    source,
                    ..Action::default()
                })
                .into(),
            plans: vec![Plan { tier: Tier::Pro, entitlements: vec![], allowances: vec![] }],
            ..Solution::default()
        }
    }

    fn grant() -> Grant {
        Grant {
            customer_id: "cus_a".to_owned(),
            solution_id: "sol_a".to_owned(),
            issued_at: NOW - Duration::from_secs(600),
            expires_at: NOW + Duration::from_secs(300),
            revoked_at: None,
        }
    }

    fn event() -> UsageEvent {
        UsageEvent {
            id: "evt_1".to_owned(),
            customer_id: "cus_a".to_owned(),
            token_id: "tok_a".to_owned(),
            action: "search".to_owned(),
            quantity: 1,
            occurred_at: NOW,
            idempotency_key: None,
            metadata: None,
            amends: None,
            voids: None,
            lease: None,
            overage: false,
        }
    }

    fn verdict(change: impl FnOnce(&mut UsageEvent)) -> Result<(), Code> {
        let mut event = event();
        change(&mut event);
        judge(&event, Sender::Solution, &solution(), Some(&grant()), NOW)
    }

    #[test]
    fn an_event_is_judged_by_what_it_says() {
        assert_eq!(verdict(|_| {}), Ok(()));
        assert_eq!(verdict(|e| e.quantity = 1_000_000_000), Ok(()));
        assert_eq!(verdict(|e| e.quantity = 0), Err(Code::QuantityInvalid));
        assert_eq!(verdict(|e| e.quantity = 1_000_000_001), Err(Code::QuantityInvalid));
        assert_eq!(verdict(|e| e.action = "fly".to_owned()), Err(Code::ActionUnknown));
        assert_eq!(verdict(|e| e.customer_id = "cus_b".to_owned()), Err(Code::TokenNotForCustomer));
        assert_eq!(verdict(|e| e.id.clear()), Err(Code::RequestInvalid));
        assert_eq!(verdict(|e| e.token_id = "t".repeat(65)), Err(Code::RequestInvalid));
        assert_eq!(verdict(|e| e.idempotency_key = Some(String::new())), Err(Code::RequestInvalid));
    }

    #[test]
    fn a_browser_is_believed_for_itself_and_what_the_solution_lets_it_report() {
        let verdict = |sender, action: &str| {
            let event = UsageEvent { action: action.to_owned(), ..event() };
            judge(&event, sender, &solution(), Some(&grant()), NOW)
        };
        assert_eq!(verdict(Sender::Solution, "view"), Ok(()));
        assert_eq!(verdict(Sender::Customer("cus_a"), "view"), Ok(()));
        let not_for_clients = Err(Code::ActionNotForClients);
        assert_eq!(verdict(Sender::Customer("cus_a"), "search"), not_for_clients);
        assert_eq!(verdict(Sender::Customer("cus_b"), "view"), Err(Code::TokenNotForCustomer));
    }

    #[test]
    fn an_event_must_lie_within_the_life_of_its_token_and_a_minute() {
        let at = |grant: &Grant, moment| {
            let event = UsageEvent { occurred_at: moment, ..event() };
            judge(&event, Sender::Solution, &solution(), Some(grant), NOW)
        };
        let minute = Duration::from_secs(60);
        let millisecond = Duration::from_millis(1);
        let grant = grant();
        assert_eq!(at(&grant, grant.issued_at - minute), Ok(()));
        let early = grant.issued_at - minute - millisecond;
        assert_eq!(at(&grant, early), Err(Code::TokenNotForCustomer));

        let ended = Grant { expires_at: NOW - Duration::from_secs(120), ..grant.clone() };
        assert_eq!(at(&ended, ended.expires_at + minute), Ok(()));
        let late = ended.expires_at + minute + millisecond;
        assert_eq!(at(&ended, late), Err(Code::TokenNotForCustomer));

        let revoked = Grant { revoked_at: Some(NOW - GOOD_FAITH), ..grant };
        assert_eq!(at(&revoked, NOW), Ok(()), "what was done before it was known counts");
        assert_eq!(at(&revoked, NOW + millisecond), Err(Code::TokenNotForCustomer));
    }

    #[test]
    fn a_token_of_another_solution_or_of_nobody_covers_nothing() {
        let other = Grant { solution_id: "sol_b".to_owned(), ..grant() };
        let verdict = judge(&event(), Sender::Solution, &solution(), Some(&other), NOW);
        assert_eq!(verdict, Err(Code::TokenNotForCustomer));
        assert_eq!(
            judge(&event(), Sender::Solution, &solution(), None, NOW),
            Err(Code::TokenNotForCustomer)
        );
    }

    #[test]
    fn events_are_taken_35_days_back_and_5_minutes_ahead() {
        let long = Grant {
            issued_at: NOW - Duration::from_secs(100 * 86_400),
            expires_at: NOW + Duration::from_secs(86_400),
            ..grant()
        };
        let at = |moment| {
            let event = UsageEvent { occurred_at: moment, ..event() };
            judge(&event, Sender::Solution, &solution(), Some(&long), NOW)
        };
        let millisecond = Duration::from_millis(1);
        assert_eq!(at(NOW - MAX_AGE), Ok(()));
        assert_eq!(at(NOW - MAX_AGE - millisecond), Err(Code::OccurredOutOfRange));
        assert_eq!(at(NOW + MAX_AHEAD), Ok(()));
        assert_eq!(at(NOW + MAX_AHEAD + millisecond), Err(Code::OccurredOutOfRange));
    }

    #[test]
    fn metadata_is_a_few_short_facts() {
        let with = |metadata: Value| verdict(|e| e.metadata = metadata.as_object().cloned());
        assert_eq!(with(json!({"index": "products", "hits": 12, "cached": true})), Ok(()));
        let many: serde_json::Map<_, _> = (0..21).map(|n| (n.to_string(), json!(n))).collect();
        for bad in [
            json!(many),
            json!({"nested": {}}),
            json!({"list": []}),
            json!({"": 1}),
            json!({"k".repeat(41): 1}),
            json!({"k": "v".repeat(501)}),
        ] {
            assert_eq!(with(bad), Err(Code::MetadataInvalid));
        }
    }

    #[test]
    fn usage_counts_in_the_hour_the_day_and_the_month_in_which_it_occurred() {
        let moment = |text: &str| text.parse().expect("RFC 3339");
        let last_of_november =
            UsageEvent { occurred_at: moment("2026-11-30T18:29:59Z"), quantity: 2, ..event() };
        let first_of_december =
            UsageEvent { occurred_at: moment("2026-11-30T18:30:00Z"), quantity: 3, ..event() };
        let zone = TimeZone::get("Asia/Kolkata").expect("a known zone");
        let events = [&last_of_november, &first_of_december, &last_of_november];
        let events = events.map(|event| Effect::of(event, None));
        let additions = additions(events, &solution(), &zone).expect("inside the calendar");
        let by_period: Vec<_> = additions.iter().map(|(c, n)| (c.period.as_str(), *n)).collect();
        assert_eq!(
            by_period,
            [
                ("day/2026-11-30", 4),
                ("day/2026-12-01", 3),
                ("hour/2026-11-30T17:30Z", 4),
                ("hour/2026-11-30T18:30Z", 3),
                ("month/2026-11", 4),
                ("month/2026-12", 3)
            ]
        );
    }

    #[test]
    fn a_deed_is_the_same_when_only_what_the_client_made_up_differs() {
        let again = UsageEvent {
            id: "evt_2".to_owned(),
            token_id: "tok_b".to_owned(),
            occurred_at: NOW + Duration::from_secs(5),
            ..event()
        };
        assert_eq!(deed_fingerprint(&event()), deed_fingerprint(&again));
        assert_ne!(event_fingerprint(&event()), event_fingerprint(&again));
        let other = UsageEvent { quantity: 2, ..event() };
        assert_ne!(deed_fingerprint(&event()), deed_fingerprint(&other));
    }
}
