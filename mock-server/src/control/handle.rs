//! Control in Rust, for tests that hold the server: the calls of `/mock` do the same.

use std::sync::Arc;
use std::time::Duration;

use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{Secret, Timestamp, TokenPair};

use super::clock::{self, Destination, Happened};
use super::journal::Search;
use super::snapshots::{self, Snapshot};
use super::spoiled_tokens::{self, Flaw};
use super::verify::{self, Expected, Unverified};
use super::worlds::{NewWorld, Standing};
use super::{calls, faults, journal};
use crate::api::launches;
use crate::api::problem::Failure;
use crate::api::tokens;
use crate::server::MockWorld;
use crate::world::{
    Callers, Fault, FaultReport, JournalCall, JournalEntry, RateLimit, Scale, UnmetFaults,
};

/// Why the server did not do as a test asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct ControlError {
    code: Code,
    detail: String,
}

impl ControlError {
    /// The code the API would answer with.
    pub fn code(&self) -> Code {
        self.code
    }
}

/// With the feature `control`, which is on by default.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use cloudnestle_mock_server::{Fault, MockServer};
///
/// let server = MockServer::start().await?;
/// server.inject(Fault::on("GET /api/user-context").status(503).header("retry-after", "1"))?;
/// server.advance_clock(Duration::from_secs(16 * 60)).await?; // every token has expired
/// assert!(server.journal().is_empty()); // nobody has called yet
/// # Ok(())
/// # }
/// ```
impl MockWorld {
    /// Makes a world beside the server's own, whichever this is. It shares nothing with any other, and
    /// is forgotten when it is dropped.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use cloudnestle_mock_server::{MockServer, NewWorld};
    ///
    /// let server = MockServer::start().await?;
    /// let world = server.create_world(NewWorld::default().id("wld_checkout").seed(7)).await?;
    /// assert_eq!(world.url(), format!("{}/worlds/wld_checkout", server.url()));
    /// world.set_outage(true); // of this world alone
    /// # Ok(())
    /// # }
    /// ```
    pub async fn create_world(&self, wanted: NewWorld) -> Result<MockWorld, ControlError> {
        let server = match &self.market.standing {
            Standing::Server(_) => Some(self.market.clone()),
            Standing::Hosted { .. } => self.beside.upgrade(),
        };
        let stopped = || Failure::new(Code::Unavailable, "The server has been stopped.");
        let server = server.ok_or_else(stopped)?;
        let worlds = server.standing.worlds().ok_or_else(stopped)?;
        let market = worlds.create(&server, wanted).await?;
        Ok(MockWorld { market, beside: Arc::downgrade(&server) })
    }

    /// What `/mock` takes as `Authorization: Bearer …`; another one at each start.
    pub fn control_token(&self) -> &Secret {
        &self.market.control_token
    }

    /// Signs a customer in: `POST /api/generate-token` takes the session.
    pub async fn session(&self, customer_id: &str) -> Result<Secret, ControlError> {
        Ok(calls::sign_in(&self.market, customer_id).await?.access_token)
    }

    /// A new pair for a customer and a solution, as `POST /api/generate-token` gives it. The call is
    /// not in the journal, and meets no fault.
    pub async fn token_pair(
        &self,
        customer_id: &str,
        solution_id: &str,
    ) -> Result<TokenPair, ControlError> {
        Ok(tokens::issue(&self.market, customer_id, solution_id).await?)
    }

