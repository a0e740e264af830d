//! A browser: tabs, and the log that they share, each of whose operations takes its time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fastrand::Rng;
use futures_channel::oneshot;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Deserialize;

use crate::events::Events;
use crate::host::sim::{Network, SimHost, Simulation};
use crate::host::{
    Algorithm, Files, Host, LogError, LogPart, LogResult, MemoryLog, PlatformLog, Request,
    Response, SendError, SendStage,
};
use crate::model::{Code, EventResult, EventStatus, Timestamp, TrackUsageResult};
use crate::usage::limits::{Durability, SpoolLimits};
use crate::usage::spool::{Keeps, SharedSpool};
use crate::usage::{Receipt, UsageTracker, alone};

/// The longest that a part of an operation takes.
const WHILE: Duration = Duration::from_millis(40);

/// What outlives the tabs.
#[derive(Clone, Default)]
pub(super) struct Browser {
    pub(super) log: Arc<Mutex<Option<MemoryLog>>>,
    /// For so many records there is room in one transaction.
    pub(super) room: Arc<AtomicUsize>,
    /// So many of the next transactions that write are given up, as a browser does that has closed the connection.
    pub(super) aborts: Arc<AtomicUsize>,
    /// How much longer than usual a transaction takes to begin, in milliseconds.
    pub(super) delay: Arc<AtomicU64>,
    /// Nothing can be kept, as in a window that leaves no traces.
    pub(super) private: Arc<AtomicBool>,
    pub(super) market: Market,
}

impl Browser {
    pub(super) fn new() -> Self {
        let room = Arc::new(AtomicUsize::new(usize::MAX));
        Browser { room, ..Browser::default() }
    }

    pub(super) fn tab(&self, simulation: &Simulation) -> Tab {
        self.tab_with(simulation, SpoolLimits::default(), Durability::Fast)
    }

    pub(super) fn tab_with(
        &self,
        simulation: &Simulation,
        limits: SpoolLimits,
        durability: Durability,
    ) -> Tab {
        let offline = Arc::new(AtomicBool::new(false));
        let network = self.market.network(simulation, offline.clone());
        let sim = SimHost::new(simulation, None, network);
        let host = Arc::new(TabHost { sim: sim.clone(), browser: self.clone() });
        let keeps = match durability {
            Durability::Fast => Keeps::Somewhere,
            Durability::Durable => Keeps::OnPlatform,
        };
        let spool = SharedSpool::named(host.clone(), "principal".to_owned(), limits, keeps);
        let (tracker, events) = alone::tracker_of(spool, host, "http://sim", durability);
        Tab { sim, offline, tracker, events }
    }

    /// The log, as it is kept.
    pub(super) fn kept(&self) -> LogPart {
        let log = self.log.lock().unwrap().clone().expect("somebody has used it");
        log.read(0, usize::MAX, usize::MAX).now_or_never().unwrap().unwrap()
    }
}

pub(super) struct Tab {
    pub(super) sim: Arc<SimHost>,
    pub(super) offline: Arc<AtomicBool>,
    pub(super) tracker: UsageTracker,
    pub(super) events: Events,
}

impl Tab {
    pub(super) async fn track(&self) -> crate::Result<Receipt> {
        alone::track(&self.tracker, &*self.sim).await
    }

    pub(super) fn go_offline(&self) {
        self.offline.store(true, Ordering::Relaxed);
    }

    pub(super) async fn wait(&self, millis: u64) {
        self.sim.sleep(Duration::from_millis(millis)).await;
    }
}

struct TabHost {
    sim: Arc<SimHost>,
    browser: Browser,
}

impl Host for TabHost {
    fn wall(&self) -> Timestamp {
        self.sim.wall()
    }
    fn monotonic(&self) -> Duration {
        self.sim.monotonic()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.sim.sleep(duration)
    }
    fn random(&self, bytes: &mut [u8]) {
        self.sim.random(bytes);
    }
    fn send(&self, request: Request) -> BoxFuture<'static, Result<Response, SendError>> {
        self.sim.send(request)
    }
    fn verify<'a>(
        &'a self,
        algorithm: Algorithm,
        key: &'a [u8],
        data: &'a [u8],
        signature: &'a [u8],
    ) -> BoxFuture<'a, Option<bool>> {
        self.sim.verify(algorithm, key, data, signature)
    }
    fn files(&self) -> Option<Arc<dyn Files>> {
        None
    }
    fn log(&self, _: &str, producer: &str) -> Option<Arc<dyn PlatformLog>> {
        let (sim, browser) = (self.sim.clone(), self.browser.clone());
        let (producer, found) = (producer.to_owned(), Arc::default());
        Some(Arc::new(TabLog { sim, browser, producer, found }))
    }
    fn state_dir(&self) -> Option<PathBuf> {
        None
    }
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.sim.spawn(task);
    }
}

