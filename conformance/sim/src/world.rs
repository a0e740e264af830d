//! What everything in a story shares: chance, the weather, the trace, the marketplace and the books of
//! whoever watches. All of it comes of one seed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cloudnestle_marketplace::host::Host;
use cloudnestle_marketplace::host::sim::{SimHost, Simulation, no_network};
use cloudnestle_mock_server::store::Write;
use fastrand::Rng;
use futures_channel::oneshot;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, ready, select};

use crate::call::Call;
use crate::fault::{Coverage, Fault, When, Where};
use crate::network::Link;
use crate::oracle::Oracle;
use crate::people::People;
use crate::scene::Scene;
use crate::server::Server;
use crate::trace::Trace;

/// From the beginning of a simulation, 08:00 UTC, to when the day ends in Asia/Kolkata, where the solutions'
/// quotas are counted: some stories begin a little before.
const TO_MIDNIGHT_MS: i64 = (10 * 60 + 30) * 60 * 1_000;

/// One world, in which one story happens.
pub(crate) struct World {
    /// Everywhere and nowhere: what tells true time, and carries what is between machines.
    pub(crate) ether: Arc<SimHost>,
    pub(crate) server: Server,
    chance: Mutex<Rng>,
    trace: Mutex<Trace>,
    coverage: Mutex<Coverage>,
    weather: Mutex<Weather>,
    oracle: Mutex<Oracle>,
    people: Mutex<People>,
    /// Those that are under way.
    calls: Mutex<BTreeMap<u64, Arc<Call>>>,
    names_of_calls: Mutex<u64>,
    in_hand: Mutex<Option<Arc<Call>>>,
    ambush: Mutex<Option<Ambush>>,
    /// Of every program there was.
    links: Mutex<Vec<Arc<Link>>>,
    /// How far every clock is ahead of the simulation's, in milliseconds.
    pub(crate) ahead_ms: i64,
}

/// Which call somebody waits for.
enum Prey {
    Any,
    /// One that asks about a token.
    Question,
    /// One that reads the revocation feed, for that program.
    Feed(String),
}

/// Somebody waits for a call to be at a place.
struct Ambush {
    place: Where,
    prey: Prey,
    /// How long it is held there, in milliseconds.
    holds: u64,
    told: oneshot::Sender<Arc<Call>>,
}

/// How the world is for now.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    pub(crate) when: When,
    /// Of a thousand calls, so many are hit.
    pub(crate) rough: u32,
    /// Of an outage, how nobody is reached.
    pub(crate) outage: Option<Outage>,
    /// Until when somebody on the way says 429.
    pub(crate) storm_until: Duration,
    /// When everybody comes at the same moment, to a store that makes them wait.
    pub(crate) rush: Option<(Duration, Duration)>,
    /// The store makes people wait.
    pub(crate) slow_medium: bool,
    /// Nothing fails any more, and nobody who died is replaced.
    pub(crate) is_over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outage {
    Refused,
    Silent,
    Broken,
    /// Broken, for most.
    Patchy,
}

impl World {
    pub(crate) fn new(simulation: &Simulation, seed: u64, is_shown: bool) -> Arc<World> {
        let ether = SimHost::new(simulation, None, no_network());
        let mut chance = Rng::with_seed(seed);
        let ahead_ms = if chance.u8(..3) == 0 { TO_MIDNIGHT_MS - chance.i64(0..15_000) } else { 0 };
        Arc::new_cyclic(|world| World {
            server: Server::new(world.clone(), &ether, ahead_ms, &mut chance),
            ahead_ms,
            ether,
            trace: Mutex::new(Trace::new(is_shown)),
            coverage: Mutex::default(),
            weather: Mutex::new(Weather {
                when: When::Steady,
                rough: 0,
                outage: None,
                storm_until: Duration::ZERO,
                rush: None,
                slow_medium: false,
                is_over: false,
            }),
            oracle: Mutex::default(),
            people: Mutex::default(),
            calls: Mutex::default(),
            names_of_calls: Mutex::default(),
            in_hand: Mutex::default(),
            ambush: Mutex::default(),
            links: Mutex::default(),
            chance: Mutex::new(chance),
        })
    }

    /// True time.
    pub(crate) fn now(&self) -> Duration {
        self.ether.monotonic()
    }

    pub(crate) async fn sleep_ms(&self, millis: u64) {
        self.ether.sleep(Duration::from_millis(millis)).await;
    }

