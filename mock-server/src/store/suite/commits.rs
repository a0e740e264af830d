//! What a commit promises.

use futures_util::future::join_all;

use super::{
    super::{MAX_COMMIT_BYTES, MAX_ITEM_BYTES, MAX_WRITES},
    *,
};

const ANY: Expect = Expect::Any;
const ABSENT: Expect = Expect::Absent;
const UNBOUNDED: RangeInclusive<i64> = i64::MIN..=i64::MAX;

pub(super) async fn of_those_who_create_an_item_at_once_one_succeeds(store: Arc<dyn Store>) {
    let answers = join_all((0..16).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.commit(vec![put("a", format!("{n}"), ABSENT)]).await })
    }));
    let answers: Vec<_> = answers.await.into_iter().map(Result::unwrap).collect();

    let winner = answers.iter().position(Result::is_ok).unwrap();
    let losers = answers.iter().filter(|answer| **answer == Err(StoreError::Conflict)).count();
    assert_eq!(losers, 15);
    assert_eq!(read(&*store, "a").await, document(1, &winner.to_string()));
}

pub(super) async fn a_version_read_before_another_write_is_a_conflict(store: Arc<dyn Store>) {
    store.commit(vec![put("a", "first", ABSENT)]).await.unwrap();
    store.commit(vec![put("a", "second", Expect::Version(1))]).await.unwrap();

    for late in [put("a", "late", Expect::Version(1)), delete("a", Expect::Version(1))] {
        assert_eq!(store.commit(vec![late]).await, Err(StoreError::Conflict));
    }
    for never in [0, 3, u64::MAX] {
        let write = put("a", "never", Expect::Version(never));
        assert_eq!(store.commit(vec![write]).await, Err(StoreError::Conflict));
    }
    let missing = put("b", "missing", Expect::Version(1));
    assert_eq!(store.commit(vec![missing]).await, Err(StoreError::Conflict));

    assert_eq!(read(&*store, "a").await, document(2, "second"));
    assert_eq!(read(&*store, "b").await, None);
    store.commit(vec![delete("a", Expect::Version(2))]).await.unwrap();
    assert_eq!(read(&*store, "a").await, None);
}

pub(super) async fn a_check_guards_what_is_not_written(store: Arc<dyn Store>) {
    store.commit(vec![put("guard", "", ABSENT)]).await.unwrap();

    for (expect, outcome) in [
        (ANY, Ok(())),
        (Expect::Version(1), Ok(())),
        (Expect::Version(2), Err(StoreError::Conflict)),
        (ABSENT, Err(StoreError::Conflict)),
    ] {
        let answer = store.commit(vec![put("a", "", ANY), check("guard", expect)]).await;
        assert_eq!(answer, outcome, "{expect:?}");
    }
    store.commit(vec![check("nothing", ABSENT)]).await.unwrap();

    assert_eq!(read(&*store, "a").await, document(2, ""));
    assert_eq!(read(&*store, "guard").await, document(1, ""));
    assert_eq!(read(&*store, "nothing").await, None);
}

pub(super) async fn one_failed_condition_undoes_every_write_of_the_commit(store: Arc<dyn Store>) {
    store.commit(vec![put("kept", "before", ABSENT), add("count", 5, UNBOUNDED)]).await.unwrap();

    for failing in [
        put("kept", "after", Expect::Version(7)),
        check("kept", ABSENT),
        delete("kept", Expect::Version(7)),
        add("other", 1, 5..=9),
        add("kept", 1, UNBOUNDED),
    ] {
        let writes = vec![put("new", "", ANY), add("count", 1, UNBOUNDED), failing];
        assert!(store.commit(writes).await.is_err());
    }
    let writes = vec![delete("kept", ANY), check("count", ABSENT)];
    assert_eq!(store.commit(writes).await, Err(StoreError::Conflict));

    assert_eq!(read(&*store, "kept").await, document(1, "before"));
    assert_eq!(read(&*store, "count").await, counter(1, 5));
    assert_eq!(read(&*store, "new").await, None);
    assert_eq!(read(&*store, "other").await, None);
}

