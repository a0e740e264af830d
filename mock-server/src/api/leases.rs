//! Blocks of hard quotas that a producer spends without asking: taken, given back, and given back all at
//! once when the producer ends.

use std::sync::Arc;

use axum::extract::{Path, State};
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{
    EndProducer, EndedProducer, Lease as Told, LeaseAnswer, Quota, ReturnedLease, TakeLease,
    Timestamp, UsageEvent, is_id,
};
use futures_util::future::try_join_all;
use serde::Deserialize;
use utoipa::IntoParams;

use super::caller::SolutionKey;
use super::json::Json;
use super::problem::Failure;
use super::query::Query;
use super::quotas::{quotas_of, time_zone};
use super::tokens::subscribed_tier;
use super::usage::projection;
use crate::agenda::{self, Task};
use crate::domain::catalogue::{Solution, Subscription};
use crate::domain::fence::{Fence, Refusal};
use crate::domain::lease::{Block, Lease, MOST_HELD};
use crate::domain::limit::limits;
use crate::domain::principal::Principal;
use crate::domain::refresh::Family;
use crate::domain::revocation::NotBefore;
use crate::domain::usage::CLOCK_TOLERANCE;
use crate::facts::{self, IssuedToken};
use crate::market::Market;
use crate::planted::{Bug, planted};
use crate::store::{Key, StoreError, Transaction, transact};

/// How many leases a commit gives back: each is an item, its end on the agenda, and two counters for each
/// of two windows.
const EACH: usize = 15;
/// How many leases one call looks at when a producer ends.
const MOST_AT_ONCE: usize = 1_000;

/// `POST /api/quotas/{customer_id}/{solution_id}/leases`
///
/// One commit: the lease, and what it is charged to, on condition that the limits hold. What is granted
/// is found under its id when the call is made again; what is refused leaves no trace.
pub(crate) async fn take(
    State(market): State<Arc<Market>>,
    caller: SolutionKey,
    Path((customer_id, solution_id)): Path<(String, String)>,
    Json(asked): Json<TakeLease>,
) -> Result<Json<LeaseAnswer>, Failure> {
    let principal = principal_of(&caller, &solution_id)?;
    check(&asked)?;
    let solution = market.solution(&solution_id).await?.ok_or(Code::NotFound)?;
    let action = solution.action(&asked.action).ok_or(Code::ActionUnknown)?;
    let now = market.world.now();
    let granted = transact(&*market.store, async |tx| {
        grant(tx, &principal, &solution, &customer_id, &asked, now).await
    })
    .await?;
    projection::catch_up(&market).await?;
    let quotas = quotas_left(&market, &solution, &customer_id, &asked.action, now).await?;
    let (lease, code) = match granted {
        Ok(lease) => (Some(lease), None),
        Err(code) => (None, Some(code)),
    };
    let upgrade_url = solution.upgrade_url.clone();
    Ok(Json(LeaseAnswer { lease, code, quotas, when_offline: action.when_offline, upgrade_url }))
}

/// What is granted, or why nothing is.
async fn grant(
    tx: &mut Transaction<'_>,
    principal: &Principal,
    solution: &Solution,
    customer_id: &str,
    asked: &TakeLease,
    now: Timestamp,
) -> Result<Result<Told, Code>, Failure> {
    let fence: Fence = tx.get(&facts::fence(principal, &asked.producer)).await?.unwrap_or_default();
    if !fence.may_lease(asked.epoch) {
        return Err(superseded(fence));
    }
    let told = |granted, ttl_ms| Told { id: asked.id.clone(), granted, ttl_ms, kept: true };
    let key = facts::lease(principal, &asked.producer, &asked.id);
    if let Some(before) = tx.get::<Lease>(&key).await? {
        if !before.is_of(asked, customer_id) {
            let detail = "A lease of this id was taken before, and it was another.";
            return Err(Failure::new(Code::IdempotencyMismatch, detail));
        }
        return Ok(Ok(told(before.granted, before.ttl_ms(now))));
    }
    if !is_good(tx, &asked.token_id, customer_id, &solution.id, now).await? {
        return Ok(Err(Code::TokenNotForCustomer));
    }
    let subscription = facts::subscription(customer_id, &solution.id);
    let tier = tx.peek::<Subscription>(&subscription).await?.map(|it| it.tier);
    let zone = time_zone(solution)?;
    let limits = limits(solution, tier, customer_id, &asked.action, now, &zone)
        .map_err(|_| Code::Internal)?;
    // Read without a condition, because the additions have one.
    let mut spent = Vec::with_capacity(limits.len());
    for limit in &limits {
        spent.push(tx.number(&facts::spent(&limit.counter)).await?);
    }
    let Some(granted) = Block::of(limits.iter().zip(spent), asked.least, asked.wanted).granted()
    else {
        return Ok(Err(Code::QuotaExceeded));
    };
    let lease = Lease::new(asked, customer_id, granted, &limits, now);
    if limits.is_empty() {
        // Nothing of it is kept under a limit, whatever the tier: there is nothing to charge.
        return Ok(Ok(Told { kept: false, ..told(granted, lease.ttl_ms(now)) }));
    }
    if let Some(amount) = granted {
        // At most what may be asked for, far below 2^63.
        let amount = amount as i64;
        for limit in &limits {
            let spent = facts::spent(&limit.counter);
            match planted(Bug::LimitUnchecked) {
                true => tx.add(&spent, amount)?,
                false => tx.add_within(&spent, amount, i64::MIN..=limit.ceiling())?,
            }
            tx.add(&facts::leased(&limit.counter), amount)?;
        }
    }
    let held = facts::leases_held(principal, &asked.producer);
    if tx.number(&held).await? >= MOST_HELD {
        return Err(Code::LeasesTooMany.into());
    }
    tx.add_within(&held, 1, i64::MIN..=MOST_HELD)?;
    tx.put(&key, &lease)?;
    agenda::plan(tx, lease.ends_at, &its_end(principal, &asked.producer, &asked.id))?;
    Ok(Ok(told(granted, lease.ttl_ms(now))))
}

