//! What a query promises.

use super::*;

async fn fill(store: &dyn Store, sorts: &[&str]) {
    let writes = sorts.iter().map(|sort| put(sort, sort, Expect::Any)).collect();
    store.commit(writes).await.unwrap();
}

pub(super) async fn items_come_in_byte_order_with_both_ends_included(store: Arc<dyn Store>) {
    fill(&*store, &["b", "a", "B", "aa", "é", "z", "a/2", "a/10"]).await;

    let all = sorts(&*store, select("", "\u{10FFFF}")).await;
    assert_eq!(all, ["B", "a", "a/10", "a/2", "aa", "b", "z", "é"]);
    assert_eq!(sorts(&*store, select("a", "b")).await, ["a", "a/10", "a/2", "aa", "b"]);
    assert_eq!(sorts(&*store, select("a/", "a/~")).await, ["a/10", "a/2"]);
    assert_eq!(sorts(&*store, select("z", "z")).await, ["z"]);

    let items = store.query(select("z", "z")).await.unwrap();
    assert_eq!(items, [store.get(key("z")).await.unwrap().unwrap()]);
}

pub(super) async fn a_limit_takes_from_the_end_that_comes_first(store: Arc<dyn Store>) {
    fill(&*store, &["a", "b", "c", "d", "e"]).await;
    let some = |limit, descending| Query { limit, descending, ..select("b", "e") };

    assert_eq!(sorts(&*store, some(2, false)).await, ["b", "c"]);
    assert_eq!(sorts(&*store, some(2, true)).await, ["e", "d"]);
    assert_eq!(sorts(&*store, some(usize::MAX, true)).await, ["e", "d", "c", "b"]);
    assert_eq!(sorts(&*store, some(0, false)).await, [""; 0]);
}

pub(super) async fn nothing_is_found_in_an_empty_range(store: Arc<dyn Store>) {
    fill(&*store, &["a", "b", "c"]).await;

    assert_eq!(sorts(&*store, select("c", "a")).await, [""; 0]);
    assert_eq!(sorts(&*store, select("aa", "az")).await, [""; 0]);
    let elsewhere = Query { partition: "elsewhere".to_owned(), ..select("a", "c") };
    assert_eq!(sorts(&*store, elsewhere).await, [""; 0]);
}

pub(super) async fn tables_and_partitions_are_apart(store: Arc<dyn Store>) {
    let tables = [
        Table::Marketplace,
        Table::Users,
        Table::Solutions,
        Table::ApiKeys,
        Table::ApiTokens,
        Table::Subscriptions,
        Table::IdempotencyKeys,
        Table::UsageTracking,
    ];
    let keys: Vec<_> = tables
        .into_iter()
        .flat_map(|table| ["p", "q"].map(|partition| Key::new(table, partition, "same")))
        .collect();
    for key in &keys {
        let value = format!("{key:?}").into_bytes();
        let write = Write::Put { key: key.clone(), value, expect: Expect::Absent };
        store.commit(vec![write]).await.unwrap();
    }
    for key in keys {
        let query = Query {
            table: key.table,
            partition: key.partition.clone(),
            sort: String::new()..="z".to_owned(),
            limit: 10,
            descending: false,
        };
        let value = Value::Bytes(format!("{key:?}").into_bytes().into());
        let item = store.get(key).await.unwrap().unwrap();
        assert_eq!(item.value, value);
        assert_eq!(store.query(query).await.unwrap(), [item]);
    }
}

pub(super) async fn any_string_is_a_key(store: Arc<dyn Store>) {
    let odd = ["", "\0", "\0a", "%", "'; DROP TABLE users; --", "a", "a\0b", "\u{FFFF}", "😀"];
    fill(&*store, &odd).await;

    assert_eq!(sorts(&*store, select("", "\u{10FFFF}")).await, odd);
    for sort in odd {
        assert_eq!(read(&*store, sort).await, document(1, sort));
    }
}

pub(super) async fn a_query_never_sees_half_a_commit(store: Arc<dyn Store>) {
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for n in 0..50 {
                let text = format!("{n}");
                let writes = ["a", "b", "c"].map(|sort| put(sort, &text, Expect::Any)).to_vec();
                store.commit(writes).await.unwrap();
            }
        }
    });
    while !writer.is_finished() {
        let mut items = store.query(select("a", "c")).await.unwrap();
        items.dedup_by(|one, other| (one.version, &one.value) == (other.version, &other.value));
        assert!(items.len() <= 1, "{items:?}");
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
}
