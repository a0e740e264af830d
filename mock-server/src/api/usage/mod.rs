//! Usage: taken once each, judged, kept in a ledger, and counted.

mod admission;
mod consume;
mod correction;
mod draw;
pub(crate) mod events;
pub(crate) mod history;
mod index;
mod ingest;
pub(crate) mod projection;
mod single;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{
    CustomerQuota, EventResult, TrackUsage, TrackUsageResult, UsageEvent,
};

use super::caller::UsageSender;
use super::json::{Json, Large};
use super::problem::Failure;
use super::quotas::quotas_of;
use super::tokens::subscribed_tier;
use crate::domain::catalogue::Solution;
use crate::domain::principal::Principal;
use crate::domain::usage::{Sender, event_fingerprint};
use crate::market::Market;
use crate::store::transact;

pub(crate) use consume::consume;

/// `POST /api/track-usage`
pub(crate) async fn track(
    State(market): State<Arc<Market>>,
    sender: UsageSender,
    Large(request): Large<TrackUsage>,
) -> Result<Json<TrackUsageResult>, Failure> {
    let principal = sender.principal();
    let solution = market.solution(principal.solution_id()).await?.ok_or(Code::NotFound)?;
    let (taken, touched) = match &request {
        TrackUsage::Range(range) => (
            ingest::take(&market, &principal, &solution, range).await?,
            ingest::events(range).collect::<Vec<_>>(),
        ),
        TrackUsage::Event(event) => {
            let fingerprint = event_fingerprint(event);
            (single::take(&market, &principal, &solution, event, fingerprint).await?, vec![event])
        }
    };
    answer(&market, &principal, &solution, taken, &touched).await.map(Json)
}

/// What became of what was sent, and the quotas after it.
async fn answer(
    market: &Market,
    principal: &Principal,
    solution: &Solution,
    taken: Taken,
    touched: &[&UsageEvent],
) -> Result<TrackUsageResult, Failure> {
    projection::catch_up(market).await?;
    let quotas = quotas_touched(market, principal, solution, touched).await?;
    Ok(TrackUsageResult { fence: taken.fence, results: taken.results, quotas })
}

/// What became of what was sent.
struct Taken {
    fence: Option<u64>,
    results: Vec<EventResult>,
}

/// The quotas of the actions and customers that were sent, by customer, as far as the sender may
/// know them.
async fn quotas_touched(
    market: &Market,
    principal: &Principal,
    solution: &Solution,
    events: &[&UsageEvent],
) -> Result<Vec<CustomerQuota>, Failure> {
    let mut touched: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let may_know = |event: &&&UsageEvent| match principal.sender() {
        Sender::Solution => true,
        Sender::Customer(id) => event.customer_id == id,
    };
    for event in events.iter().filter(may_know) {
        touched.entry(&event.customer_id).or_default().insert(&event.action);
    }
    let now = market.world.now();
    let mut quotas = Vec::new();
    for (customer_id, actions) in touched {
        let of_customer = transact(&*market.store, async |tx| {
            let tier = subscribed_tier(tx, customer_id, &solution.id).await?;
            quotas_of(tx, customer_id, tier, solution, now).await
        });
        match of_customer.await {
            Ok(of_customer) => quotas.extend(
                of_customer
                    .into_iter()
                    .filter(|quota| actions.contains(quota.action.as_str()))
                    .map(|quota| CustomerQuota { customer_id: customer_id.to_owned(), quota }),
            ),
            // Their events were rejected; there is no quota to tell of.
            Err(failure) if failure.code == Code::Forbidden => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(quotas)
}
