//! Hard limits: many at once, and in parts.

mod leases;
mod model;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::Path;
use cloudnestle_marketplace::model::{
    Consume, EventStatus, QuotaPolicy, Tier, Timestamp, WhenOffline, Window,
};
use futures_util::future::join_all;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::*;
use crate::api::idempotency::IdempotencyKey;
use crate::domain::catalogue::{Action, Allowance, Customer, Plan, Source, Subscription};
use crate::domain::refresh::Family;
use crate::facts::{IssuedToken, LedgerPage, SingleEvent};

const RACE: &str = "sol_race";
const PRO_DAILY: i64 = 200;
const REGISTERED_DAILY: i64 = 20;
const REGISTERED_MONTHLY: i64 = 50;

/// A solution that limits exports in Berlin: 20 a day and 50 a month for the registered, 200 a day for
/// those who pay, and nothing for those who pay more. What is allowed offline counts. Its customers `cus_0`, `cus_1`, … pay, and hold tokens `tok_0`, `tok_1`, … that
/// cover all times.
async fn stall(store: Arc<dyn Store>, customers: usize) -> Arc<Market> {
    let market = market(store).await;
    let hard = |limit: i64, window| Allowance {
        action: "export".to_owned(),
        limit: Some(limit as u64),
        window,
        policy: QuotaPolicy::Hard,
    };
    let plan = |tier, allowances| Plan { tier, entitlements: Vec::new(), allowances };
    let registered =
        vec![hard(REGISTERED_DAILY, Window::Day), hard(REGISTERED_MONTHLY, Window::Month)];
    let solution = Solution {
        id: RACE.to_owned(),
        name: "Race".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        actions: vec![Action {
            name: "export".to_owned(),
            unit: "file".to_owned(),
            source: Source::Server,
            when_offline: WhenOffline::Overage,
        }],
        plans: vec![
            plan(Tier::Registered, registered),
            plan(Tier::Pro, vec![hard(PRO_DAILY, Window::Day)]),
            plan(Tier::Enterprise, vec![Allowance { limit: None, ..hard(0, Window::Day) }]),
        ],
        ..Solution::default()
    };
    assert_eq!(solution.flaw(), None);
    put(&market, &facts::solution(RACE), &solution).await;
    for n in 0..customers {
        let id = format!("cus_{n}");
        let customer = Customer { id: id.clone(), name: None, email: None, registered_at: None };
        put(&market, &facts::customer(&id), &customer).await;
        let ends_at = Timestamp::from_secs(7_258_118_400);
        let family = Family {
            customer_id: id.clone(),
            solution_id: RACE.to_owned(),
            newest: 0,
            ends_at,
            revoked_at: None,
            after_revocations: None,
        };
        put(&market, &facts::family(&format!("fam_{n}")), &family).await;
        let token = IssuedToken {
            customer_id: id.clone(),
            solution_id: RACE.to_owned(),
            family_id: format!("fam_{n}"),
            issued_at: Timestamp::from_secs(0),
            expires_at: ends_at,
        };
        put(&market, &facts::issued_token(&format!("tok_{n}")), &token).await;
        give_tier(&market, n, Tier::Pro).await;
    }
    market
}

async fn put<T: serde::Serialize>(market: &Market, key: &Key, document: &T) {
    let done = transact(&*market.store, async |tx| tx.put(key, document)).await;
    done.expect("a commit");
}

async fn give_tier(market: &Market, customer: usize, tier: Tier) {
    let customer_id = format!("cus_{customer}");
    let key = facts::subscription(&customer_id, RACE);
    let solution_id = RACE.to_owned();
    let since = Timestamp::from_secs(0);
    put(market, &key, &Subscription { customer_id, solution_id, tier, since }).await;
}

fn backend() -> SolutionKey {
    SolutionKey { solution_id: RACE.to_owned(), hash: Hash::of(&Secret::new("any")) }
}

fn principal() -> Principal {
    Principal::SecretKey { solution_id: RACE.to_owned() }
}