/// A tab's way to the log: each transaction begins some time later than it is asked for, and is answered
/// some time later than it is done.
struct TabLog {
    sim: Arc<SimHost>,
    browser: Browser,
    producer: String,
    /// Whose log was there, so that it is not begun.
    found: Arc<Mutex<Option<String>>>,
}

impl TabLog {
    fn transaction<T: Send + 'static>(
        &self,
        records: usize,
        work: impl FnOnce(&MemoryLog) -> BoxFuture<'static, LogResult<T>> + Send + 'static,
    ) -> BoxFuture<'static, LogResult<T>> {
        let (sim, browser) = (self.sim.clone(), self.browser.clone());
        let (producer, found) = (self.producer.clone(), self.found.clone());
        let transaction = async move {
            let delay = Duration::from_millis(browser.delay.load(Ordering::Relaxed));
            sim.sleep(some_time(&*sim) + delay).await;
            let mut aborts = browser.aborts.load(Ordering::Relaxed);
            aborts = aborts.saturating_sub(usize::from(records > 0));
            let is_aborted = browser.aborts.swap(aborts, Ordering::Relaxed) > aborts;
            let refusal = match () {
                () if is_aborted => Some(false),
                () if browser.private.load(Ordering::Relaxed) => Some(false),
                () if records > browser.room.load(Ordering::Relaxed) => Some(true),
                () => None,
            };
            if let Some(is_full) = refusal {
                return Err(LogError { is_full, words: "refused".to_owned() });
            }
            let log = {
                let (mut log, mut found) = (browser.log.lock().unwrap(), found.lock().unwrap());
                let there = log.as_ref().map(producer_of);
                if found.is_some() && *found != there {
                    let words = "the log was removed".to_owned();
                    return Err(LogError { is_full: false, words });
                }
                *found = there.or(Some(producer.clone()));
                log.get_or_insert_with(|| MemoryLog::new(producer)).clone()
            };
            let done = work(&log).now_or_never().expect("memory is quick");
            sim.sleep(some_time(&*sim)).await;
            done
        };
        // Whoever waits no more: it is the browser's affair then, unless the tab goes.
        let (answer, answered) = oneshot::channel();
        self.sim.spawn(transaction.map(|done| drop(answer.send(done))).boxed());
        answered.map(|done| done.expect("the tab is there")).boxed()
    }
}

fn producer_of(log: &MemoryLog) -> String {
    log.read(0, 1, 1).now_or_never().unwrap().unwrap().producer
}

fn some_time(host: &dyn Host) -> Duration {
    let mut random = [0; 8];
    host.random(&mut random);
    let mut chance = Rng::with_seed(u64::from_le_bytes(random));
    Duration::from_micros(chance.u64(..WHILE.as_micros() as u64))
}

impl PlatformLog for TabLog {
    fn append(&self, records: Vec<String>, skip: u64) -> BoxFuture<'static, LogResult<u64>> {
        self.transaction(records.len(), move |log| log.append(records, skip))
    }
    fn read(
        &self,
        after: u64,
        records: usize,
        bytes: usize,
    ) -> BoxFuture<'static, LogResult<LogPart>> {
        self.transaction(0, move |log| log.read(after, records, bytes))
    }
    fn settle(
        &self,
        through: u64,
        refused: Vec<(u64, String)>,
    ) -> BoxFuture<'static, LogResult<()>> {
        self.transaction(0, move |log| log.settle(through, refused))
    }
    fn reopen(&self, fence: u64) -> BoxFuture<'static, LogResult<()>> {
        self.transaction(0, move |log| log.reopen(fence))
    }
    fn remove(&self, through: u64) -> BoxFuture<'static, LogResult<()>> {
        self.transaction(0, move |log| log.remove(through))
    }
    fn forget(&self, numbers: Vec<u64>) -> BoxFuture<'static, LogResult<()>> {
        self.transaction(0, move |log| log.forget(numbers))
    }
}

