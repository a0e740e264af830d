//! Random lives of leases, against a model that knows what they are for and little else: taken, drawn
//! from, given back and taken over, with usage that names none, corrections, resets and changes of tier
//! in between, by a server whose process dies before or after any commit.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use cloudnestle_marketplace::model::{EndProducer, EventRef, TakeLease};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;
use tower::ServiceExt;

use super::model::{limits_of, periods};
use super::*;
use crate::api::query::Query as Asked;
use crate::api::{leases, routes};

const PRODUCERS: usize = 2;
const CUSTOMERS: usize = 2;

/// Something that is done under a name, so that it can be done again when its answer was lost.
#[derive(Clone, Debug)]
enum Deed {
    Take { producer: usize, customer: usize, least: u64, more: u64 },
    Range { producer: usize, exports: Vec<Export>, again: bool },
    Void { producer: usize, event: usize },
    GiveBack(usize),
    End(usize),
}

#[derive(Clone, Debug)]
struct Export {
    customer: usize,
    quantity: i64,
    /// A clock may be a few minutes ahead.
    minutes_ago: i64,
    lease: Option<usize>,
    overage: bool,
}

#[derive(Clone, Debug)]
enum Step {
    /// The deed, by a process that dies before its first commit (`Some(false)`) or after it, and then
    /// again.
    Do(Deed, Option<bool>),
    /// Another process has the log from now on.
    TakeOver(usize),
    Reset(usize),
    Change(usize, Tier),
    /// So many minutes pass.
    Wait(u64),
}

fn any_delay() -> impl Strategy<Value = i64> {
    prop_oneof![-4..2_i64, 0..180_i64]
}

fn any_step() -> impl Strategy<Value = Step> {
    let export = (0..CUSTOMERS, 1..12_i64, any_delay(), prop::option::weighted(0.7, 0..64_usize));
    let export = (export, prop::bool::weighted(0.1)).prop_map(
        |((customer, quantity, minutes_ago, lease), overage)| Export {
            customer,
            quantity,
            minutes_ago,
            lease,
            overage,
        },
    );
    let deed = prop_oneof![
        6 => (0..PRODUCERS, 0..CUSTOMERS, 1..12_u64, 0..30_u64)
            .prop_map(|(producer, customer, least, more)| Deed::Take { producer, customer, least, more }),
        6 => (0..PRODUCERS, vec(export, 1..6), prop::bool::weighted(0.2))
            .prop_map(|(producer, exports, again)| Deed::Range { producer, exports, again }),
        3 => (0..PRODUCERS, 0..64_usize).prop_map(|(producer, event)| Deed::Void { producer, event }),
        2 => (0..64_usize).prop_map(Deed::GiveBack),
        1 => (0..PRODUCERS).prop_map(Deed::End),
    ];
    let tier = prop_oneof![
        3 => Just(Tier::Registered), 3 => Just(Tier::Pro), 2 => Just(Tier::Enterprise)
    ];
    let minutes = prop_oneof![4 => 1..8_u64, 1 => 60..1_800_u64];
    prop_oneof![
        12 => (deed, prop::option::weighted(0.3, any::<bool>()))
            .prop_map(|(deed, dies)| Step::Do(deed, dies)),
        1 => (0..PRODUCERS).prop_map(Step::TakeOver),
        2 => (0..CUSTOMERS).prop_map(Step::Reset),
        1 => (0..CUSTOMERS, tier).prop_map(|(customer, tier)| Step::Change(customer, tier)),
        2 => minutes.prop_map(Step::Wait),
    ]
}

/// A counter: a customer in a period.
type Place = (usize, String);

struct Block {
    id: String,
    producer: String,
    customer: usize,
    places: Vec<Place>,
    granted: Option<i64>,
    used: i64,
    epoch: u64,
    ends_at: Timestamp,
    is_held: bool,
}

impl Block {
    fn left(&self) -> i64 {
        self.granted.map_or(0, |granted| granted - self.used)
    }
}

/// An event that counts.
struct Counted {
    reference: EventRef,
    customer: usize,
    quantity: i64,
    occurred_at: Timestamp,
    charged: Vec<Place>,
    forgiven: BTreeSet<Place>,
    is_void: bool,
}

struct Log {
    name: String,
    epoch: u64,
    next: u64,
    last_range: Option<(TrackUsage, Vec<bool>)>,
}