/// Whether the customer may be let in by the token now.
async fn is_good(
    tx: &Transaction<'_>,
    token_id: &str,
    customer_id: &str,
    solution_id: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(issued) = tx.peek::<IssuedToken>(&facts::issued_token(token_id)).await? else {
        return Ok(false);
    };
    let Some(family) = tx.peek::<Family>(&facts::family(&issued.family_id)).await? else {
        return Ok(false);
    };
    let not_before = facts::not_before(customer_id, solution_id);
    let not_before: NotBefore = tx.peek(&not_before).await?.unwrap_or_default();
    Ok(issued.customer_id == customer_id
        && issued.solution_id == solution_id
        && now <= issued.expires_at + CLOCK_TOLERANCE
        && !family.is_over(&not_before, issued.issued_at.numeric_date()))
}

/// The quotas of the action; none for who has not subscribed.
async fn quotas_left(
    market: &Market,
    solution: &Solution,
    customer_id: &str,
    action: &str,
    now: Timestamp,
) -> Result<Vec<Quota>, Failure> {
    let quotas = transact(&*market.store, async |tx| {
        let tier = subscribed_tier(tx, customer_id, &solution.id).await?;
        quotas_of(tx, customer_id, tier, solution, now).await
    });
    match quotas.await {
        Ok(quotas) => Ok(quotas.into_iter().filter(|quota| quota.action == action).collect()),
        Err(failure) if failure.code == Code::Forbidden => Ok(Vec::new()),
        Err(failure) => Err(failure),
    }
}

/// Whose lease it is, and how far its usage has been reported.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Settled {
    /// The producer that took it.
    producer: String,
    /// The last number of its log that names the lease, or a later one; 0 if there is none.
    through: u64,
}

/// `DELETE /api/quotas/{customer_id}/{solution_id}/leases/{lease_id}`
pub(crate) async fn give_back(
    State(market): State<Arc<Market>>,
    caller: SolutionKey,
    Path((customer_id, solution_id, lease_id)): Path<(String, String, String)>,
    Query(Settled { producer, through }): Query<Settled>,
) -> Result<Json<ReturnedLease>, Failure> {
    let principal = principal_of(&caller, &solution_id)?;
    check_id("lease_id", &lease_id, "lse_")?;
    check_id("producer", &producer, "prd_")?;
    let key = facts::lease(&principal, &producer, &lease_id);
    let returned = transact(&*market.store, async |tx| {
        let fence = facts::fence(&principal, &producer);
        // It only grows, and usage draws in the commit that moves it.
        let fence: Fence = tx.peek(&fence).await?.unwrap_or_default();
        if fence.number < through {
            return Err(unsettled(fence, through));
        }
        match tx.get::<Lease>(&key).await? {
            Some(lease) if lease.customer_id != customer_id => {
                Err(Failure::new(Code::NotFound, "The lease is another customer's."))
            }
            Some(lease) => Ok(release(tx, &principal, &producer, &key, &lease)?),
            None => Ok(0),
        }
    });
    Ok(Json(ReturnedLease { returned: returned.await? }))
}

/// Takes a lease away. Gives what of it can be used by others now.
fn release(
    tx: &mut Transaction<'_>,
    principal: &Principal,
    producer: &str,
    key: &Key,
    lease: &Lease,
) -> Result<u64, StoreError> {
    let left = lease.left().unwrap_or(0);
    for counter in lease.counters(principal.solution_id()).filter(|_| left > 0) {
        // A lease is of what a limit had left, far below 2^63.
        tx.add(&facts::spent(&counter), -(left as i64))?;
        tx.add(&facts::leased(&counter), -(left as i64))?;
    }
    tx.add(&facts::leases_held(principal, producer), -1)?;
    tx.delete(key);
    agenda::unplan(tx, lease.ends_at, &its_end(principal, producer, &key.sort));
    Ok(left)
}

