//! A counter is one counter, however many use it at once: every history of calls that was recorded can be
//! put in one order in which each call takes effect between being made and being answered.
//!
//! The checker is Wing and Gong's search ("Testing and verifying concurrent objects", 1993) with the
//! states it has been in remembered, as Lowe does ("Testing for linearizability", 2017).

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{super::Item, *};
use crate::world::Random;

/// What was called, and what was answered.
#[derive(Clone, Debug, PartialEq)]
enum Call {
    Add {
        amount: i64,
        most: i64,
        is_done: bool,
    },
    /// The number and its version; `None` before the first addition.
    Get(Option<(i64, u64)>),
    /// Nobody waited for the answer: it may have happened, or not, or happen at any time.
    Forsaken {
        amount: i64,
        most: i64,
    },
}

/// A call, between two ticks of a clock that all share.
#[derive(Clone, Debug)]
struct Recorded {
    call: Call,
    called: u64,
    answered: u64,
}

impl Call {
    /// What becomes of the counter when the call takes effect now; `None` if it would have been
    /// answered something else.
    fn after(&self, counter: Option<(i64, u64)>) -> Option<Option<(i64, u64)>> {
        let (number, version) = counter.unwrap_or_default();
        let added = |amount: i64, most: i64| {
            let sum = number + amount;
            (0..=most).contains(&sum).then_some(Some((sum, version + 1)))
        };
        match *self {
            Call::Get(answer) => (answer == counter).then_some(counter),
            Call::Add { amount, most, is_done: true } => added(amount, most),
            Call::Add { amount, most, is_done: false } => match added(amount, most) {
                None => Some(counter),
                Some(_) => None,
            },
            Call::Forsaken { amount, most } => added(amount, most),
        }
    }
}

/// Whether there is an order of the calls that explains every answer.
fn is_linearizable(mut history: Vec<Recorded>) -> bool {
    history.sort_by_key(|it| it.called);
    let mut seen = HashSet::new();
    let mut open = vec![(vec![false; history.len()], None)];
    while let Some((done, counter)) = open.pop() {
        let waiting = || (0..history.len()).filter(|n| !done[*n]);
        let must = |n: usize| !matches!(history[n].call, Call::Forsaken { .. });
        if !waiting().any(must) {
            return true;
        }
        // Whoever was called after another was answered comes after it.
        let first_answer = waiting().map(|n| history[n].answered).min().unwrap_or(u64::MAX);
        let callable = waiting().take_while(|n| history[*n].called <= first_answer);
        let mut next = BTreeMap::new();
        for n in callable {
            let Recorded { call, answered, .. } = &history[n];
            if let Some(after) = call.after(counter) {
                // Of those that do the same, who was answered first may as well come first; and what
                // changes nothing may as well come at once.
                let first = next.entry(after).or_insert((*answered, n));
                *first = (*first).min((*answered, n));
            }
        }
        if let Some(unchanged) = next.remove(&counter) {
            next = BTreeMap::from([(counter, unchanged)]);
        }
        for (after, (_, n)) in next {
            let mut done = done.clone();
            done[n] = true;
            if seen.insert((done.clone(), after)) {
                open.push((done, after));
            }
        }
    }
    false
}

fn the_counter() -> Key {
    key("counter")
}

const MOST: i64 = 40;

/// What many tasks do with one counter, each of them call after call.
async fn recorded(store: Arc<dyn Store>, seed: u8, tasks: u8, calls: usize) -> Vec<Recorded> {
    let clock = Arc::new(AtomicU64::new(0));
    let history = Arc::new(Mutex::new(Vec::new()));
    let task = |task: u8| {
        let (store, clock, history) = (store.clone(), clock.clone(), history.clone());
        tokio::spawn(async move {
            let random = Random::seeded(&[seed * 16 + task; 32]);
            for _ in 0..calls {
                let [what, how_much, ..]: [u8; 16] = random.bytes();
                let amount = i64::from(how_much % 7) - 2;
                let add = Write::Add { key: the_counter(), amount, within: 0..=MOST };
                let called = clock.fetch_add(1, Ordering::SeqCst);
                let (call, is_over) = match what {
                    0..100 => {
                        let item = store.get(the_counter()).await.unwrap();
                        let number = item.map(|item| match item.value {
                            Value::Number(number) => (number, item.version),
                            Value::Bytes(_) => panic!("a counter holds a number"),
                        });
                        (Call::Get(number), true)
                    }
                    100..105 => {
                        // Polled once, and then dropped.
                        let answer = store.commit(vec![add]).now_or_never();
                        match answer {
                            None => (Call::Forsaken { amount, most: MOST }, false),
                            Some(answer) => {
                                (Call::Add { amount, most: MOST, is_done: done(answer) }, true)
                            }
                        }
                    }
                    _ => {
                        let is_done = done(store.commit(vec![add]).await);
                        (Call::Add { amount, most: MOST, is_done }, true)
                    }
                };
                let answered =
                    if is_over { clock.fetch_add(1, Ordering::SeqCst) } else { u64::MAX };
                history.lock().unwrap().push(Recorded { call, called, answered });
                if what > 250 {
                    tokio::task::yield_now().await;
                }
            }
        })
    };
    let tasks: Vec<_> = (0..tasks).map(task).collect();
    for task in tasks {
        task.await.unwrap();
    }
    Arc::into_inner(history).expect("the last").into_inner().unwrap()
}

