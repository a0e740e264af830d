//! One request for many who ask the same.

use std::any::Any;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::{BoxFuture, Shared, WeakShared};
use futures_util::{FutureExt, TryFutureExt};

use crate::error::{Error, Result};
use crate::host::Host;
use crate::model::Code;
use crate::planted::{Bug, planted};

/// What has landed, whatever its type: the machine around it is large, and there once for all types.
type Landed = Arc<dyn Any + Send + Sync>;

type Flight = Shared<BoxFuture<'static, Result<Landed>>>;

/// A flight as those see it who do not wait for it. It may hold whoever has asked for it, and must not be
/// held by them: what nobody runs any more is gone.
type Sighted = WeakShared<BoxFuture<'static, Result<Landed>>>;

/// Begins a flight.
type TakeOff<'a> = Box<dyn FnOnce() -> BoxFuture<'static, Result<Landed>> + 'a>;

/// Everybody who asks while a flight is in the air shares its result. A flight is the host's task,
/// not a caller's: one who gives up does not take the result from the others.
pub(crate) struct Flights<T> {
    sky: Sky,
    of: PhantomData<fn() -> T>,
}

struct Sky {
    host: Arc<dyn Host>,
    in_the_air: Arc<Mutex<HashMap<String, Sighted>>>,
}

impl<T: Clone + Send + Sync + 'static> Flights<T> {
    pub(crate) fn new(host: Arc<dyn Host>) -> Self {
        Flights { sky: Sky { host, in_the_air: Arc::default() }, of: PhantomData }
    }

    /// The result of the flight for `key`; the one that `take_off` begins if none is in the air.
    pub(crate) async fn join<F>(&self, key: &str, take_off: impl FnOnce() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let landed = self.sky.depart(key, Self::landing(take_off)).await?;
        // All that lands here is a `T`.
        landed.downcast_ref().cloned().ok_or_else(|| Error::new(Code::Internal))
    }

    /// Has the flight for `key` begun, if none is in the air, and waits for nobody.
    pub(crate) fn launch<F>(&self, key: &str, take_off: impl FnOnce() -> F)
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        drop(self.sky.depart(key, Self::landing(take_off)));
    }

    fn landing<'a, F>(take_off: impl FnOnce() -> F + 'a) -> TakeOff<'a>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        Box::new(|| take_off().map_ok(|landed| Arc::new(landed) as Landed).boxed())
    }
}

impl Sky {
    fn depart(&self, key: &str, take_off: TakeOff<'_>) -> Flight {
        let (flight, is_new) = self.board(key, take_off);
        if is_new && !planted(Bug::FlightDroppedWithCaller) {
            // Not under the lock: a host may run the task at once, and landing takes it.
            self.host.spawn(flight.clone().map(drop).boxed());
        }
        flight
    }

    fn board(&self, key: &str, take_off: TakeOff<'_>) -> (Flight, bool) {
        let mut in_the_air = lock(&self.in_the_air);
        if let Some(flight) = in_the_air.get(key).and_then(Sighted::upgrade) {
            return (flight, false);
        }
        let (request, landing, own_key) = (take_off(), self.in_the_air.clone(), key.to_owned());
        let flight = async move {
            let result = request.await;
            lock(&landing).remove(&own_key);
            result
        };
        let flight = flight.boxed().shared();
        in_the_air.extend(flight.downgrade().map(|sighted| (key.to_owned(), sighted)));
        (flight, true)
    }
}

fn lock(flights: &Mutex<HashMap<String, Sighted>>) -> MutexGuard<'_, HashMap<String, Sighted>> {
    flights.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(all(test, feature = "native"))]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use futures_util::future::join_all;

    use super::*;
    use crate::host::native;

    #[tokio::test]
    async fn many_who_ask_at_once_ask_once_and_later_ones_again() {
        let host = native("http://localhost").unwrap();
        let flights = Flights::new(host.clone());
        let asked = Arc::new(AtomicU32::new(0));
        let ask = || {
            let (asked, pause) = (asked.clone(), host.sleep(Duration::from_millis(20)));
            async move {
                pause.await;
                Ok(asked.fetch_add(1, Ordering::Relaxed))
            }
        };
        let together = join_all((0..64).map(|_| flights.join("key", ask))).await;
        assert!(together.into_iter().all(|result| result.unwrap() == 0));
        assert_eq!(flights.join("key", ask).await.unwrap(), 1);
        assert!(lock(&flights.sky.in_the_air).is_empty());
    }

    #[tokio::test]
    async fn a_flight_lands_without_those_who_gave_up() {
        let host = native("http://localhost").unwrap();
        let flights = Flights::new(host.clone());
        let (landed, pause) = (Arc::new(AtomicU32::new(0)), host.sleep(Duration::from_millis(20)));
        let landing = landed.clone();
        let flight = flights.join("key", || async move {
            pause.await;
            Ok(landing.fetch_add(1, Ordering::Relaxed))
        });
        let impatient = tokio::time::timeout(Duration::from_millis(1), flight).await;
        assert!(impatient.is_err());
        while landed.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
