//! May they do this? A user's tier, entitlements and quotas, as the marketplace has them.

use std::sync::Arc;
use std::time::Duration;

use crate::answer::{Answer, Known, KnownByToken, Verified};
use crate::auth::AuthManager;
use crate::error::Result;
use crate::host::Host;
use crate::http::{Call, Clock, HttpClient};
use crate::model::{Secret, UserContext};
use crate::reach::Reach;

pub(crate) struct ContextManager {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) http: Arc<HttpClient>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) reach: Arc<Reach>,
    pub(crate) auth: Arc<AuthManager>,
    pub(crate) deadline: Duration,
    pub(crate) known: KnownByToken<UserContext>,
}

impl ContextManager {
    pub(crate) async fn get(&self, token: &str) -> Result<Answer<UserContext>> {
        let known = self.known.get(token);
        if let Some(answer) = known.as_ref().and_then(|known| known.fresh(self.host.monotonic())) {
            return Ok(answer);
        }
        // A forged or expired token costs no request.
        self.auth.identify(token).await?;
        match self.reach.attempt(|| self.ask(token)).await {
            Err(error) if error.is_retryable() => {
                known.and_then(|known| known.offline(self.host.monotonic())).ok_or(error)
            }
            Err(error) => {
                self.known.remove(token);
                Err(error)
            }
            answer => answer,
        }
    }

    async fn ask(&self, token: &str) -> Result<Answer<UserContext>> {
        let asked = self.host.monotonic();
        let bearer = Secret::new(token);
        let call = Call::get("/api/user-context").bearer(&bearer);
        let context: UserContext = self.http.call(call, self.deadline).await?;
        let lives = context.expires_at.since(self.clock.now());
        let known = Arc::new(Known::new(Arc::new(context), Verified::Online, asked, lives));
        self.known.insert(token, known.clone());
        Ok(known.just_asked())
    }
}
