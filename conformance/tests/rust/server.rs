use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use cloudnestle_conformance::{Deed, Fault, Given, SOLUTION, Scenario, ServerSide, Step};
use cloudnestle_marketplace::model::{
    Code, Quota, Quotas, RegisterUser, ResetQuota, RevokeToken, RevokeUser, Secret, Tier,
    TrackUsage, TrackUsageResult, UsageEvent, UserContext, UserTier,
};
use cloudnestle_marketplace::{ClientSdk, MarketplaceSdk, TokenPair};
use cloudnestle_mock_server::{Callers, MockServer, RateLimit};

/// The marketplace's side of a scenario.
pub(crate) struct Server {
    /// `None` only while it is being restarted.
    server: Option<MockServer>,
    http: reqwest::Client,
    /// Where it keeps its database, if the scenario has it begin again.
    folder: Option<tempfile::TempDir>,
    /// The solution the SDK is built for.
    solution: String,
}

impl Server {
    pub(crate) async fn start(scenario: &Scenario) -> Result<Self> {
        // Another test of this process may have done so already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let restarts = scenario.steps.iter().any(|step| step.deed == Deed::RestartServer);
        let folder = restarts.then(tempfile::tempdir).transpose()?;
        let solution = scenario.given.solution.clone().unwrap_or_else(|| SOLUTION.to_owned());
        let mut server = Server { server: None, http: reqwest::Client::new(), folder, solution };
        server.begin(0).await?;
        if let Some(now) = scenario.given.clock {
            server.running()?.set_clock(now).await?;
        }
        Ok(server)
    }

    async fn begin(&mut self, port: u16) -> Result<()> {
        let mut builder = MockServer::builder().port(port);
        if let Some(folder) = &self.folder {
            builder = builder.db(folder.path().join("marketplace.db"));
        }
        self.server = Some(builder.start().await?);
        Ok(())
    }

    pub(crate) async fn restart(&mut self) -> Result<()> {
        let port = self.running()?.address().port();
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
        self.begin(port).await
    }

    fn running(&self) -> Result<&MockServer> {
        self.server.as_ref().context("the server is not running")
    }

    pub(crate) fn solution(&self) -> &str {
        &self.solution
    }

    pub(crate) async fn pair(&self, customer: &str, solution: &str) -> Result<TokenPair> {
        Ok(self.running()?.token_pair(customer, solution).await?)
    }

    pub(crate) fn sdk_builder(&self, given: &Given) -> Result<cloudnestle_marketplace::Builder> {
        let key = match given.unknown_secret_key {
            true => Secret::new("cnsk_test_thisIsNoKeyOfTheMarketplace00000000"),
            false => self.secret_key()?,
        };
        Ok(MarketplaceSdk::builder()
            .url(self.running()?.url())
            .secret_key(key)
            .solution(&*self.solution))
    }

    pub(crate) fn client_builder(&self) -> Result<cloudnestle_marketplace::ClientBuilder> {
        let solutions = self.running()?.solutions();
        let solution = solutions.into_iter().find(|solution| solution.id == self.solution);
        let solution = solution.context("the built-in world has the solution")?;
        Ok(ClientSdk::builder()
            .url(self.running()?.url())
            .publishable_key(solution.publishable_key)
            .solution(&*self.solution))
    }

    fn secret_key(&self) -> Result<Secret> {
        self.running()?.secret_key(&self.solution).context("the built-in world has the solution")
    }

