//! What is due happens once, in order, and not before its time.

use std::time::Duration;

use futures_util::future::join;

use super::*;
use crate::market::Site;
use crate::store::{Memory, Store};
use crate::world::World;

const MINUTE: Duration = Duration::from_secs(60);

/// A market whose clock stands still.
async fn market(store: Arc<dyn Store>) -> Arc<Market> {
    let world = World::real().expect("randomness");
    world.clock.freeze(true);
    world.clock.show(began());
    let address = ([127, 0, 0, 1], 4242).into();
    let site = Site::new("http://market.test".to_owned(), address);
    let market = Market::open(store, world, site, None).await;
    Arc::new(market.expect("a market"))
}

fn began() -> Timestamp {
    "2026-11-22T06:00:00Z".parse().expect("RFC 3339")
}

fn expiry(name: &str) -> Task {
    Task::TokenExpires { token_id: format!("tok_{name}") }
}

async fn plan_expiry(market: &Market, at: Timestamp, name: &str) {
    transact(&*market.store, async |tx| plan(tx, at, &expiry(name))).await.expect("planned");
}

async fn names(market: &Arc<Market>, until: Timestamp) -> Vec<String> {
    let fired = run_until(market, until).await.expect("done");
    let name = |fired: Fired| match fired.task {
        Task::TokenExpires { token_id } => token_id,
        task => format!("{task:?}"),
    };
    fired.into_iter().map(name).collect()
}

#[tokio::test]
async fn what_is_due_happens_once_in_the_order_of_time_and_of_names() {
    let market = market(Arc::new(Memory::new())).await;
    for (minutes, name) in [(3, "c"), (1, "b"), (2, "x"), (1, "a"), (1, "b"), (9, "later")] {
        plan_expiry(&market, began() + minutes * MINUTE, name).await;
    }
    assert_eq!(next(&market).await, Ok(Some((began() + MINUTE, expiry("a")))));
    assert!(names(&market, began()).await.is_empty());
    assert_eq!(names(&market, began() + 3 * MINUTE).await, ["tok_a", "tok_b", "tok_x", "tok_c"]);
    assert_eq!(market.world.now(), began() + 3 * MINUTE, "each happens at its moment");
    assert!(names(&market, began() + 8 * MINUTE).await.is_empty());
    assert_eq!(next(&market).await, Ok(Some((began() + 9 * MINUTE, expiry("later")))));
}

#[tokio::test]
async fn what_was_taken_off_does_not_happen() {
    let market = market(Arc::new(Memory::new())).await;
    plan_expiry(&market, began() + MINUTE, "a").await;
    transact(&*market.store, async |tx| {
        unplan(tx, began() + MINUTE, &expiry("a"));
        unplan(tx, began() + MINUTE, &expiry("never"));
        Ok::<_, StoreError>(())
    })
    .await
    .expect("taken off");
    assert!(names(&market, began() + MINUTE).await.is_empty());
}

#[tokio::test]
async fn more_than_a_commit_takes_happens_in_several() {
    let market = market(Arc::new(Memory::new())).await;
    for n in 0..250 {
        plan_expiry(&market, began() + MINUTE, &format!("{n:03}")).await;
    }
    let expected: Vec<_> = (0..250).map(|n| format!("tok_{n:03}")).collect();
    assert_eq!(names(&market, began() + MINUTE).await, expected);
}

#[tokio::test]
async fn two_who_run_what_is_due_at_once_do_it_once() {
    let market = market(Arc::new(Memory::new())).await;
    for n in 0..150 {
        plan_expiry(&market, began() + MINUTE, &n.to_string()).await;
    }
    let (one, other) =
        join(names(&market, began() + MINUTE), names(&market, began() + MINUTE)).await;
    assert_eq!(one.len() + other.len(), 150);
}

/// Waits for whoever attends, in real time.
async fn until(mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..1_000 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never happens");
}

#[tokio::test]
async fn whoever_attends_does_what_is_planned_for_now_and_what_a_moved_clock_makes_due() {
    let market = market(Arc::new(Memory::new())).await;
    attend(&market);
    for n in 0..20 {
        // Nothing else wakes it for a minute.
        plan_expiry(&market, began(), &n.to_string()).await;
        until(async || next(&market).await == Ok(None)).await;
    }

    plan_expiry(&market, began() + 60 * MINUTE, "later").await;
    plan_expiry(&market, began() + MINUTE, "earlier").await;
    market.world.clock.show(began() + 59 * MINUTE);
    market.agenda.alarm.ring();
    let later = Ok(Some((began() + 60 * MINUTE, expiry("later"))));
    until(async || next(&market).await == later).await;
    market.world.clock.scale(crate::world::Scale::new(1_000_000.0).expect("in range"));
    market.agenda.alarm.ring();
    until(async || next(&market).await == Ok(None)).await;
}

#[tokio::test]
async fn a_market_that_is_dropped_is_freed_and_nobody_attends_to_it_any_more() {
    let market = market(Arc::new(Memory::new())).await;
    attend(&market);
    plan_expiry(&market, began() + MINUTE, "a").await;
    let weak = Arc::downgrade(&market);
    let attendant = market.agenda.attendant.lock().expect("no panic").take().expect("attended");
    drop(market);
    attendant.await.expect("no panic");
    assert_eq!(weak.strong_count(), 0);
}
