//! What a customer has used, event by event.
//!
//! Newest first: by the hour they count in (of UTC), and within an hour in the order in which the
//! marketplace took them. So a list can be read while more comes in, and what comes late shows up
//! where it counts. It is read off the [index](super::index), of which a page reads as much as it
//! has events and at most [`MOST_READ`] items more, however many events there are.

use std::ops::RangeInclusive;
use std::sync::Arc;

use axum::extract::{Path, State};
use cloudnestle_marketplace::model::{CountedEvent, EventRef, Page, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::history::{actions, allowed, known};
use super::index::{Item, Newest};
use super::projection;
use crate::api::caller::Reader;
use crate::api::cursor::{Limit, Listing};
use crate::api::json::Json;
use crate::api::problem::Failure;
use crate::api::query::Query;
use crate::domain::correction::Corrected;
use crate::domain::principal::Principal;
use crate::facts::{self, CountedEvents, LedgerLine};
use crate::market::Market;
use crate::store::{StoreError, transact};

/// The most items of the index that a page reads. It ends early, and its cursor goes on, when so many
/// have too little of what is asked for: minutes of an hour in which there is much.
const MOST_READ: usize = 400;

/// Sorts behind every hour, and behind everything of an hour.
const END: &str = "~";

/// Which events.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// The solution. A session has to name it; a key or a token is for one anyway.
    solution_id: Option<String>,
    /// One action alone.
    action: Option<String>,
    /// What counts at this moment or later.
    #[param(inline)]
    from: Option<Timestamp>,
    /// What counts before this moment.
    #[param(inline)]
    to: Option<Timestamp>,
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Where an event is in the list: in which item of the index, and how many of the item's are newer.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Place {
    tail: String,
    action: String,
    newer: usize,
}

impl Place {
    fn is_behind(&self, other: &Place) -> bool {
        let (own, others) = ((&self.tail, &self.action), (&other.tail, &other.action));
        own < others || own == others && self.newer > other.newer
    }
}

/// `GET /api/usage/{customer_id}/events`
pub(crate) async fn list(
    State(market): State<Arc<Market>>,
    reader: Reader,
    Path(customer_id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Json<Page<CountedEvent>>, Failure> {
    let solution_id = allowed(&reader, &customer_id, asked.solution_id.as_deref())?;
    let solution = known(&market, &customer_id, solution_id, asked.action.as_deref()).await?;
    let Asked { action, from, to, limit, cursor, .. } = asked;
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        return Err(Failure::field("to", "`to` lies behind `from`."));
    }
    let filters = (&customer_id, solution_id, &action, from, to);
    let list = Listing::of(&market.keys, "usage_events", &filters);
    let after: Option<Place> = list.place(cursor.as_deref())?;

    projection::catch_up(&market).await?;
    let (store, tails) = (&*market.store, tails(from, to, after.as_ref()));
    let asked = actions(&solution, action.as_deref());
    let mut items = Newest::of(store, &customer_id, solution_id, asked, &tails);
    let counts = |at| from.is_none_or(|from| from <= at) && to.is_none_or(|to| at < to);
    let (mut found, mut read, mut reached) = (Vec::new(), 0, None);
    while found.len() < limit.one_more() {
        let Some(Item { tail, action, events }) = items.next().await? else {
            reached = None;
            break;
        };
        if read == MOST_READ {
            break;
        }
        read += 1;
        let place = |newer| Place { tail: tail.clone(), action: action.clone(), newer };
        for (newer, line) in events.page.lines.iter().rev().enumerate() {
            let place = place(newer);
            let is_next = after.as_ref().is_none_or(|after| place.is_behind(after));
            let is_asked_for = line.effect().is_some_and(|effect| counts(effect.occurred_at));
            if is_next && is_asked_for && found.len() < limit.one_more() {
                found.extend(Told::of(line, &events, solution_id).map(|told| (place, told)));
            }
        }
        reached = Some(place(events.page.lines.len()));
    }
    let Page { items, next_cursor } = list.part(found, limit, reached, |(place, _)| place.clone());
    let is_told_all = matches!(reader, Reader::Solution(_));
    let items = items.into_iter().map(|(_, told)| told);
    let items = transact(store, async |tx| {
        let mut events = Vec::new();
        for Told { mut event, principal } in items.clone() {
            if event.amends.is_none() && event.voids.is_none() {
                let corrected = facts::corrected(&principal, &event.reference);
                event.left = tx.peek::<Corrected>(&corrected).await?.map(|it| it.left());
            }
            if !is_told_all {
                (event.idempotency_key, event.metadata) = (None, None);
            }
            events.push(event);
        }
        Ok::<_, StoreError>(events)
    });
    Ok(Json(Page { items: items.await?, next_cursor }))
}

/// The tails of the items that can have what is asked for.
fn tails(
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    after: Option<&Place>,
) -> RangeInclusive<String> {
    let first = from.map_or_else(String::new, facts::hour);
    let last = to.map_or_else(
        || END.to_owned(),
        |to| format!("{}/{END}", facts::hour(Timestamp::from_millis(to.as_millis() - 1))),
    );
    first..=after.map_or(last, |after| after.tail.clone())
}

/// An event, and who has sent it.
#[derive(Clone)]
struct Told {
    event: CountedEvent,
    principal: Principal,
}

impl Told {
    /// Of a line that counts.
    fn of(line: &LedgerLine, events: &CountedEvents, solution_id: &str) -> Option<Told> {
        let effect = line.effect()?;
        let event = line.event.clone()?;
        let reference = match (&events.producer, line.result.number) {
            (Some(producer), Some(number)) => {
                EventRef::Numbered { producer: producer.clone(), number }
            }
            _ => EventRef::Single { id: event.id.clone() },
        };
        let solution_id = solution_id.to_owned();
        let principal = match events.from_customer {
            true => Principal::SolutionToken { customer_id: event.customer_id, solution_id },
            false => Principal::SecretKey { solution_id },
        };
        let (counts, counts_at) = (effect.amount, effect.occurred_at);
        let event = CountedEvent {
            counts,
            counts_at,
            reference,
            id: event.id,
            action: event.action,
            quantity: event.quantity,
            occurred_at: event.occurred_at,
            received_at: events.page.received_at,
            late: line.late,
            overage: event.overage,
            left: None,
            amends: event.amends.map(|event| *event),
            voids: event.voids.map(|event| *event),
            idempotency_key: event.idempotency_key,
            metadata: event.metadata,
        };
        Some(Told { event, principal })
    }
}
