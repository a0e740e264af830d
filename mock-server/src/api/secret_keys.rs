//! Secret keys of solutions, replaced without a moment in which none is good.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{RotateSecretKey, RotatedSecretKey};

use super::caller::SolutionKey;
use super::idempotency::IdempotencyKey;
use super::json::Json;
use super::problem::Failure;
use crate::domain::credential::{Hash, Kind};
use crate::facts::{self, ApiKey, KeyOfSolution};
use crate::market::Market;

/// How long the old key stays good unless the caller says otherwise: time for a roll-out.
const OVERLAP_SECS: u64 = 24 * 60 * 60;
/// The longest: a key that is being replaced should not be forgotten about.
const MAX_OVERLAP_SECS: u64 = 7 * OVERLAP_SECS;

/// The most secret keys a solution has at a time. So a rotation finds them all.
const MAX_KEYS: usize = 40;

/// `POST /api/secret-keys/rotate`
///
/// Every other key of the solution ends with the one of this call: whoever stole a key, and made
/// themselves another with it, is out as well.
///
/// Usage goes on where it was: fences and idempotency keys are the solution's, not the key's.
pub(crate) async fn rotate(
    State(market): State<Arc<Market>>,
    caller: SolutionKey,
    key: IdempotencyKey,
    Json(request): Json<RotateSecretKey>,
) -> Result<Json<RotatedSecretKey>, Failure> {
    let overlap = request.overlap_secs.unwrap_or(OVERLAP_SECS);
    if overlap > MAX_OVERLAP_SECS {
        return Err(Failure::field("overlap_secs", "A key may overlap by at most a week."));
    }
    let now = market.world.now();
    let end = now + Duration::from_secs(overlap);
    let secret_key = Kind::SecretKey.secret(market.world.random.bytes());
    let hash = Hash::of(&secret_key);
    let SolutionKey { solution_id, hash: old } = &caller;

    let rotated = key
        .once(&market, &caller, "POST /api/secret-keys/rotate", &request, async |tx| {
            let keys = tx.query(facts::keys_of_solution(solution_id, MAX_KEYS + 1)).await?;
            let (mut living, mut previous_expires_at) = (0, end);
            for (of_solution, KeyOfSolution { hash: other }) in keys {
                let item = facts::api_key(&other);
                let Some(mut kept) = tx.get::<ApiKey>(&item).await? else { continue };
                if kept.expires_at.is_some_and(|end| end <= now) && !other.matches(old) {
                    tx.delete(&of_solution);
                    continue;
                }
                living += 1;
                // A key that is being replaced does not live longer by being replaced again.
                let end = kept.expires_at.map_or(end, |before| before.min(end));
                kept.expires_at = Some(end);
                tx.put(&item, &kept)?;
                if other.matches(old) {
                    previous_expires_at = end;
                }
            }
            if living >= MAX_KEYS && overlap > 0 {
                let detail = "The solution has 40 keys; end them with an `overlap_secs` of 0.";
                return Err(Failure::new(Code::Forbidden, detail));
            }
            tx.create(&facts::key_of_solution(solution_id, &hash), &KeyOfSolution { hash })?;
            let new = ApiKey { hash, solution_id: solution_id.clone(), expires_at: None };
            tx.create(&facts::api_key(&hash), &new)?;
            Ok(RotatedSecretKey { secret_key: secret_key.clone(), previous_expires_at })
        })
        .await?;
    Ok(Json(rotated))
}