/// What leases mean, in as few words as possible.
struct Model {
    tiers: [Tier; CUSTOMERS],
    used: BTreeMap<Place, i64>,
    leased: BTreeMap<Place, i64>,
    history: BTreeMap<Place, i64>,
    blocks: Vec<Block>,
    counted: Vec<Counted>,
    logs: Vec<Log>,
    /// Logs that have ended, with their epochs and last numbers.
    ended: Vec<(String, u64, u64)>,
}

fn places(customer: usize, at: Timestamp) -> Vec<Place> {
    periods(at).map(|period| (customer, period)).into()
}

impl Model {
    fn new() -> Model {
        let mut model = Model {
            tiers: [Tier::Pro; CUSTOMERS],
            used: BTreeMap::new(),
            leased: BTreeMap::new(),
            history: BTreeMap::new(),
            blocks: Vec::new(),
            counted: Vec::new(),
            logs: Vec::new(),
            ended: Vec::new(),
        };
        (0..PRODUCERS).for_each(|n| {
            let log = model.new_log(n);
            model.logs.push(log);
        });
        model
    }

    fn new_log(&self, n: usize) -> Log {
        let name = format!("prd_{n}_{}", self.ended.len());
        Log { name, epoch: 0, next: 1, last_range: None }
    }

    fn spent(&self, place: &Place) -> i64 {
        let of = |counts: &BTreeMap<Place, i64>| counts.get(place).copied().unwrap_or(0);
        of(&self.used) + of(&self.leased)
    }

    /// What is left under each limit that there is.
    fn left(&self, customer: usize, places: &[Place]) -> Option<i64> {
        let limits = places.iter().zip(limits_of(self.tiers[customer]));
        limits.filter_map(|(place, limit)| Some(limit? - self.spent(place))).min()
    }

    fn take(
        &mut self,
        producer: usize,
        customer: usize,
        least: u64,
        wanted: u64,
        now: Timestamp,
    ) -> Option<Option<u64>> {
        let places = places(customer, now);
        let (least, wanted) = (least as i64, wanted as i64);
        let granted = match self.left(customer, &places) {
            None => None,
            Some(left) if left < least => return None,
            Some(left) => Some(wanted.min(left / 8).max(least)),
        };
        for place in &places {
            *self.leased.entry(place.clone()).or_default() += granted.unwrap_or(0);
        }
        let log = &self.logs[producer];
        self.blocks.push(Block {
            id: format!("lse_{}", self.blocks.len()),
            producer: log.name.clone(),
            customer,
            places,
            granted,
            used: 0,
            epoch: log.epoch,
            ends_at: (now + Duration::from_secs(300)).min(day_ends(now)),
            is_held: true,
        });
        Some(granted.map(|granted| granted as u64))
    }

    /// Whether the event counts.
    fn export(&mut self, producer: usize, number: u64, export: &Export, at: Timestamp) -> bool {
        let Export { customer, quantity, overage, .. } = *export;
        let name = self.logs[producer].name.clone();
        let block = export.lease.and_then(|n| self.blocks.get_mut(n)).filter(|block| {
            let has_enough = block.granted.is_none() || quantity <= block.left();
            block.is_held && block.producer == name && block.customer == customer && has_enough
        });
        let charged = if let Some(block) = block {
            block.used += quantity;
            block.is_held = block.granted.is_none() || block.left() > 0;
            for place in block.places.iter().filter(|_| block.granted.is_some()) {
                *self.leased.entry(place.clone()).or_default() -= quantity;
            }
            block.places.clone()
        } else {
            let places = places(customer, at);
            if !overage && self.left(customer, &places).is_some_and(|left| quantity > left) {
                return false;
            }
            places
        };
        for place in &charged {
            *self.used.entry(place.clone()).or_default() += quantity;
        }
        self.count(customer, at, quantity);
        let reference = EventRef::Numbered { producer: name, number };
        let (forgiven, is_void) = (BTreeSet::new(), false);
        let occurred_at = at;
        self.counted.push(Counted {
            reference,
            customer,
            quantity,
            occurred_at,
            charged,
            forgiven,
            is_void,
        });
        true
    }

    fn count(&mut self, customer: usize, at: Timestamp, amount: i64) {
        for place in places(customer, at) {
            *self.history.entry(place).or_default() += amount;
        }
    }