fn event(id: String, customer: usize, quantity: i64, occurred_at: Timestamp) -> UsageEvent {
    UsageEvent {
        id,
        customer_id: format!("cus_{customer}"),
        token_id: format!("tok_{customer}"),
        action: "export".to_owned(),
        quantity: quantity as u64,
        occurred_at,
        idempotency_key: None,
        metadata: None,
        amends: None,
        voids: None,
        lease: None,
        overage: false,
    }
}

fn numbered(producer: String, first: u64, events: Vec<UsageEvent>) -> TrackUsage {
    let entry = |(number, event)| Entry::Event { number, event };
    let items = (first..).zip(events).map(entry).collect();
    TrackUsage::Range(UsageRange { producer, epoch: 0, items })
}

/// Whether each event counts, now or before.
async fn spend(market: &Arc<Market>, usage: &TrackUsage) -> Vec<bool> {
    try_spend(market, usage).await.expect("an answer")
}

async fn try_spend(market: &Arc<Market>, usage: &TrackUsage) -> Result<Vec<bool>, Failure> {
    let sender = UsageSender::Solution(backend());
    let Json(answer) = track(State(market.clone()), sender, Large(usage.clone())).await?;
    let counts = |result: EventResult| match (result.status, result.code) {
        (EventStatus::Accepted | EventStatus::Duplicate, None) => true,
        (EventStatus::Rejected, Some(Code::QuotaExceeded | Code::OriginalVoided)) => false,
        other => panic!("{other:?}"),
    };
    Ok(answer.results.into_iter().map(counts).collect())
}

/// Whether it is allowed, now or before.
async fn consume_one(market: &Arc<Market>, id: &str, customer: usize, quantity: i64) -> bool {
    let caller = backend();
    let path = Path((format!("cus_{customer}"), RACE.to_owned()));
    let request = Consume {
        id: Some(id.to_owned()),
        token_id: format!("tok_{customer}"),
        action: "export".to_owned(),
        quantity: quantity as u64,
        metadata: None,
    };
    let none = IdempotencyKey::default();
    let Json(answer) =
        consume(State(market.clone()), caller, none, path, Json(request)).await.expect("an answer");
    assert_eq!(answer.allowed, answer.code.is_none());
    answer.allowed
}

/// What is spent of exports in a period, and what is counted.
async fn counts(market: &Market, customer: usize, period: &str) -> (i64, i64) {
    projection::catch_up(market).await.expect("commits");
    let counter = Counter {
        customer_id: format!("cus_{customer}"),
        solution_id: RACE.to_owned(),
        action: "export".to_owned(),
        period: period.to_owned(),
    };
    let counts = transact(&*market.store, async |tx| {
        let spent = tx.number(&facts::spent(&counter)).await?;
        Ok::<_, StoreError>((spent, tx.number(&facts::counter(&counter)).await?))
    });
    counts.await.expect("counters")
}

/// What consumers have seen of a day.
#[derive(Default)]
struct Day {
    accepted: i64,
    least_refused: Option<i64>,
}

impl Day {
    fn saw(&mut self, quantity: i64, counted: bool) {
        match counted {
            true => self.accepted += quantity,
            false => {
                let least = self.least_refused.map_or(quantity, |least| least.min(quantity));
                self.least_refused = Some(least);
            }
        }
    }
}

const YESTERDAY: &str = "day/2026-11-21";
const TODAY: &str = "day/2026-11-22";

