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
//! that all programs together never let more through than the limit. What is not used is given back: of a
//! lease that is over when what it allowed is [delivered](returning), of all leases when the producer
//! [ends](ending). Who dies leaves a word in the spool, and the adopter of the log gives back.

mod block;
mod book;
mod consumed;
mod ending;
mod pay;
mod request;
mod returning;
mod stats;
#[cfg(all(test, feature = "native"))]
mod tests;
mod warnings;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_listener::Event as Signal;

use super::log::Taken;
use super::tracker::record;
use super::uploader::Pipeline;
use crate::error::Result;
use crate::flights::Flights;
use crate::host::{Host, Moment};
use crate::model::UsageEvent;
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
        let (books, requests, changed) = (Mutex::default(), Flights::new(host), Signal::new());
        Holder { pipeline, books, requests, changed }
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
        let taken = self.pipeline.append(&record(event)?)?;
        let may_not_count = taken.lost || event.idempotency_key.is_some();
        let renew = payer.draw(quantity, taken.ticket, may_not_count, now);
        Ok(Spent::Noted { taken, renew })
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
