//! A marketplace with one limit: what it grants, what it is told, and how it fails.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::ready;
use serde_json::{Value, json};

use crate::auth::User;
use crate::events::Events;

use crate::host::sim::{Network, SimDisk, SimHost, Simulation};
use crate::host::{Files, Host, Request, Response, SendError, SendStage};
use crate::model::{TakeLease, Tier};
use crate::usage::{Consumed, Durability, SpoolLimits, Usage, UsageTracker, alone};

/// How long a request is on its way, there and back.
pub(super) const WAY: Duration = Duration::from_millis(20);

/// How long a call may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

/// A program, and the disk it has its spool on.
pub(super) struct Program {
    pub(super) host: Arc<SimHost>,
    pub(super) disk: SimDisk,
    pub(super) tracker: UsageTracker,
    pub(super) events: Events,
}

impl Program {
    pub(super) fn begin(simulation: &Simulation, market: &Market, disk: SimDisk) -> Self {
        Program::with(simulation, market, disk, SpoolLimits::default())
    }

    pub(super) fn with(
        simulation: &Simulation,
        market: &Market,
        disk: SimDisk,
        limits: SpoolLimits,
    ) -> Self {
        let host = SimHost::new(simulation, Some(disk.clone()), market.network(simulation));
        let any: Arc<dyn Host> = host.clone();
        let files = any.files().expect("it has a disk");
        let (tracker, events) = alone::tracker(any, files, "http://sim", Durability::Fast, limits);
        Program { host, disk, tracker, events }
    }

    pub(super) async fn consume(&self, quantity: u64) -> crate::Result<Consumed> {
        self.consume_as(Usage::of("export").quantity(quantity)).await
    }

    pub(super) async fn consume_as(&self, usage: Usage) -> crate::Result<Consumed> {
        let user = User {
            customer_id: "cus_asha".to_owned(),
            tier: Tier::Pro,
            solution_id: "sol_x".to_owned(),
            token_id: "tok_x".to_owned(),
            expires_at: self.host.wall() + Duration::from_secs(3_600),
        };
        let until = self.host.monotonic() + DEADLINE;
        self.tracker.consume(&user, usage, until).await
    }

    pub(super) async fn pass(&self, seconds: u64) {
        self.host.sleep(Duration::from_secs(seconds)).await;
    }

    /// Dies, and leaves its disk to another.
    pub(super) fn die(self) -> SimDisk {
        let disk = self.disk.kill();
        self.host.kill();
        disk
    }

    /// How many folders of producers there are.
    pub(super) fn producers(&self) -> usize {
        let names = self.disk.list(&PathBuf::from("spool")).expect("the disk can be read");
        names.iter().filter(|name| name.starts_with("prd_")).count()
    }
}

#[derive(Clone)]
pub(super) struct Market(Arc<Mutex<Books>>);

pub(super) struct Books {
    pub(super) limit: u64,
    /// What is granted or used.
    pub(super) spent: u64,
    pub(super) ttl_ms: u64,
    /// The customer's tier has no hard limit, but another has: what is granted is kept, and has no end.
    pub(super) soft: bool,
    pub(super) when_offline: &'static str,
    pub(super) down: bool,
    pub(super) takes_no_usage: bool,
    has_another_past: bool,
    /// It will not have any event.
    pub(super) rejects: bool,
    /// What it says to who gives a lease back.
    pub(super) takes_back_with: Option<&'static str>,
    /// The last request for a lease.
    asked: Option<TakeLease>,
    /// So many of the next answers are lost, their requests having had their effect.
    pub(super) lose_answers: u64,
    /// What it says to who asks for a lease.
    pub(super) refuses: Option<&'static str>,
    /// Requests for leases take so much longer.
    pub(super) delay: Duration,
    /// Leases of an earlier owner stay charged for so many more calls.
    pub(super) open: u64,
    /// What it says to who ends a producer.
    pub(super) ends_with: Option<&'static str>,
    /// How many leases it gives back at a time when a producer ends.
    pub(super) page: usize,
    /// Its log was taken over.
    pub(super) superseded: Option<String>,
    /// By lease: its producer, and what is left of it.
    pub(super) leases: BTreeMap<String, (String, u64)>,
    fences: BTreeMap<String, u64>,
    pub(super) ended: Vec<Value>,
    /// Events that named no lease.
    pub(super) unleased: Vec<Value>,
    pub(super) used: u64,
    /// Every request, as `POST leases`.
    pub(super) saw: Vec<&'static str>,
}

