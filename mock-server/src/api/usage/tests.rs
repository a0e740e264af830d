//! A process may die at any point of taking usage.

#[cfg(feature = "control")]
mod limits;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::State;
use cloudnestle_marketplace::model::{
    Entry, EventResult, EventStatus, Secret, Timestamp, TrackUsage, UsageEvent, UsageRange,
};
use futures_util::future::BoxFuture;

use super::index::{Index, Written};
use super::projection::Projection;
use super::*;
use crate::api::caller::SolutionKey;
use crate::api::tokens;
use crate::domain::credential::Hash;
use crate::domain::jwt;
use crate::domain::usage::Counter;
use crate::facts::{self, LedgerLine, LedgerPage, PageName, PendingProjection};
use crate::market::Site;
use crate::store::{Item, Key, MAX_WRITES, Memory, Query, Sqlite, Store, StoreError, Write};
use crate::world::World;

const SOLUTION: &str = "sol_faiss_search";

/// A store whose process dies at a commit, before or after it happened.
struct Dying {
    store: Arc<Memory>,
    commits_left: AtomicUsize,
    last_one_happens: bool,
}

impl Store for Dying {
    fn get(&self, key: Key) -> BoxFuture<'_, Result<Option<Item>, StoreError>> {
        self.store.get(key)
    }

    fn query(&self, query: Query) -> BoxFuture<'_, Result<Vec<Item>, StoreError>> {
        self.store.query(query)
    }

    fn turn(&self) -> &tokio::sync::Mutex<()> {
        self.store.turn()
    }

    fn commit(&self, writes: Vec<Write>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let one_less = |left: usize| left.checked_sub(1);
            let left = self.commits_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
            match left {
                Ok(2..) => self.store.commit(writes).await,
                Ok(_) if self.last_one_happens => {
                    self.store.commit(writes).await?;
                    Err(StoreError::Failed("died after the commit".to_owned()))
                }
                _ => Err(StoreError::Failed("died before the commit".to_owned())),
            }
        })
    }
}

async fn market(store: Arc<dyn Store>) -> Arc<Market> {
    let url = "http://market.test".to_owned();
    let address = ([127, 0, 0, 1], 4242).into();
    let world = World::real().expect("randomness");
    Arc::new(Market::open(store, world, Site::new(url, address), None).await.expect("a market"))
}

/// Three searches, the last with an idempotency key.
async fn range(market: &Market) -> TrackUsage {
    let pair = tokens::issue(market, "cus_ravi", SOLUTION).await.expect("a pair");
    let token =
        jwt::read_access(&market.keys, &market.url, pair.access_token.expose(), market.world.now());
    let token_id = &token.expect("ours").claims().jti.clone();
    let entry = |number: u64| Entry::Event {
        number,
        event: UsageEvent {
            id: format!("evt_{number}"),
            customer_id: "cus_ravi".to_owned(),
            token_id: token_id.clone(),
            action: "search".to_owned(),
            quantity: number,
            occurred_at: market.world.now(),
            idempotency_key: (number == 3).then(|| "a".to_owned()),
            metadata: None,
            amends: None,
            voids: None,
            lease: None,
            overage: false,
        },
    };
    let items = (1..=3).map(entry).collect();
    TrackUsage::Range(UsageRange { producer: "prd_a".to_owned(), epoch: 0, items })
}

async fn send(market: &Arc<Market>, usage: &TrackUsage) -> Result<TrackUsageResult, Failure> {
    let sender = UsageSender::Solution(SolutionKey {
        solution_id: SOLUTION.to_owned(),
        hash: Hash::of(&Secret::new("any")),
    });
    track(State(market.clone()), sender, Large(usage.clone())).await.map(|Json(result)| result)
}