    pub(crate) fn chance(&self) -> MutexGuard<'_, Rng> {
        locked(&self.chance)
    }

    /// A number from `least` to before `end`.
    pub(crate) fn between(&self, least: u64, end: u64) -> u64 {
        self.chance().u64(least..end)
    }

    pub(crate) fn one_in(&self, many: u64) -> bool {
        self.chance().u64(..many) == 0
    }

    pub(crate) fn weather(&self) -> MutexGuard<'_, Weather> {
        locked(&self.weather)
    }

    pub(crate) fn oracle(&self) -> MutexGuard<'_, Oracle> {
        locked(&self.oracle)
    }

    pub(crate) fn people(&self) -> MutexGuard<'_, People> {
        locked(&self.people)
    }

    pub(crate) fn coverage(&self) -> Coverage {
        locked(&self.coverage).clone()
    }

    pub(crate) fn note(&self, who: &str, what: fmt::Arguments<'_>) {
        locked(&self.trace).note(self.now(), who, what);
    }

    pub(crate) fn hash(&self) -> u64 {
        locked(&self.trace).hash()
    }

    /// Something happened that must not.
    pub(crate) fn violated(&self, what: impl Into<String>) {
        let what = what.into();
        self.note("VIOLATED", format_args!("{what}"));
        self.oracle().violations.push(what);
    }

    /// Something happened, and went well.
    pub(crate) fn happened(&self, scene: Scene, what: fmt::Arguments<'_>) {
        self.note("scene", format_args!("{scene}: {what}"));
        locked(&self.coverage).happened(scene);
    }

    /// A program that begins.
    pub(crate) fn knows(&self, link: &Arc<Link>) {
        locked(&self.links).push(link.clone());
    }

    /// What kinds of time it is: a program may be closing in an outage.
    pub(crate) fn phases(&self) -> Vec<When> {
        let closes = locked(&self.links).iter().any(|link| link.closes());
        [self.weather().when].into_iter().chain(closes.then_some(When::Close)).collect()
    }

    /// A fault has hit a call in the server, now.
    pub(crate) fn fired(&self, fault: Fault, place: Where) {
        let phases = self.phases();
        let mut coverage = locked(&self.coverage);
        phases.into_iter().for_each(|when| coverage.count(fault, place, when));
    }

    /// Likewise, at a time that the caller knows better.
    pub(crate) fn fired_on(&self, call: &Call, fault: Fault, place: Where, when: When) {
        let Call { id, operation, .. } = call;
        self.note("network", format_args!("{id} {operation}: {fault} at {place:?}"));
        locked(&self.coverage).count(fault, place, when);
    }

    /// A fault has hit something else than a call: it counts for wherever calls are now.
    pub(crate) fn fired_at(&self, fault: Fault) {
        let mut places: Vec<Where> =
            locked(&self.calls).values().map(|call| call.place()).collect();
        places.sort_unstable();
        places.dedup();
        if places.is_empty() {
            places.push(Where::Idle);
        }
        let phases = self.phases();
        let mut coverage = locked(&self.coverage);
        for place in places {
            phases.iter().for_each(|when| coverage.count(fault, place, *when));
        }
    }

    /// A call that begins.
    pub(crate) fn begin_call(
        &self,
        from: &str,
        operation: String,
        about: Option<String>,
    ) -> Arc<Call> {
        let mut names = locked(&self.names_of_calls);
        *names += 1;
        let call = Arc::new(Call::new(*names, from.to_owned(), operation, about));
        locked(&self.calls).insert(*names, call.clone());
        call
    }

    pub(crate) fn end_call(&self, call: &Call) {
        locked(&self.calls).remove(&call.id);
    }

    pub(crate) fn take_in_hand(&self, call: Option<Arc<Call>>) {
        *locked(&self.in_hand) = call;
    }

    /// The call that the server works on at this very moment.
    pub(crate) fn call_in_hand(&self) -> Option<Arc<Call>> {
        locked(&self.in_hand).clone()
    }

    /// Waits until some call is at that place, and not for long.
    pub(crate) async fn ambush(&self, place: Where) -> Option<Arc<Call>> {
        self.lie_in_wait(place, Prey::Any, 3, 1_000).await
    }

    /// Waits until some call's answer about a token is on its way, and holds that up so long that others
    /// overtake it.
    pub(crate) async fn ambush_answer(&self) -> Option<Arc<Call>> {
        let holds = self.between(2_000, 4_500);
        self.lie_in_wait(Where::Answer, Prey::Question, holds, 1_000).await
    }

    /// Waits until a program reads the feed, which it does every 2 s, and the answer is on its way.
    pub(crate) async fn ambush_feed(&self, link: &Link) -> Option<Arc<Call>> {
        self.lie_in_wait(Where::Answer, Prey::Feed(link.name.clone()), 3, 3_000).await
    }

    async fn lie_in_wait(
        &self,
        place: Where,
        prey: Prey,
        holds: u64,
        patience_ms: u64,
    ) -> Option<Arc<Call>> {
        let (told, is_there) = oneshot::channel();
        *locked(&self.ambush) = Some(Ambush { place, prey, holds, told });
        let patience = self.ether.sleep(Duration::from_millis(patience_ms));
        let met = select(is_there, patience).await;
        locked(&self.ambush).take();
        match met {
            Either::Left((call, _)) => call.ok(),
            Either::Right(_) => None,
        }
    }

    /// A call is at a place. If somebody waits for that, it stays for a while.
    pub(crate) async fn passes(&self, call: &Arc<Call>, place: Where) {
        let awaited = locked(&self.ambush).take_if(|ambush| {
            let is_prey = match &ambush.prey {
                Prey::Any => true,
                Prey::Question => call.about.is_some(),
                Prey::Feed(whose) => {
                    call.operation == "GET /api/revocations" && call.from == *whose
                }
            };
            ambush.place == place && is_prey
        });
        if let Some(Ambush { holds, told, .. }) = awaited {
            // Whoever waited may have given it up.
            let _ = told.send(call.clone());
            self.sleep_ms(holds).await;
        }
    }

    /// Whether everybody comes at this moment.
    pub(crate) fn is_rushed(&self) -> bool {
        let now = self.now();
        self.weather().rush.is_some_and(|(from, until)| (from..until).contains(&now))
    }

    /// How long the store's medium takes.
    pub(crate) fn medium(&self) -> BoxFuture<'static, ()> {
        if !self.is_rushed() && (!self.weather().slow_medium || !self.one_in(3)) {
            return ready(()).boxed();
        }
        let micros = self.between(0, 3_000);
        self.ether.sleep(Duration::from_micros(micros)).boxed()
    }

    pub(crate) fn saw_commit(&self, call: Option<&Call>, writes: &[Write]) {
        let now = self.now();
        if let Some(call) = call {
            let (id, many) = (call.id, writes.len());
            self.note("store", format_args!("{id} commits {many} writes"));
        }
        self.oracle().saw_commit(now, call.map(|call| call.id), writes);
    }

    /// The server's process dies, wherever it is.
    pub(crate) fn server_dies(&self) {
        self.server.die();
    }
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
