//! May they do this? A user's tier, entitlements and quotas, as the marketplace has them.

use std::sync::Arc;
use std::time::Duration;

use crate::answer::Answer;
use crate::auth::{Asking, AuthManager};
use crate::error::{Error, Result};
use crate::http::{Call, Credential, HttpClient};
use crate::memory::{Memory, Remembered};
use crate::model::{Code, Quota, Quotas, Secret, Tier, UserContext, is_id};

pub(crate) struct ContextManager {
    pub(crate) http: Arc<HttpClient>,
    pub(crate) auth: Arc<AuthManager>,
    pub(crate) memory: Memory<UserContext>,
    pub(crate) deadline: Duration,
}

impl ContextManager {
    pub(crate) async fn get(&self, token: &str) -> Result<Answer<UserContext>> {
        let online = self.auth.asking.always().is_some();
        if let Some(answer) = self.memory.fresh(token).filter(|_| !online) {
            return answer;
        }
        let started = self.auth.host.monotonic();
        let question = || self.question(token, started);
        if online {
            let identity = self.auth.identify_within(token, started).await?;
            return self.memory.ask(token, &identity, question()).await;
        }
        loop {
            // A forged, expired or revoked token costs no request.
            let (identity, told) = self.auth.look_at(token, started).await?;
            if let Some(answer) = self.memory.fresh(token) {
                return answer;
            }
            // An old context of a token that is good is no risk; one of a token that may have ended is.
            let is_good = told || matches!(self.auth.asking, Asking::Nobody);
            if is_good && let Some(answer) = self.memory.stale(token, &identity, question) {
                return answer;
            }
            let left = self.auth.left(started);
            let asked = self.memory.ask_or_recall(token, &identity, None, left, question);
            if let Some(answer) = asked.await {
                return answer;
            }
        }
    }

    /// Knows from now on that the token was revoked.
    pub(crate) fn refuse(&self, token: &str) {
        self.memory.refuse(token, Code::TokenRevoked);
    }

    /// A customer's quotas, asked for each time.
    pub(crate) async fn quotas(
        &self,
        customer_id: &str,
        credential: Credential<'_>,
    ) -> Result<Vec<Quota>> {
        if !is_id(customer_id, "cus_") {
            return Err(Error::because(Code::RequestInvalid, "A customer's id looks like cus_…."));
        }
        let path = format!("/api/quotas/{customer_id}/{}", self.auth.expected.solution_id);
        let call = Call::get(&path).by(credential);
        let Quotas { quotas } = self.http.call(call, self.deadline).await?;
        Ok(quotas)
    }

    fn question(
        &self,
        token: &str,
        started: Duration,
    ) -> impl Future<Output = Result<UserContext>> + Send + use<> {
        let (http, bearer) = (self.http.clone(), Secret::new(token));
        let deadline = self.auth.left(started);
        async move { http.call(Call::get("/api/user-context").bearer(&bearer), deadline).await }
    }
}

impl Remembered for UserContext {
    const LASTS: bool = false;

    fn customer_id(&self) -> &str {
        &self.customer_id
    }

    fn token_id(&self) -> &str {
        &self.token_id
    }

    /// Entitlements and quotas are the tier's.
    fn in_tier(&self, _: Tier) -> Option<Self> {
        None
    }
}