    pub(crate) async fn revoke(&self, token: &Secret) -> Result<()> {
        self.http
            .delete(format!("{}/api/revoke-token", self.running()?.url()))
            .bearer_auth(self.secret_key()?.expose())
            .json(&RevokeToken { token: token.clone() })
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    pub(crate) async fn reset_quota(&self, step: &Step) -> Result<()> {
        let reset = ResetQuota {
            customer_id: step.customer.clone().context("`customer` is missing")?,
            solution_id: self.solution.clone(),
            action: step.action.clone(),
        };
        self.http
            .post(format!("{}/api/reset-quota", self.running()?.url()))
            .bearer_auth(self.running()?.admin_key().expose())
            .json(&reset)
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    pub(crate) async fn revoke_user(&self, customer: &str) -> Result<()> {
        self.http
            .delete(format!("{}/api/revoke-user", self.running()?.url()))
            .bearer_auth(self.secret_key()?.expose())
            .json(&RevokeUser { customer_id: customer.to_owned() })
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    pub(crate) async fn change_tier(&self, customer: &str, tier: Tier) -> Result<()> {
        let (customer_id, solution_id) = (customer.to_owned(), self.solution.clone());
        self.http
            .put(format!("{}/api/user-tier", self.running()?.url()))
            .bearer_auth(self.running()?.admin_key().expose())
            .json(&UserTier { customer_id, solution_id, tier })
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    /// A code as a customer's browser brings it.
    pub(crate) async fn launch_code(&self, customer: &str, solution: &str) -> Result<Secret> {
        Ok(self.running()?.launch_code(customer, solution).await?)
    }

    /// A customer's browser sends usage of its own; with which code it is rejected, if it is.
    pub(crate) async fn report(&self, token: &Secret, step: &Step) -> Result<Option<Code>> {
        let url = self.running()?.url().to_owned();
        let ask = self.http.get(format!("{url}/api/user-context")).bearer_auth(token.expose());
        let user: UserContext = ask.send().await?.error_for_status()?.json().await?;
        let action = step.action.clone().context("`action` is missing")?;
        let event = UsageEvent {
            id: format!("evt_{action}"),
            customer_id: user.customer_id,
            token_id: user.token_id,
            action,
            quantity: step.quantity.unwrap_or(1),
            occurred_at: self.running()?.now(),
            idempotency_key: None,
            metadata: None,
            amends: None,
            voids: None,
            lease: None,
            overage: false,
        };
        let send = self.http.post(format!("{url}/api/track-usage")).bearer_auth(token.expose());
        let answer = send.json(&TrackUsage::Event(event)).send().await?.error_for_status()?;
        let TrackUsageResult { results, .. } = answer.json().await?;
        Ok(results.into_iter().next().context("a result")?.code)
    }

    pub(crate) fn limit_calls(&self, per_second: u32) -> Result<()> {
        self.running()?.set_rate_limit(Callers::Key, RateLimit::per_second(per_second));
        Ok(())
    }

    pub(crate) async fn rotate_signing_key(&self) -> Result<()> {
        Ok(self.running()?.rotate_signing_key().await?)
    }

    /// A visitor registers.
    pub(crate) async fn register(&self, token: &Secret) -> Result<()> {
        let (email, password) = ("kavya@example.com".to_owned(), "correct horse".into());
        self.http
            .post(format!("{}/api/users/convert", self.running()?.url()))
            .bearer_auth(token.expose())
            .json(&RegisterUser { email, password, name: None })
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    pub(crate) async fn advance_clock(&self, millis: u64) -> Result<()> {
        self.running()?.advance_clock(Duration::from_millis(millis)).await?;
        Ok(())
    }

    pub(crate) async fn turn_clock_back(&self, millis: u64) -> Result<()> {
        let server = self.running()?;
        server.set_clock(server.now() - Duration::from_millis(millis)).await?;
        Ok(())
    }

    pub(crate) fn outage(&self, on: bool) -> Result<()> {
        self.running()?.set_outage(on);
        Ok(())
    }

    pub(crate) fn plan(&self, plan: &[Fault]) -> Result<()> {
        for fault in plan {
            // Through JSON, as runners in other languages send it.
            let fault = serde_json::from_value(serde_json::to_value(fault)?)?;
            self.running()?.inject(fault)?;
        }
        Ok(())
    }

    pub(crate) async fn must_have_seen(&self, expected: &ServerSide) -> Result<()> {
        let left = self.running()?.faults().left;
        ensure!(left.is_empty(), "the fault plan was not used up: {left:?}");
        let journal = self.running()?.journal();
        for (operation, times) in &expected.saw {
            let saw = journal.iter().filter(|entry| entry.operation == *operation).count() as u64;
            ensure!(saw == *times, "the server saw {operation} {saw} times, not {times}");
        }
        for (customer, used) in &expected.used {
            let quotas = self.quotas(customer).await?;
            for (action, expected) in used {
                match quotas.iter().find(|quota| quota.action == *action) {
                    Some(quota) if quota.used == *expected => {}
                    Some(quota) => bail!("{customer} used {action} {}, not {expected}", quota.used),
                    None => bail!("{customer} has no quota for {action}"),
                }
            }
        }
        Ok(())
    }

    async fn quotas(&self, customer: &str) -> Result<Vec<Quota>> {
        let url = format!("{}/api/quotas/{customer}/{}", self.running()?.url(), self.solution);
        let request = self.http.get(url).bearer_auth(self.secret_key()?.expose());
        let quotas: Quotas = request.send().await?.error_for_status()?.json().await?;
        Ok(quotas.quotas)
    }
}
