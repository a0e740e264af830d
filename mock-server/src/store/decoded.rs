//! Documents that are read far more often than they change, kept as what they decode to.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::de::DeserializeOwned;

use super::{Key, Store, StoreError, Value, transact::decode};

/// How many are kept. More are decoded again.
const CAPACITY: usize = 1_000;

/// Decoded documents of one type.
///
/// The store is asked each time. What was decoded is used again while the store answers with the very
/// bytes it was decoded from (the same memory, not its like): so it can't be out of date.
#[derive(Debug)]
pub(crate) struct Decoded<T> {
    kept: Mutex<HashMap<Key, Kept<T>>>,
}

#[derive(Debug)]
struct Kept<T> {
    /// Held, so that no other bytes can get into the same memory.
    bytes: Arc<[u8]>,
    document: Arc<T>,
}

impl<T> Default for Decoded<T> {
    fn default() -> Self {
        Decoded { kept: Mutex::default() }
    }
}

impl<T: DeserializeOwned> Decoded<T> {
    /// The document of that name, as [`Transaction::peek`](super::Transaction::peek) finds it.
    pub(crate) async fn read(
        &self,
        store: &dyn Store,
        key: &Key,
    ) -> Result<Option<Arc<T>>, StoreError> {
        let Some(item) = store.get(key.clone()).await? else {
            return Ok(None);
        };
        let Value::Bytes(bytes) = &item.value else {
            return Ok(Some(Arc::new(decode::<T>(&item.value)?)));
        };
        if let Some(kept) = self.kept().get(key)
            && Arc::ptr_eq(&kept.bytes, bytes)
        {
            return Ok(Some(kept.document.clone()));
        }
        let document = Arc::new(decode::<T>(&item.value)?);
        let mut kept = self.kept();
        if kept.len() >= CAPACITY {
            kept.clear();
        }
        kept.insert(item.key, Kept { bytes: bytes.clone(), document: document.clone() });
        Ok(Some(document))
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Key, Kept<T>>> {
        // Nothing can panic half-way through a change.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Memory, Sqlite, Table, transact};
    use super::*;

    #[tokio::test]
    async fn a_document_is_decoded_once_and_again_when_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = Sqlite::open(&folder.path().join("state.db")).unwrap();
        let stores: [&dyn Store; 2] = [&Memory::new(), &file];
        for store in stores {
            let decoded = Decoded::<Vec<u64>>::default();
            let key = Key::new(Table::Solutions, "sol_a", "solution");
            let read = async || decoded.read(store, &key).await.unwrap();
            assert_eq!(read().await, None);
            let write = async |document: &[u64]| {
                transact(store, async |tx| tx.put(&key, document)).await.unwrap();
            };
            write(&[1]).await;
            let (first, second) = (read().await.unwrap(), read().await.unwrap());
            assert_eq!(*first, [1]);
            assert!(Arc::ptr_eq(&first, &second));
            // What is written anew may be equal; what it was before may not be told any more.
            write(&[2]).await;
            assert_eq!(*read().await.unwrap(), [2]);
            transact(store, async |tx| {
                tx.delete(&key);
                Ok::<_, StoreError>(())
            })
            .await
            .unwrap();
            assert_eq!(read().await, None);
        }
    }
}
