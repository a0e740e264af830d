//! One event, sent without a producer's log: what a shell script does.

use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{EventResult, EventStatus, UsageEvent};

use super::Taken;
use super::admission::{Admission, Rules, Verdict};
use super::index::{Written, index};
use super::projection::{self, Projection};
use crate::api::problem::Failure;
use crate::api::quotas::time_zone;
use crate::domain::catalogue::Solution;
use crate::domain::principal::Principal;
use crate::domain::usage::{Effect, additions};
use crate::facts::{self, SingleEvent};
use crate::market::Market;
use crate::store::transact;

/// Takes an event once, its `id` being its idempotency key; `fingerprint` tells whether an event with
/// that id is the same one again. A rejected event leaves no trace: it may be corrected and sent
/// again under the same id.
pub(super) async fn take(
    market: &Market,
    principal: &Principal,
    solution: &Solution,
    event: &UsageEvent,
    fingerprint: String,
) -> Result<Taken, Failure> {
    if let Some((code, _)) = event.malformed() {
        return Ok(taken(EventStatus::Rejected, Some(code)));
    }
    let now = market.world.now();
    let zone = time_zone(solution)?;

    transact(&*market.store, async |tx| {
        let key = facts::single_event(principal, &event.id);
        if let Some(before) = tx.get::<SingleEvent>(&key).await? {
            if before.fingerprint != fingerprint {
                let detail = "An event of this id was sent before, and it was another.";
                return Err(Failure::new(Code::IdempotencyMismatch, detail));
            }
            return Ok(taken(EventStatus::Duplicate, None));
        }
        let rules = Rules { principal, solution, zone: &zone, now };
        let mut admission = Admission::of(tx, rules, std::iter::once(event)).await?;
        let Verdict { status, code, difference, .. } = admission.admit(tx, event, None).await?;
        if status != EventStatus::Accepted {
            return Ok(taken(status, code));
        }
        let kept = SingleEvent {
            fingerprint: fingerprint.clone(),
            received_at: now,
            event: event.clone(),
            late: admission.is_late(event),
            difference,
        };
        tx.put(&key, &kept)?;
        let additions = additions([Effect::of(event, difference)], solution, &zone)
            .map_err(|_| Code::OccurredOutOfRange)?;
        let line = [Written::of(kept.into_line())?];
        let index = index(principal, None, &key, now, &line);
        let projection = Projection { additions, index, pages: Vec::new() };
        projection::project(tx, projection, || market.world.id("pnd"))?;
        Ok(taken(EventStatus::Accepted, None))
    })
    .await
}

fn taken(status: EventStatus, code: Option<Code>) -> Taken {
    Taken { fence: None, results: vec![EventResult { number: None, through: None, status, code }] }
}
