use std::sync::Arc;

use super::log::{Taken, Ticket};
use super::uploader::Pipeline;
use crate::error::{Error, Result};
use crate::model::{Code, EventRef};

/// The acknowledgement of an event: it is written down and will be sent until it is answered.
#[derive(Clone)]
pub struct Receipt {
    pub(super) event_id: String,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) taken: Taken,
}

impl Receipt {
    /// The event's id, `evt_…`, as the marketplace will have it.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// let receipt = sdk.track_usage(token, "search").await?;
    /// assert!(receipt.event_id().starts_with("evt_"));
    /// # Ok(()) });
    /// ```
    pub fn event_id(&self) -> &str {
        &self.event_id
    }

    /// Completes when the event survives the loss of power, at once in place of within half a
    /// second.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// let receipt = sdk.track_usage(token, "search").await?;
    /// receipt.persisted().await?; // now you may ship the goods
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Code::SpoolFailed`] when the disk would not have it; it may still be delivered.
    /// [`Code::UsageLost`] when it was dropped ([`Overflow`](crate::Overflow)).
    pub async fn persisted(&self) -> Result<()> {
        self.number().await.map(drop)
    }

    /// Completes when the marketplace has counted the event, however long that takes. It is sent
    /// within a second; [`flush`](crate::MarketplaceSdk::flush) sends it at once.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// let receipt = sdk.track_usage(token, "search").await?;
    /// receipt.delivered().await?;
    ///
    /// let receipt = sdk.track_usage(token, "serach").await?;
    /// let error = receipt.delivered().await.unwrap_err();
    /// assert_eq!(error.code().as_str(), "action_unknown");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// What the event was rejected with; [`Code::UsageLost`] when it was dropped or damaged;
    /// [`Code::Closed`] when the SDK is closed first.
    pub async fn delivered(&self) -> Result<()> {
        let number = self.number().await?;
        self.pipeline.answer(number).await
    }

    /// What the event is called when it is to be corrected: see [`Usage::amends`](crate::Usage::amends).
    /// Completes when the event is [`persisted`](Self::persisted), since it has no number before.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// use cloudnestle_marketplace::EventRef;
    ///
    /// let receipt = sdk.track_usage(token, "search").await?;
    /// let EventRef::Numbered { producer, number } = receipt.reference().await? else { unreachable!() };
    /// println!("event {number} of {producer}");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// As [`persisted`](Self::persisted).
    pub async fn reference(&self) -> Result<EventRef> {
        let number = self.number().await?;
        Ok(EventRef::Numbered { producer: self.pipeline.log().producer(), number })
    }

    /// The log that the event is in. With the event's [`ticket`](Self::ticket) it stands for the receipt, in
    /// programs that keep receipts as numbers because an object costs more: a face of the SDK in another
    /// language. There is a log for a program, or for each customer of a client; another begins only when one
    /// has failed.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// let first = sdk.track_usage(token, "search").await?;
    /// let (id, log, ticket) = (first.event_id(), first.log(), first.ticket());
    ///
    /// let second = sdk.track_usage(token, "search").await?;
    /// assert!(second.log() == log);
    ///
    /// log.receipt(id, ticket).delivered().await?;
    /// # Ok(()) });
    /// ```
    pub fn log(&self) -> ReceiptLog {
        ReceiptLog(self.pipeline.clone())
    }

    /// What the event is known by in its [`log`](Self::log); `None` for one that was dropped.
    pub fn ticket(&self) -> Option<u64> {
        (!self.taken.lost).then_some(self.taken.ticket.0)
    }

    async fn number(&self) -> Result<u64> {
        if self.taken.lost {
            return Err(Error::because(
                Code::UsageLost,
                "The spool was full, and the event dropped.",
            ));
        }
        self.pipeline.log().persisted(self.taken.ticket).await
    }
}

/// A log that events are in: [`Receipt::log`].
#[derive(Clone)]
pub struct ReceiptLog(Arc<Pipeline>);

impl ReceiptLog {
    /// The receipt of the event that has this id, and this [`ticket`](Receipt::ticket) in this log.
    pub fn receipt(&self, event_id: impl Into<String>, ticket: Option<u64>) -> Receipt {
        let lost = ticket.is_none();
        let taken = Taken { ticket: Ticket(ticket.unwrap_or_default()), lost, dropped: 0 };
        Receipt { event_id: event_id.into(), pipeline: self.0.clone(), taken }
    }
}

impl PartialEq for ReceiptLog {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ReceiptLog {}

impl std::fmt::Debug for ReceiptLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ReceiptLog").field(&self.0.log().producer()).finish()
    }
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receipt").field("event_id", &self.event_id).finish_non_exhaustive()
    }
}
