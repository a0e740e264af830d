//! Random lives of leases, against a model that knows what they are for and little else: taken, drawn
//! from, given back and taken over, with usage that names none, corrections, resets and changes of tier
//! in between, by a server whose process dies before or after any commit.

mod meaning;
mod steps;

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use cloudnestle_marketplace::model::{EndProducer, TakeLease};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;
use tower::ServiceExt;

use super::*;
use crate::api::query::Query as Asked;
use crate::api::{leases, routes};
use meaning::{Block, Log, Model, Place, places};
use steps::{Deed, Export, Step, any_step};

const PRODUCERS: usize = 2;
const CUSTOMERS: usize = 2;

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
        self.market.world.clock.show(self.now);
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
        market.world.clock.show(self.now);
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
        self.market.world.clock.show(self.now);
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