#[tokio::test]
async fn wherever_a_process_dies_each_event_counts_once() {
    for last_one_happens in [false, true] {
        let mut survived = false;
        for commits in 1.. {
            let store = Arc::new(Memory::new());
            let first = market(store.clone()).await;
            let usage = range(&first).await;
            let commits_left = AtomicUsize::new(commits);
            let dying =
                market(Arc::new(Dying { store: store.clone(), commits_left, last_one_happens }))
                    .await;
            survived = send(&dying, &usage).await.is_ok();

            let after = market(store).await;
            let result = send(&after, &usage).await.expect("an answer");
            assert_eq!(result.fence, Some(3));
            assert_eq!(result.quotas[0].quota.used, 6, "died at commit {commits}");
            if survived {
                assert_eq!(commits, 2, "the range and what it adds are one commit");
                break;
            }
        }
        assert!(survived);
    }
}

fn counter(n: usize) -> Counter {
    Counter {
        customer_id: format!("cus_{n}"),
        solution_id: SOLUTION.to_owned(),
        action: "search".to_owned(),
        period: "day/2026-11-22".to_owned(),
    }
}

/// More than a commit has room for.
fn many() -> BTreeMap<Counter, i64> {
    (0..250).map(|n| (counter(n), 1 + n as i64)).collect()
}

fn projected(additions: BTreeMap<Counter, i64>) -> Projection<'static> {
    Projection { additions, index: Index::new(), pages: Vec::new() }
}

fn noted(additions: BTreeMap<Counter, i64>) -> PendingProjection {
    let additions = additions.into_iter().collect();
    PendingProjection { additions, ..PendingProjection::default() }
}

async fn count(store: &dyn Store, n: usize) -> i64 {
    let key = facts::counter(&counter(n));
    transact(store, async |tx| tx.number(&key).await).await.expect("a number")
}

#[tokio::test]
async fn wherever_a_process_dies_what_is_more_than_a_commit_counts_once() {
    for last_one_happens in [false, true] {
        for commits in 1.. {
            let store = Arc::new(Memory::new());
            market(store.clone()).await;
            let commits_left = AtomicUsize::new(commits);
            let dying = Dying { store: store.clone(), commits_left, last_one_happens };
            let dying = market(Arc::new(dying)).await;
            let taken = transact(&*dying.store, async |tx| {
                let ids = AtomicUsize::new(0);
                let id = || format!("pnd_{}", ids.fetch_add(1, Ordering::SeqCst));
                projection::project(tx, projected(many()), id)
            });
            let taken = taken.await.is_ok();
            let survived = taken && projection::catch_up(&dying).await.is_ok();

            let after = market(store.clone()).await;
            projection::catch_up(&after).await.expect("commits");
            let is_taken = taken || last_one_happens;
            for n in 0..250 {
                let counted = if is_taken { 1 + n as i64 } else { 0 };
                assert_eq!(count(&*store, n).await, counted, "died at commit {commits}");
            }
            if survived {
                assert_eq!(commits, 5, "one commit, and one for each of three notes");
                break;
            }
        }
    }
}

#[tokio::test]
async fn what_a_commit_has_room_for_leaves_no_note() {
    let store = Memory::new();
    let few: BTreeMap<_, _> = many().into_iter().take(MAX_WRITES).collect();
    let ids = AtomicUsize::new(0);
    let id = || format!("pnd_{}", ids.fetch_add(1, Ordering::SeqCst));
    let add = async |additions: &BTreeMap<Counter, i64>, others: usize| {
        transact(&store, async |tx| {
            for n in 0..others {
                tx.put(&facts::customer(&format!("cus_{n}")), &n)?;
            }
            projection::project(tx, projected(additions.clone()), id)
        })
        .await
        .expect("a commit");
        store.query(facts::oldest_pending(9)).await.expect("notes").len()
    };
    assert_eq!(add(&few, 0).await, 0);
    assert_eq!(count(&store, 0).await, 1);
    assert_eq!(add(&few, 1).await, 2, "one more write, and there is room for notes alone");
    assert_eq!(count(&store, 0).await, 1);
}

