//! The parts of a solution's backend, which has a secret key.

use std::sync::Arc;

use super::Ground;
use crate::auth::{Asking, AuthManager, Opener, Opening, Refresher, Revocations, ValidationMode};
use crate::config::Config;
use crate::context::ContextManager;
use crate::events::Announcer;
use crate::history::History;
use crate::http::{Clock, HttpClient, SecretKey};
use crate::usage::{Sender, Uplink, UsageTracker};

/// Of a solution's backend.
pub(crate) struct Parts {
    pub(crate) http: Arc<HttpClient>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) announcer: Arc<Announcer>,
    pub(crate) secret_key: Arc<SecretKey>,
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
        let Config { secret_key, validation, place } = config;
        let (spool, durability) = (place.spool.clone(), place.durability);
        let ground = Ground::at(place);
        let opening = ground.opening(Opener::Backend(secret_key.clone()));
        let history = History {
            http: ground.http.clone(),
            solution: ground.expected.solution_id.clone(),
            secret_key: secret_key.clone(),
            deadline: ground.deadline,
        };
        let asking = match validation {
            ValidationMode::Local => Asking::Nobody,
            ValidationMode::Online => Asking::Always(secret_key.clone()),
            ValidationMode::Connected => {
                Asking::Feed(secret_key.clone(), ground.feed(secret_key.clone()))
            }
        };
        let uplink = Uplink {
            host: ground.host.clone(),
            clock: ground.clock.clone(),
            http: ground.http.clone(),
            reach: ground.reach.clone(),
            announcer: ground.announcer.clone(),
            sender: Sender::Solution(secret_key.clone()),
        };
        let usage = UsageTracker::new(Arc::new(uplink), spool, durability, ground.deadline);
        let refresher = ground.refresher(None);
        let (auth, context) = ground.judges(asking);
        let Ground { http, clock, announcer, .. } = ground;
        Parts {
            http,
            clock,
            announcer,
            secret_key,
            auth,
            refresher,
            opening,
            history,
            context,
            usage,
        }
    }
}

impl Ground {
    fn feed(&self, secret_key: Arc<SecretKey>) -> Arc<Revocations> {
        let Ground { host, http, clock, reach, keys, deadline, .. } = self;
        let (host, http, clock) = (host.clone(), http.clone(), clock.clone());
        let (reach, keys) = (reach.clone(), keys.clone());
        Revocations::new(host, http, clock, reach, keys, secret_key, *deadline)
    }
}