impl Market {
    pub(super) fn with_limit(limit: u64) -> Self {
        Market(Arc::new(Mutex::new(Books {
            limit,
            spent: 0,
            ttl_ms: 300_000,
            soft: false,
            when_offline: "deny",
            down: false,
            takes_no_usage: false,
            has_another_past: false,
            rejects: false,
            takes_back_with: None,
            asked: None,
            lose_answers: 0,
            refuses: None,
            delay: Duration::ZERO,
            open: 0,
            ends_with: None,
            page: 1_000,
            superseded: None,
            leases: BTreeMap::new(),
            fences: BTreeMap::new(),
            ended: Vec::new(),
            unleased: Vec::new(),
            used: 0,
            saw: Vec::new(),
        })))
    }

    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().expect("no test holds it over a panic")
    }

    /// What is granted or used, and what is used.
    pub(super) fn spent_and_used(&self) -> (u64, u64) {
        let books = self.books();
        (books.spent, books.used)
    }

    /// How often it was asked this.
    pub(super) fn saw(&self, operation: &str) -> usize {
        self.books().saw.iter().filter(|saw| **saw == operation).count()
    }

    fn network(&self, simulation: &Simulation) -> Network {
        // A host of its own tells the marketplace the time.
        let here = SimHost::new(simulation, None, Arc::new(|_| ready(Err(nobody())).boxed()));
        let market = self.clone();
        Arc::new(move |request| {
            let (market, here) = (market.clone(), here.clone());
            async move {
                here.sleep(WAY / 2).await;
                let answer = market.books().answer(&request);
                let is_slow = request.url.ends_with("/leases");
                let delay = if is_slow { market.books().delay } else { Duration::ZERO };
                here.sleep(WAY / 2 + delay).await;
                answer
            }
            .boxed()
        })
    }
}

impl Books {
    /// It begins anew, and knows nothing of what was.
    pub(super) fn forget(&mut self) {
        self.has_another_past = true;
        (self.spent, self.used) = (0, 0);
        self.leases.clear();
        self.fences.clear();
    }

    fn answer(&mut self, request: &Request) -> Result<Response, SendError> {
        if self.down {
            return Err(nobody());
        }
        let body = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        let path = request.url.strip_prefix("http://sim").expect("it is asked here");
        let (operation, answer) = match (request.method, path) {
            ("POST", path) if path.ends_with("/leases") => {
                assert_eq!(path, "/api/quotas/cus_asha/sol_x/leases");
                let refused = self.refuses.filter(|_| self.lose_answers == 0);
                let granted =
                    || self.grant(&serde_json::from_value(body).expect("it asks for one"));
                ("POST leases", refused.map_or_else(granted, |code| json!({"code": code})))
            }
            ("DELETE", path) => match self.takes_back_with {
                Some(code) => ("DELETE lease", json!({"code": code})),
                None => ("DELETE lease", self.take_back(path)),
            },
            ("POST", "/api/track-usage") if self.takes_no_usage => {
                ("POST track-usage", json!({"code": "credential_invalid"}))
            }
            ("POST", "/api/track-usage") => ("POST track-usage", self.count(&body)),
            ("POST", _) => match self.ends_with {
                Some(code) => ("POST end", json!({"code": code})),
                None => ("POST end", self.end(path, body)),
            },
            other => panic!("nobody asks {other:?}"),
        };
        self.saw.push(operation);
        assert!(self.spent <= self.limit, "more is granted than the limit");
        if self.lose_answers > 0 {
            self.lose_answers -= 1;
            return Err(SendError::new(SendStage::Answer, "the answer is lost"));
        }
        let status = match answer["code"].as_str() {
            Some("epoch_superseded" | "lease_unsettled") => 409,
            Some("credential_invalid") => 401,
            Some("not_found") => 404,
            Some("rate_limited") => 429,
            Some("unavailable") => 503,
            _ => 200,
        };
        let body = serde_json::to_vec(&answer).expect("it has a form in JSON");
        Ok(Response { status, headers: Vec::new(), body })
    }

    /// The last request for a lease comes once more.
    pub(super) fn straggle(&mut self) {
        let asked = self.asked.take().expect("a lease was asked for");
        self.grant(&asked);
    }

