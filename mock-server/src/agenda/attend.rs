//! Doing what is due as real time passes.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use cloudnestle_marketplace::model::Timestamp;

use super::{next, run};
use crate::market::Market;
use crate::store::StoreError;

/// How long it waits at most before it looks again. A timer does not go while a laptop sleeps, the clock
/// does; and who planned something may have gone before the commit was known to have happened.
const LONGEST_NAP: Duration = Duration::from_secs(60);
/// How long it waits for a store that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Does what is due in a market, as time passes, until the market is dropped or
/// [closed](super::Agenda::close). It does not keep the market alive, and sleeps while nothing is due.
pub(crate) fn attend(market: &Arc<Market>) {
    let (alarm, weak) = (market.agenda.alarm.clone(), Arc::downgrade(market));
    let attendant = tokio::spawn(async move {
        while !alarm.is_closed() {
            alarm.listen();
            let Some(market) = weak.upgrade() else { return };
            let nap = do_what_is_due(&market).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "what is due could not be done, and is tried again");
                AFTER_FAILURE
            });
            drop(market);
            tokio::select! {
                () = alarm.rung() => {}
                () = tokio::time::sleep(nap) => {}
            }
        }
    });
    *market.agenda.attendant.lock().unwrap_or_else(PoisonError::into_inner) = Some(attendant);
}

/// How long there will be nothing to do.
async fn do_what_is_due(market: &Arc<Market>) -> Result<Duration, StoreError> {
    let _turn = market.agenda.turn.lock().await;
    while !market.agenda.alarm.is_closed() {
        let now = market.world.now();
        match run::run_some(market, now).await? {
            Some(fired) => fired.iter().for_each(|fired| tracing::debug!(?fired, "was due")),
            None => break,
        }
    }
    Ok(wait_for(market, next(market).await?.map(|(at, _)| at)))
}

fn wait_for(market: &Market, next: Option<Timestamp>) -> Duration {
    let Some(at) = next else { return LONGEST_NAP };
    market.agenda.alarm.set_for(at);
    market.world.clock.real_time_until(at).map_or(LONGEST_NAP, |left| left.min(LONGEST_NAP))
}
