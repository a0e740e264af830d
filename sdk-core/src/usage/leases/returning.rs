//! Gives back what leases have left that nobody uses any more: one task for all leases of a producer,
//! which is there while there are leases.
//!
//! A lease waits until all that it allowed is answered for, and holds up no other. What fails is tried
//! again, as usage is; what nobody tells apart from a lease that is not there is left to the end of the
//! producer, which gives everything back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::select;
use futures_util::{FutureExt, StreamExt, stream};

use super::returns::{Rest, Settling};
use super::{Holder, Leases};
use crate::error::{Error, Result};
use crate::events::Event;
use crate::host::Moment;
use crate::http::Call;
use crate::model::{Code, ReturnedLease};
use crate::usage::pace::Pace;

/// How many requests are made at a time: others wait for what is given back, and nobody here does.
const AT_A_TIME: usize = 8;

/// The longest pause: what is looked for in vain once an hour costs nothing.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

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

    /// Ends when there are no leases, or when the log is another's: whoever delivers it ends the producer.
    async fn keep_returning(&self, holder: &Holder) {
        let uplink = &self.pipelines.uplink;
        let (host, pipeline) = (&*uplink.host, &holder.pipeline);
        let (mut pace, mut send_at, mut told) = (Pace::default(), Duration::ZERO, None);
        while !pipeline.has_left() {
            let news = select(holder.changed.listen(), pipeline.progress());
            self.number(holder).await;
            let now = host.monotonic();
            let settled = match now >= send_at {
                true => holder.books().book.returns.settled(pipeline.answered(), now),
                false => Vec::new(),
            };
            if !settled.is_empty() {
                match self.give_all_back(holder, settled).await {
                    None => (pace, told) = (Pace::default(), None),
                    Some(error) => {
                        let wait = pace.failed(host, pipeline.mark(uplink), &error);
                        send_at = host.monotonic() + wait.whole;
                        let is_blocked = !error.is_retryable();
                        if is_blocked && told.replace(error.code()) != Some(error.code()) {
                            uplink.announcer.announce(Event::UsageWaiting { error });
                        }
                    }
                }
                continue;
            }
            let Some(at) = holder.next_look(send_at) else { return };
            let pause = at.saturating_sub(now).min(LONGEST_PAUSE);
            if !pause.is_zero() {
                select(news, host.sleep(pause)).await;
            }
        }
    }

    /// Finds out by which numbers what is over has to wait.
    async fn number(&self, holder: &Holder) {
        let now = Moment::now(&*self.pipelines.uplink.host);
        let new = {
            let mut books = holder.books();
            books.book.look(now);
            books.book.returns.take_new()
        };
        let log = holder.pipeline.log();
        for over in new {
            let numbers = match over.allowed {
                None => Ok((1, 0)),
                // They are persisted in order.
                Some((first, last)) => match log.persisted(last).await {
                    Ok(last) => log.persisted(first).await.map(|first| (first, last)),
                    Err(error) => Err(error),
                },
            };
            let returns = &mut holder.books().book.returns;
            match numbers {
                Ok((first, last)) => returns.settle(Settling { over, numbers: first..=last }),
                // Nobody knows whether they will be delivered.
                Err(_) => returns.give_up(over, now.monotonic),
            }
        }
    }

    /// Why some could not be given back, if they could not.
    async fn give_all_back(&self, holder: &Holder, settled: Vec<Settling>) -> Option<Error> {
        let returning = settled.into_iter().map(|settling| self.give_back(holder, settling));
        let returning = stream::iter(returning).buffer_unordered(AT_A_TIME);
        let failed = returning.fold(None, async |failed, error| error.or(failed)).await;
        holder.returned.notify(usize::MAX);
        failed
    }

    /// Gives a lease back of which all that it allowed is answered for. The error if it has to be tried
    /// again.
    async fn give_back(&self, holder: &Holder, settling: Settling) -> Option<Error> {
        let host = &*self.pipelines.uplink.host;
        let rest = settling.over.rest;
        if rest == Rest::UsedUp && holder.pipeline.has_counted(&settling.numbers) {
            holder.books().book.returns.done(settling.over, host.monotonic());
            return None;
        }
        let result = self.pipelines.uplink.reach.attempt(self.send_back(holder, &settling)).await;
        let returns = &mut holder.books().book.returns;
        match result {
            Ok(_) => {
                if !matches!(rest, Rest::Unheard { .. }) {
                    self.returned.fetch_add(1, Ordering::Relaxed);
                }
                returns.done(settling.over, host.monotonic());
                None
            }
            // The marketplace is an older one, or has another past than when it answered for the log.
            Err(error) if is_final(error.code()) => {
                let lease_id = &settling.over.lease_id;
                tracing::warn!(%error, lease = %lease_id, "a lease could not be given back");
                returns.give_up(settling.over, host.monotonic());
                None
            }
            Err(error) => {
                returns.settle(settling);
                Some(error)
            }
        }
    }

    async fn send_back(&self, holder: &Holder, settling: &Settling) -> Result<ReturnedLease> {
        let uplink = &self.pipelines.uplink;
        let (customer_id, lease_id) = (&settling.over.customer_id, &settling.over.lease_id);
        let (solution, producer) = (uplink.http.solution(), holder.pipeline.log().producer());
        let through = settling.numbers.end();
        let path = format!(
            "/api/quotas/{customer_id}/{solution}/leases/{lease_id}?producer={producer}&through={through}"
        );
        let call = Call::delete_at(&path).by(uplink.credential()?);
        uplink.http.call(call, self.deadline).await
    }
}

impl Holder {
    /// When there is something to do. Where there is not, the next lease needs another task.
    fn next_look(&self, send_at: Duration) -> Option<Duration> {
        let mut books = self.books();
        let returns = books.book.returns.next(self.pipeline.answered(), send_at);
        let next = returns.into_iter().chain(books.book.next_look()).min();
        books.is_looked_after = next.is_some();
        next
    }
}

/// Whether trying again does not help, and only the end of the producer settles it.
fn is_final(code: Code) -> bool {
    matches!(code, Code::NotFound | Code::RequestInvalid | Code::LeaseUnsettled)
}