    fn void(&mut self, event: usize) -> bool {
        let event = &mut self.counted[event];
        if std::mem::replace(&mut event.is_void, true) {
            return false;
        }
        for place in event.charged.iter().filter(|place| !event.forgiven.contains(place)) {
            *self.used.entry(place.clone()).or_default() -= event.quantity;
        }
        let (customer, at, quantity) = (event.customer, event.occurred_at, event.quantity);
        self.count(customer, at, -quantity);
        true
    }

    fn give_back(&mut self, n: usize) {
        let block = &mut self.blocks[n];
        if std::mem::replace(&mut block.is_held, false) {
            for place in &block.places {
                *self.leased.entry(place.clone()).or_default() -= block.left();
            }
        }
    }

    /// Gives back what the producer holds, as far as nobody can be using it. Gives how many are left.
    fn end(&mut self, name: &str, epoch: u64, now: Timestamp) -> usize {
        let of_it = |block: &Block| block.is_held && block.producer == name;
        for n in 0..self.blocks.len() {
            let block = &self.blocks[n];
            if of_it(block) && (block.epoch >= epoch || block.ends_at <= now) {
                self.give_back(n);
            }
        }
        self.blocks.iter().filter(|block| of_it(block)).count()
    }

    fn reset(&mut self, customer: usize, now: Timestamp) {
        for place in places(customer, now) {
            if self.used.get(&place).is_some_and(|used| *used > 0) {
                self.used.insert(place.clone(), 0);
                for event in self.counted.iter_mut().filter(|it| it.charged.contains(&place)) {
                    event.forgiven.insert(place.clone());
                }
            }
        }
    }
}

/// In Berlin, in winter.
fn day_ends(at: Timestamp) -> Timestamp {
    let day = (at.as_secs() + 3_600).div_euclid(86_400);
    Timestamp::from_secs((day + 1) * 86_400 - 3_600)
}

/// The marketplace that the model is of, and what it is asked.
struct Play {
    store: Arc<Memory>,
    market: Arc<Market>,
    model: Model,
    now: Timestamp,
    steps: usize,
}

impl Play {
    async fn begin() -> Play {
        let store = Arc::new(Memory::new());
        let market = stall(store.clone(), CUSTOMERS).await;
        // Soon it is midnight, and a day later the month ends.
        let now = "2026-11-29T22:55:00Z".parse().expect("RFC 3339");
        Play { store, market, model: Model::new(), now, steps: 0 }
    }

    async fn step(&mut self, step: Step) {
        // What comes in the millisecond of a reset is taken for forgiven.
        self.now = self.now + Duration::from_secs(1);
        self.steps += 1;
        self.market.world.clock.set(self.now).expect("in range");
        match step {
            Step::Do(deed, dies) => self.act(deed, dies).await,
            Step::TakeOver(producer) => self.model.logs[producer].epoch += 1,
            Step::Reset(customer) => {
                self.model.reset(customer, self.now);
                reset(&self.market, customer).await;
            }
            Step::Change(customer, tier) => {
                self.model.tiers[customer] = tier;
                give_tier(&self.market, customer, tier).await;
            }
            Step::Wait(minutes) => self.now = self.now + Duration::from_secs(minutes * 60),
        }
        self.agree().await;
    }

    /// A process that dies at its first commit. It has its own sense of time.
    async fn dying(&self, last_one_happens: bool) -> Arc<Market> {
        let (store, commits_left) = (self.store.clone(), AtomicUsize::new(1));
        let market = market(Arc::new(Dying { store, commits_left, last_one_happens })).await;
        market.world.clock.set(self.now).expect("in range");
        market
    }

