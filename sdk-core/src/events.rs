//! What the SDK does by itself, for programs that want to watch.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_channel::mpsc;
use futures_util::Stream;

use crate::error::Error;
use crate::model::{Code, LossReason, UsageEvent};

/// Events kept for a subscriber that does not read; later ones are dropped and counted.
const BUFFER: usize = 256;

/// Something the SDK did or met by itself. Contains no secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The marketplace can't be reached; answers come from what is known, usage waits on disk.
    Offline,
    /// The marketplace answers again.
    Online,
    /// A limit of the marketplace is used up: calls that count against it wait, or are
    /// [`Code::RateLimited`] where that is longer than they have.
    RateLimited {
        /// Until it begins anew.
        wait: Duration,
    },
    /// A pair was renewed.
    TokenRefreshed,
    /// Usage arrived.
    UsageDelivered {
        /// How many events.
        count: u64,
    },
    /// The marketplace will not count this event. The newest of them are kept: see
    /// [`rejected_usage`](crate::MarketplaceSdk::rejected_usage).
    UsageRejected {
        /// The event.
        event: UsageEvent,
        /// Why.
        code: Code,
        /// Whether it could be kept.
        kept: bool,
    },
    /// An alarm: usage is kept and tried again, but does not arrive. If the error is not retryable,
    /// it will not until somebody mends what it names, for example a rotated key.
    UsageWaiting {
        /// Why.
        error: Error,
    },
    /// Events were dropped, because the spool or the disk is full and the program chose to drop.
    UsageDropped {
        /// How many events.
        count: u64,
        /// Why.
        reason: LossReason,
    },
    /// An alarm: the spool's folder can't be written, so usage is kept in memory. What is not delivered
    /// when the process ends is lost.
    SpoolInMemory {
        /// Why.
        error: Error,
    },
    /// A customer whom this program lets [`consume`](crate::MarketplaceSdk::consume) comes near a hard limit:
    /// 80 % of it are used or set aside, or all of it. Once for each of the two in a window.
    QuotaWarning {
        /// Who.
        customer_id: String,
        /// What is limited.
        action: String,
        /// How much is used or set aside.
        used: u64,
        /// The limit.
        limit: u64,
    },
    /// The subscriber was too slow for this many events.
    Missed {
        /// How many events.
        count: u64,
    },
}

/// The events from the moment of [`subscription`](crate::MarketplaceSdk::events) on: a `Stream`.
#[derive(Debug)]
pub struct Events(mpsc::Receiver<Event>);

impl Events {
    /// The next event; `None` once the SDK is gone.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// let mut events = sdk.events();
    /// sdk.track_usage(token, "search").await?;
    /// sdk.close(std::time::Duration::from_secs(2)).await;
    /// drop(sdk);
    /// while let Some(event) = events.next().await {
    ///     println!("{event:?}");
    /// }
    /// # Ok(()) });
    /// ```
    pub async fn next(&mut self) -> Option<Event> {
        futures_util::StreamExt::next(&mut self.0).await
    }
}

impl Stream for Events {
    type Item = Event;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        Pin::new(&mut self.0).poll_next(cx)
    }
}

/// Hands events to whoever subscribed, and waits for nobody.
#[derive(Default)]
pub(crate) struct Announcer(Mutex<Vec<Subscriber>>);

struct Subscriber {
    sender: mpsc::Sender<Event>,
    missed: u64,
}

impl Announcer {
    pub(crate) fn subscribe(&self) -> Events {
        let (sender, receiver) = mpsc::channel(BUFFER);
        self.subscribers().push(Subscriber { sender, missed: 0 });
        Events(receiver)
    }

    pub(crate) fn announce(&self, event: Event) {
        match &event {
            // What callers wrote into an event is theirs, and no matter of a log.
            Event::UsageRejected { event: UsageEvent { id, action, .. }, code, .. } => {
                tracing::debug!(%id, %action, %code, "the marketplace rejected usage");
            }
            event => tracing::debug!(?event, "marketplace"),
        }
        self.subscribers().retain_mut(|subscriber| subscriber.hand(&event));
    }

    fn subscribers(&self) -> std::sync::MutexGuard<'_, Vec<Subscriber>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber {
    /// Whether the subscriber is still there.
    fn hand(&mut self, event: &Event) -> bool {
        if self.missed > 0 && self.sender.try_send(Event::Missed { count: self.missed }).is_ok() {
            self.missed = 0;
        }
        match self.sender.try_send(event.clone()) {
            Ok(()) => true,
            Err(error) if error.is_full() => {
                self.missed += 1;
                true
            }
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_subscriber_is_told_how_many_events_it_missed() {
        let announcer = Announcer::default();
        let mut events = announcer.subscribe();
        for _ in 0..BUFFER + 10 {
            announcer.announce(Event::Online);
        }
        let mut received = 0;
        while let Ok(Event::Online) = events.0.try_recv() {
            received += 1;
        }
        announcer.announce(Event::Offline);
        let Ok(Event::Missed { count }) = events.0.try_recv() else { panic!("nothing said") };
        assert_eq!(received + count, BUFFER as u64 + 10);
    }

    #[test]
    fn a_subscriber_that_left_is_forgotten() {
        let announcer = Announcer::default();
        drop(announcer.subscribe());
        announcer.announce(Event::Online);
        assert!(announcer.subscribers().is_empty());
    }
}