pub(super) async fn versions_grow_by_one_and_start_anew_after_a_deletion(store: Arc<dyn Store>) {
    for version in 1..=3 {
        store.commit(vec![put("a", "same", ANY), add("n", 0, UNBOUNDED)]).await.unwrap();
        assert_eq!(read(&*store, "a").await, document(version, "same"));
        assert_eq!(read(&*store, "n").await, counter(version, 0));
    }
    store.commit(vec![delete("a", ANY), delete("n", ANY)]).await.unwrap();
    store.commit(vec![put("a", "", ANY), add("n", 2, UNBOUNDED)]).await.unwrap();
    assert_eq!(read(&*store, "a").await, document(1, ""));
    assert_eq!(read(&*store, "n").await, counter(1, 2));
}

pub(super) async fn deleting_what_is_not_there_succeeds_unless_it_was_expected(
    store: Arc<dyn Store>,
) {
    store.commit(vec![delete("a", ANY)]).await.unwrap();
    store.commit(vec![delete("a", ABSENT)]).await.unwrap();
    let expected = vec![delete("a", Expect::Version(1))];
    assert_eq!(store.commit(expected).await, Err(StoreError::Conflict));
}

pub(super) async fn a_counter_starts_at_zero_and_stays_within_its_limits(store: Arc<dyn Store>) {
    store.commit(vec![add("n", 7, 0..=10)]).await.unwrap();
    for beyond in [4, -8] {
        assert_eq!(store.commit(vec![add("n", beyond, 0..=10)]).await, Err(StoreError::Conflict));
    }
    assert_eq!(read(&*store, "n").await, counter(1, 7));

    store.commit(vec![add("n", 3, 0..=10)]).await.unwrap();
    assert_eq!(read(&*store, "n").await, counter(2, 10));
    store.commit(vec![add("n", -10, 0..=10)]).await.unwrap();
    assert_eq!(read(&*store, "n").await, counter(3, 0));
    #[expect(clippy::reversed_empty_ranges)]
    let nowhere = vec![add("n", 0, 1..=-1)];
    assert_eq!(store.commit(nowhere).await, Err(StoreError::Conflict));
}

pub(super) async fn sixty_four_spenders_never_spend_more_than_there_is(store: Arc<dyn Store>) {
    let spenders = join_all((1..=64).map(|spender| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut spent = 0;
            for _ in 0..4 {
                let amount = 1 + spender % 5;
                match store.commit(vec![add("budget", amount, 0..=300)]).await {
                    Ok(()) => spent += amount,
                    Err(error) => assert_eq!(error, StoreError::Conflict),
                }
            }
            spent
        })
    }));
    let spent: i64 = spenders.await.into_iter().map(Result::unwrap).sum();

    let (_, budget) = read(&*store, "budget").await.unwrap();
    assert_eq!(budget, Value::Number(spent));
    // Those who spend one at a time get the last of it.
    assert_eq!(spent, 300);
}

pub(super) async fn a_sum_of_more_than_64_bits_is_a_conflict(store: Arc<dyn Store>) {
    for (sort, limit, further) in [("most", i64::MAX, 1), ("least", i64::MIN, -1)] {
        store.commit(vec![add(sort, limit, UNBOUNDED)]).await.unwrap();
        let answer = store.commit(vec![add(sort, further, UNBOUNDED)]).await;
        assert_eq!(answer, Err(StoreError::Conflict));
        assert_eq!(read(&*store, sort).await, counter(1, limit));
    }
}

pub(super) async fn counters_and_documents_are_not_mistaken_for_each_other(store: Arc<dyn Store>) {
    store.commit(vec![put("document", "5", ANY), add("counter", 5, UNBOUNDED)]).await.unwrap();

    for mistake in [put("counter", "6", ANY), add("document", 1, UNBOUNDED)] {
        let answer = store.commit(vec![mistake]).await;
        assert!(matches!(answer, Err(StoreError::Refused(_))), "{answer:?}");
    }
    assert_eq!(read(&*store, "document").await, document(1, "5"));
    assert_eq!(read(&*store, "counter").await, counter(1, 5));

    // Once deleted, an item is of either kind again.
    store.commit(vec![delete("document", ANY), delete("counter", ANY)]).await.unwrap();
    store.commit(vec![add("document", 6, UNBOUNDED), put("counter", "6", ANY)]).await.unwrap();
    assert_eq!(read(&*store, "document").await, counter(1, 6));
    assert_eq!(read(&*store, "counter").await, document(1, "6"));
}

