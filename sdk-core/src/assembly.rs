//! The parts of the SDK, and how they are put together. What they do together is in `sdk.rs`.

use std::sync::Arc;
use std::time::Duration;

use crate::auth::{
    AuthManager, Expected, Keys, Opening, Refresher, Revocations, Seen, ValidationMode,
};
use crate::config::Config;
use crate::context::ContextManager;
use crate::events::Announcer;
use crate::history::History;
use crate::http::{Clock, HttpClient, RetryPolicy};
use crate::memory::Memory;
use crate::reach::Reach;
use crate::usage::{Uplink, UsageTracker};

/// The most the server's clock corrects ours by where real money is counted. Clocks of machines
/// that are not broken differ by less.
const CLOCK_CAP: Duration = Duration::from_secs(10 * 60);

pub(crate) struct Parts {
    pub(crate) http: Arc<HttpClient>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) announcer: Arc<Announcer>,
    pub(crate) auth: Arc<AuthManager>,
    pub(crate) refresher: Arc<Refresher>,
    pub(crate) opening: Opening,
    pub(crate) history: History,
    pub(crate) context: ContextManager,
    pub(crate) usage: UsageTracker,
}

impl Parts {
    /// The parts of an SDK that is set up so.
    pub(crate) fn over(config: Config) -> Self {
        let Config { host, deadline, .. } = config;
        let cap = (!config.is_test).then_some(CLOCK_CAP);
        let clock = Arc::new(Clock::new(host.clone(), cap));
        let solution = config.solution.clone();
        let announcer = Arc::new(Announcer::default());
        let http = Arc::new(HttpClient::new(
            host.clone(),
            clock.clone(),
            announcer.clone(),
            config.url,
            solution,
            RetryPolicy::CALL,
        ));
        let opening = Opening {
            http: http.clone(),
            solution: config.solution.clone(),
            secret_key: config.secret_key.clone(),
            deadline,
        };
        let history = History {
            http: http.clone(),
            solution: config.solution.clone(),
            secret_key: config.secret_key.clone(),
            deadline,
        };
        let reach = Arc::new(Reach::new(host.clone(), announcer.clone()));
        let keys = Keys::new(host.clone(), http.clone(), deadline);
        let feed = (config.validation == ValidationMode::Connected).then(|| {
            let (host, http, clock) = (host.clone(), http.clone(), clock.clone());
            let (reach, keys) = (reach.clone(), keys.clone());
            Revocations::new(host, http, clock, reach, keys, config.secret_key.clone(), deadline)
        });
        let auth = Arc::new(AuthManager {
            host: host.clone(),
            http: http.clone(),
            clock: clock.clone(),
            keys,
            feed: feed.clone(),
            expected: Expected { issuer: config.issuer, solution_id: config.solution },
            secret_key: config.secret_key.clone(),
            mode: config.validation,
            deadline,
            memory: Memory::new(host.clone(), clock.clone(), reach.clone(), feed.clone()),
            seen: Seen::default(),
        });
        let memory = Memory::new(host.clone(), clock.clone(), reach.clone(), feed);
        let context = ContextManager { http: http.clone(), auth: auth.clone(), memory, deadline };
        let uplink = Arc::new(Uplink {
            host: host.clone(),
            clock: clock.clone(),
            http: http.clone(),
            reach,
            announcer: announcer.clone(),
            secret_key: config.secret_key,
        });
        let usage = UsageTracker::new(uplink, config.spool, config.durability, deadline);
        let refresher = Refresher::new(host, http.clone(), announcer.clone(), deadline);
        let refresher = Arc::new(refresher);
        Parts { http, clock, announcer, auth, refresher, opening, history, context, usage }
    }
}