/// The end of a lease, as the agenda has it.
pub(super) fn its_end(principal: &Principal, producer: &str, lease_id: &str) -> Task {
    Task::LeaseEnds {
        solution_id: principal.solution_id().to_owned(),
        producer: producer.to_owned(),
        lease_id: lease_id.to_owned(),
    }
}

/// `POST /api/producers/{producer_id}/end`
pub(crate) async fn end(
    State(market): State<Arc<Market>>,
    caller: SolutionKey,
    Path(producer): Path<String>,
    Json(EndProducer { epoch, through }): Json<EndProducer>,
) -> Result<Json<EndedProducer>, Failure> {
    let principal = Principal::SecretKey { solution_id: caller.solution_id };
    check_id("producer_id", &producer, "prd_")?;
    transact(&*market.store, async |tx| {
        let key = facts::fence(&principal, &producer);
        let fence: Fence = tx.get(&key).await?.unwrap_or_default();
        let ended = fence.end(epoch, through).map_err(|refusal| match refusal {
            Refusal::Gap => unsettled(fence, through),
            Refusal::Superseded => superseded(fence),
        })?;
        if ended != fence {
            tx.put(&key, &ended)?;
        }
        Ok::<_, Failure>(())
    })
    .await?;
    give_all_back(&market, &principal, &producer, epoch).await.map(Json)
}

/// From now on there are no more than there are: no lease is granted to a producer that has ended.
async fn give_all_back(
    market: &Market,
    principal: &Principal,
    producer: &str,
    epoch: u64,
) -> Result<EndedProducer, Failure> {
    let (store, now) = (&*market.store, market.world.now());
    let held = facts::leases(principal, producer, MOST_AT_ONCE);
    let held = transact(store, async |tx| tx.query::<Lease>(held.clone()).await).await?;
    let is_whole_page = held.len() == MOST_AT_ONCE;
    let (over, in_use): (Vec<_>, Vec<_>) =
        held.into_iter().partition(|(_, lease)| lease.is_over(epoch, now));
    let steps = over.chunks(EACH).map(|some| {
        transact(store, async move |tx: &mut Transaction<'_>| {
            for (key, _) in some {
                // Somebody else may have been faster.
                if let Some(lease) = tx.get::<Lease>(key).await? {
                    release(tx, principal, producer, key, &lease)?;
                }
            }
            Ok::<_, StoreError>(())
        })
    });
    // At once, so that they share the wait for the disk.
    try_join_all(steps).await?;

    let open =
        transact(store, async |tx| tx.number(&facts::leases_held(principal, producer)).await);
    let open = u64::try_from(open.await?).unwrap_or(0);
    let next = match is_whole_page && !over.is_empty() {
        true => Some(0),
        false => in_use.iter().map(|(_, lease)| lease.ttl_ms(now)).min(),
    };
    Ok(EndedProducer { open, retry_after_ms: (open > 0).then(|| next.unwrap_or(0)) })
}

fn principal_of(caller: &SolutionKey, solution_id: &str) -> Result<Principal, Failure> {
    if caller.solution_id != solution_id {
        return Err(Failure::new(Code::Forbidden, "The key is another solution's."));
    }
    Ok(Principal::SecretKey { solution_id: solution_id.to_owned() })
}

fn check(asked: &TakeLease) -> Result<(), Failure> {
    check_id("id", &asked.id, "lse_")?;
    check_id("producer", &asked.producer, "prd_")?;
    if !(1..=UsageEvent::MAX_ID_BYTES).contains(&asked.token_id.len()) {
        return Err(Failure::field("token_id", "A token's id has 1 to 64 bytes."));
    }
    if !TakeLease::AMOUNT.contains(&asked.least) {
        return Err(Failure::field("least", "It is a whole number between 1 and 1,000,000,000."));
    }
    if !(asked.least..=*TakeLease::AMOUNT.end()).contains(&asked.wanted) {
        return Err(Failure::field("wanted", "It is between `least` and 1,000,000,000."));
    }
    Ok(())
}

fn check_id(field: &str, id: &str, prefix: &str) -> Result<(), Failure> {
    match is_id(id, prefix) {
        true => Ok(()),
        false => Err(Failure::field(field, format!("An id looks like {prefix}name."))),
    }
}

fn superseded(fence: Fence) -> Failure {
    let detail = match fence {
        Fence { ended: true, .. } => "The producer has ended.".to_owned(),
        Fence { epoch, .. } => format!("The producer is at epoch {epoch}."),
    };
    Failure::new(Code::EpochSuperseded, detail)
}

fn unsettled(fence: Fence, through: u64) -> Failure {
    let Fence { number, .. } = fence;
    Failure::unsettled(number, format!("The fence is at {number}, not yet at {through}."))
}
