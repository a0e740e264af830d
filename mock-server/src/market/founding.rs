//! The founding of a marketplace: its first facts, written into an empty store.

use serde::{Deserialize, Serialize};
use serde_json::{Value, to_value};

use crate::StartError;
use crate::domain::credential::Hash;
use crate::domain::founding::Founding;
use crate::domain::keys::{KeySeeds, Keys};
use crate::facts::{self, ApiKey, KeyOfSolution};
use crate::store::{Key, MAX_WRITES, Store, StoreError, transact};

/// What a marketplace was founded with: whom to show on its first page.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Founded {
    pub solutions: Vec<String>,
    pub customers: Vec<String>,
    /// Of the file it was read from, if it is not the built-in world.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<String>,
}

/// Writes it. The keys come last: a store without keys is not founded yet, and whoever died while
/// founding begins again.
pub(super) async fn found(
    store: &dyn Store,
    seeds: &KeySeeds,
    founding: &Founding,
    seed: Option<String>,
) -> Result<Founded, StartError> {
    let keys = Keys::open(seeds).ok_or(StartError::DamagedKeys)?;
    let facts =
        facts_of(founding, &keys).map_err(|_| StoreError::Refused("a fact can't be written"))?;
    for some in facts.chunks(MAX_WRITES) {
        transact(store, async |tx| some.iter().try_for_each(|(key, fact)| tx.put(key, fact)))
            .await?;
    }
    let founded = Founded {
        solutions: founding.solutions.iter().map(|solution| solution.id.clone()).collect(),
        customers: founding.customers.iter().map(|customer| customer.id.clone()).collect(),
        seed,
    };
    transact(store, async |tx| {
        tx.put(&facts::founded(), &founded)?;
        tx.put(&facts::keys(), seeds)?;
        Ok::<_, StartError>(())
    })
    .await?;
    Ok(founded)
}

/// Every fact of it, as JSON, and its name.
fn facts_of(founding: &Founding, keys: &Keys) -> serde_json::Result<Vec<(Key, Value)>> {
    let mut facts = Vec::new();
    for solution in &founding.solutions {
        let id = &solution.id;
        facts.push((facts::solution(id), to_value(solution)?));
        let secret = Hash::of(&keys.test_secret_key(id));
        let of_solution = to_value(KeyOfSolution { hash: secret })?;
        facts.push((facts::key_of_solution(id, &secret), of_solution));
        for key in [keys.test_secret_key(id), keys.test_publishable_key(id)] {
            let hash = Hash::of(&key);
            let key = ApiKey { hash, solution_id: id.clone(), expires_at: None };
            facts.push((facts::api_key(&hash), to_value(key)?));
        }
    }
    for customer in &founding.customers {
        facts.push((facts::customer(&customer.id), to_value(customer)?));
    }
    for (email, account) in &founding.accounts {
        facts.push((facts::account(email), to_value(account)?));
    }
    for own in &founding.subscriptions {
        facts.push((facts::subscription(&own.customer_id, &own.solution_id), to_value(own)?));
    }
    Ok(facts)
}
