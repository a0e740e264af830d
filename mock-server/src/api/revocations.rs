//! How tokens end before their time, and the feed that tells those who judge tokens by themselves.
//!
//! What ends a token is committed together with the change of the feed that tells of it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::NoContent;
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{FeedChange, FeedEntry, Revocations, RevokeUser, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;

use super::caller::SolutionKey;
use super::idempotency::IdempotencyKey;
use super::json::Json;
use super::problem::Failure;
use super::query::Query;
use crate::domain::catalogue::{Customer, Subscription};
use crate::domain::feed::{FeedCursor, FeedHead, ReadOn};
use crate::domain::jwt::ACCESS_SECS;
use crate::domain::refresh::Family;
use crate::domain::revocation::NotBefore;
use crate::facts::{self, FamilyToken};
use crate::market::Market;
use crate::planted::{Bug, planted};
use crate::store::{Transaction, transact};

/// The most changes of one answer.
const MAX_CHANGES: usize = 1_000;
/// The most tokens of one change: 35 KB of an item.
const MAX_TOKENS: usize = 1_000;
/// The most living tokens of a family that end one by one. One that has more, because it was renewed
/// eleven times a second for a quarter of an hour, takes all tokens of its customer with it.
const MAX_LIVING: usize = 10_000;
/// The most tokens of one answer, 350 KB, unless the first change alone has more.
const MAX_TOKENS_OF_ANSWER: usize = 10_000;
/// How many changes are looked at, to be dropped, when one is added: feeds shrink faster than they
/// grow.
const SWEEP: usize = 4;

/// Where to read on.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// The `cursor` of the last answer; without one, everything there is.
    after: Option<String>,
}

/// `GET /api/revocations`
pub(crate) async fn read(
    State(market): State<Arc<Market>>,
    caller: SolutionKey,
    Query(Asked { after }): Query<Asked>,
) -> Result<Json<Revocations>, Failure> {
    let now = market.world.now();
    let generation = market.generation();
    let cursor = after.as_deref().and_then(FeedCursor::parse);
    let (head, read_on, found) = transact(&*market.store, async |tx| {
        // Read before the changes are: what is committed in between is told now or the next time.
        let head: FeedHead =
            tx.peek(&facts::feed_head(&caller.solution_id)).await?.unwrap_or_default();
        let read_on = head.read_on(&generation.id, cursor.clone());
        let after = match read_on {
            ReadOn::After(version) if version == head.version => {
                return Ok((head, read_on, vec![]));
            }
            ReadOn::After(version) => version,
            ReadOn::Snapshot => head.dropped,
        };
        let changes = facts::feed_changes(&caller.solution_id, after, MAX_CHANGES);
        Ok::<_, Failure>((head, read_on, tx.query::<FeedEntry>(changes).await?))
    })
    .await?;

    let found_all = found.len() < MAX_CHANGES;
    let found: Vec<_> = found.into_iter().map(|(_, entry)| entry).collect();
    let fits = how_many_fit(&found);
    let more = !found_all || fits < found.len();
    let version = match found[..fits].last() {
        Some(last) if more => last.version,
        Some(last) => last.version.max(head.version),
        None => head.version,
    };
    let alive = found.into_iter().take(fits).filter(|entry| entry.expires_at > now);
    Ok(Json(Revocations {
        generation: generation.id.clone(),
        began_at: generation.began_at,
        version,
        cursor: FeedCursor { generation: &generation.id, version }.to_string(),
        snapshot: read_on == ReadOn::Snapshot,
        more,
        changes: alive.collect(),
    }))
}

/// How many of the changes make an answer of decent size: at least one.
fn how_many_fit(changes: &[FeedEntry]) -> usize {
    let mut tokens = 0;
    let too_many = changes.iter().position(|entry| {
        if let FeedChange::TokensRevoked { token_ids } = &entry.change {
            tokens += token_ids.len();
        }
        tokens > MAX_TOKENS_OF_ANSWER
    });
    too_many.map_or(changes.len(), |at| at.max(1))
}

