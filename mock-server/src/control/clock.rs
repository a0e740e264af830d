//! Control over the clock: where it is, how it goes, and what is due on the way.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::agenda::{self, Fired};
use crate::api::Json;
use crate::api::problem::Failure;
use crate::market::Market;
use crate::world::{OutOfRange, Reading, Scale, check_settable};

/// How much of what happened is told.
const MOST_TOLD: usize = 1_000;

/// What happened while the clock moved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct Happened {
    /// In the order in which it happened; of more than 1,000, the first 1,000.
    pub fired: Vec<Fired>,
    /// How much it was in all.
    pub fired_total: usize,
}

/// What the clock shows, and how it goes.
#[derive(Serialize, ToSchema)]
pub(super) struct ClockAnswer {
    now: Timestamp,
    /// How far it is ahead of the machine's clock.
    offset_ms: i64,
    /// Whether it stands still.
    frozen: bool,
    /// How many times as fast as real time it runs, when it does.
    scale: f64,
    /// What is due next.
    next: Option<Fired>,
}

/// As it is after the change, and what happened on the way.
#[derive(Serialize, ToSchema)]
pub(super) struct ChangedClock {
    #[serde(flatten)]
    clock: ClockAnswer,
    #[serde(flatten)]
    happened: Happened,
}

/// One way to move it, or how it is to go, or both.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeClock {
    /// A moment of the years 2000 to 2199.
    set: Option<Timestamp>,
    advance_ms: Option<u64>,
    /// To the next moment at which something happens.
    #[serde(default)]
    advance_to_next_event: bool,
    freeze: Option<bool>,
    /// More than 0, at most 1,000,000; 1 is the speed of real time.
    scale: Option<f64>,
}

/// Where a clock is to go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Destination {
    At(Timestamp),
    After(Duration),
    NextEvent,
}

/// `GET /mock/clock`
pub(super) async fn read(State(market): State<Arc<Market>>) -> Result<Json<ClockAnswer>, Failure> {
    clock_of(&market).await.map(Json)
}

/// `POST /mock/clock`
pub(super) async fn change(
    State(market): State<Arc<Market>>,
    Json(request): Json<ChangeClock>,
) -> Result<Json<ChangedClock>, Failure> {
    let ChangeClock { set, advance_ms, advance_to_next_event, freeze, scale } = request;
    let ways = [
        set.map(Destination::At),
        advance_ms.map(|millis| Destination::After(Duration::from_millis(millis))),
        advance_to_next_event.then_some(Destination::NextEvent),
    ];
    let mut ways = ways.into_iter().flatten();
    let (destination, is_ambiguous) = (ways.next(), ways.next().is_some());
    if is_ambiguous || (freeze.is_some() && scale.is_some()) {
        let detail = "Give one of `set`, `advance_ms` and `advance_to_next_event`, and one of `freeze` and `scale`.";
        return Err(Failure::new(Code::RequestInvalid, detail));
    }
    if destination.is_none() && freeze.is_none() && scale.is_none() {
        let detail = "Give `set`, `advance_ms`, `advance_to_next_event`, `freeze` or `scale`.";
        return Err(Failure::new(Code::RequestInvalid, detail));
    }
    let scale = scale.map(Scale::new).transpose()?;
    set.map_or(Ok(()), check_settable)?;
    // First how it goes: a clock that is to stand still at a moment has then never gone beyond it.
    if let Some(is_frozen) = freeze {
        self::freeze(&market, is_frozen);
    }
    if let Some(scale) = scale {
        self::scale(&market, scale);
    }
    let happened = match destination {
        Some(destination) => travel(&market, destination).await?,
        None => Happened::default(),
    };
    Ok(Json(ChangedClock { clock: clock_of(&market).await?, happened }))
}

async fn clock_of(market: &Market) -> Result<ClockAnswer, Failure> {
    let next = agenda::next(market).await?.map(|(at, task)| Fired { at, task });
    let Reading { now, offset_millis, is_frozen, scale } = market.world.clock.read();
    Ok(ClockAnswer { now, offset_ms: offset_millis, frozen: is_frozen, scale, next })
}

/// Lets the clock stand still, or go on.
pub(super) fn freeze(market: &Market, is_frozen: bool) {
    market.world.clock.freeze(is_frozen);
    market.agenda.alarm.ring();
}

/// Lets the clock run, so many times as fast as real time.
pub(super) fn scale(market: &Market, scale: Scale) {
    market.world.clock.scale(scale);
    market.agenda.alarm.ring();
}

/// A clock that goes by what is due and not by real time, until this is dropped. Wherever it has come by
/// then, it goes on from there.
struct Journey<'m>(&'m Market);

impl<'m> Journey<'m> {
    fn begin(market: &'m Market) -> Journey<'m> {
        market.world.clock.hold();
        Journey(market)
    }
}

impl Drop for Journey<'_> {
    fn drop(&mut self) {
        self.0.world.clock.let_go();
        self.0.agenda.alarm.ring();
    }
}

/// Moves the clock. What is due on the way happens, each task at its moment; the clock ends where it was
/// sent, exactly. If something fails, the clock stays at the moment of that, and what failed and what comes
/// after it is still due.
pub(super) async fn travel(
    market: &Arc<Market>,
    destination: Destination,
) -> Result<Happened, Failure> {
    let _turn = market.agenda.turn.lock().await;
    let _journey = Journey::begin(market);
    let now = market.world.now();
    let mut happened = Happened::default();
    match destination {
        Destination::At(at) => arrive(market, at, &mut happened).await?,
        Destination::After(by) => {
            let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
            let at = Timestamp::from_millis(now.as_millis().saturating_add(millis));
            arrive(market, at, &mut happened).await?;
        }
        Destination::NextEvent => {
            // What a task is about may have ended, and then nothing happens.
            while happened.fired_total == 0
                && let Some((at, _)) = agenda::next(market).await?
            {
                arrive(market, at.max(now), &mut happened).await?;
            }
        }
    }
    Ok(happened)
}

async fn arrive(
    market: &Arc<Market>,
    at: Timestamp,
    happened: &mut Happened,
) -> Result<(), Failure> {
    check_settable(at)?;
    if at >= market.world.now() {
        let fired = agenda::run_until(market, at).await?;
        happened.fired_total += fired.len();
        let room = MOST_TOLD - happened.fired.len();
        happened.fired.extend(fired.into_iter().take(room));
    }
    market.world.clock.show(at);
    Ok(())
}

impl From<OutOfRange> for Failure {
    fn from(out_of_range: OutOfRange) -> Self {
        let detail = match out_of_range {
            OutOfRange::Moment => "The clock shows the years 2000 to 2199.",
            OutOfRange::Scale => "The clock runs more than 0 and at most 1,000,000 times as fast.",
        };
        Failure::new(Code::RequestInvalid, detail)
    }
}
