//! Usage: taken once each, judged, kept in a ledger, and counted.

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
    CustomerQuota, EventResult, EventStatus, Timestamp, TrackUsage, TrackUsageResult, UsageEvent,
};

use super::caller::SolutionKey;
use super::json::Json;
use super::problem::Failure;
use super::quotas::quotas_of;
use super::tokens::subscribed_tier;
use crate::domain::catalogue::Solution;
use crate::domain::refresh::Family;
use crate::domain::usage::{Grant, deed_fingerprint, judge};
use crate::facts::{self, IdempotencyRecord, IssuedToken, Principal};
use crate::market::Market;
use crate::store::{StoreError, Transaction, transact};

/// `POST /api/track-usage`
pub(crate) async fn track(
    State(market): State<Arc<Market>>,
    caller: SolutionKey,
    Json(request): Json<TrackUsage>,
) -> Result<Json<TrackUsageResult>, Failure> {
    let principal = Principal::secret_key(&caller.solution_id);
    let solution = solution(&market, &caller.solution_id).await?;
    let (taken, touched) = match &request {
        TrackUsage::Range(range) => (
            ingest::take(&market, &principal, &solution, range).await?,
            ingest::events(range).collect::<Vec<_>>(),
        ),
        TrackUsage::Event(event) => {
            (single::take(&market, &principal, &solution, event).await?, vec![event])
        }
    };
    projection::run(&*market.store).await?;
    let quotas = quotas_touched(&market, &solution, &touched).await?;
    Ok(Json(TrackUsageResult { fence: taken.fence, results: taken.results, quotas }))
}

/// What became of what was sent.
struct Taken {
    fence: Option<u64>,
    results: Vec<EventResult>,
}

async fn solution(market: &Market, id: &str) -> Result<Solution, Failure> {
    let solution = transact(&*market.store, async |tx| tx.peek(&facts::solution(id)).await).await?;
    solution.ok_or(Failure::from(Code::NotFound))
}

/// The tokens that events name, as far as they were ever issued. Tokens do not change and a family
/// is revoked once, so nothing here needs to be a condition of the commit.
async fn grants<'e>(
    tx: &mut Transaction<'_>,
    events: impl Iterator<Item = &'e UsageEvent>,
) -> Result<BTreeMap<&'e str, Grant>, StoreError> {
    let mut grants = BTreeMap::new();
    for id in events.map(|event| event.token_id.as_str()).collect::<BTreeSet<_>>() {
        let Some(issued) = tx.peek::<IssuedToken>(&facts::issued_token(id)).await? else {
            continue;
        };
        let family: Option<Family> = tx.peek(&facts::family(&issued.family_id)).await?;
        let grant = Grant {
            customer_id: issued.customer_id,
            solution_id: issued.solution_id,
            issued_at: issued.issued_at,
            expires_at: issued.expires_at,
            revoked_at: family.and_then(|family| family.revoked_at),
        };
        grants.insert(id, grant);
    }
    Ok(grants)
}

/// Whether an event counts. Its idempotency key, if it has one, is used up when it does.
async fn admit(
    tx: &mut Transaction<'_>,
    principal: &Principal,
    solution: &Solution,
    event: &UsageEvent,
    grants: &BTreeMap<&str, Grant>,
    now: Timestamp,
) -> Result<(EventStatus, Option<Code>), StoreError> {
    if let Err(code) = judge(event, solution, grants.get(event.token_id.as_str()), now) {
        return Ok((EventStatus::Rejected, Some(code)));
    }
    let Some(name) = &event.idempotency_key else {
        return Ok((EventStatus::Accepted, None));
    };
    // A key that was used by an earlier entry of this very range is read back here.
    let key = facts::idempotency(principal, name);
    let record = IdempotencyRecord { fingerprint: deed_fingerprint(event) };
    match tx.get::<IdempotencyRecord>(&key).await? {
        None => {
            tx.put(&key, &record)?;
            Ok((EventStatus::Accepted, None))
        }
        Some(before) if before == record => Ok((EventStatus::Duplicate, None)),
        Some(_) => Ok((EventStatus::Rejected, Some(Code::IdempotencyMismatch))),
    }
}

/// The quotas of the actions and customers that were sent, by customer.
async fn quotas_touched(
    market: &Market,
    solution: &Solution,
    events: &[&UsageEvent],
) -> Result<Vec<CustomerQuota>, Failure> {
    let mut touched: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for event in events {
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
