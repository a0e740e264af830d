//! Worlds beside the server's own: each a whole marketplace in memory, with keys, ids, a clock, a fault
//! plan and a journal that no other shares. So tests may run at the same time against one server and
//! notice nothing of each other.

mod calls;
mod naming;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use axum::Router;
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{Secret, Timestamp, is_id};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::snapshots::{Origin, Snapshot};
use crate::api::json;
use crate::api::problem::Failure;
use crate::api::routes::router;
use crate::domain::credential::{Hash, Kind, looks_secret};
use crate::market::{Market, Seed, SeedFile, Site};
use crate::store::{Memory, Store};
use crate::world::{Callers, World, check_settable};
use crate::{StartError, agenda};

pub(super) use calls::{create, list, remove};
pub(crate) use naming::{HEADER, world_of};

/// The most worlds of a server. Each takes some 120 KB (`cargo xtask bench --worlds`), and what is done in it.
const MAX_WORLDS: usize = 1_024;

/// What a world is like before it is made. What is not said is drawn, or as it is in the server's own.
///
/// ```
/// use cloudnestle_mock_server::NewWorld;
///
/// // Twice the same, wherever and whenever it runs.
/// let repeatable = NewWorld::default()
///     .id("wld_checkout")
///     .seed(7)
///     .now("2026-11-22T06:30:00Z".parse()?)
///     .frozen();
/// # let _ = repeatable;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewWorld {
    /// `wld_…`: letters, digits, `-` and `_`. Drawn unless given.
    id: Option<String>,
    /// What its ids and keys are made of, together with its own id. Drawn unless given.
    seed: Option<u64>,
    /// What its clock shows when it begins; this machine's time unless given.
    now: Option<Timestamp>,
    /// Whether its clock stands still until it is moved.
    frozen: bool,
    /// Who is in it, in the form of a seed file; the built-in world unless given.
    #[schema(value_type = Option<Object>)]
    founding: Option<serde_json::Value>,
    /// What it begins with, in place of a founding: a snapshot. It then has the keys that the snapshot has;
    /// its calls have to begin with its own `url`, or name it by `CloudNestle-World`.
    from: Option<KeptSnapshot>,
    #[serde(skip)]
    #[schema(ignore)]
    snapshot: Option<Snapshot>,
}

/// A snapshot by its id.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct KeptSnapshot {
    /// `snp_…`
    snapshot: String,
    /// The id of the world that keeps it; the server's own unless given.
    world: Option<String>,
}

impl NewWorld {
    /// Its id, `wld_…`, which is a part of its URL: letters, digits, `-` and `_`.
    pub fn id(mut self, id: impl Into<String>) -> NewWorld {
        self.id = Some(id.into());
        self
    }

    /// Makes its ids and keys of this number and its own id, and of nothing else.
    pub fn seed(mut self, seed: u64) -> NewWorld {
        self.seed = Some(seed);
        self
    }

    /// Lets its clock show this when it begins.
    pub fn now(mut self, now: Timestamp) -> NewWorld {
        self.now = Some(now);
        self
    }

    /// Lets its clock stand still until it is moved.
    pub fn frozen(mut self) -> NewWorld {
        self.frozen = true;
        self
    }

    /// Lets it begin with what a snapshot has in it: the same facts and keys, the same moment and, unless it
    /// has a seed of its own, ids that are drawn anew.
    pub fn from_snapshot(snapshot: &Snapshot) -> NewWorld {
        NewWorld { snapshot: Some(snapshot.clone()), ..NewWorld::default() }
    }

    /// Founds it with this, in the form of a seed file, in place of the built-in world.
    pub fn founding(mut self, founding: serde_json::Value) -> NewWorld {
        self.founding = Some(founding);
        self
    }
}

/// What a marketplace is in its server.
pub(crate) enum Standing {
    /// The server's own, with those that were made beside it.
    Server(Arc<Worlds>),
    /// One of those.
    Hosted {
        id: String,
        /// Its own.
        control_token: Secret,
        /// Which rules all worlds.
        server_token: Secret,
    },
}

impl Standing {
    /// Those beside the server's own world, for that world alone.
    pub(crate) fn worlds(&self) -> Option<&Arc<Worlds>> {
        match self {
            Standing::Server(worlds) => Some(worlds),
            Standing::Hosted { .. } => None,
        }
    }
}

impl Default for Standing {
    fn default() -> Standing {
        Standing::Server(Arc::default())
    }
}

/// The worlds of a server, beside its own.
#[derive(Default)]
pub(crate) struct Worlds {
    hosted: RwLock<BTreeMap<String, Hosted>>,
}

/// A world, and who answers its calls.
#[derive(Clone)]
struct Hosted {
    market: Arc<Market>,
    router: Router,
}