/// One of the sixty-four: eight rounds of single events, ranges and calls of consume, in changing
/// amounts, of today and of yesterday; each is sent a second time.
async fn consumer(market: Arc<Market>, task: usize) -> BTreeMap<&'static str, Day> {
    let mut seen: BTreeMap<&str, Day> = BTreeMap::new();
    let mut number = 1;
    let now = market.world.now();
    for round in 0..8 {
        let quantity = 1 + ((task * 7 + round * 3) % 5) as i64;
        let (day, at) = match (task + round) % 2 {
            0 => (TODAY, now),
            _ => (YESTERDAY, now - Duration::from_secs(24 * 60 * 60)),
        };
        let id = format!("evt_{task}_{round}");
        match (task / 2 + round) % 3 {
            0 => {
                let usage = TrackUsage::Event(event(id, 0, quantity, at));
                let counted = spend(&market, &usage).await[0];
                seen.entry(day).or_default().saw(quantity, counted);
                // An event that was refused left no trace; one that counted is told again.
                assert!(!counted || spend(&market, &usage).await[0]);
            }
            1 => {
                let events = [quantity, 1, 3].map(|n| event(format!("{id}_{n}"), 0, n, at));
                let usage = numbered(format!("prd_{task}"), number, events.to_vec());
                number += 3;
                let counted = spend(&market, &usage).await;
                for (quantity, counted) in [quantity, 1, 3].into_iter().zip(&counted) {
                    seen.entry(day).or_default().saw(quantity, *counted);
                }
                assert_eq!(spend(&market, &usage).await, counted, "told as it was");
            }
            _ => {
                let allowed = consume_one(&market, &id, 0, quantity).await;
                seen.entry(TODAY).or_default().saw(quantity, allowed);
                assert!(!allowed || consume_one(&market, &id, 0, quantity).await);
            }
        }
    }
    seen
}

/// The quantities in the ledger that counted in a day.
async fn in_ledger(market: &Market, day: &str) -> i64 {
    let is_of_day =
        |event: &UsageEvent| format!("day/{}", date_in_berlin(event.occurred_at)) == day;
    let mut sum = 0;
    for task in 0..64 {
        let pages = facts::ledger_pages(&principal(), &format!("prd_{task}"), 1, 500);
        let pages =
            transact(&*market.store, async |tx| tx.query::<LedgerPage>(pages.clone()).await);
        let lines = pages.await.expect("pages").into_iter().flat_map(|(_, page)| page.lines);
        let counted = lines.filter(|line| line.result.status == EventStatus::Accepted);
        let events = counted.filter_map(|line| line.event).filter(is_of_day);
        sum += events.map(|event| event.quantity as i64).sum::<i64>();
        for round in 0..8 {
            let key = facts::single_event(&principal(), &format!("evt_{task}_{round}"));
            let kept = transact(&*market.store, async |tx| tx.peek::<SingleEvent>(&key).await);
            let event = kept.await.expect("an answer").map(|kept| kept.event);
            sum += event.filter(is_of_day).map_or(0, |event| event.quantity as i64);
        }
    }
    sum
}