#[tokio::test]
async fn a_projection_of_many_steps_goes_on_where_it_was_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("market.db");
    let open = || Sqlite::open(&file).expect("a store");
    let note = facts::pending("pnd_a");
    {
        let store = open();
        let pending = noted(many());
        transact(&store, async |tx| tx.create(&note, &pending)).await.expect("a commit");
        assert!(!projection::step(&store, &note).await.expect("a commit"), "two steps are left");
    }
    let market = market(Arc::new(open())).await;
    assert_eq!(projection::pending(&market).await, Ok(1));
    projection::catch_up(&market).await.expect("commits");
    assert_eq!(projection::pending(&market).await, Ok(0));
    projection::catch_up(&market).await.expect("nothing to do");
    for n in 0..250 {
        assert_eq!(count(&*market.store, n).await, 1 + n as i64);
    }
}

/// A page of the ledger with an event each of 250 customers.
fn page_of_many(now: Timestamp) -> LedgerPage {
    let line = |n: u64| LedgerLine {
        result: EventResult {
            number: Some(n),
            through: None,
            status: EventStatus::Accepted,
            code: None,
        },
        event: Some(UsageEvent {
            id: format!("evt_{n}"),
            customer_id: format!("cus_{n}"),
            token_id: "tok_a".to_owned(),
            action: "search".to_owned(),
            quantity: 1,
            occurred_at: now,
            idempotency_key: None,
            metadata: None,
            amends: None,
            voids: None,
            lease: None,
            overage: false,
        }),
        lost: None,
        late: false,
        difference: None,
        charged_at: None,
    };
    LedgerPage { received_at: now, lines: (1..=250).map(line).collect() }
}

#[tokio::test]
async fn wherever_a_process_dies_each_customer_finds_the_event_once() {
    let now = Timestamp::from_secs(1_800_000_000);
    for last_one_happens in [false, true] {
        for commits in 1.. {
            let store = Arc::new(Memory::new());
            market(store.clone()).await;
            let commits_left = AtomicUsize::new(commits);
            let dying = Dying { store: store.clone(), commits_left, last_one_happens };
            let dying = market(Arc::new(dying)).await;
            let taken = transact(&*dying.store, async |tx| {
                let principal = Principal::SecretKey { solution_id: SOLUTION.to_owned() };
                let (producer, page) = ("prd_a".to_owned(), page_of_many(now));
                let key = facts::ledger_page(&principal, &producer, 250);
                tx.create(&key, &page)?;
                let lines = page.lines.into_iter().map(Written::of);
                let lines = lines.collect::<Result<Vec<_>, _>>()?;
                let index = index::index(&principal, Some("prd_a"), &key, now, &lines);
                assert_eq!(index.len(), 250);
                let pages = vec![PageName { principal, producer, last: 250 }];
                let projection = Projection { additions: BTreeMap::new(), index, pages };
                projection::project(tx, projection, || "pnd_a".to_owned())
            });
            let taken = taken.await.is_ok();
            let survived = taken && projection::catch_up(&dying).await.is_ok();

            let after = market(store.clone()).await;
            projection::catch_up(&after).await.expect("commits");
            let is_taken = taken || last_one_happens;
            for n in 1..=250 {
                let tails = String::new()..="~".to_owned();
                let customer = format!("cus_{n}");
                let events = facts::events_counted(&customer, SOLUTION, "search", &tails, 9);
                let found = store.query(events).await.expect("items").len();
                assert_eq!(found, usize::from(is_taken), "died at commit {commits}");
            }
            if survived {
                assert_eq!(commits, 5, "the ledger, and three for its note");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_starts_counts_what_the_last_one_left_uncounted() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("market.db");
    {
        let store = Sqlite::open(&file).expect("a store");
        let pending = noted(many());
        let note = facts::pending("pnd_a");
        transact(&store, async |tx| tx.create(&note, &pending)).await.expect("a commit");
    }
    let server = crate::MockServer::builder().db(&file).start().await.expect("a server");
    server.stop().await;

    let store = Sqlite::open(&file).expect("a store");
    let pending =
        transact(&store, async |tx| tx.query::<PendingProjection>(facts::oldest_pending(1)).await);
    assert!(pending.await.expect("notes").is_empty());
    assert_eq!(count(&store, 249).await, 250);
}
