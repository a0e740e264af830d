//! One marketplace: its facts, its keys, its name and its world.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use cloudnestle_marketplace::model::{Secret, Tier, Timestamp};
use serde::Serialize;
use tokio::sync::Mutex;

use crate::StartError;
use crate::api::passwords::Passwords;
use crate::domain::account::Account;
use crate::domain::builtin::{BuiltIn, built_in, password};
use crate::domain::catalogue::{Customer, Solution};
use crate::domain::credential::Hash;
#[cfg(feature = "control")]
use crate::domain::credential::Kind;
use crate::domain::keys::{KeySeeds, Keys};
use crate::facts::{self, ApiKey};
use crate::store::{Store, Transaction, transact};
use crate::world::World;

/// A stretch of time in which the database is known to have been one and the same. A file may have
/// been replaced, or restored from a backup, while no server had it open, and nothing in it would
/// tell; so each opening begins another generation.
pub(crate) struct Generation {
    /// `gen_…`
    pub id: String,
    pub began_at: Timestamp,
}

/// What every request is answered from. There may be many in a process; they share nothing.
pub(crate) struct Market {
    pub store: Arc<dyn Store>,
    /// The turn of who brings the counters up to date.
    pub projecting: Mutex<()>,
    pub world: World,
    pub keys: Keys,
    pub passwords: Passwords,
    /// The URL the marketplace is known by: the `iss` of its tokens, to the letter.
    pub url: String,
    pub generation: Generation,
    /// Where it listens.
    pub address: SocketAddr,
    #[cfg(feature = "control")]
    pub control_token: Secret,
}

impl Market {
    /// Opens the marketplace a store holds, founding it if the store is empty.
    pub(crate) async fn open(
        store: Arc<dyn Store>,
        world: World,
        url: String,
        address: SocketAddr,
    ) -> Result<Market, StartError> {
        let now = world.now();
        let seeds = KeySeeds::new(|| world.random.bytes());
        let seeds = transact(&*store, async |tx| {
            if let Some(kept) = tx.get::<KeySeeds>(&facts::keys()).await? {
                return Ok(kept);
            }
            tx.put(&facts::keys(), &seeds)?;
            found(tx, &seeds, now)?;
            Ok::<_, StartError>(seeds.clone())
        })
        .await?;
        let keys = Keys::open(&seeds).ok_or(StartError::DamagedKeys)?;
        Ok(Market {
            #[cfg(feature = "control")]
            control_token: Kind::ControlToken.secret(world.random.bytes()),
            generation: Generation { id: world.id("gen"), began_at: now },
            store,
            projecting: Mutex::default(),
            world,
            keys,
            passwords: Passwords::default(),
            url,
            address,
        })
    }

    /// Lets the key that is published next sign from now on. Tokens of the last one stay good.
    #[cfg(feature = "control")]
    pub(crate) async fn rotate_signing_key(&self) -> Result<(), crate::store::StoreError> {
        use crate::store::StoreError;

        let (now, fresh) = (self.world.now(), self.world.random.bytes());
        let seeds = transact(&*self.store, async |tx| {
            let key = facts::keys();
            let kept = tx.get::<KeySeeds>(&key).await?;
            let mut seeds = kept.ok_or(StoreError::Refused("a market without keys"))?;
            seeds.signing.rotate(fresh, now);
            tx.put(&key, &seeds)?;
            Ok::<_, StoreError>(seeds)
        })
        .await?;
        self.keys.replace(&seeds.signing);
        Ok(())
    }

    /// The solutions of the built-in world.
    pub(crate) fn solutions(&self) -> Vec<SolutionInfo> {
        let info = |solution: Solution| SolutionInfo {
            secret_key: self.keys.test_secret_key(&solution.id),
            publishable_key: self.keys.test_publishable_key(&solution.id),
            id: solution.id,
            name: solution.name,
            time_zone: solution.time_zone,
        };
        built_in(self.world.now()).solutions.into_iter().map(info).collect()
    }

    /// The customers of the built-in world, as they were founded.
    pub(crate) fn customers(&self) -> Vec<CustomerInfo> {
        let BuiltIn { customers, subscriptions, .. } = built_in(self.world.now());
        let info = |customer: Customer| {
            let own = subscriptions.iter().filter(|own| own.customer_id == customer.id);
            let subscriptions = own.map(|own| (own.solution_id.clone(), own.tier)).collect();
            let email = customer.email.map(|email| email.as_str().to_owned());
            CustomerInfo { id: customer.id, name: customer.name, email, subscriptions }
        };
        customers.into_iter().map(info).collect()
    }
}

/// A solution of the built-in world.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[non_exhaustive]
pub struct SolutionInfo {
    /// `sol_…`
    pub id: String,
    /// Its name.
    pub name: String,
    /// The IANA time zone its quotas are counted in.
    pub time_zone: String,
    /// The key its backend calls the marketplace with.
    pub secret_key: Secret,
    /// The key its pages in browsers name it by. Not a secret.
    pub publishable_key: Secret,
}

/// A customer of the built-in world.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[non_exhaustive]
pub struct CustomerInfo {
    /// `cus_…`
    pub id: String,
    /// `None` for an anonymous visitor.
    pub name: Option<String>,
    /// The address to sign in with; the password is `cloudnestle-test`.
    pub email: Option<String>,
    /// The solutions the customer has subscribed to, and in which tier.
    pub subscriptions: BTreeMap<String, Tier>,
}

/// Writes the built-in world, with a secret key for each solution.
fn found(tx: &mut Transaction<'_>, seeds: &KeySeeds, now: Timestamp) -> Result<(), StartError> {
    let keys = Keys::open(seeds).ok_or(StartError::DamagedKeys)?;
    let world = built_in(now);
    for solution in &world.solutions {
        if let Some(flaw) = solution.flaw() {
            return Err(StartError::Catalogue(format!("{}: {flaw}", solution.id)));
        }
        tx.put(&facts::solution(&solution.id), solution)?;
        for key in [keys.test_secret_key(&solution.id), keys.test_publishable_key(&solution.id)] {
            let hash = Hash::of(&key);
            let api_key = ApiKey { hash, solution_id: solution.id.clone(), expires_at: None };
            tx.put(&facts::api_key(&hash), &api_key)?;
        }
    }
    for customer in &world.customers {
        tx.put(&facts::customer(&customer.id), customer)?;
        if let Some(email) = &customer.email {
            let account = Account { customer_id: customer.id.clone(), password: password() };
            tx.put(&facts::account(email), &account)?;
        }
    }
    for subscription in &world.subscriptions {
        let key = facts::subscription(&subscription.customer_id, &subscription.solution_id);
        tx.put(&key, subscription)?;
    }
    Ok(())
}