/// `DELETE /api/revoke-user`
pub(crate) async fn revoke_user(
    State(market): State<Arc<Market>>,
    caller: SolutionKey,
    key: IdempotencyKey,
    Json(request): Json<RevokeUser>,
) -> Result<NoContent, Failure> {
    let now = market.world.now();
    let (customer, solution) = (&request.customer_id, &caller.solution_id);
    // Asked again because the answer was lost, it must not end what was issued in between.
    key.once(&market, &caller, "DELETE /api/revoke-user", &request, async |tx| {
        let known: Option<Customer> = tx.peek(&facts::customer(customer)).await?;
        known.ok_or(Code::NotFound)?;
        end_user(tx, customer, solution, now).await
    })
    .await?;
    Ok(NoContent)
}

/// How long a token that is issued now can be alive.
const ACCESS_LIFE: Duration = Duration::from_secs(ACCESS_SECS);

/// Ends a family, which was read with [`Transaction::get`], and every token of it.
pub(crate) async fn end_family(
    tx: &mut Transaction<'_>,
    family_id: &str,
    mut family: Family,
    now: Timestamp,
) -> Result<(), Failure> {
    if !family.revoke(now) {
        return Ok(());
    }
    tx.put(&facts::family(family_id), &family)?;
    let living = facts::living_tokens(family_id, now, MAX_LIVING);
    let living = tx.query::<FamilyToken>(living).await?;
    if living.len() == MAX_LIVING {
        return end_user(tx, &family.customer_id, &family.solution_id, now).await;
    }
    for living in living.chunks(MAX_TOKENS) {
        let token_ids = living.iter().map(|(_, token)| token.token_id.clone()).collect();
        let change = FeedChange::TokensRevoked { token_ids };
        let expires_at = living.first().map_or(now, |(_, token)| token.expires_at);
        publish(tx, &family.solution_id, change, expires_at, now).await?;
    }
    Ok(())
}

/// Ends all tokens that a customer has for a solution.
async fn end_user(
    tx: &mut Transaction<'_>,
    customer_id: &str,
    solution_id: &str,
    now: Timestamp,
) -> Result<(), Failure> {
    let key = facts::not_before(customer_id, solution_id);
    let mut end: NotBefore = tx.get(&key).await?.unwrap_or_default();
    let earlier = end.secs;
    let token_ids = end.revoke(now.numeric_date());
    tx.put(&key, &end)?;
    let not_before = end.secs;
    let expires_at = Timestamp::from_numeric_date(not_before) + ACCESS_LIFE;
    if not_before != earlier {
        let change = FeedChange::UserRevoked { customer_id: customer_id.to_owned(), not_before };
        publish(tx, solution_id, change, expires_at, now).await?;
    }
    if !token_ids.is_empty() {
        let change = FeedChange::TokensRevoked { token_ids };
        publish(tx, solution_id, change, expires_at, now).await?;
    }
    Ok(())
}

/// Tells that a customer has another tier, whatever a token says that was issued before: the last of them
/// may be of a later second than it is now, if the clock has gone back.
pub(crate) async fn publish_tier(
    tx: &mut Transaction<'_>,
    subscription: &Subscription,
    now: Timestamp,
) -> Result<(), Failure> {
    let (customer_id, tier) = (subscription.customer_id.clone(), subscription.tier);
    let end = facts::not_before(&customer_id, &subscription.solution_id);
    let end: NotBefore = tx.get(&end).await?.unwrap_or_default();
    let changed_at = now.max(Timestamp::from_numeric_date(end.last_iat()));
    let change = FeedChange::TierChanged { customer_id, tier, changed_at };
    publish(tx, &subscription.solution_id, change, changed_at + ACCESS_LIFE, now).await
}

