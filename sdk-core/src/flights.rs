//! One request for many who ask the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use crate::error::Result;
use crate::host::Host;

type Flight<T> = Shared<BoxFuture<'static, Result<T>>>;

/// Everybody who asks while a flight is in the air shares its result. A flight is the host's task,
/// not a caller's: one who gives up does not take the result from the others.
pub(crate) struct Flights<T: Clone> {
    host: Arc<dyn Host>,
    in_the_air: Arc<Mutex<HashMap<String, Flight<T>>>>,
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
        let (flight, is_new) = self.board(key, take_off);
        if is_new {
            // Not under the lock: a host may run the task at once, and landing takes it.
            self.host.spawn(flight.clone().map(drop).boxed());
        }
        flight.await
    }

    fn board<F>(&self, key: &str, take_off: impl FnOnce() -> F) -> (Flight<T>, bool)
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let mut in_the_air = lock(&self.in_the_air);
        if let Some(flight) = in_the_air.get(key) {
            return (flight.clone(), false);
        }
        let (request, landing, own_key) = (take_off(), self.in_the_air.clone(), key.to_owned());
        let flight = async move {
            let result = request.await;
            lock(&landing).remove(&own_key);
            result
        };
        let flight = flight.boxed().shared();
        in_the_air.insert(key.to_owned(), flight.clone());
        (flight, true)
    }
}

fn lock<T: Clone>(
    flights: &Mutex<HashMap<String, Flight<T>>>,
) -> MutexGuard<'_, HashMap<String, Flight<T>>> {
    flights.lock().unwrap_or_else(PoisonError::into_inner)
}