    async fn act(&mut self, deed: Deed, dies: Option<bool>) {
        let dying = match dies {
            Some(last_one_happens) => Some(self.dying(last_one_happens).await),
            None => None,
        };
        let has_happened = dies == Some(true);
        let (now, model) = (self.now, &mut self.model);
        match deed {
            Deed::Take { producer, customer, least, more } => {
                let log = &model.logs[producer];
                let asked = TakeLease {
                    id: format!("lse_{}", model.blocks.len()),
                    producer: log.name.clone(),
                    epoch: log.epoch,
                    token_id: format!("tok_{customer}"),
                    action: "export".to_owned(),
                    least,
                    wanted: least + more,
                };
                let expected = model.take(producer, customer, least, least + more, now);
                if let Some(dying) = dying {
                    let _ = take(&dying, customer, &asked).await;
                }
                for market in [&self.market, &self.market] {
                    let answer = take(market, customer, &asked).await.expect("an answer");
                    assert_eq!(answer, expected, "{asked:?}");
                    if expected.is_none() {
                        break; // or the next could be granted what this is refused
                    }
                }
                // Whatever is granted is under the limit, with all that was granted before.
                let places = places(customer, now);
                let left = model.left(customer, &places);
                assert!(expected.is_none() || left.is_none_or(|left| left >= 0), "{left:?}");
            }
            Deed::Range { producer, exports, again } => {
                let last = model.logs[producer].last_range.clone();
                let (usage, expected) = match last.filter(|_| again) {
                    Some(last) => last,
                    None => {
                        let first = model.logs[producer].next;
                        let at = |export: &Export| {
                            let minutes_ago = export.minutes_ago * 60_000;
                            Timestamp::from_millis(now.as_millis() - minutes_ago)
                        };
                        let mut events = Vec::new();
                        let mut expected = Vec::new();
                        for (number, export) in (first..).zip(&exports) {
                            let id = format!("evt_{}_{number}", self.steps);
                            let mut event = event(id, export.customer, export.quantity, at(export));
                            event.lease = export.lease.map(|n| format!("lse_{n}"));
                            event.overage = export.overage;
                            events.push(event);
                            expected.push(model.export(producer, number, export, at(export)));
                        }
                        let log = &mut model.logs[producer];
                        log.next += exports.len() as u64;
                        let usage = range_of(log, first, events);
                        log.last_range = Some((usage.clone(), expected.clone()));
                        (usage, expected)
                    }
                };
                if let Some(dying) = dying {
                    let _ = try_spend(&dying, &usage).await;
                }
                assert_eq!(try_spend(&self.market, &usage).await.expect("an answer"), expected);
            }
            Deed::Void { producer, event } if !model.counted.is_empty() => {
                let n = event % model.counted.len();
                let voided = &model.counted[n];
                let id = format!("evt_{}", self.steps);
                let mut void = event_of(id, voided.customer, now);
                void.voids = Some(Box::new(voided.reference.clone()));
                let expected = vec![model.void(n)];
                let log = &mut model.logs[producer];
                let usage = range_of(log, log.next, vec![void]);
                log.next += 1;
                log.last_range = Some((usage.clone(), expected.clone()));
                if let Some(dying) = dying {
                    let _ = try_spend(&dying, &usage).await;
                }
                assert_eq!(try_spend(&self.market, &usage).await.expect("an answer"), expected);
            }
            Deed::GiveBack(n) if !model.blocks.is_empty() => {
                let n = n % model.blocks.len();
                let block = &model.blocks[n];
                let left = if block.is_held { block.left() } else { 0 };
                let through = model.logs.iter().find(|log| log.name == block.producer);
                let through = through.map_or(0, |log| log.next - 1);
                if let Some(dying) = dying {
                    let _ = give_back(&dying, block, through).await;
                }
                let returned = give_back(&self.market, block, through).await.expect("an answer");
                let before = if has_happened && left > 0 { left } else { 0 };
                assert_eq!(returned as i64 + before, left);
                model.give_back(n);
            }
            Deed::End(producer) => {
                let Log { name, epoch, next, .. } = &model.logs[producer];
                let (name, epoch, through) = (name.clone(), *epoch, next - 1);
                if let Some(dying) = dying {
                    let _ = end(&dying, &name, epoch, through).await;
                }
                let open = end(&self.market, &name, epoch, through).await.expect("an answer");
                assert_eq!(open, model.end(&name, epoch, now) as u64);
                model.ended.push((name, epoch, through));
                model.logs[producer] = model.new_log(producer);
            }
            Deed::Void { .. } | Deed::GiveBack(_) => {}
        }
    }

    /// Whether the counters are those of the model.
    async fn agree(&self) {
        let Model { used, leased, history, .. } = &self.model;
        let all: BTreeSet<&Place> =
            used.keys().chain(leased.keys()).chain(history.keys()).collect();
        for place in all {
            let (customer, period) = place;
            let (spent, counted) = counts(&self.market, *customer, period).await;
            assert_eq!(spent, self.model.spent(place), "{place:?}");
            assert_eq!(counted, history.get(place).copied().unwrap_or(0), "{place:?}");
            let is_leased = leased_of(&self.market, *customer, period).await;
            assert_eq!(is_leased, leased.get(place).copied().unwrap_or(0), "{place:?}");
        }
    }

