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
use crate::facts::{self, ApiKey};
use crate::market::Market;

/// How long the old key stays good unless the caller says otherwise: time for a roll-out.
const OVERLAP_SECS: u64 = 24 * 60 * 60;
/// The longest: a key that is being replaced should not be forgotten about.
const MAX_OVERLAP_SECS: u64 = 7 * OVERLAP_SECS;

/// `POST /api/secret-keys/rotate`
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
    let end = market.world.now() + Duration::from_secs(overlap);
    let secret_key = Kind::SecretKey.secret(market.world.random.bytes());
    let hash = Hash::of(&secret_key);
    let SolutionKey { solution_id, hash: old } = &caller;

    let rotated = key
        .once(&market, solution_id, "POST /api/secret-keys/rotate", &request, async |tx| {
            let item = facts::api_key(old);
            let mut kept: ApiKey = tx.get(&item).await?.ok_or(Code::CredentialInvalid)?;
            // A key that is being replaced does not live longer by being replaced again.
            let end = kept.expires_at.map_or(end, |before| before.min(end));
            kept.expires_at = Some(end);
            tx.put(&item, &kept)?;
            let new = ApiKey { hash, solution_id: solution_id.clone(), expires_at: None };
            tx.create(&facts::api_key(&hash), &new)?;
            Ok(RotatedSecretKey { secret_key: secret_key.clone(), previous_expires_at: end })
        })
        .await?;
    Ok(Json(rotated))
}