/// A marketplace that remembers what it has answered, as the real one does.
#[derive(Clone, Default)]
pub(super) struct Market(Arc<Mutex<Books>>);

#[derive(Default)]
pub(super) struct Books {
    /// What is new is rejected.
    pub(super) rejects: bool,
    /// Of so many requests, one is lost on its way, or its answer is.
    pub(super) mishap_of: Option<u8>,
    producers: BTreeMap<String, Vec<EventResult>>,
    /// The events that count, by their ids; those that were replayed, by the key they have from then on.
    pub(super) counted: BTreeSet<String>,
    pub(super) lost: u64,
}

#[derive(Deserialize)]
struct Sent {
    producer: String,
    epoch: u64,
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    number: u64,
    through: Option<u64>,
    event: Option<Tracked>,
}

#[derive(Deserialize)]
struct Tracked {
    id: String,
    /// Of events with the same one, the first counts.
    idempotency_key: Option<String>,
}

impl Market {
    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap()
    }

    fn network(&self, simulation: &Simulation, offline: Arc<AtomicBool>) -> Network {
        let here = SimHost::new(simulation, None, crate::host::sim::no_network());
        let market = self.clone();
        Arc::new(move |request| {
            let (market, here, offline) = (market.clone(), here.clone(), offline.clone());
            async move {
                here.sleep(some_time(&*here)).await;
                let mut chance = [0; 2];
                here.random(&mut chance);
                let mishap = market.books().mishap_of;
                let happens = |byte: u8| mishap.is_some_and(|of| byte.is_multiple_of(of));
                if offline.load(Ordering::Relaxed) || happens(chance[0]) {
                    return Err(SendError::new(SendStage::Connect, "nobody answers"));
                }
                let answer = market.books().answer(&request);
                here.sleep(some_time(&*here)).await;
                match happens(chance[1]) {
                    true => Err(SendError::new(SendStage::Answer, "the answer is lost")),
                    false => Ok(answer),
                }
            }
            .boxed()
        })
    }
}

impl Books {
    /// Forgets everything that came after that number, as from a backup.
    pub(super) fn set_back(&mut self, number: usize) {
        self.producers.values_mut().for_each(|told| told.truncate(number));
    }

    fn answer(&mut self, request: &Request) -> Response {
        let Sent { producer, epoch, items } =
            serde_json::from_slice(&request.body).expect("a range");
        assert_eq!(epoch, 0, "nobody takes over a log that is everybody's");
        let known = self.producers.entry(producer).or_default();
        let mut results = Vec::new();
        for Item { number, through, event } in items {
            for number in number..=through.unwrap_or(number) {
                let fence = known.len() as u64;
                if number > fence + 1 {
                    let body =
                        format!(r#"{{"code":"{}","fence":{fence}}}"#, Code::SequenceGap.as_str());
                    let headers = Vec::new();
                    return Response { status: 409, headers, body: body.into_bytes() };
                }
                if number <= fence {
                    let mut told = known[number as usize - 1].clone();
                    if told.status == EventStatus::Accepted {
                        told.status = EventStatus::Duplicate;
                    }
                    results.push(told);
                    continue;
                }
                let (status, code) = match &event {
                    None => (EventStatus::Lost, None),
                    Some(_) if self.rejects => (EventStatus::Rejected, Some(Code::ActionUnknown)),
                    Some(Tracked { idempotency_key: Some(key), .. })
                        if self.counted.contains(key) =>
                    {
                        (EventStatus::Duplicate, None)
                    }
                    Some(_) => (EventStatus::Accepted, None),
                };
                match (status, &event) {
                    (EventStatus::Accepted, Some(event)) => {
                        let name = event.idempotency_key.as_ref().unwrap_or(&event.id);
                        assert!(self.counted.insert(name.clone()), "counted twice");
                    }
                    (EventStatus::Lost, _) => self.lost += 1,
                    _ => {}
                }
                known.push(EventResult { number: Some(number), through: None, status, code });
                results.push(known[number as usize - 1].clone());
            }
        }
        let result =
            TrackUsageResult { fence: Some(known.len() as u64), results, quotas: Vec::new() };
        let body = serde_json::to_vec(&result).expect("it has a form in JSON");
        Response { status: 200, headers: Vec::new(), body }
    }
}
