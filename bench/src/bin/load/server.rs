//! The server that is measured: a process of its own, with a file of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use cloudnestle_bench::SOLUTION;
use cloudnestle_marketplace::model::{
    Page, Quotas, Timestamp, TokenPair, UnverifiedToken, UsageBucket,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::connection::{Connection, request};

/// Those who use the solution.
const CUSTOMERS: [&str; 4] = ["cus_ravi", "cus_asha", "cus_meera", "cus_visitor"];

/// When the load runs, by the server's clock: midday in India, where the solution is.
pub(crate) const NOON: Timestamp = Timestamp::from_secs(1_907_476_200); // 2030-06-12T06:30:00Z

/// A running server; it ends with this value.
pub(crate) struct Server {
    binary: PathBuf,
    state: tempfile::TempDir,
    process: Child,
    ready: Ready,
}

#[derive(Deserialize)]
struct Ready {
    url: String,
    control_token: String,
    solutions: Vec<Solution>,
}

#[derive(Deserialize)]
struct Solution {
    id: String,
    secret_key: String,
}

/// A customer with a token for the solution.
pub(crate) struct Customer {
    pub(crate) id: &'static str,
    pub(crate) token: String,
    pub(crate) token_id: String,
}

impl Server {
    pub(crate) async fn start(binary: &Path) -> Result<Server> {
        let state = tempfile::tempdir()?;
        let mut process = spawn(binary, state.path(), "0")?;
        let ready = wait_until_ready(&mut process, state.path())?;
        let server = Server { binary: binary.to_owned(), state, process, ready };
        server.set_noon().await?;
        Ok(server)
    }

    /// Kills it, and starts it with what it had kept.
    pub(crate) async fn kill_and_restart(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        std::fs::remove_file(self.state.path().join("ready.json"))?;
        let port = self.ready.url.rsplit(':').next().unwrap_or_default();
        self.process = spawn(&self.binary, self.state.path(), port)?;
        self.ready = wait_until_ready(&mut self.process, self.state.path())?;
        self.set_noon().await
    }

    /// `127.0.0.1:4242`
    pub(crate) fn address(&self) -> &str {
        self.ready.url.trim_start_matches("http://")
    }

    /// The key of the solution's backend.
    pub(crate) fn secret_key(&self) -> &str {
        let solution = self.ready.solutions.iter().find(|solution| solution.id == SOLUTION);
        solution.map_or("", |solution| &solution.secret_key)
    }

    /// Sets its clock to noon, so that no quota begins anew while the load runs.
    async fn set_noon(&self) -> Result<()> {
        let noon = json!({"set": NOON});
        self.ask::<Value>("POST", "/mock/clock", &self.ready.control_token, Some(noon)).await?;
        Ok(())
    }

    /// Signs the customers in.
    pub(crate) async fn customers(&self) -> Result<Vec<Customer>> {
        let control = self.ready.control_token.clone();
        let mut customers = Vec::new();
        for id in CUSTOMERS {
            let who = json!({"customer_id": id});
            let session: TokenPair =
                self.ask("POST", "/mock/sessions", &control, Some(who)).await?;
            let session = session.access_token.expose();
            let what = json!({"solution_id": SOLUTION});
            let pair: TokenPair =
                self.ask("POST", "/api/generate-token", session, Some(what)).await?;
            let token = pair.access_token.expose().to_owned();
            let token_id = token_id(&token)?;
            customers.push(Customer { id, token, token_id });
        }
        Ok(customers)
    }

    /// Whether quotas and history show `events`: each was one.
    pub(crate) async fn check_usage(&self, customers: &[Customer], events: u64) -> Result<()> {
        let (mut used, mut told) = (0, 0);
        for Customer { id, .. } in customers {
            let path = format!("/api/quotas/{id}/{SOLUTION}");
            let answer: Quotas = self.ask("GET", &path, self.secret_key(), None).await?;
            let searches = answer.quotas.iter().find(|quota| quota.action == "search");
            used += searches.context("a quota of searches")?.used;

            let path = format!("/api/usage/{id}?bucket=hour");
            let page: Page<UsageBucket> = self.ask("GET", &path, self.secret_key(), None).await?;
            told += page.items.iter().map(|bucket| bucket.quantity).sum::<u64>();
        }
        ensure!(used == events, "{events} events were acknowledged and {used} are counted");
        ensure!(told == events, "{events} events were acknowledged and {told} are in the history");
        Ok(())
    }

    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        credential: &str,
        body: Option<Value>,
    ) -> Result<T> {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = request(method, self.address(), path, credential, &body);
        let mut connection = Connection::open(self.address()).await?;
        let answer = connection.ask(&request).await?;
        let text = String::from_utf8_lossy(answer.body);
        ensure!(answer.status == 200, "{method} {path}: {} {text}", answer.status);
        Ok(serde_json::from_slice(answer.body)?)
    }

    /// The time it has been computing.
    pub(crate) fn computing(&self) -> Result<Duration> {
        /// Linux counts in hundredths of a second for everybody (`getconf CLK_TCK`).
        const TICK: Duration = Duration::from_millis(10);
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let (_, fields) = stat.rsplit_once(')').context("a process has a name")?;
        let mut ticks = fields.split_whitespace().skip(11);
        let mut next = || ticks.next().and_then(|n| n.parse::<u32>().ok()).context("a number");
        Ok(TICK * (next()? + next()?))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn token_id(token: &str) -> Result<String> {
    let token = UnverifiedToken::parse(token, UnverifiedToken::ACCESS);
    // It came from the server itself: there is no need to look at the signature.
    let claims = token.and_then(|token| token.claims(true));
    Ok(claims.ok().context("a token of the server's")?.jti)
}

fn spawn(binary: &Path, state: &Path, port: &str) -> Result<Child> {
    Command::new(binary)
        .args(["--port", port, "--db"])
        .arg(state.join("marketplace.db"))
        .arg("--ready-file")
        .arg(state.join("ready.json"))
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("{} can't be started", binary.display()))
}

fn wait_until_ready(process: &mut Child, state: &Path) -> Result<Ready> {
    let give_up = Instant::now() + Duration::from_secs(30);
    loop {
        if let Ok(json) = std::fs::read(state.join("ready.json"))
            && let Ok(ready) = serde_json::from_slice(&json)
        {
            return Ok(ready);
        }
        if let Some(status) = process.try_wait()? {
            bail!("the server ended before it was ready ({status})");
        }
        ensure!(Instant::now() < give_up, "the server was not ready within 30 s");
        std::thread::sleep(Duration::from_millis(1));
    }
}
