//! One marketplace: its facts, its keys, its name and its world.

mod founding;
mod seed;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
#[cfg(feature = "control")]
use std::time::Duration;

#[cfg(feature = "control")]
use cloudnestle_marketplace::model::new_id;
use cloudnestle_marketplace::model::{Secret, Tier, Timestamp};
use serde::Serialize;
use tokio::sync::Mutex;

use crate::StartError;
use crate::agenda::{Agenda, Attended};
use crate::api::json::Bodies;
use crate::api::passwords::Passwords;
#[cfg(feature = "control")]
use crate::control::snapshots::{Beginning, Origin, Shelf};
#[cfg(feature = "control")]
use crate::control::worlds::Standing;
use crate::domain::catalogue::{Customer, Solution, Subscription};
#[cfg(feature = "control")]
use crate::domain::credential::Kind;
use crate::domain::keys::{KeySeeds, Keys};
#[cfg(feature = "control")]
use crate::domain::signing::SigningKeys;
use crate::facts;
use crate::store::{Decoded, Store, StoreError, transact};
use crate::world::World;

pub(crate) use founding::Founded;
#[cfg(feature = "control")]
pub(crate) use founding::first_facts;
use founding::found;
pub(crate) use seed::Seed;
#[cfg(feature = "control")]
pub(crate) use seed::SeedFile;

/// A stretch of time in which the database is known to have been one and the same. A file may have
/// been replaced, or restored from a backup, while no server had it open, and nothing in it would
/// tell; so each opening begins another generation.
pub(crate) struct Generation {
    /// `gen_…`
    pub id: String,
    pub began_at: Timestamp,
    /// How many there were before it, since the marketplace was opened.
    #[cfg(feature = "control")]
    before: u64,
}

/// What every request is answered from. There may be many in a process; they share nothing.
pub(crate) struct Market {
    pub store: Arc<dyn Store>,
    pub agenda: Agenda,
    catalogue: Decoded<Solution>,
    /// The turn of who brings the counters up to date.
    pub projecting: Mutex<()>,
    pub world: World,
    pub keys: Keys,
    pub passwords: Arc<Passwords>,
    /// What the bodies of calls may take of the memory.
    pub bodies: Arc<Bodies>,
    /// The URL the marketplace is known by: the `iss` of its tokens, to the letter.
    pub url: String,
    generation: RwLock<Arc<Generation>>,
    /// What it was founded with, as it was when the marketplace was opened.
    pub solutions: Vec<SolutionInfo>,
    pub customers: Vec<CustomerInfo>,
    /// Where it listens.
    pub address: SocketAddr,
    #[cfg(feature = "control")]
    pub control_token: Secret,
    #[cfg(feature = "control")]
    pub standing: Standing,
    /// Read by the calls of the API that are under way, written by who puts another state in their place.
    #[cfg(feature = "control")]
    pub under_way: tokio::sync::RwLock<()>,
    /// What it goes back to when it is reset.
    #[cfg(feature = "control")]
    pub beginning: Beginning,
    #[cfg(feature = "control")]
    pub snapshots: Shelf,
}

/// Where a marketplace is, and what it shares with the others of its server.
pub(crate) struct Site {
    pub url: String,
    pub address: SocketAddr,
    pub passwords: Arc<Passwords>,
    pub bodies: Arc<Bodies>,
    #[cfg(feature = "control")]
    pub standing: Standing,
}

impl Site {
    /// Of a server's own marketplace.
    pub(crate) fn new(url: String, address: SocketAddr) -> Site {
        Site {
            url,
            address,
            passwords: Arc::default(),
            bodies: Arc::default(),
            #[cfg(feature = "control")]
            standing: Standing::default(),
        }
    }
}

impl Market {
    /// Opens the marketplace a store holds. If the store is empty it is founded: with the world of
    /// the seed, or else with the built-in one.
    pub(crate) async fn open(
        store: Arc<dyn Store>,
        world: World,
        site: Site,
        seed: Option<Seed>,
    ) -> Result<Market, StartError> {
        let now = world.now();
        #[cfg(feature = "control")]
        let clock = Beginning::clock_of(&world);
        let kept = transact(&*store, async |tx| tx.peek::<KeySeeds>(&facts::keys()).await).await?;
        let (seeds, founded) = match kept {
            Some(seeds) => (seeds, founded_before(&*store, seed.as_ref()).await?),
            None => {
                let seeds = KeySeeds::new(|| world.random.bytes());
                let founded = found(&*store, &seeds, seed.as_ref(), now).await?;
                (seeds, founded)
            }
        };
        let keys = Keys::open(&seeds).ok_or(StartError::DamagedKeys)?;
        let (solutions, customers) = show(&*store, &keys, &founded).await?;
        let agenda = Agenda::default();
        let store = Arc::new(Attended::new(store, agenda.alarm.clone()));
        #[cfg(feature = "control")]
        let control_token = match &site.standing {
            Standing::Server(_) => Kind::ControlToken.secret(world.random.bytes()),
            Standing::Hosted { control_token, .. } => control_token.clone(),
        };
        let generation = Generation {
            id: world.id("gen"),
            began_at: now,
            #[cfg(feature = "control")]
            before: 0,
        };
        Ok(Market {
            #[cfg(feature = "control")]
            control_token,
            generation: RwLock::new(Arc::new(generation)),
            #[cfg(feature = "control")]
            beginning: Beginning {
                clock,
                place: world.random.place(),
                origin: Origin::Founding(seed.map(Box::new)),
                founded_with: founded.seed,
                seeds,
            },
            store,
            agenda,
            catalogue: Decoded::default(),
            projecting: Mutex::default(),
            world,
            keys,
            passwords: site.passwords,
            bodies: site.bodies,
            url: site.url,
            solutions,
            customers,
            address: site.address,
            #[cfg(feature = "control")]
            standing: site.standing,
            #[cfg(feature = "control")]
            under_way: tokio::sync::RwLock::default(),
            #[cfg(feature = "control")]
            snapshots: Shelf::default(),
        })
    }

