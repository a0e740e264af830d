//! The founding of a marketplace: its first facts, written into an empty store.

use cloudnestle_marketplace::model::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, to_value};

use super::Seed;
use crate::StartError;
use crate::domain::builtin::built_in;
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
    seed: Option<&Seed>,
    now: Timestamp,
) -> Result<Founded, StartError> {
    let (founded, facts) = first_facts(seeds, seed, now)?;
    for some in facts.chunks(MAX_WRITES) {
        transact(store, async |tx| some.iter().try_for_each(|(key, fact)| tx.put(key, fact)))
            .await?;
    }
    Ok(founded)
}

/// Everything that a marketplace begins with which is founded now: with the world of the seed, or else
/// with the built-in one.
pub(crate) fn first_facts(
    seeds: &KeySeeds,
    seed: Option<&Seed>,
    now: Timestamp,
) -> Result<(Founded, Vec<(Key, Value)>), StartError> {
    let keys = Keys::open(seeds).ok_or(StartError::DamagedKeys)?;
    let of_now = seed.is_none().then(|| built_in(now));
    let founding = seed.map(|seed| &seed.founding).or(of_now.as_ref());
    let founding = founding.ok_or(StoreError::Refused("a founding of nothing"))?;
    let founded = Founded {
        solutions: founding.solutions.iter().map(|solution| solution.id.clone()).collect(),
        customers: founding.customers.iter().map(|customer| customer.id.clone()).collect(),
        seed: seed.map(|seed| seed.fingerprint.clone()),
    };
    let facts = facts_of(founding, &keys, &founded, seeds);
    Ok((founded, facts.map_err(|_| StoreError::Refused("a fact can't be written"))?))
}

/// Every fact, as JSON, and its name.
fn facts_of(
    founding: &Founding,
    keys: &Keys,
    founded: &Founded,
    seeds: &KeySeeds,
) -> serde_json::Result<Vec<(Key, Value)>> {
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
    facts.push((facts::founded(), to_value(founded)?));
    facts.push((facts::keys(), to_value(seeds)?));
    Ok(facts)
}
