//! Renewing a pair, once however many ask.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::error::Result;
use crate::events::{Announcer, Event};
use crate::flights::Flights;
use crate::host::Host;
use crate::http::{Call, HttpClient};
use crate::model::{RefreshToken, TokenPair};

/// What is done with a new pair before whoever asked for it gets it.
pub(crate) type OnRenewed = Arc<dyn Fn(&TokenPair) -> BoxFuture<'static, ()> + Send + Sync>;

/// One flight per refresh token. It is not the caller's, so a caller that gives up does not lose a
/// token the server has already rotated; and a lost answer is asked for again, because the server
/// gives back the same successor as long as nobody has presented it.
pub(crate) struct Refresher {
    on_renewed: Option<OnRenewed>,
    http: Arc<HttpClient>,
    announcer: Arc<Announcer>,
    deadline: Duration,
    flights: Flights<TokenPair>,
}

impl Refresher {
    pub(crate) fn new(
        host: Arc<dyn Host>,
        http: Arc<HttpClient>,
        announcer: Arc<Announcer>,
        deadline: Duration,
        on_renewed: Option<OnRenewed>,
    ) -> Self {
        Refresher { http, announcer, deadline, on_renewed, flights: Flights::new(host) }
    }

    /// Has done with a pair what is done with those that are renewed here.
    pub(crate) async fn announce(&self, pair: &TokenPair) {
        if let Some(on_renewed) = &self.on_renewed {
            on_renewed(pair).await;
        }
    }

    pub(crate) async fn refresh(&self, pair: &TokenPair) -> Result<TokenPair> {
        let (http, announcer) = (self.http.clone(), self.announcer.clone());
        let (deadline, refresh_token) = (self.deadline, pair.refresh_token.clone());
        let on_renewed = self.on_renewed.clone();
        let renew = || async move {
            let request = RefreshToken { refresh_token };
            let call = Call::post("/api/refresh-token", &request).hiding([&request.refresh_token]);
            let renewed = http.call(call, deadline).await?;
            if let Some(on_renewed) = on_renewed {
                on_renewed(&renewed).await;
            }
            announcer.announce(Event::TokenRefreshed);
            Ok(renewed)
        };
        self.flights.join(pair.refresh_token.expose(), renew).await
    }
}