    /// A solution, as it is listed now.
    pub(crate) async fn solution(&self, id: &str) -> Result<Option<Arc<Solution>>, StoreError> {
        self.catalogue.read(&*self.store, &facts::solution(id)).await
    }

    /// The one that has begun last.
    pub(crate) fn generation(&self) -> Arc<Generation> {
        self.generation.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets another generation begin when the clock shows, or showed before, more than `left_at`: a token
    /// of the last one was issued then at the latest, and only asking tells what is known of it.
    #[cfg(feature = "control")]
    pub(crate) fn begin_generation(&self, left_at: Timestamp) {
        let now = self.world.now();
        let mut generation = self.generation.write().unwrap_or_else(PoisonError::into_inner);
        let before = generation.before + 1;
        // Not drawn: what is drawn may be drawn again, and no generation has the id of another.
        let random = self.world.random.derived(format!("generation {before}").as_bytes());
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&random[..10]);
        let began_at = left_at.max(now) + Duration::from_secs(1);
        *generation = Arc::new(Generation { id: new_id("gen", now, bytes), began_at, before });
    }

    /// Lets the key that is published next sign from now on. Tokens of the last one stay good.
    #[cfg(feature = "control")]
    pub(crate) async fn rotate_signing_key(&self) -> Result<(), StoreError> {
        let (now, fresh) = (self.world.now(), self.world.random.bytes());
        let rotated = transact(&*self.store, async |tx| {
            let key = facts::keys();
            let kept = tx.get::<KeySeeds>(&key).await?;
            let mut seeds = kept.ok_or(StoreError::Refused("a market without keys"))?;
            seeds.signing.rotate(fresh, now);
            // Before they are kept: what is in the database is what this process signs with.
            let rotated = SigningKeys::open(&seeds.signing);
            let rotated = rotated.ok_or(StoreError::Refused("keys that can't be opened"))?;
            tx.put(&key, &seeds)?;
            Ok::<_, StoreError>(rotated)
        })
        .await?;
        self.keys.replace(rotated);
        Ok(())
    }
}

/// What an earlier start has founded. Another world than the caller wants is an error: it would be
/// missed where it is looked for, and much later.
async fn founded_before(store: &dyn Store, seed: Option<&Seed>) -> Result<Founded, StartError> {
    let founded = transact(store, async |tx| tx.peek::<Founded>(&facts::founded()).await).await?;
    let founded = founded.unwrap_or_default();
    match seed.map(|seed| &seed.fingerprint) {
        wanted if wanted.is_none() || wanted == founded.seed.as_ref() => Ok(founded),
        _ => Err(StartError::OtherSeed),
    }
}

/// What a marketplace was founded with, as it is now.
async fn show(
    store: &dyn Store,
    keys: &Keys,
    founded: &Founded,
) -> Result<(Vec<SolutionInfo>, Vec<CustomerInfo>), StartError> {
    transact(store, async |tx| {
        let mut solutions = Vec::new();
        for id in &founded.solutions {
            let solution: Option<Solution> = tx.peek(&facts::solution(id)).await?;
            solutions.extend(solution.map(|solution| SolutionInfo {
                secret_key: keys.test_secret_key(&solution.id),
                publishable_key: keys.test_publishable_key(&solution.id),
                id: solution.id,
                name: solution.name,
                time_zone: solution.time_zone,
                allowed_origins: solution.allowed_origins,
            }));
        }
        let mut customers = Vec::new();
        for id in &founded.customers {
            let Some(customer) = tx.peek::<Customer>(&facts::customer(id)).await? else { continue };
            let own = facts::subscriptions(id, "", founded.solutions.len());
            let own = tx.query::<Subscription>(own).await?.into_iter();
            customers.push(CustomerInfo {
                id: customer.id,
                name: customer.name,
                email: customer.email.map(|email| email.as_str().to_owned()),
                subscriptions: own.map(|(_, own)| (own.solution_id, own.tier)).collect(),
            });
        }
        Ok((solutions, customers))
    })
    .await
}

/// A solution the marketplace was founded with.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[non_exhaustive]
pub struct SolutionInfo {
    /// `sol_…`
    pub id: String,
    /// Its name.
    pub name: String,
    /// The IANA time zone its quotas are counted in.
    pub time_zone: String,
    /// Where its pages are, and its publishable key may be used.
    pub allowed_origins: Vec<String>,
    /// The key its backend calls the marketplace with.
    pub secret_key: Secret,
    /// The key its pages in browsers name it by. Not a secret.
    pub publishable_key: Secret,
}

/// A customer the marketplace was founded with.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[non_exhaustive]
pub struct CustomerInfo {
    /// `cus_…`
    pub id: String,
    /// `None` for an anonymous visitor.
    pub name: Option<String>,
    /// The address to sign in with; in the built-in world the password is `cloudnestle-test`.
    pub email: Option<String>,
    /// The solutions the customer has subscribed to, and in which tier.
    pub subscriptions: BTreeMap<String, Tier>,
}