    /// A token of a customer for a solution that must be refused, and differs from a good one in nothing but its
    /// flaw.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use cloudnestle_mock_server::{Flaw, MockServer};
    ///
    /// let server = MockServer::start().await?;
    /// let expired = server.spoiled_token(Flaw::Expired, "cus_ravi", "sol_faiss_search").await?;
    /// # let _ = expired;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn spoiled_token(
        &self,
        flaw: Flaw,
        customer_id: &str,
        solution_id: &str,
    ) -> Result<Secret, ControlError> {
        Ok(spoiled_tokens::spoiled(&self.market, flaw, customer_id, solution_id).await?)
    }

    /// The signature of any text under the key that tokens are signed with, for tests that forge
    /// tokens which only their content gives away.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cloudnestle_mock_server::StartError> {
    /// let server = cloudnestle_mock_server::MockServer::start().await?;
    /// assert_eq!(server.sign(b"e30.e30").len(), 64);
    /// # Ok(())
    /// # }
    /// ```
    pub fn sign(&self, text: &[u8]) -> Vec<u8> {
        self.market.keys.signing().current().sign(text)
    }

    /// A code as a customer's browser brings it to a solution that the customer opens. The call is
    /// not in the journal, and meets no fault.
    pub async fn launch_code(
        &self,
        customer_id: &str,
        solution_id: &str,
    ) -> Result<Secret, ControlError> {
        Ok(launches::code(&self.market, customer_id, solution_id).await?)
    }

    /// What the server's clock shows.
    pub fn now(&self) -> Timestamp {
        self.market.world.now()
    }

    /// Sets the clock, to a moment of the years 2000 to 2199; it goes on from there as it did before. What
    /// is due on the way to a later moment happens, as in [`advance_clock`](Self::advance_clock); an
    /// earlier one undoes nothing.
    pub async fn set_clock(&self, now: Timestamp) -> Result<Happened, ControlError> {
        Ok(clock::travel(&self.market, Destination::At(now)).await?)
    }

    /// Moves the clock on. Everything that is due on the way (tokens that expire, quotas that reset, leases
    /// that end) happens, each at its moment and in the order of time; afterwards nothing is left to do, and
    /// the clock goes on as it did before.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use cloudnestle_mock_server::{MockServer, Task};
    ///
    /// let server = MockServer::start().await?;
    /// server.token_pair("cus_ravi", "sol_faiss_search").await?;
    /// let happened = server.advance_clock(Duration::from_secs(16 * 60)).await?;
    /// assert!(matches!(happened.fired[0].task, Task::TokenExpires { .. }));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn advance_clock(&self, by: Duration) -> Result<Happened, ControlError> {
        Ok(clock::travel(&self.market, Destination::After(by)).await?)
    }

    /// Moves the clock on to the next moment at which something happens; nowhere, if nothing is planned.
    pub async fn advance_to_next_event(&self) -> Result<Happened, ControlError> {
        Ok(clock::travel(&self.market, Destination::NextEvent).await?)
    }

    /// Lets the clock stand still, or go on.
    pub fn freeze_clock(&self, is_frozen: bool) {
        clock::freeze(&self.market, is_frozen);
    }

    /// Lets the clock run, so many times as fast as real time: more than 0, and at most 1,000,000.
    pub fn scale_clock(&self, scale: f64) -> Result<(), ControlError> {
        clock::scale(&self.market, Scale::new(scale).map_err(Failure::from)?);
        Ok(())
    }

    /// All that the marketplace holds now, what its clock shows, and where its randomness is. Calls that are
    /// under way are answered before.
    pub async fn snapshot(&self) -> Result<Snapshot, ControlError> {
        Ok(snapshots::take(&self.market).await?)
    }

    /// Puts a snapshot in the place of what there is, once the calls under way are answered. Whoever reads
    /// the revocation feed is told of another generation. The fault plan, the limits and the journal stay.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use cloudnestle_mock_server::MockServer;
    ///
    /// let server = MockServer::start().await?;
    /// server.freeze_clock(true);
    /// let (before, began) = (server.snapshot().await?, server.now());
    /// server.advance_clock(Duration::from_secs(24 * 60 * 60)).await?;
    /// server.restore(&before).await?;
    /// assert_eq!(server.now(), began);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If it is of another marketplace, which has other keys: make a world from it.
    pub async fn restore(&self, snapshot: &Snapshot) -> Result<(), ControlError> {
        Ok(snapshots::put_back(&self.market, snapshot).await?)
    }

    /// Lets everything be as it was when the marketplace began, with the keys it has: no usage, no tokens,
    /// no faults, no journal, and the clock it had.
    ///
    /// # Errors
    /// If its database was founded with a seed that this server was not started with.
    pub async fn reset(&self) -> Result<(), ControlError> {
        Ok(snapshots::begin_anew(&self.market).await?)
    }

    /// Lets the next of the published keys sign tokens from now on. Those of the last one stay good.
    pub async fn rotate_signing_key(&self) -> Result<(), ControlError> {
        Ok(self.market.rotate_signing_key().await.map_err(Failure::from)?)
    }

    /// Plans a fault, after those that are planned already. Answers its id, `flt_…`.
    ///
    /// # Errors
    /// If it makes no sense, or no call there is could meet it.
    pub fn inject(&self, fault: Fault) -> Result<String, ControlError> {
        Ok(faults::plan_one(&self.market, fault)?)
    }

    /// What is left of the fault plan, and which calls met what.
    pub fn faults(&self) -> FaultReport {
        self.market.world.faults.report(self.now())
    }

    /// Whether the fault plan is used up, for the end of a test: one whose faults no call has met has
    /// shown nothing.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use cloudnestle_mock_server::{Fault, MockServer};
    ///
    /// let server = MockServer::start().await?;
    /// let id = server.inject(Fault::on("POST /api/track-usage").status(503).times(2))?;
    /// assert!(server.verify_faults().is_err()); // nobody has called yet
    /// server.remove_fault(&id)?;
    /// server.verify_faults()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What is left of the plan.
    pub fn verify_faults(&self) -> Result<(), UnmetFaults> {
        match self.faults() {
            FaultReport { used_up: true, .. } => Ok(()),
            FaultReport { left, .. } => Err(UnmetFaults { left }),
        }
    }

    /// Lets no more calls meet a fault.
    ///
    /// # Errors
    /// If there never was a fault of that id.
    pub fn remove_fault(&self, id: &str) -> Result<(), ControlError> {
        Ok(faults::remove_one(&self.market, id)?)
    }

    /// Forgets the fault plan.
    pub fn clear_faults(&self) {
        self.market.world.faults.clear();
    }

    /// Lets each of some callers call so often from now on. All their earlier calls are forgotten.
    pub fn set_rate_limit(&self, callers: Callers, limit: RateLimit) {
        self.market.world.rates.set(callers, limit, self.now());
    }

    /// Lets every call of the API have its connection reset, until switched off.
    pub fn set_outage(&self, on: bool) {
        self.market.world.faults.set_outage(on);
    }

    /// What the API was asked and how it answered: the last 10,000 calls, oldest first.
    pub fn journal(&self) -> Vec<JournalEntry> {
        self.market.world.journal.entries()
    }

    /// The calls that are searched for, whole: what was sent and what was answered, without secrets.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use cloudnestle_mock_server::{MockServer, Search};
    ///
    /// let server = MockServer::start().await?;
    /// # let _ = rustls::crypto::ring::default_provider().install_default();
    /// let http = reqwest::Client::new();
    /// http.get(format!("{}/.well-known/jwks.json", server.url())).send().await?;
    /// let found = server.find(&Search::default().operation("GET /.well-known/jwks.json"));
    /// assert_eq!(found[0].entry.status, Some(200));
    /// assert_eq!(found[0].answer.as_ref().and_then(|answer| answer.body.as_ref()).map(|body| body["keys"].is_array()), Some(true));
    /// # Ok(())
    /// # }
    /// ```
    pub fn find(&self, search: &Search) -> Vec<JournalCall> {
        journal::find(&self.market, search)
    }

    /// Whether the API was asked what a test expects: the numbers of those calls.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use cloudnestle_mock_server::{Expected, MockServer};
    ///
    /// let server = MockServer::start().await?;
    /// server.verify(&Expected::call("POST /api/track-usage").times(0))?;
    /// let unmet = server.verify(&Expected::call("POST /api/track-usage").status(200)).unwrap_err();
    /// assert_eq!(unmet.to_string(), "expected POST /api/track-usage at least once; found 0");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If there are fewer such calls, or more; its text says which came near, and in what they were other.
    pub fn verify(&self, expected: &Expected) -> Result<Vec<u64>, Unverified> {
        verify::verify_now(&self.market, expected)
    }

    /// Forgets the journal.
    pub fn clear_journal(&self) {
        self.market.world.journal.clear();
    }
}

impl Drop for MockWorld {
    fn drop(&mut self) {
        if let Some(server) = self.beside.upgrade()
            && let Some(worlds) = server.standing.worlds()
        {
            worlds.forget(&self.market);
        }
    }
}

impl From<Failure> for ControlError {
    fn from(failure: Failure) -> Self {
        ControlError { code: failure.code, detail: failure.explanation().to_owned() }
    }
}
