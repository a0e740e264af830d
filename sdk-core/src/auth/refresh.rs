//! Renewing a pair, once however many ask.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use crate::error::Result;
use crate::events::{Announcer, Event};
use crate::host::Host;
use crate::http::{Call, HttpClient};
use crate::model::{RefreshToken, TokenPair};

type Flight = Shared<BoxFuture<'static, Result<TokenPair>>>;

/// One flight per refresh token: everybody who asks while it is in the air shares its result. The
/// flight is the host's task, not the caller's, so a caller that gives up does not lose a token the
/// server has already rotated. A lost answer is asked for again: the server gives back the same
/// successor as long as nobody has presented it.
pub(crate) struct Refresher {
    host: Arc<dyn Host>,
    http: Arc<HttpClient>,
    announcer: Arc<Announcer>,
    deadline: Duration,
    in_the_air: Arc<Mutex<HashMap<String, Flight>>>,
}

impl Refresher {
    pub(crate) fn new(
        host: Arc<dyn Host>,
        http: Arc<HttpClient>,
        announcer: Arc<Announcer>,
        deadline: Duration,
    ) -> Self {
        Refresher { host, http, announcer, deadline, in_the_air: Arc::default() }
    }

    pub(crate) async fn refresh(&self, pair: &TokenPair) -> Result<TokenPair> {
        self.flight(pair).await
    }

    fn flight(&self, pair: &TokenPair) -> Flight {
        let token = pair.refresh_token.expose();
        let mut in_the_air = self.in_the_air.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = in_the_air.get(token) {
            return flight.clone();
        }
        let flight = self.take_off(RefreshToken { refresh_token: pair.refresh_token.clone() });
        in_the_air.insert(token.to_owned(), flight.clone());
        self.host.spawn(flight.clone().map(drop).boxed());
        flight
    }

    fn take_off(&self, request: RefreshToken) -> Flight {
        let (http, announcer) = (self.http.clone(), self.announcer.clone());
        let (in_the_air, deadline) = (self.in_the_air.clone(), self.deadline);
        async move {
            let renewed = renew(&http, &request, deadline).await;
            let mut in_the_air = in_the_air.lock().unwrap_or_else(PoisonError::into_inner);
            in_the_air.remove(request.refresh_token.expose());
            if renewed.is_ok() {
                announcer.announce(Event::TokenRefreshed);
            }
            renewed
        }
        .boxed()
        .shared()
    }
}

async fn renew(http: &HttpClient, request: &RefreshToken, deadline: Duration) -> Result<TokenPair> {
    http.call(Call::post("/api/refresh-token", request)?, deadline).await
}