fn done(answer: Result<(), StoreError>) -> bool {
    match answer {
        Ok(()) => true,
        Err(StoreError::Conflict) => false,
        Err(other) => panic!("{other}"),
    }
}

pub(super) async fn a_counter_is_linearizable_among_many_tasks(store: Arc<dyn Store>) {
    for seed in 0..6 {
        let history = recorded(store.clone(), seed, 12, 24).await;
        assert_eq!(history.len(), 12 * 24);
        assert!(is_linearizable(history), "seed {seed}");
        // The next begins without a counter. Commits are made in their order, so what nobody waited for
        // has come before this.
        store.commit(vec![delete("counter", Expect::Any)]).await.unwrap();
    }
}

/// A store with a flaw.
struct Flawed {
    store: Memory,
    calls: AtomicU64,
    flaw: Flaw,
    /// What a stale read answers.
    before: Mutex<Option<Item>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    /// One read in ten answers with what was there some time ago.
    StaleRead,
    /// One addition in fifty is answered for, and forgotten.
    Forgotten,
    /// One addition in fifty is made twice.
    Twice,
    /// One that was refused for the limit in fifty was made all the same.
    BeyondTheLimit,
}

impl Store for Flawed {
    fn get(&self, key: Key) -> BoxFuture<'_, Result<Option<Item>, StoreError>> {
        Box::pin(async move {
            let now = self.store.get(key).await?;
            tokio::task::yield_now().await;
            let is_stale = self.calls.fetch_add(1, Ordering::SeqCst) % 10 == 9;
            let mut before = self.before.lock().unwrap();
            if is_stale && self.flaw == Flaw::StaleRead {
                return Ok(before.clone());
            }
            if is_stale || before.is_none() {
                before.clone_from(&now);
            }
            Ok(now)
        })
    }

    fn query(&self, query: Query) -> BoxFuture<'_, Result<Vec<Item>, StoreError>> {
        self.store.query(query)
    }

    fn commit(&self, mut writes: Vec<Write>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let is_flawed = self.calls.fetch_add(1, Ordering::SeqCst) % 50 == 49;
            match self.flaw {
                Flaw::Forgotten if is_flawed => return Ok(()),
                Flaw::Twice if is_flawed => self.store.commit(writes.clone()).await?,
                Flaw::BeyondTheLimit if is_flawed => {
                    if let [Write::Add { within, .. }] = &mut writes[..] {
                        *within = i64::MIN..=i64::MAX;
                    }
                }
                _ => {}
            }
            self.store.commit(writes).await
        })
    }

    fn turn(&self) -> &tokio::sync::Mutex<()> {
        self.store.turn()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_sees_what_is_wrong_with_a_store() {
    for flaw in [Flaw::StaleRead, Flaw::Forgotten, Flaw::Twice, Flaw::BeyondTheLimit] {
        // Chance decides whether others are in the way when it shows: mostly they are.
        let mut seeds = 0..200;
        let mut is_seen = false;
        while let Some(seed) = seeds.next().filter(|_| !is_seen) {
            let (store, calls, before) = (Memory::new(), AtomicU64::new(0), Mutex::default());
            let store = Flawed { store, calls, flaw, before };
            is_seen = !is_linearizable(recorded(Arc::new(store), seed, 6, 40).await);
        }
        assert!(is_seen, "{flaw:?} was not seen");
    }
}

#[test]
fn the_checker_knows_what_may_be_seen_while_others_are_at_work() {
    let recorded = |call, called, answered| Recorded { call, called, answered };
    let add = |called, answered| {
        recorded(Call::Add { amount: 1, most: 2, is_done: true }, called, answered)
    };
    let get = |answer, called, answered| recorded(Call::Get(answer), called, answered);
    let refused = |called, answered| {
        recorded(Call::Add { amount: 1, most: 2, is_done: false }, called, answered)
    };
    let forsaken = |called| recorded(Call::Forsaken { amount: 1, most: 2 }, called, u64::MAX);
    for (is_right, history, story) in [
        (true, vec![add(0, 3), get(None, 1, 2)], "it has not happened yet"),
        (true, vec![add(0, 3), get(Some((1, 1)), 1, 2)], "it has happened and is not answered"),
        (false, vec![add(0, 1), get(None, 2, 3)], "an answered addition is seen"),
        (false, vec![add(0, 5), get(Some((1, 1)), 1, 2), get(None, 3, 4)], "time goes forward"),
        (true, vec![add(0, 9), add(1, 8), get(Some((2, 2)), 2, 3)], "both have happened"),
        (false, vec![add(0, 1), get(Some((1, 2)), 2, 3)], "a version is a write"),
        (false, vec![refused(0, 1)], "there was room"),
        (true, vec![add(0, 9), add(1, 8), refused(2, 3)], "others were faster"),
        (true, vec![forsaken(0), get(None, 1, 2), get(Some((1, 1)), 3, 4)], "it came late"),
        (true, vec![forsaken(0), get(None, 1, 2)], "it never came"),
        (
            false,
            vec![get(Some((1, 1)), 0, 1), forsaken(2)],
            "nothing comes before it was asked for",
        ),
    ] {
        assert_eq!(is_linearizable(history), is_right, "{story}");
    }
}
