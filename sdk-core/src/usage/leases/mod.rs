//! Leases: blocks of a hard quota that this program spends without asking.
//!
//! ```text
//! consume ──► book: a lease that pays? ──► the event, with the lease's name, into the producer's log
//!                 │ no                                       ▲
//!                 └──► one request for all who wait ─────────┘
//! ```
//!
//! A lease belongs to the producer in whose log the usage is that it allowed. What is promised: the
//! marketplace has charged for a lease before it is granted, and a lease is not used after its end, so
//! that what all programs together have counted never exceeds the limit. What is not used is given back: of a
//! lease that is over when what it allowed is [answered for](returning), of all leases when the producer
//! [ends](ending). Who dies leaves a word in the spool, and the adopter of the log gives back.
//!
//! What is not promised: that what was let through is counted. What [`Overflow`](crate::Overflow) drops, what
//! the loss of power takes from [`Durability::Fast`](crate::Durability::Fast), what is rejected, and what a
//! spool loses that is damaged or removed was allowed, and is free again. What a customer's tier had left
//! when it ended may be used until the lease ends. And an action may be allowed beyond its limit in an
//! outage, if the solution wants it so.

mod block;
mod book;
mod consumed;
mod consuming;
mod ending;
mod pay;
mod request;
mod returning;
mod returns;
mod stats;
#[cfg(all(test, feature = "native"))]
mod tests;
mod warnings;

use std::sync::{Arc, PoisonError};

use super::log::Taken;
use super::tracker::record;
use super::uploader::Pipeline;
use crate::error::Result;
use crate::flights::Flights;
use crate::host::{Host, Moment};
use crate::model::UsageEvent;
use crate::sync::{Mutex, MutexGuard, Signal};
use book::Book;

pub use consumed::{Consumed, Denial};
pub use stats::LeaseStats;

pub(super) use request::Leases;
use request::Reply;

/// A producer's log and the leases it has.
pub(super) struct Holder {
    pub(super) pipeline: Arc<Pipeline>,
    books: Mutex<Books>,
    /// By customer and action.
    requests: Flights<Reply>,
    /// Told when there is something new to look at.
    changed: Signal,
    /// Told when something was given back.
    returned: Signal,
}

#[derive(Default)]
struct Books {
    book: Book,
    /// A task looks after what is in the book.
    is_looked_after: bool,
}

/// What became of an event that a lease was sought for.
pub(super) enum Spent {
    /// It is noted. `renew` if it is time to ask for the next lease.
    Noted { taken: Taken, renew: bool },
    /// No lease pays for it.
    Nothing,
}

impl Holder {
    pub(super) fn new(host: Arc<dyn Host>, pipeline: Arc<Pipeline>) -> Self {
        let (books, requests) = (Mutex::default(), Flights::new(host));
        let (changed, returned) = (Signal::new(), Signal::new());
        Holder { pipeline, books, requests, changed, returned }
    }

    /// Notes the event if a lease pays for it. Waits for nobody. Nothing is spent where noting it fails.
    ///
    /// An event that the log drops at once is spent all the same: the program chose to go on without what
    /// it drops. The marketplace will not see it, and finds so much more left when the lease is given
    /// back.
    pub(super) fn spend(&self, event: &mut UsageEvent, now: Moment) -> Result<Spent> {
        // Held while the event is written: whoever finds the lease over finds the event in the log.
        let mut books = self.books();
        let (customer, action, quantity) = (&event.customer_id, &event.action, event.quantity);
        let Some(payer) = books.book.payer(customer, action, quantity, now) else {
            return Ok(Spent::Nothing);
        };
        event.lease = Some(payer.lease_id().to_owned());
        let taken = self.pipeline.append(&record(event))?;
        let is_named = event.idempotency_key.is_some();
        let renew = payer.draw(quantity, taken.ticket, is_named, now);
        if books.book.returns.has_new() {
            self.changed.notify(usize::MAX);
        }
        Ok(Spent::Noted { taken, renew })
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
