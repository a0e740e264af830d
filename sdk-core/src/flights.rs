//! One request for many who ask the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use crate::error::Result;
use crate::host::Host;
use crate::planted::{Bug, planted};

type Flight<T> = Shared<BoxFuture<'static, Result<T>>>;

/// A flight as those see it who do not wait for it. It may hold whoever has asked for it, and must not be
/// held by them: what nobody runs any more is gone.
type Sighted<T> = WeakShared<BoxFuture<'static, Result<T>>>;

/// Begins a flight.
type TakeOff<'a, T> = Box<dyn FnOnce() -> BoxFuture<'static, Result<T>> + 'a>;

/// Everybody who asks while a flight is in the air shares its result. A flight is the host's task,
/// not a caller's: one who gives up does not take the result from the others.
pub(crate) struct Flights<T: Clone> {
    host: Arc<dyn Host>,
    in_the_air: Arc<Mutex<HashMap<String, Sighted<T>>>>,
}

impl<T: Clone + Send + Sync + 'static> Flights<T> {
    pub(crate) fn new(host: Arc<dyn Host>) -> Self {
        Flights { host, in_the_air: Arc::default() }
    }

    /// The result of the flight for `key`; the one that `take_off` begins if none is in the air.
    pub(crate) async fn join<F>(&self, key: &str, take_off: impl FnOnce() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.depart(key, Box::new(|| take_off().boxed())).await
    }

    /// Has the flight for `key` begun, if none is in the air, and waits for nobody.
    pub(crate) fn launch<F>(&self, key: &str, take_off: impl FnOnce() -> F)
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        drop(self.depart(key, Box::new(|| take_off().boxed())));
    }

    fn depart(&self, key: &str, take_off: TakeOff<'_, T>) -> Flight<T> {
        let (flight, is_new) = self.board(key, take_off);
        if is_new && !planted(Bug::FlightDroppedWithCaller) {
            // Not under the lock: a host may run the task at once, and landing takes it.
            self.host.spawn(flight.clone().map(drop).boxed());
        }
        flight
    }

    fn board(&self, key: &str, take_off: TakeOff<'_, T>) -> (Flight<T>, bool) {
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

fn lock<T: Clone>(
    flights: &Mutex<HashMap<String, Sighted<T>>>,
) -> MutexGuard<'_, HashMap<String, Sighted<T>>> {
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
        assert!(lock(&flights.in_the_air).is_empty());
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