    /// Everybody ends, and those who take over wait until nobody can be using what they give back.
    async fn finish(mut self) {
        for producer in 0..PRODUCERS {
            self.step(Step::Do(Deed::End(producer), None)).await;
        }
        self.step(Step::Wait(6)).await;
        self.market.world.clock.set(self.now).expect("in range");
        for (name, epoch, through) in self.model.ended.clone() {
            assert_eq!(end(&self.market, &name, epoch, through).await.expect("an answer"), 0);
            assert_eq!(self.model.end(&name, epoch, self.now), 0);
        }
        self.agree().await;
        assert!(self.model.leased.values().all(|leased| *leased == 0), "all is given back");
    }
}

fn event_of(id: String, customer: usize, at: Timestamp) -> UsageEvent {
    event(id, customer, 1, at)
}

fn range_of(log: &Log, first: u64, events: Vec<UsageEvent>) -> TrackUsage {
    let TrackUsage::Range(range) = numbered(log.name.clone(), first, events) else {
        unreachable!("a range")
    };
    TrackUsage::Range(UsageRange { epoch: log.epoch, ..range })
}

async fn take(
    market: &Arc<Market>,
    customer: usize,
    asked: &TakeLease,
) -> Result<Option<Option<u64>>, Failure> {
    let path = Path((format!("cus_{customer}"), RACE.to_owned()));
    let Json(answer) =
        leases::take(State(market.clone()), backend(), path, Json(asked.clone())).await?;
    assert_eq!(answer.when_offline, WhenOffline::Overage);
    assert_eq!(answer.lease.is_none(), answer.code == Some(Code::QuotaExceeded));
    Ok(answer.lease.map(|lease| lease.granted))
}

/// A lease of a customer, which has the customer's number.
pub(super) async fn take_block(market: &Arc<Market>, producer: &str, customer: usize, amount: u64) {
    let asked = TakeLease {
        id: format!("lse_{customer}"),
        producer: producer.to_owned(),
        epoch: 0,
        token_id: format!("tok_{customer}"),
        action: "export".to_owned(),
        least: amount,
        wanted: amount,
    };
    let granted = take(market, customer, &asked).await.expect("an answer");
    assert_eq!(granted, Some(Some(amount)));
}

async fn give_back(market: &Arc<Market>, block: &Block, through: u64) -> Result<u64, Failure> {
    let path = Path((format!("cus_{}", block.customer), RACE.to_owned(), block.id.clone()));
    let settled = json!({"producer": block.producer, "through": through});
    let settled = Asked(serde_json::from_value(settled).expect("parameters"));
    let Json(answer) = leases::give_back(State(market.clone()), backend(), path, settled).await?;
    Ok(answer.returned)
}

async fn end(market: &Arc<Market>, name: &str, epoch: u64, through: u64) -> Result<u64, Failure> {
    let body = Json(EndProducer { epoch, through });
    let Json(answer) =
        leases::end(State(market.clone()), backend(), Path(name.to_owned()), body).await?;
    assert_eq!(answer.open == 0, answer.retry_after_ms.is_none());
    Ok(answer.open)
}

async fn reset(market: &Arc<Market>, customer: usize) {
    let body = json!({"customer_id": format!("cus_{customer}"), "solution_id": RACE});
    let key = market.keys.test_admin_key();
    let request = Request::post("/api/reset-quota")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {}", key.expose()))
        .body(Body::from(body.to_string()));
    let answer = routes::router(market.clone()).oneshot(request.expect("a request")).await;
    assert_eq!(answer.expect("an answer").status(), 200);
}

pub(super) async fn leased_of(market: &Market, customer: usize, period: &str) -> i64 {
    let counter = Counter {
        customer_id: format!("cus_{customer}"),
        solution_id: RACE.to_owned(),
        action: "export".to_owned(),
        period: period.to_owned(),
    };
    let key = facts::leased(&counter);
    transact(&*market.store, async |tx| tx.number(&key).await).await.expect("a number")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn whoever_dies_when_what_is_leased_and_used_is_what_the_model_says(
        steps in vec(any_step(), 1..60)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let mut play = Play::begin().await;
            for step in steps {
                play.step(step).await;
            }
            play.finish().await;
        });
    }
}
