//! Snapshots: all that a marketplace holds at one moment, to go back to, to begin another world from, or
//! to keep as a file.
//!
//! A snapshot is the facts, what the clock showed and how it went, and the place in the randomness: what
//! is done after going back has the ids it would have had. The fault plan, the limits and the journal are
//! the test's, and stay.

mod calls;
mod file;
mod shelf;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::Timestamp;

use crate::api::problem::Failure;
use crate::domain::keys::KeySeeds;
use crate::domain::signing::SigningKeys;
use crate::facts;
use crate::market::{Market, Seed, first_facts};
use crate::store::{Item, Value};
use crate::world::{Clock, Reading, World};

pub(super) use calls::{create, export, import, list, remove, reset, restore};
pub use file::SnapshotError;
pub(crate) use shelf::Shelf;

/// All that a marketplace held at one moment. Cheap to clone.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use cloudnestle_mock_server::{MockServer, NewWorld};
///
/// let server = MockServer::start().await?;
/// let before = server.snapshot().await?;
/// server.token_pair("cus_ravi", "sol_faiss_search").await?;
///
/// server.restore(&before).await?; // nobody has that token any more
/// let beside = server.create_world(NewWorld::from_snapshot(&before)).await?;
/// assert_eq!(beside.admin_key(), server.admin_key());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Snapshot(Arc<Kept>);

struct Kept {
    items: Arc<[Item]>,
    clock: Reading,
    /// Unless it came from a file: there it would be a place in another randomness.
    place: Option<u64>,
    bytes: usize,
}

impl Snapshot {
    fn new(items: Arc<[Item]>, clock: Reading, place: Option<u64>) -> Snapshot {
        let size = |item: &Item| {
            let value = match &item.value {
                Value::Bytes(bytes) => bytes.len(),
                Value::Number(_) => size_of::<i64>(),
            };
            size_of::<Item>() + item.key.partition.len() + item.key.sort.len() + value
        };
        let bytes = items.iter().map(size).sum();
        Snapshot(Arc::new(Kept { items, clock, place, bytes }))
    }

    /// What the clock showed.
    pub fn at(&self) -> Timestamp {
        self.0.clock.now
    }

    /// How many rows of its tables the marketplace had.
    pub fn rows(&self) -> usize {
        self.0.items.len()
    }

    /// The whole of it as a file: NDJSON, a line that says what it is and then one for each row.
    ///
    /// Whoever has it has the marketplace's keys. It is for tests; keep it as you would keep those.
    pub fn to_file(&self) -> Vec<u8> {
        file::write(self)
    }

    /// Reads what [`to_file`](Self::to_file) wrote, here or elsewhere.
    ///
    /// # Errors
    /// If it is something else, was written by a newer program, or is not whole.
    pub fn from_file(file: &[u8]) -> Result<Snapshot, SnapshotError> {
        file::read(file)
    }

    pub(super) fn clock(&self) -> Reading {
        self.0.clock
    }

    pub(super) fn items(&self) -> Arc<[Item]> {
        self.0.items.clone()
    }

    /// As much memory as it takes, where it shares nothing.
    fn bytes(&self) -> usize {
        self.0.bytes
    }
}

/// Says which moment it is of, and nothing of what was kept then.
impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot({} rows, at {})", self.rows(), self.at())
    }
}

/// What a marketplace goes back to when it is reset.
pub(crate) struct Beginning {
    /// As its clock was made; `None` if it went as the machine's does.
    pub clock: Option<Reading>,
    pub place: u64,
    pub origin: Origin,
    /// The file that the database says it was founded with.
    pub founded_with: Option<String>,
    pub seeds: KeySeeds,
}

/// What a marketplace came from.
pub(crate) enum Origin {
    /// With the world of the seed, or else the built-in one.
    Founding(Option<Box<Seed>>),
    Snapshot(Snapshot),
}

impl Beginning {
    /// The clock of a world that nobody has used yet.
    pub(crate) fn clock_of(world: &World) -> Option<Reading> {
        let reading = world.clock.read();
        (reading.is_frozen || reading.offset_millis != 0).then_some(reading)
    }
}

/// The layer in which calls of the API wait while another state is put in place, and keep who wants to do
/// that waiting. A call finds one state, from its beginning to its end.
pub(crate) async fn layer(
    State(market): State<Arc<Market>>,
    request: Request,
    next: Next,
) -> Response {
    let _under_way = market.under_way.read().await;
    next.run(request).await
}

