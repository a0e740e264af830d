//! What [`transact`] promises.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use serde_json::json;

use super::{
    super::{Transaction, transact},
    *,
};

/// Runs `decide`, and before the first attempt commits, writes `meanwhile`. Returns how many
/// attempts it took.
async fn attempts_when_others_write(
    store: &dyn Store,
    meanwhile: Write,
    decide: impl AsyncFn(&mut Transaction<'_>) -> Result<(), StoreError>,
) -> usize {
    let attempts = AtomicUsize::new(0);
    transact(store, async |tx| -> Result<(), StoreError> {
        decide(tx).await?;
        if attempts.fetch_add(1, Ordering::Relaxed) == 0 {
            store.commit(vec![meanwhile.clone()]).await?;
        }
        Ok(())
    })
    .await
    .unwrap();
    attempts.into_inner()
}

pub(super) async fn increments_by_many_tasks_lose_nothing(store: Arc<dyn Store>) {
    let tasks = join_all((0..32).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            // Borrowed by the closure, in a future that is spawned: see the bounds of `transact`.
            let key = key("count");
            for _ in 0..20 {
                transact(&*store, async |tx| -> Result<(), StoreError> {
                    let count: u64 = tx.get(&key).await?.unwrap_or(0);
                    tx.put(&key, &(count + 1))
                })
                .await
                .unwrap();
            }
        })
    }));
    assert!(tasks.await.into_iter().all(|task| task.is_ok()));
    assert_eq!(read(&*store, "count").await, document(640, "640"));
}

pub(super) async fn an_error_of_the_closure_commits_nothing(store: Arc<dyn Store>) {
    #[derive(Debug, PartialEq)]
    enum Problem {
        TooExpensive,
        Store(StoreError),
    }
    impl From<StoreError> for Problem {
        fn from(error: StoreError) -> Self {
            Problem::Store(error)
        }
    }

    let answer = transact(&*store, async |tx| -> Result<(), Problem> {
        tx.put(&key("a"), "bought")?;
        tx.add(&key("n"), 1)?;
        Err(Problem::TooExpensive)
    });
    assert_eq!(answer.await, Err(Problem::TooExpensive));
    assert_eq!(sorts(&*store, select("", "z")).await, [""; 0]);

    store.commit(vec![put("bad", "not JSON", Expect::Any)]).await.unwrap();
    let answer = transact(&*store, async |tx| -> Result<(), Problem> {
        tx.put(&key("a"), "bought")?;
        tx.get::<String>(&key("bad")).await?;
        Ok(())
    });
    assert!(matches!(answer.await, Err(Problem::Store(StoreError::Failed(_)))));
    assert_eq!(read(&*store, "a").await, None);
}

pub(super) async fn what_was_read_and_not_written_must_not_change(store: Arc<dyn Store>) {
    store.commit(vec![put("price", "5", Expect::Any)]).await.unwrap();
    let attempts =
        attempts_when_others_write(&*store, put("price", "6", Expect::Any), async |tx| {
            let price: u64 = tx.get(&key("price")).await?.unwrap();
            tx.put(&key("bill"), &price)
        });
    assert_eq!(attempts.await, 2);
    assert_eq!(read(&*store, "bill").await, document(1, "6"));
    assert_eq!(read(&*store, "price").await, document(2, "6"));
}

pub(super) async fn what_was_read_as_absent_must_stay_absent(store: Arc<dyn Store>) {
    let attempts =
        attempts_when_others_write(&*store, put("veto", "true", Expect::Any), async |tx| {
            let vetoed = tx.get::<bool>(&key("veto")).await?.is_some();
            tx.put(&key("verdict"), if vetoed { "no" } else { "yes" })
        });
    assert_eq!(attempts.await, 2);
    assert_eq!(read(&*store, "verdict").await, document(1, "\"no\""));
}

pub(super) async fn what_was_peeked_at_may_change(store: Arc<dyn Store>) {
    store.commit(vec![add("n", 5, i64::MIN..=i64::MAX)]).await.unwrap();
    let attempts = attempts_when_others_write(&*store, add("n", 1, 0..=9), async |tx| {
        let number = tx.number(&key("n")).await?;
        let nothing = tx.peek::<u64>(&key("nothing")).await?;
        tx.put(&key("seen"), &json!([number, nothing]))
    });
    assert_eq!(attempts.await, 1);
    assert_eq!(read(&*store, "seen").await, document(1, "[5,null]"));
}

pub(super) async fn a_second_read_answers_as_the_first(store: Arc<dyn Store>) {
    let attempts = AtomicUsize::new(0);
    transact(&*store, async |tx| -> Result<(), StoreError> {
        let first: Option<u64> = tx.get(&key("a")).await?;
        if attempts.fetch_add(1, Ordering::Relaxed) == 0 {
            store.commit(vec![put("a", "1", Expect::Any)]).await?;
        }
        assert_eq!(tx.get(&key("a")).await?, first);
        assert_eq!(tx.peek(&key("a")).await?, first);
        tx.put(&key("b"), &first)
    })
    .await
    .unwrap();
    assert_eq!(attempts.into_inner(), 2);
    assert_eq!(read(&*store, "b").await, document(1, "1"));
}

pub(super) async fn reading_alone_is_never_a_conflict(store: Arc<dyn Store>) {
    let attempts = attempts_when_others_write(&*store, put("a", "1", Expect::Any), async |tx| {
        tx.get::<u64>(&key("a")).await?;
        Ok(())
    });
    assert_eq!(attempts.await, 1);
}

