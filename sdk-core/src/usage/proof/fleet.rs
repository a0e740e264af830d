//! Trackers with all that is between them and a marketplace, in virtual time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fastrand::Rng;
use futures_util::FutureExt;
use futures_util::future::ready;
use serde::Deserialize;

use crate::host::sim::{Network, SimDisk, SimHost, Simulation};
use crate::host::{Host, Request, Response, SendError, SendStage};
use crate::model::{EventResult, EventStatus, TrackUsageResult};
use crate::usage::alone;
use crate::usage::limits::{Durability, SpoolLimits};
use crate::usage::{Receipt, UsageTracker};

/// How long a request is on its way, there and back.
const WAY: Duration = Duration::from_millis(20);

/// One SDK of many.
pub(super) struct Member {
    pub(super) host: Arc<SimHost>,
    pub(super) disk: SimDisk,
    pub(super) tracker: UsageTracker,
}

impl Member {
    pub(super) fn new(
        simulation: &Simulation,
        seed: u64,
        limits: SpoolLimits,
        marketplace: &Marketplace,
    ) -> Member {
        Member::on(SimDisk::new(seed), simulation, limits, marketplace)
    }

    /// A program on a machine that has others, perhaps.
    pub(super) fn on(
        disk: SimDisk,
        simulation: &Simulation,
        limits: SpoolLimits,
        marketplace: &Marketplace,
    ) -> Member {
        let network = marketplace.network(simulation);
        let host = SimHost::new(simulation, Some(disk.clone()), network);
        let any: Arc<dyn Host> = host.clone();
        let files = any.files().expect("it has a disk");
        let (tracker, _) = alone::tracker(any, files, "http://sim", Durability::Fast, limits);
        Member { host, disk, tracker }
    }

    pub(super) async fn track(&self) -> crate::Result<Receipt> {
        alone::track(&self.tracker, &*self.host).await
    }
}

/// A marketplace that keeps a fence for each producer, and an account of every second.
#[derive(Clone, Default)]
pub(super) struct Marketplace(Arc<Mutex<Books>>);

#[derive(Default)]
pub(super) struct Books {
    pub(super) down: bool,
    /// Until when it asks everybody to wait.
    pub(super) busy_until: Duration,
    fences: BTreeMap<String, u64>,
    pub(super) counted: u64,
    pub(super) lost: u64,
    /// How many requests came in each second.
    pub(super) requests: BTreeMap<u64, u64>,
}

#[derive(Deserialize)]
struct Sent {
    producer: String,
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    number: u64,
    through: Option<u64>,
    #[serde(default)]
    event: Option<serde::de::IgnoredAny>,
}

impl Marketplace {
    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap()
    }

    fn network(&self, simulation: &Simulation) -> Network {
        // A host of its own tells the marketplace the time.
        let here = SimHost::new(simulation, None, Arc::new(|_| ready(Err(nobody())).boxed()));
        let marketplace = self.clone();
        Arc::new(move |request| {
            let (marketplace, here) = (marketplace.clone(), here.clone());
            async move {
                here.sleep(WAY / 2).await;
                let answer = marketplace.answer(&request, here.monotonic());
                here.sleep(WAY / 2).await;
                answer
            }
            .boxed()
        })
    }

    fn answer(&self, request: &Request, now: Duration) -> Result<Response, SendError> {
        let mut books = self.books();
        *books.requests.entry(now.as_secs()).or_default() += 1;
        if books.down {
            return Err(nobody());
        }
        if now < books.busy_until {
            let wait = (books.busy_until - now).as_secs() + 1;
            let headers = vec![("retry-after".to_owned(), wait.to_string())];
            return Ok(Response { status: 429, headers, body: Vec::new() });
        }
        let Sent { producer, items } = serde_json::from_slice(&request.body).expect("a range");
        let mut fence = books.fences.get(&producer).copied().unwrap_or(0);
        let mut results = Vec::new();
        for Item { number, through, event } in items {
            let last = through.unwrap_or(number);
            let status = match (number > fence, event) {
                (false, _) => EventStatus::Duplicate,
                (true, Some(_)) => EventStatus::Accepted,
                (true, None) => EventStatus::Lost,
            };
            if number > fence {
                assert_eq!(number, fence + 1, "a gap that is not declared");
                fence = last;
                books.counted += u64::from(status == EventStatus::Accepted);
                books.lost += if status == EventStatus::Lost { last - number + 1 } else { 0 };
            }
            assert!(last <= fence, "this marketplace forgets no answer");
            results.push(EventResult { number: Some(number), through, status, code: None });
        }
        books.fences.insert(producer, fence);
        let result = TrackUsageResult { fence: Some(fence), results, quotas: Vec::new() };
        let body = serde_json::to_vec(&result).expect("it has a form in JSON");
        Ok(Response { status: 200, headers: Vec::new(), body })
    }
}

impl Books {
    /// The most requests of a second, of those from `first` to before `end`.
    pub(super) fn peak(&self, first: u64, end: u64) -> u64 {
        self.requests.range(first..end).map(|(_, requests)| *requests).max().unwrap_or(0)
    }

    /// The requests of a second, in the mean.
    pub(super) fn mean(&self, first: u64, end: u64) -> f64 {
        let requests: u64 = self.requests.range(first..end).map(|(_, requests)| requests).sum();
        requests as f64 / (end - first) as f64
    }
}

fn nobody() -> SendError {
    SendError::new(SendStage::Connect, "nobody answers")
}

/// How long it is to the next of events that come at `rate` a second, independently of each other.
pub(super) fn next_event(chance: &mut Rng, rate: f64) -> Duration {
    Duration::from_secs_f64(-(1.0 - chance.f64()).ln() / rate)
}