pub(super) async fn a_late_put_on_a_counter_is_a_conflict_before_it_is_a_mistake(
    store: Arc<dyn Store>,
) {
    store.commit(vec![add("n", 5, UNBOUNDED)]).await.unwrap();
    assert_eq!(store.commit(vec![put("n", "", ABSENT)]).await, Err(StoreError::Conflict));
}

pub(super) async fn an_item_is_named_once_in_a_commit(store: Arc<dyn Store>) {
    let writes = [put("a", "", ANY), delete("a", ANY), add("a", 1, UNBOUNDED), check("a", ANY)];
    for one in &writes {
        for other in &writes {
            let answer = store.commit(vec![one.clone(), put("b", "", ANY), other.clone()]).await;
            assert!(matches!(answer, Err(StoreError::Refused(_))), "{answer:?}");
        }
    }
    assert_eq!(sorts(&*store, select("", "z")).await, [""; 0]);
}

pub(super) async fn a_commit_has_at_most_a_hundred_writes(store: Arc<dyn Store>) {
    let writes = |n| (0..n).map(|n| put(&format!("{n}"), "", ANY)).collect::<Vec<_>>();

    let answer = store.commit(writes(MAX_WRITES + 1)).await;
    assert!(matches!(answer, Err(StoreError::Refused(_))), "{answer:?}");
    assert_eq!(sorts(&*store, select("", "z")).await.len(), 0);

    store.commit(writes(MAX_WRITES)).await.unwrap();
    assert_eq!(sorts(&*store, select("", "z")).await.len(), MAX_WRITES);
}

pub(super) async fn an_item_has_at_most_400_kilobytes(store: Arc<dyn Store>) {
    let answer = store.commit(vec![put("a", vec![1; MAX_ITEM_BYTES + 1], ANY)]).await;
    assert!(matches!(answer, Err(StoreError::Refused(_))), "{answer:?}");
    assert_eq!(read(&*store, "a").await, None);

    store.commit(vec![put("a", vec![1; MAX_ITEM_BYTES], ANY)]).await.unwrap();
    let largest = Value::Bytes(vec![1; MAX_ITEM_BYTES].into());
    assert_eq!(read(&*store, "a").await, Some((1, largest)));
}

pub(super) async fn a_commit_has_at_most_4_megabytes(store: Arc<dyn Store>) {
    let mut writes: Vec<_> = (0..MAX_COMMIT_BYTES / MAX_ITEM_BYTES)
        .map(|n| put(&format!("{n}"), vec![1; MAX_ITEM_BYTES], ANY))
        .collect();
    store.commit(writes.clone()).await.unwrap();

    writes.push(put("one byte more", "1", ANY));
    let answer = store.commit(writes).await;
    assert!(matches!(answer, Err(StoreError::Refused(_))), "{answer:?}");
    assert_eq!(read(&*store, "one byte more").await, None);
}

pub(super) async fn a_commit_of_nothing_succeeds(store: Arc<dyn Store>) {
    store.commit(Vec::new()).await.unwrap();
}

pub(super) async fn whoever_was_answered_sees_what_was_written(store: Arc<dyn Store>) {
    let tasks = join_all((0..8).map(|task| {
        let store = store.clone();
        tokio::spawn(async move {
            let sort = format!("{task}");
            for version in 1..=16 {
                let text = version.to_string();
                store.commit(vec![put(&sort, &text, ANY)]).await.unwrap();
                assert_eq!(read(&*store, &sort).await, document(version, &text));
                assert_eq!(sorts(&*store, select(&sort, &sort)).await, [sort.as_str()]);
            }
        })
    }));
    assert!(tasks.await.into_iter().all(|task| task.is_ok()));
}
