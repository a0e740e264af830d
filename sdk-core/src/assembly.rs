//! The parts of the SDK, and how they are put together. What they do together is in `sdk.rs` and `client.rs`.

#[cfg(feature = "backend")]
mod backend;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use crate::auth::{
    Asking, AuthManager, Expected, Keys, OnRenewed, Opener, Opening, Refresher, Seen,
};
use crate::config::{ClientConfig, Place};
use crate::context::ContextManager;
use crate::events::Announcer;
use crate::host::Host;
use crate::http::{Clock, HttpClient, RetryPolicy};
use crate::memory::Memory;
use crate::model::TokenPair;
use crate::reach::Reach;
use crate::usage::Customers;
#[cfg(feature = "backend")]
pub(crate) use backend::Parts;

/// The most the server's clock corrects ours by where real money is counted. Clocks of machines
/// that are not broken differ by less.
const CLOCK_CAP: Duration = Duration::from_secs(10 * 60);

/// Of a program that its users hold.
pub(crate) struct ClientParts {
    pub(crate) http: Arc<HttpClient>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) announcer: Arc<Announcer>,
    pub(crate) auth: Arc<AuthManager>,
    pub(crate) refresher: Arc<Refresher>,
    /// With a publishable key.
    pub(crate) opening: Option<Opening>,
    pub(crate) context: ContextManager,
    pub(crate) customers: Arc<Customers>,
}

/// What either begins with.
struct Ground {
    host: Arc<dyn Host>,
    clock: Arc<Clock>,
    announcer: Arc<Announcer>,
    http: Arc<HttpClient>,
    reach: Arc<Reach>,
    keys: Arc<Keys>,
    expected: Expected,
    deadline: Duration,
}

impl ClientParts {
    /// The parts of a client that is set up so.
    pub(crate) fn over(config: ClientConfig) -> Self {
        let ClientConfig { publishable_key, place } = config;
        let (spool, durability) = (place.spool.clone(), place.durability);
        let ground = Ground::at(place);
        let opening = publishable_key.map(|key| ground.opening(Opener::Page(key)));
        let customers = Arc::new(Customers {
            host: ground.host.clone(),
            clock: ground.clock.clone(),
            http: ground.http.clone(),
            reach: ground.reach.clone(),
            announcer: ground.announcer.clone(),
            spool,
            durability,
            deadline: ground.deadline,
            seen: Default::default(),
        });
        let (auth, context) = ground.judges(Asking::Nobody);
        let (judge, of) = (auth.clone(), customers.clone());
        let on_renewed: OnRenewed = Arc::new(move |pair: &TokenPair| {
            let (judge, of, token) = (judge.clone(), of.clone(), pair.access_token.clone());
            let see = async move {
                // A token that is not good now serves nobody.
                if let Ok(identity) = judge.identify(token.expose()).await {
                    of.see(token.expose(), &identity.user);
                }
            };
            see.boxed()
        });
        let refresher = ground.refresher(Some(on_renewed));
        let Ground { http, clock, announcer, .. } = ground;
        ClientParts { http, clock, announcer, auth, refresher, opening, context, customers }
    }
}

impl Ground {
    fn at(place: Place) -> Self {
        let Place { host, url, issuer, solution, deadline, is_test, .. } = place;
        let cap = (!is_test).then_some(CLOCK_CAP);
        let clock = Arc::new(Clock::new(host.clone(), cap));
        let announcer = Arc::new(Announcer::default());
        let http = Arc::new(HttpClient::new(
            host.clone(),
            clock.clone(),
            announcer.clone(),
            url,
            solution.clone(),
            RetryPolicy::CALL,
        ));
        let reach = Arc::new(Reach::new(host.clone(), announcer.clone()));
        let keys = Keys::new(host.clone(), http.clone(), deadline);
        let expected = Expected { issuer, solution_id: solution };
        Ground { host, clock, announcer, http, reach, keys, expected, deadline }
    }

    fn opening(&self, opener: Opener) -> Opening {
        let (http, solution) = (self.http.clone(), self.expected.solution_id.clone());
        Opening { http, solution, opener, deadline: self.deadline }
    }

    fn refresher(&self, on_renewed: Option<OnRenewed>) -> Arc<Refresher> {
        let Ground { host, http, announcer, deadline, .. } = self;
        let (host, http, announcer) = (host.clone(), http.clone(), announcer.clone());
        Arc::new(Refresher::new(host, http, announcer, *deadline, on_renewed))
    }

    /// Who says whether a user is let in, and what they may do.
    fn judges(&self, asking: Asking) -> (Arc<AuthManager>, ContextManager) {
        let Ground { host, clock, http, reach, deadline, .. } = self;
        let feed = asking.by_feed().map(|(_, feed)| feed.clone());
        let auth = Arc::new(AuthManager {
            host: host.clone(),
            http: http.clone(),
            clock: clock.clone(),
            keys: self.keys.clone(),
            expected: self.expected.clone(),
            asking,
            deadline: *deadline,
            memory: Memory::new(host.clone(), clock.clone(), reach.clone(), feed.clone()),
            seen: Seen::default(),
        });
        let memory = Memory::new(host.clone(), clock.clone(), reach.clone(), feed);
        let (http, judge, deadline) = (http.clone(), auth.clone(), *deadline);
        let context = ContextManager { http, auth: judge, memory, deadline };
        (auth, context)
    }
}
