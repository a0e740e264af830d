//! Random days, months and changes of tier, against a model that knows little else.

use cloudnestle_marketplace::model::Tier;
use jiff::ToSpan;
use jiff::civil::date;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Something that happens to limits.
#[derive(Clone, Debug)]
enum Step {
    /// Exports of customers, in so many hours before now: one by itself, more in a range.
    Export(Vec<(usize, i64, u64)>),
    Consume(usize, i64),
    Change(usize, Tier),
    /// So many hours pass.
    Wait(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    let export = (0..2_usize, 1..15_i64, 0..72_u64);
    let tier = prop_oneof![Just(Tier::Registered), Just(Tier::Pro)];
    prop_oneof![
        4 => vec(export, 1..6).prop_map(Step::Export),
        3 => (0..2_usize, 1..15_i64).prop_map(|(customer, n)| Step::Consume(customer, n)),
        1 => (0..2_usize, tier).prop_map(|(customer, tier)| Step::Change(customer, tier)),
        2 => (1..30_u64).prop_map(Step::Wait),
    ]
}

/// What hard limits mean, in as few words as possible.
struct Model {
    tiers: [Tier; 2],
    spent: BTreeMap<(usize, String), i64>,
}

/// Berlin's clocks went back an hour on 2026-10-25 at 01:00 UTC: all the models know of zones.
pub(super) fn periods(at: Timestamp) -> [String; 2] {
    let change: Timestamp = "2026-10-25T01:00:00Z".parse().expect("RFC 3339");
    let hours = if at < change { 2 } else { 1 };
    let days = (at.as_secs() + hours * 3_600).div_euclid(86_400);
    let date = date(1970, 1, 1) + days.days();
    [format!("day/{date}"), format!("month/{:04}-{:02}", date.year(), date.month())]
}

/// What may be exported in a day and in a month.
pub(super) fn limits_of(tier: Tier) -> [Option<i64>; 2] {
    match tier {
        Tier::Registered => [Some(REGISTERED_DAILY), Some(REGISTERED_MONTHLY)],
        Tier::Pro => [Some(PRO_DAILY), None],
        _ => [None, None],
    }
}

impl Model {
    fn export(&mut self, customer: usize, quantity: i64, at: Timestamp) -> bool {
        let limits = limits_of(self.tiers[customer]).map(|limit| limit.unwrap_or(i64::MAX));
        let keys = periods(at).map(|period| (customer, period));
        let spent = |key: &(usize, String)| self.spent.get(key).copied().unwrap_or(0);
        let fits = keys.iter().zip(limits).all(|(key, limit)| quantity <= limit - spent(key));
        if fits {
            keys.into_iter().for_each(|key| *self.spent.entry(key).or_default() += quantity);
        }
        fits
    }
}

async fn play(steps: Vec<Step>) {
    let market = stall(Arc::new(Memory::new()), 2).await;
    // The night in which the clocks go back, and then the end of the month, are days away.
    let mut now: Timestamp = "2026-10-23T20:30:00Z".parse().expect("RFC 3339");
    let mut model = Model { tiers: [Tier::Pro; 2], spent: BTreeMap::new() };
    let mut number = 1;
    for (n, step) in steps.into_iter().enumerate() {
        // Real time passes too, but no test takes half an hour.
        market.world.clock.show(now);
        match step {
            Step::Export(exports) => {
                let at = |hours: u64| now - Duration::from_secs(hours * 3_600);
                let named = exports.iter().zip(0..);
                let events = named.map(|(&(customer, quantity, hours), i)| {
                    event(format!("evt_{n}_{i}"), customer, quantity, at(hours))
                });
                let events: Vec<_> = events.collect();
                let usage = match events.as_slice() {
                    [event] => TrackUsage::Event(event.clone()),
                    _ => {
                        let usage = numbered("prd_a".to_owned(), number, events.clone());
                        number += events.len() as u64;
                        usage
                    }
                };
                let expected = exports
                    .into_iter()
                    .map(|(customer, quantity, hours)| model.export(customer, quantity, at(hours)));
                let expected: Vec<_> = expected.collect();
                assert_eq!(spend(&market, &usage).await, expected);
            }
            Step::Consume(customer, quantity) => {
                let expected = model.export(customer, quantity, now);
                let id = format!("evt_{n}");
                assert_eq!(consume_one(&market, &id, customer, quantity).await, expected);
            }
            Step::Change(customer, tier) => {
                model.tiers[customer] = tier;
                give_tier(&market, customer, tier).await;
            }
            Step::Wait(hours) => now = now + Duration::from_secs(hours * 3_600),
        }
    }
    for ((customer, period), spent) in model.spent {
        assert_eq!(counts(&market, customer, &period).await, (spent, spent), "{period}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn through_days_months_and_changes_of_tier_the_limits_are_those_of_the_model(
        steps in vec(any_step(), 1..40)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(play(steps));
    }
}
