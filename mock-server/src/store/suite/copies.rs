//! What is promised of a store's whole content.

use futures_util::future::join3;

use super::*;
use crate::store::Item;

/// Each of the stores, and what keeps it.
fn stores() -> [(Arc<dyn Store>, Option<tempfile::TempDir>); 2] {
    let folder = tempfile::tempdir().unwrap();
    let file = Sqlite::open(&folder.path().join("state.db")).unwrap();
    [(Arc::new(Memory::new()), None), (Arc::new(file), Some(folder))]
}

#[tokio::test]
async fn what_was_replaced_is_as_it_was_when_it_was_dumped() {
    for (store, _folder) in stores() {
        let kept_item = put("kept", "as it was", Expect::Absent);
        let other = Key::new(Table::Marketplace, "p", "q");
        let other =
            Write::Put { key: other, value: b"of another table".into(), expect: Expect::Any };
        let unbounded = i64::MIN..=i64::MAX;
        store.commit(vec![kept_item, other, add("sum", 7, unbounded.clone())]).await.unwrap();
        store.commit(vec![put("kept", "twice", Expect::Any)]).await.unwrap();
        let dumped = store.dump().await.unwrap();
        assert!(dumped.is_sorted_by(|one, other| one.key < other.key), "{dumped:?}");
        assert_eq!(dumped.len(), 3);

        let later = vec![
            put("kept", "otherwise", Expect::Any),
            put("new", "in between", Expect::Absent),
            add("sum", -3, unbounded),
            delete_of(&dumped[0]),
        ];
        store.commit(later).await.unwrap();
        // What is remembered of it must be forgotten.
        assert!(store.get(key("new")).await.unwrap().is_some());
        assert_eq!(store.query(select("m", "o")).await.unwrap().len(), 1);

        store.replace(dumped.clone().into()).await.unwrap();
        assert_eq!(store.dump().await.unwrap(), dumped);
        assert_eq!(store.get(key("new")).await, Ok(None));
        assert!(store.query(select("m", "o")).await.unwrap().is_empty());
        for item in &dumped {
            assert_eq!(store.get(item.key.clone()).await.unwrap().as_ref(), Some(item));
        }
        // Versions go on from what they were.
        let known = put("kept", "three times", Expect::Version(2));
        store.commit(vec![known]).await.unwrap();
    }
}

fn delete_of(item: &Item) -> Write {
    Write::Delete { key: item.key.clone(), expect: Expect::Version(item.version) }
}

#[tokio::test]
async fn commits_come_before_a_replacement_or_after_it() {
    for (store, _folder) in stores() {
        store
            .commit(vec![put("a", "first", Expect::Any), put("b", "first", Expect::Any)])
            .await
            .unwrap();
        let dumped: Arc<[Item]> = store.dump().await.unwrap().into();
        let both = || vec![put("a", "later", Expect::Any), put("b", "later", Expect::Any)];
        for _ in 0..50 {
            let (one, replaced, other) =
                join3(store.commit(both()), store.replace(dumped.clone()), store.commit(both()))
                    .await;
            assert_eq!((one, replaced, other), (Ok(()), Ok(()), Ok(())));
            let now = store.dump().await.unwrap();
            assert_eq!(now[0].value, now[1].value);
        }
    }
}