pub(super) async fn a_counter_that_was_read_with_get_must_not_change(store: Arc<dyn Store>) {
    let double = async |tx: &mut Transaction<'_>| {
        let count = tx.get::<i64>(&key("n")).await?.unwrap_or(1);
        tx.add(&key("n"), count)
    };
    assert_eq!(attempts_when_others_write(&*store, add("n", 5, 0..=9), double).await, 2);
    assert_eq!(read(&*store, "n").await, counter(2, 10));
    // Adding nothing leaves the count as it was read, and the version is nobody's business.
    assert_eq!(attempts_when_others_write(&*store, add("n", 0, 0..=99), double).await, 1);
    assert_eq!(read(&*store, "n").await, counter(4, 20));
}

pub(super) async fn the_last_write_of_an_item_wins(store: Arc<dyn Store>) {
    store.commit(vec![put("gone", "1", Expect::Any)]).await.unwrap();
    transact(&*store, async |tx| -> Result<(), StoreError> {
        tx.create(&key("a"), &1)?;
        tx.put(&key("a"), &2)?;
        tx.put(&key("gone"), &2)?;
        tx.delete(&key("gone"));
        tx.delete(&key("back"));
        tx.put(&key("back"), &3)
    })
    .await
    .unwrap();
    assert_eq!(read(&*store, "a").await, document(1, "2"));
    assert_eq!(read(&*store, "gone").await, None);
    assert_eq!(read(&*store, "back").await, document(1, "3"));
}

pub(super) async fn reads_see_the_writes_of_their_own_transaction(store: Arc<dyn Store>) {
    let writes = vec![put("a", "1", Expect::Any), add("n", 5, 0..=9)];
    store.commit(writes).await.unwrap();
    transact(&*store, async |tx| -> Result<(), StoreError> {
        tx.put(&key("a"), &2)?;
        assert_eq!(tx.get(&key("a")).await?, Some(2));
        tx.delete(&key("a"));
        assert_eq!(tx.peek::<u64>(&key("a")).await?, None);
        tx.add(&key("n"), 2)?;
        assert_eq!(tx.number(&key("n")).await?, 7);
        tx.add(&key("m"), 3)?;
        assert_eq!(tx.number(&key("m")).await?, 3);
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(read(&*store, "n").await, counter(2, 7));
}

pub(super) async fn what_is_added_several_times_is_added_up(store: Arc<dyn Store>) {
    let spend = async |amounts: &[i64]| {
        transact(&*store, async |tx| -> Result<(), StoreError> {
            amounts.iter().try_for_each(|amount| tx.add_within(&key("n"), *amount, 0..=10))
        })
        .await
    };
    spend(&[4, 5]).await.unwrap();
    assert_eq!(read(&*store, "n").await, counter(1, 9));
    assert_eq!(spend(&[1, 1]).await, Err(StoreError::Conflict));
    assert!(matches!(spend(&[i64::MAX, 1]).await, Err(StoreError::Refused(_))));
    assert_eq!(read(&*store, "n").await, counter(1, 9));

    let mixed = transact(&*store, async |tx| -> Result<(), StoreError> {
        tx.put(&key("m"), &1)?;
        tx.add(&key("m"), 1)
    });
    assert!(matches!(mixed.await, Err(StoreError::Refused(_))));
}

pub(super) async fn what_is_added_beyond_a_bound_moves_the_bound_of_what_came_before(
    store: Arc<dyn Store>,
) {
    let first_within = transact(&*store, async |tx| -> Result<(), StoreError> {
        tx.add_within(&key("n"), 8, 0..=10)?;
        tx.add_beyond(&key("n"), 20)
    });
    first_within.await.unwrap();
    assert_eq!(read(&*store, "n").await, counter(1, 28));
    let first_beyond = transact(&*store, async |tx| -> Result<(), StoreError> {
        tx.add_beyond(&key("n"), 20)?;
        tx.add_within(&key("n"), 1, 0..=40)
    });
    assert_eq!(
        first_beyond.await,
        Err(StoreError::Conflict),
        "there were 48 when it was asked for"
    );
    let too_much = transact(&*store, async |tx| -> Result<(), StoreError> {
        tx.add_within(&key("n"), 3, 0..=30)?;
        tx.add_beyond(&key("n"), 20)
    });
    assert_eq!(too_much.await, Err(StoreError::Conflict), "31 were too many before");
}

pub(super) async fn a_condition_that_cannot_come_true_is_given_up(store: Arc<dyn Store>) {
    store.commit(vec![put("taken", "1", Expect::Any)]).await.unwrap();
    let attempts = AtomicUsize::new(0);
    let answer = transact(&*store, async |tx| -> Result<(), StoreError> {
        attempts.fetch_add(1, Ordering::Relaxed);
        tx.put(&key("other"), &1)?;
        tx.create(&key("taken"), &2)
    });
    assert_eq!(answer.await, Err(StoreError::Conflict));
    assert_eq!(attempts.into_inner(), 64);
    assert_eq!(read(&*store, "taken").await, document(1, "1"));
    assert_eq!(read(&*store, "other").await, None);
}

pub(super) async fn documents_of_another_shape_are_an_error(store: Arc<dyn Store>) {
    let writes = vec![put("text", "\"one\"", Expect::Any), add("n", -1, -9..=9)];
    store.commit(writes).await.unwrap();
    for sort in ["text", "n"] {
        let answer = transact(&*store, async |tx| tx.get::<u64>(&key(sort)).await);
        assert!(matches!(answer.await, Err(StoreError::Failed(_))));
    }
}

pub(super) async fn a_query_reads_documents_and_counters(store: Arc<dyn Store>) {
    let writes = vec![put("a", "1", Expect::Any), add("b", 2, 0..=9)];
    store.commit(writes).await.unwrap();
    let found = transact(&*store, async |tx| tx.query::<i64>(select("a", "b")).await);
    assert_eq!(found.await.unwrap(), [(key("a"), 1), (key("b"), 2)]);
}