async fn sixty_four(store: Arc<dyn Store>, tiers_change: bool) {
    let market = stall(store, 1).await;
    let noon = "2026-11-22T11:00:00Z".parse().expect("RFC 3339");
    market.world.clock.show(noon);
    let consumers = (0..64).map(|task| tokio::spawn(consumer(market.clone(), task)));
    let consumers: Vec<_> = consumers.collect();
    if tiers_change {
        for _ in 0..20 {
            give_tier(&market, 0, Tier::Registered).await;
            give_tier(&market, 0, Tier::Pro).await;
            tokio::task::yield_now().await;
        }
    }
    let seen = join_all(consumers).await;
    let seen: Vec<_> = seen.into_iter().map(|seen| seen.expect("a consumer")).collect();
    for day in [YESTERDAY, TODAY] {
        let of_day = || seen.iter().filter_map(|seen| seen.get(day));
        let accepted: i64 = of_day().map(|day| day.accepted).sum();
        assert_eq!(counts(&market, 0, day).await, (accepted, accepted), "{day}");
        assert_eq!(in_ledger(&market, day).await, accepted, "{day}");
        assert!(accepted <= PRO_DAILY, "{accepted} were let through on {day}");
        let refused = of_day().filter_map(|day| day.least_refused).min().expect("refusals");
        if !tiers_change {
            // Whoever was refused would not have fitted, so the quota is used to the brim.
            assert!(accepted + refused > PRO_DAILY, "{accepted}, and {refused} were refused");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_consumers_get_what_there_is_to_the_brim_and_no_more() {
    sixty_four(Arc::new(Memory::new()), false).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = Sqlite::open(&folder.path().join("market.db")).expect("a store");
    sixty_four(Arc::new(file), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nor_do_they_get_more_while_the_tier_changes() {
    sixty_four(Arc::new(Memory::new()), true).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = Sqlite::open(&folder.path().join("market.db")).expect("a store");
    sixty_four(Arc::new(file), true).await;
}

/// Two exports of each of a hundred customers, whose limits are more than a commit has room for.
fn many_customers(at: Timestamp) -> TrackUsage {
    let events = (0..200).map(|n| event(format!("evt_{n}"), n / 2, 1 + (n % 2) as i64 * 199, at));
    numbered("prd_a".to_owned(), 1, events.collect())
}

#[tokio::test]
async fn a_range_of_more_limits_than_a_commit_takes_counts_once_wherever_the_process_dies() {
    for last_one_happens in [false, true] {
        let mut survived = false;
        for commits in 1.. {
            let store = Arc::new(Memory::new());
            let usage = many_customers(stall(store.clone(), 100).await.world.now());
            let commits_left = AtomicUsize::new(commits);
            let dying = Dying { store: store.clone(), commits_left, last_one_happens };
            let dying = market(Arc::new(dying)).await;
            let sender = UsageSender::Solution(backend());
            survived = track(State(dying.clone()), sender, Large(usage.clone())).await.is_ok();

            let after = market(store).await;
            let counted = spend(&after, &usage).await;
            // The second of each would make it two hundred and one.
            assert_eq!(counted, [true, false].repeat(100), "died at commit {commits}");
            let day = format!("day/{}", date_in_berlin(after.world.now()));
            for customer in 0..100 {
                let counts = counts(&after, customer, &day).await;
                assert_eq!(counts, (1, 1), "died at commit {commits}");
            }
            if survived {
                assert!(commits > 3, "it was taken in parts");
                break;
            }
        }
        assert!(survived);
    }
}

#[tokio::test]
async fn a_range_of_more_leases_than_a_commit_takes_draws_once_wherever_the_process_dies() {
    for last_one_happens in [false, true] {
        let mut survived = false;
        for commits in 1.. {
            let store = Arc::new(Memory::new());
            let first = stall(store.clone(), 60).await;
            let now = first.world.now();
            for customer in 0..60 {
                leases::take_block(&first, "prd_a", customer, 2).await;
            }
            // Two from each lease, and then one from half of them, which they can't pay.
            let event = |n: usize| {
                let mut event = event(format!("evt_{n}"), n % 60, 1, now);
                event.lease = Some(format!("lse_{}", n % 60));
                event
            };
            let usage = numbered("prd_a".to_owned(), 1, (0..150).map(event).collect());
            let commits_left = AtomicUsize::new(commits);
            let dying = Dying { store: store.clone(), commits_left, last_one_happens };
            let dying = market(Arc::new(dying)).await;
            survived = try_spend(&dying, &usage).await.is_ok();

            let after = market(store).await;
            assert_eq!(spend(&after, &usage).await, [true].repeat(150), "died at commit {commits}");
            let day = format!("day/{}", date_in_berlin(now));
            for customer in 0..60 {
                let used = if customer < 30 { 3 } else { 2 };
                let counts = counts(&after, customer, &day).await;
                assert_eq!(counts, (used, used), "died at commit {commits}");
                assert_eq!(leases::leased_of(&after, customer, &day).await, 0);
            }
            if survived {
                assert!(commits > 3, "it was taken in parts");
                break;
            }
        }
        assert!(survived);
    }
}

/// The calendar date, by jiff.
fn date_in_berlin(at: Timestamp) -> Date {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).expect("in range");
    TimeZone::get("Europe/Berlin").expect("a known zone").to_datetime(at).date()
}
