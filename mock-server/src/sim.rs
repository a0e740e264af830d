//! The marketplace as a value: its own router with all its layers, called without a socket, in the time
//! and with the randomness of whoever holds it. For simulations, which want the same story twice.
//!
//! What is between two calls is in the store; so a process that dies is a [`SimMarket`] that is dropped,
//! with the calls that are under way, and a new one opened over the same store.

mod audit;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Request as HttpRequest};
use cloudnestle_marketplace::host::{Request, Response};
use cloudnestle_marketplace::model::{Secret, Timestamp, TokenPair};
use futures_util::future::poll_fn;
use tokio::runtime::Runtime;
use tower::ServiceExt;

use crate::api::launches;
use crate::api::routes::router;
use crate::api::tokens;
use crate::api::usage::projection;
use crate::domain::catalogue::{Action, Solution};
use crate::facts;
use crate::market::{Market, Site};
use crate::store::{Item, Store, StoreError, transact};
use crate::world::World;
use crate::{Callers, ControlError, CustomerInfo, RateLimit, SolutionInfo, StartError};

pub use audit::{Audit, AuditedLine};

/// A marketplace in a simulation.
///
/// ```
/// use std::sync::Arc;
/// use cloudnestle_marketplace::host::Request;
/// use cloudnestle_marketplace::model::Timestamp;
/// use cloudnestle_mock_server::sim::SimMarket;
/// use cloudnestle_mock_server::store::Memory;
/// use futures_util::FutureExt;
///
/// let time = || Timestamp::from_secs(1_800_000_000); // it stands still
/// let store = Arc::new(Memory::new());
/// let opened = SimMarket::open(store, "https://market.test", time, [7; 32]).now_or_never();
/// let market = opened.expect("memory does not wait")?;
///
/// let url = "https://market.test/healthz".to_owned();
/// let request = Request { method: "GET", url, headers: vec![], body: vec![] };
/// let response = market.call(request).now_or_never().expect("at once");
/// assert_eq!((response.status, response.header("date")), (200, Some("Fri, 15 Jan 2027 08:00:00 GMT")));
/// # Ok::<(), cloudnestle_mock_server::StartError>(())
/// ```
#[derive(Clone)]
pub struct SimMarket {
    market: Arc<Market>,
    router: Router,
}

impl SimMarket {
    /// Opens the marketplace that the store holds; an empty one is founded with the built-in world. All its
    /// ids and secrets come of the seed: give each opening another one.
    pub async fn open(
        store: Arc<dyn Store>,
        url: &str,
        time: impl Fn() -> Timestamp + Send + Sync + 'static,
        seed: [u8; 32],
    ) -> Result<SimMarket, StartError> {
        let world = World::simulated(Arc::new(time), &seed);
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let market = Market::open(store, world, Site::new(url.to_owned(), nowhere), None).await?;
        let market = Arc::new(market);
        projection::catch_up(&market).await?;
        Ok(SimMarket { router: router(market.clone()), market })
    }

    /// The answer to a request. Dropping the future is the death of whatever serves it.
    pub fn call(&self, request: Request) -> impl Future<Output = Response> + Send + 'static {
        let router = self.router.clone();
        in_tokio(async move {
            let answer = router.oneshot(http(request)).await;
            let response = answer.unwrap_or_else(|never| match never {});
            let (parts, body) = response.into_parts();
            let headers = parts.headers.iter().map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            });
            let (status, headers) = (parts.status.as_u16(), headers.collect());
            // The whole body is there: nothing here streams.
            let body = to_bytes(body, usize::MAX).await.unwrap_or_default().to_vec();
            Response { status, headers, body }
        })
    }

    /// The solutions it was founded with, with their first secret keys.
    pub fn solutions(&self) -> &[SolutionInfo] {
        &self.market.solutions
    }

    /// The customers it was founded with.
    pub fn customers(&self) -> &[CustomerInfo] {
        &self.market.customers
    }

    /// The key of the marketplace's own people.
    pub fn admin_key(&self) -> Secret {
        self.market.keys.test_admin_key()
    }

    /// A new pair for a customer and a solution.
    pub async fn token_pair(
        &self,
        customer_id: &str,
        solution_id: &str,
    ) -> Result<TokenPair, ControlError> {
        let issued = in_tokio(tokens::issue(&self.market, customer_id, solution_id));
        Ok(issued.await?)
    }

    /// A code as a customer's browser brings it to a solution that the customer opens.
    pub async fn launch_code(
        &self,
        customer_id: &str,
        solution_id: &str,
    ) -> Result<Secret, ControlError> {
        let code = in_tokio(launches::code(&self.market, customer_id, solution_id));
        Ok(code.await?)
    }

    /// Lets a solution have one more action, as if its partner had listed it anew; one without a limit.
    pub async fn declare_action(&self, solution_id: &str, name: &str) -> Result<(), StoreError> {
        let key = facts::solution(solution_id);
        let declaring = transact(&*self.market.store, async |tx| {
            let solution = tx.get::<Solution>(&key).await?;
            let Some(mut solution) = solution.filter(|it| it.action(name).is_none()) else {
                return Ok(());
            };
            let (name, unit) = (name.to_owned(), "piece".to_owned());
            solution.actions.push(Action { name, unit, ..Action::default() });
            tx.put(&key, &solution)
        });
        in_tokio(declaring).await
    }

    /// Lets the next of the published keys sign from now on.
    pub async fn rotate_signing_key(&self) -> Result<(), StoreError> {
        in_tokio(self.market.rotate_signing_key()).await
    }

    /// Lets each of some callers call so often from now on.
    pub fn set_rate_limit(&self, callers: Callers, limit: RateLimit) {
        self.market.world.rates.set(callers, limit, self.market.world.now());
    }

    /// What is in the books, and whether they agree with each other: `items` are all that the store has.
    pub async fn audit(&self, items: &[Item]) -> Result<Audit, StoreError> {
        audit::audit(&self.market, items).await
    }
}

fn http(request: Request) -> HttpRequest<Body> {
    let Request { method, url, headers, body } = request;
    let mut http = HttpRequest::new(Body::from(body));
    *http.method_mut() = method.parse().unwrap_or_default();
    // A request without an authority, as HTTP/1.1 has it.
    let path = url.split_once("://").and_then(|(_, rest)| Some(&rest[rest.find('/')?..]));
    *http.uri_mut() = path.and_then(|path| path.parse().ok()).unwrap_or_default();
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            http.headers_mut().append(name, value);
        }
    }
    http
}

/// The server bounds a call's time with tokio's timers, which ask for a runtime. This one is never run: no
/// timer of it ends, and what a call is granted in a simulation is for the simulation to say.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.unwrap_or_else(|error| panic!("a runtime without threads or sockets: {error}"))
});

async fn in_tokio<T>(work: impl Future<Output = T>) -> T {
    let mut work = Box::pin(work);
    poll_fn(move |context| {
        let _entered = RUNTIME.enter();
        work.as_mut().poll(context)
    })
    .await
}
