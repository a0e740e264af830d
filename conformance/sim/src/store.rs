//! The marketplace's facts, which outlive its process. Whoever asks may have to wait, so that others come
//! in between; and a fault that is planned for a call can hit it before or after it commits.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use cloudnestle_mock_server::store::{Item, Key, Memory, Query, Store, StoreError, Write};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::fault::Where;
use crate::world::World;

pub(crate) struct SimStore {
    facts: Memory,
    /// The names of everything that was ever written.
    names: Mutex<BTreeSet<Key>>,
    world: Weak<World>,
}

impl SimStore {
    pub(crate) fn new(world: Weak<World>) -> SimStore {
        SimStore { facts: Memory::new(), names: Mutex::default(), world }
    }

    /// Everything there is.
    pub(crate) async fn items(&self) -> Vec<Item> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut items = Vec::with_capacity(names.len());
        for name in names {
            items.extend(self.facts.get(name).await.ok().flatten());
        }
        items
    }

    fn wait(&self) -> BoxFuture<'static, ()> {
        match self.world.upgrade() {
            Some(world) => world.medium(),
            None => std::future::ready(()).boxed(),
        }
    }
}

impl Store for SimStore {
    fn get(&self, key: Key) -> BoxFuture<'_, Result<Option<Item>, StoreError>> {
        let wait = self.wait();
        async move {
            wait.await;
            self.facts.get(key).await
        }
        .boxed()
    }

    fn query(&self, query: Query) -> BoxFuture<'_, Result<Vec<Item>, StoreError>> {
        let wait = self.wait();
        async move {
            wait.await;
            self.facts.query(query).await
        }
        .boxed()
    }

    fn commit(&self, writes: Vec<Write>) -> BoxFuture<'_, Result<(), StoreError>> {
        // Whose commit this is, is known while the call is polled.
        let Some(world) = self.world.upgrade() else { return self.facts.commit(writes) };
        let (call, wait, answer) = (world.call_in_hand(), self.wait(), self.wait());
        async move {
            wait.await;
            reach(&world, call.as_ref(), Where::BeforeCommit).await;
            self.facts.commit(writes.clone()).await?;
            world.saw_commit(call.as_deref(), &writes);
            let written = writes.into_iter().map(|write| write.key().clone());
            self.names.lock().unwrap_or_else(PoisonError::into_inner).extend(written);
            reach(&world, call.as_ref(), Where::AfterCommit).await;
            answer.await;
            Ok(())
        }
        .boxed()
    }

    fn turn(&self) -> &tokio::sync::Mutex<()> {
        self.facts.turn()
    }
}

async fn reach(world: &Arc<World>, call: Option<&Arc<crate::call::Call>>, place: Where) {
    if let Some(call) = call {
        call.reaches(world, place).await;
    }
}
