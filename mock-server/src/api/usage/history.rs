//! What a customer has used, by hours, days or months.
//!
//! It is read off the counters, so it costs as much as it is long, however many events there were.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{Bucket, Page, Timestamp, UsageBucket};
use jiff::tz::TimeZone;
use serde::Deserialize;
use utoipa::IntoParams;

use super::projection;
use crate::api::caller::Reader;
use crate::api::cursor::{Limit, Listing};
use crate::api::json::Json;
use crate::api::problem::Failure;
use crate::api::query::Query;
use crate::api::quotas::time_zone;
use crate::api::tokens::subscribed_tier;
use crate::domain::calendar::{extent, name, prefix};
use crate::domain::catalogue::Solution;
use crate::facts;
use crate::market::Market;
use crate::store::transact;

/// Sorts behind every name.
const END: &str = "~";

/// Which usage.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// The solution. A session has to name it; a key or a token is for one anyway.
    solution_id: Option<String>,
    /// One action alone.
    action: Option<String>,
    /// How long the buckets are; days unless given.
    #[serde(default)]
    #[param(inline)]
    bucket: Bucket,
    /// From the bucket of this moment on.
    #[param(inline)]
    from: Option<Timestamp>,
    /// Before this moment. A bucket that it lies in is told as a whole.
    #[param(inline)]
    to: Option<Timestamp>,
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// `GET /api/usage/{customer_id}`: by action, and for each in the order of time.
pub(crate) async fn read(
    State(market): State<Arc<Market>>,
    reader: Reader,
    Path(customer_id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Json<Page<UsageBucket>>, Failure> {
    let solution_id = allowed(&reader, &customer_id, asked.solution_id.as_deref())?;
    let solution = known(&market, &customer_id, solution_id, asked.action.as_deref()).await?;
    let zone = time_zone(&solution)?;
    let names = names(&asked, &zone)?;

    let Asked { action, bucket, from, to, limit, cursor, .. } = asked;
    let filters = (&customer_id, solution_id, &action, bucket, from, to);
    let list = Listing::of(&market.keys, "usage", &filters);
    let after: Option<(String, String)> = list.place(cursor.as_deref())?;

    projection::catch_up(&market).await?;
    let mut found = Vec::new();
    for action in actions(&solution, action.as_deref()) {
        let first = match &after {
            Some((last, _)) if action < last.as_str() => continue,
            Some((last, name)) if action == last => format!("{name}\0"),
            _ => names.0.clone(),
        };
        let room = limit.one_more() - found.len();
        let counters =
            facts::counters(&customer_id, solution_id, action, first..=names.1.clone(), room);
        let counted = transact(&*market.store, async |tx| tx.query::<i64>(counters.clone()).await);
        for (key, quantity) in counted.await? {
            // The key was made of the action and the name.
            let name = key.sort[action.len() + 1..].to_owned();
            let extent = extent(&name, &zone).map_err(|_| Code::Internal)?;
            let bucket = UsageBucket {
                action: action.to_owned(),
                begins_at: extent.start,
                ends_at: extent.end,
                quantity: u64::try_from(quantity).unwrap_or(0),
            };
            found.push((name, bucket));
        }
        if found.len() > limit.items() {
            break;
        }
    }
    let page = list.page(found, limit, |(name, bucket)| (bucket.action.clone(), name.clone()));
    let items = page.items.into_iter().map(|(_, bucket)| bucket).collect();
    Ok(Json(Page { items, next_cursor: page.next_cursor }))
}

/// The solution whose usage is asked for, if the reader may have it.
pub(super) fn allowed<'a>(
    reader: &'a Reader,
    customer_id: &str,
    solution_id: Option<&'a str>,
) -> Result<&'a str, Failure> {
    let solution_id = solution_id.or(reader.solution_id()).ok_or_else(|| {
        Failure::field("solution_id", "A session reads of any solution: name the one.")
    })?;
    reader.check(customer_id, solution_id)?;
    Ok(solution_id)
}

/// The solution, if the customer has subscribed to it and it has the action. A mistyped name would
/// otherwise be told from one that has used nothing by nobody.
pub(super) async fn known(
    market: &Market,
    customer_id: &str,
    solution_id: &str,
    action: Option<&str>,
) -> Result<Arc<Solution>, Failure> {
    transact(&*market.store, async |tx| subscribed_tier(tx, customer_id, solution_id).await)
        .await?;
    let solution = market.solution(solution_id).await?.ok_or(Code::NotFound)?;
    match action.is_none_or(|action| solution.action(action).is_some()) {
        true => Ok(solution),
        false => Err(Code::ActionUnknown.into()),
    }
}

/// The names of the first and the last bucket that were asked for.
fn names(asked: &Asked, zone: &TimeZone) -> Result<(String, String), Failure> {
    let Asked { bucket, from, to, .. } = asked;
    let prefix = prefix(*bucket)
        .map_err(|_| Failure::field("bucket", "Buckets are `hour`, `day` or `month`."))?;
    if from.zip(*to).is_some_and(|(from, to)| from >= to) {
        return Err(Failure::field("to", "`to` lies behind `from`."));
    }
    let outside = |field| Failure::field(field, "The moment is outside of the calendar.");
    let first = match from {
        Some(from) => name(*bucket, zone, *from).map_err(|_| outside("from"))?,
        None => prefix.to_owned(),
    };
    let last = match to {
        Some(to) => {
            let last = Timestamp::from_millis(to.as_millis() - 1);
            name(*bucket, zone, last).map_err(|_| outside("to"))?
        }
        None => format!("{prefix}{END}"),
    };
    Ok((first, last))
}

/// The actions that are asked for, in the order they are listed in.
pub(super) fn actions<'a>(solution: &'a Solution, only: Option<&'a str>) -> BTreeSet<&'a str> {
    match only {
        Some(action) => BTreeSet::from([action]),
        None => solution.actions.iter().map(|action| action.name.as_str()).collect(),
    }
}
