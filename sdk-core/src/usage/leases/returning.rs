//! Gives back what leases have left that nobody uses any more: one task for all leases of a producer,
//! which is there while there are leases.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::select;

use super::book::Over;
use super::{Holder, Leases};
use crate::error::Result;
use crate::host::Moment;
use crate::http::Call;
use crate::model::{Code, ReturnedLease};
use crate::usage::log::RecordLog;

/// After how long a lease is given back again where that failed. Nobody waits for it but others, who would
/// use it.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

impl Leases {
    /// Has somebody look after what is in the book.
    pub(super) fn look_after(self: &Arc<Self>, holder: &Arc<Holder>) {
        let is_looked_after = std::mem::replace(&mut holder.books().is_looked_after, true);
        holder.changed.notify(usize::MAX);
        if !is_looked_after {
            let (leases, holder) = (self.clone(), holder.clone());
            self.pipelines.spawn(async move { leases.keep_returning(&holder).await }.boxed());
        }
    }

    async fn keep_returning(&self, holder: &Holder) {
        let host = &*self.pipelines.uplink.host;
        loop {
            let changed = holder.changed.listen();
            let Some(at) = holder.next_look() else { return };
            let pause = at.saturating_sub(host.monotonic());
            if !pause.is_zero() {
                select(changed, host.sleep(pause)).await;
            }
            let over = holder.books().book.look(Moment::now(host));
            let mut failed = false;
            for over in over {
                failed |= !self.give_back(holder, over).await;
            }
            if failed {
                host.sleep(AGAIN_AFTER).await;
            }
        }
    }

    /// Gives a lease back once what it allowed is delivered; whether that is settled.
    async fn give_back(&self, holder: &Holder, over: Over) -> bool {
        let through = match over.last {
            None => 0,
            Some(last) => match holder.pipeline.log().persisted(last).await {
                Ok(number) => number,
                // Nobody knows whether it will be delivered: the end of the producer settles it.
                Err(_) => return true,
            },
        };
        // Counted or rejected, it is known where the lease was granted.
        let _ = holder.pipeline.answer(through).await;
        if holder.pipeline.has_left() {
            return true; // whoever delivers the log ends the producer
        }
        match self.pipelines.uplink.reach.attempt(self.send_back(holder, &over, through)).await {
            Ok(_) => {
                self.returned.fetch_add(1, Ordering::Relaxed);
                true
            }
            // The marketplace has another past than when it answered for the log: the end of the producer
            // settles it.
            Err(error) if error.code().is_retryable() && error.code() != Code::LeaseUnsettled => {
                holder.books().book.put_back(over);
                false
            }
            Err(error) => {
                tracing::warn!(%error, lease = %over.lease_id, "a lease could not be given back");
                true
            }
        }
    }

    async fn send_back(&self, holder: &Holder, over: &Over, through: u64) -> Result<ReturnedLease> {
        let uplink = &self.pipelines.uplink;
        let Over { customer_id, lease_id, .. } = over;
        let (solution, producer) = (uplink.http.solution(), holder.pipeline.producer_id());
        let path = format!(
            "/api/quotas/{customer_id}/{solution}/leases/{lease_id}?producer={producer}&through={through}"
        );
        uplink.http.call(Call::delete_at(&path).with_key(&uplink.secret_key), self.deadline).await
    }
}

impl Holder {
    /// When there is something to do. Where there is not, the next lease needs another task.
    fn next_look(&self) -> Option<Duration> {
        let mut books = self.books();
        let next = books.book.next_look();
        books.is_looked_after = next.is_some();
        next
    }
}