impl Worlds {
    /// Makes a world beside that of `server`.
    pub(crate) async fn create(
        &self,
        server: &Market,
        wanted: NewWorld,
    ) -> Result<Arc<Market>, Failure> {
        let id = wanted.id.unwrap_or_else(|| server.world.id("wld"));
        self.check(&id)?;
        let world = match wanted.seed {
            Some(seed) => World::seeded(&id, seed),
            None => World::real().map_err(|_| Failure::internal("no random bytes"))?,
        };
        let snapshot = match &wanted.from {
            Some(from) => Some(self.kept(server, from)?),
            None => wanted.snapshot,
        };
        if let Some(snapshot) = &snapshot {
            if wanted.founding.is_some() {
                let detail = "A world begins with a `founding`, or with what it is made `from`.";
                return Err(Failure::field("founding", detail));
            }
            world.clock.go_on_from(Some(snapshot.clock()));
        }
        if wanted.frozen {
            world.clock.freeze(true);
        }
        if let Some(now) = wanted.now {
            check_settable(now)?;
            world.clock.show(now);
        }
        for callers in Callers::ALL {
            world.rates.set(callers, server.world.rates.limit(callers), world.now());
        }
        let founding = wanted.founding.map(|founding| seed(founding, &world)).transpose()?;
        let site = Site {
            url: format!("{}{}{id}", server.url, naming::PREFIX),
            address: server.address,
            passwords: server.passwords.clone(),
            bodies: server.bodies.clone(),
            standing: Standing::Hosted {
                id: id.clone(),
                control_token: Kind::ControlToken.secret(server.world.random.bytes()),
                server_token: server.control_token.clone(),
            },
        };
        let store = Memory::new();
        if let Some(snapshot) = &snapshot {
            // Nobody's keys would be anybody's.
            snapshot.keys()?;
            store.replace(snapshot.items()).await?;
        }
        let market = Market::open(Arc::new(store), world, site, founding).await;
        let mut market = market.map_err(|error| match error {
            StartError::Store(error) => Failure::from(error),
            other => Failure::internal(other.to_string()),
        })?;
        if let Some(snapshot) = snapshot {
            market.beginning.origin = Origin::Snapshot(snapshot);
        }
        let market = Arc::new(market);
        agenda::attend(&market);
        let hosted = Hosted { market: market.clone(), router: router(market.clone()) };
        let mut worlds = self.write();
        // Somebody may have been faster.
        check(&worlds, &id)?;
        worlds.insert(id, hosted);
        Ok(market)
    }

    /// Forgets a world. Calls of it that are under way end in their own time.
    pub(crate) fn remove(&self, id: &str) -> bool {
        self.write().remove(id).is_some()
    }

    /// Forgets this very world, and no other that was made under its id since.
    pub(crate) fn forget(&self, market: &Arc<Market>) {
        self.write().retain(|_, hosted| !Arc::ptr_eq(&hosted.market, market));
    }

    fn check(&self, id: &str) -> Result<(), Failure> {
        check(&self.read(), id)
    }

    fn kept(&self, server: &Market, from: &KeptSnapshot) -> Result<Snapshot, Failure> {
        let found = match &from.world {
            None => server.snapshots.get(&from.snapshot),
            Some(id) => match self.read().get(id) {
                Some(hosted) => hosted.market.snapshots.get(&from.snapshot),
                None => return Err(Failure::field("from.world", "There is no world of that id.")),
            },
        };
        found.map_err(|_| Failure::field("from.snapshot", "There is no snapshot of that id."))
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Hosted>> {
        self.hosted.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Hosted>> {
        self.hosted.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who is to be in a world, of the `founding` of a call.
fn seed(founding: serde_json::Value, world: &World) -> Result<Seed, Failure> {
    let fingerprint = Hash::of(&Secret::new(founding.to_string())).index();
    let file: SeedFile = json::part("founding", founding)?;
    Seed::of(file, fingerprint, world).map_err(|flaw| {
        // It says which id is wrong, and that may be a secret in the wrong place.
        let mut words = flaw.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let flaw = if words.any(looks_secret) {
            "A secret is where an id belongs.".to_owned()
        } else {
            flaw
        };
        Failure::field("founding", flaw)
    })
}

/// Whether a world of that id can be made.
fn check(worlds: &BTreeMap<String, Hosted>, id: &str) -> Result<(), Failure> {
    if !is_id(id, "wld_") {
        return Err(Failure::field("id", "A world's id looks like `wld_checkout`."));
    }
    if worlds.contains_key(id) {
        return Err(Failure::field("id", "There is a world of that id: remove it first."));
    }
    if worlds.len() >= MAX_WORLDS {
        let detail = "There are 1,024 worlds: remove those that are not needed any more.";
        return Err(Failure::new(Code::RequestInvalid, detail));
    }
    Ok(())
}