    fn grant(&mut self, request: &TakeLease) -> Value {
        if self.superseded.as_ref() == Some(&request.producer) {
            return json!({"code": "epoch_superseded"});
        }
        self.asked = Some(request.clone());
        let available = self.limit - self.spent;
        let mut granted = request.wanted.min(available / 8).max(request.least);
        match self.leases.get(&request.id) {
            Some((_, left)) => granted = *left,
            None if self.soft => {
                self.leases.insert(request.id.clone(), (request.producer.clone(), 0));
            }
            None if available < granted => granted = 0,
            None => {
                self.spent += granted;
                self.leases.insert(request.id.clone(), (request.producer.clone(), granted));
            }
        }
        let quota = json!({
            "action": "export", "limit": self.limit, "used": self.used,
            "leased": self.spent.saturating_sub(self.used), "remaining": self.limit - self.spent,
            "window": "day", "resets_at": "2027-01-15T18:30:00Z",
            "policy": if self.soft { "soft" } else { "hard" },
        });
        let amount = (!self.soft).then_some(granted);
        let lease =
            json!({"id": request.id, "granted": amount, "ttl_ms": self.ttl_ms, "kept": true});
        json!({
            "lease": (granted > 0).then_some(lease),
            "code": (granted == 0).then_some("quota_exceeded"),
            "quotas": [quota],
            "when_offline": self.when_offline,
            "upgrade_url": "https://x.example/plans",
        })
    }

    /// `…/leases/{lease_id}?producer=…&through=…`
    fn take_back(&mut self, path: &str) -> Value {
        let (path, query) = path.split_once('?').expect("it has a query");
        let (producer, through) = query.split_once("&through=").expect("it says through where");
        let producer = producer.strip_prefix("producer=").expect("it says whose");
        let fence = self.fences.get(producer).copied().unwrap_or(0);
        let through: u64 = through.parse().expect("a number");
        if self.has_another_past && fence < through {
            return json!({"code": "lease_unsettled", "fence": fence});
        }
        assert!(fence >= through, "given back before it is settled");
        let id = path.rsplit('/').next().unwrap_or_default();
        let returned = self.leases.remove(id).map_or(0, |(_, left)| left);
        self.spent -= returned;
        json!({"returned": returned})
    }

    fn count(&mut self, range: &Value) -> Value {
        let producer = range["producer"].as_str().expect("it names its producer");
        if self.superseded.as_deref() == Some(producer) {
            return json!({"code": "epoch_superseded"});
        }
        let mut fence = self.fences.get(producer).copied().unwrap_or(0);
        let mut results = Vec::new();
        for item in range["items"].as_array().expect("a range") {
            let number = item["number"].as_u64().expect("it has a number");
            let number = item["through"].as_u64().unwrap_or(number);
            let is_new = number > fence;
            let status = match is_new {
                true if self.rejects => "rejected",
                true => "accepted",
                false => "duplicate",
            };
            results.push(json!({"number": number, "status": status}));
            if !is_new {
                continue;
            }
            fence = number;
            if item["lost"].is_string() || self.rejects {
                continue;
            }
            let quantity = item["event"]["quantity"].as_u64().expect("it is an event");
            self.used += quantity;
            let lease = item["event"]["lease"].as_str().unwrap_or_default();
            match self.leases.get_mut(lease) {
                Some((holder, _)) if self.soft => assert_eq!(holder, producer, "it is another's"),
                Some((holder, left)) => {
                    assert_eq!(holder, producer, "it is another's");
                    *left = left.checked_sub(quantity).expect("no more than was granted is used");
                    if *left == 0 {
                        self.leases.remove(lease);
                    }
                }
                None => self.unleased.push(item["event"].clone()),
            }
        }
        self.fences.insert(producer.to_owned(), fence);
        json!({"fence": fence, "results": results})
    }

    fn end(&mut self, path: &str, body: Value) -> Value {
        let producer = path.split('/').nth(3).expect("/api/producers/{id}/end");
        let fence = self.fences.get(producer).copied().unwrap_or(0);
        if self.has_another_past && Some(fence) < body["through"].as_u64() {
            return json!({"code": "lease_unsettled", "fence": fence});
        }
        assert!(Some(fence) >= body["through"].as_u64(), "ended before it is delivered");
        self.ended.push(body);
        if self.open > 0 {
            self.open -= 1;
            return json!({"open": 1, "retry_after_ms": 60_000});
        }
        let of_it = |(_, lease): &(&String, &mut (String, u64))| lease.0 == producer;
        let mine: Vec<_> = self.leases.iter_mut().filter(of_it).map(|(id, _)| id.clone()).collect();
        let open = mine.len().saturating_sub(self.page);
        for id in mine.into_iter().take(self.page) {
            self.spent -= self.leases.remove(&id).map_or(0, |(_, left)| left);
        }
        json!({"open": open, "retry_after_ms": (open > 0).then_some(0)})
    }
}

fn nobody() -> SendError {
    SendError::new(SendStage::Connect, "nobody answers")
}