/// Adds a change to a solution's feed, in the commit that makes it true, and drops some that concern
/// nobody any more.
async fn publish(
    tx: &mut Transaction<'_>,
    solution_id: &str,
    change: FeedChange,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<(), Failure> {
    if planted(Bug::FeedUntold) {
        return Ok(());
    }
    let key = facts::feed_head(solution_id);
    let mut head: FeedHead = tx.get(&key).await?.unwrap_or_default();
    let version = head.next();
    let entry = FeedEntry { version, expires_at, change };
    tx.put(&facts::feed_change(solution_id, version), &entry)?;

    let oldest = facts::feed_changes(solution_id, head.dropped, SWEEP);
    for (key, entry) in tx.query::<FeedEntry>(oldest).await? {
        if entry.expires_at > now {
            break;
        }
        tx.delete(&key);
        head.dropped = entry.version;
    }
    Ok(tx.put(&key, &head)?)
}

#[cfg(all(test, feature = "control"))]
mod tests {
    use super::*;
    use crate::MockServer;
    use crate::api::tokens::verify;
    use crate::domain::jwt;
    use crate::facts::IssuedToken;

    #[test]
    fn an_answer_has_a_decent_size_and_at_least_one_change() {
        let change = |tokens: usize| FeedEntry {
            version: 1,
            expires_at: Timestamp::from_millis(0),
            change: FeedChange::TokensRevoked { token_ids: vec![String::new(); tokens] },
        };
        let fit =
            |tokens: &[usize]| how_many_fit(&tokens.iter().map(|n| change(*n)).collect::<Vec<_>>());
        assert_eq!(fit(&[]), 0);
        assert_eq!(fit(&[MAX_TOKENS_OF_ANSWER + 1]), 1);
        assert_eq!(fit(&[MAX_TOKENS_OF_ANSWER, 1]), 1);
        assert_eq!(fit(&[1, MAX_TOKENS_OF_ANSWER - 1, 1]), 2);
    }

    #[tokio::test]
    async fn a_family_with_more_tokens_than_can_be_named_takes_its_user_with_it() {
        let server = MockServer::start().await.expect("a server");
        let market = &server.market;
        let (customer, solution) = ("cus_ravi", "sol_faiss_search");
        let pair = server.token_pair(customer, solution).await.expect("a pair");
        let other = server.token_pair(customer, solution).await.expect("a pair");
        let now = market.world.now();
        let token = jwt::read_access(&market.keys, &market.url, pair.access_token.expose(), now);
        let claims = token.expect("a token").claims().clone();
        let key = facts::issued_token(&claims.jti);
        let issued: IssuedToken = transact(&*market.store, async |tx| tx.peek(&key).await)
            .await
            .expect("a store")
            .expect("it was issued");
        for hundred in 0..MAX_LIVING / 100 {
            let written = transact(&*market.store, async |tx| {
                for n in 0..100 {
                    let (token_id, expires_at) = (format!("tok_{hundred}_{n}"), now + ACCESS_LIFE);
                    let key = facts::family_token(&issued.family_id, &token_id, expires_at);
                    tx.create(&key, &FamilyToken { token_id, expires_at })?;
                }
                Ok::<_, Failure>(())
            });
            written.await.expect("a store");
        }

        let ended = transact(&*market.store, async |tx| {
            let family = tx.get(&facts::family(&issued.family_id)).await?.ok_or(Code::NotFound)?;
            end_family(tx, &issued.family_id, family, now).await
        });
        ended.await.expect("one commit");

        let changes = facts::feed_changes(solution, 0, 10);
        let changes: Vec<(_, FeedEntry)> =
            transact(&*market.store, async |tx| tx.query(changes.clone()).await)
                .await
                .expect("a store");
        assert!(matches!(changes[0].1.change, FeedChange::UserRevoked { .. }), "{changes:?}");
        for pair in [pair, other] {
            let verdict = verify(market, None, pair.access_token.expose()).await.expect("a store");
            assert_eq!(verdict.expect_err("revoked"), Code::TokenRevoked);
        }
    }
}