/// Takes a snapshot between calls: none is half done in it.
pub(super) async fn take(market: &Market) -> Result<Snapshot, Failure> {
    let _turn = market.agenda.turn.lock().await;
    let _quiet = market.under_way.write().await;
    let items = market.store.dump().await?;
    Ok(Snapshot::new(items.into(), market.world.clock.read(), Some(market.world.random.place())))
}

/// Puts what was kept in the place of what there is.
pub(super) async fn put_back(market: &Arc<Market>, snapshot: &Snapshot) -> Result<(), Failure> {
    let seeds = snapshot.keys()?;
    if !seeds.are_those_of(&market.beginning.seeds) {
        let detail = "The snapshot is of another marketplace, which has other keys: make a world \
                      from it, `POST /mock/worlds` with `from`.";
        return Err(Failure::new(Code::RequestInvalid, detail));
    }
    let Kept { items, clock, place, .. } = &*snapshot.0;
    let target = Target { items: items.clone(), seeds, clock: Some(*clock), place: *place };
    target.put_in_place(market.clone()).await
}

/// Lets a marketplace be as it was when it began: without usage, tokens and sessions, with the keys and
/// the clock that it had. Its faults, its limits' accounts and its journal are forgotten.
pub(super) async fn begin_anew(market: &Arc<Market>) -> Result<(), Failure> {
    let Beginning { clock, place, origin, founded_with, seeds } = &market.beginning;
    let (place, clock) = (Some(*place), *clock);
    let target = match origin {
        Origin::Snapshot(snapshot) => {
            let (items, seeds) = (snapshot.items(), snapshot.keys()?);
            Target { items, seeds, clock, place }
        }
        Origin::Founding(seed) => {
            if seed.as_ref().map(|seed| seed.fingerprint()) != founded_with.as_deref() {
                let detail = "The database was founded with a seed: start the server with it, so \
                              that it knows what to go back to.";
                return Err(Failure::new(Code::RequestInvalid, detail));
            }
            let now = clock.map_or_else(|| Clock::default().now(), |clock| clock.now);
            let items = first_items(seeds, seed.as_deref(), now)?;
            Target { items, seeds: seeds.clone(), clock, place }
        }
    };
    market.world.faults.clear();
    market.world.faults.set_outage(false);
    target.put_in_place(market.clone()).await?;
    market.world.journal.clear();
    Ok(())
}

/// The items of a marketplace that is founded now.
fn first_items(
    seeds: &KeySeeds,
    seed: Option<&Seed>,
    now: Timestamp,
) -> Result<Arc<[Item]>, Failure> {
    let (_, facts) =
        first_facts(seeds, seed, now).map_err(|it| Failure::internal(it.to_string()))?;
    let mut items: Vec<Item> = facts
        .into_iter()
        .map(|(key, fact)| Item {
            key,
            version: 1,
            value: Value::Bytes(fact.to_string().into_bytes().into()),
        })
        .collect();
    items.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(items.into())
}

impl Snapshot {
    pub(super) fn keys(&self) -> Result<KeySeeds, Failure> {
        let key = facts::keys();
        let keys = self.0.items.binary_search_by(|item| item.key.cmp(&key)).ok();
        let keys = keys.and_then(|at| match &self.0.items[at].value {
            Value::Bytes(bytes) => serde_json::from_slice(bytes).ok(),
            Value::Number(_) => None,
        });
        keys.ok_or_else(|| Failure::new(Code::RequestInvalid, "The snapshot has no keys."))
    }
}

/// All that is put in the place of what there is.
struct Target {
    items: Arc<[Item]>,
    seeds: KeySeeds,
    clock: Option<Reading>,
    place: Option<u64>,
}

impl Target {
    /// In a task of its own: a caller who leaves half-way leaves it whole.
    async fn put_in_place(self, market: Arc<Market>) -> Result<(), Failure> {
        let put = tokio::spawn(async move { self.put(&market).await });
        put.await.map_err(|_| Failure::internal("putting a state in place panicked"))?
    }

    async fn put(self, market: &Market) -> Result<(), Failure> {
        let signing = SigningKeys::open(&self.seeds.signing)
            .ok_or_else(|| Failure::internal("keys that can't be opened"))?;
        // In this order: who moves the clock may wait for calls, and no call waits for the agenda.
        let _turn = market.agenda.turn.lock().await;
        let _quiet = market.under_way.write().await;
        let _projecting = market.projecting.lock().await;
        market.store.replace(self.items).await?;
        let world = &market.world;
        let left_at = world.now();
        market.keys.replace(signing);
        world.clock.go_on_from(self.clock);
        if let Some(place) = self.place {
            world.random.go_on_from(place);
        }
        world.forget_callers();
        market.begin_generation(left_at.max(world.now()));
        market.agenda.alarm.ring();
        Ok(())
    }
}
