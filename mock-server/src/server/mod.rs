//! A running server, and how it is started.

mod accept;
mod converse;
mod mock_world;
mod wire;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::converse::Host;
use crate::agenda;
use crate::api::routes::router;
use crate::api::usage::projection;
use crate::market::{Market, Seed, Site};
use crate::store::{Memory, OpenError, Sqlite, Store, StoreError};
use crate::world::{Callers, NoRandomness, RateLimit, World};

pub(crate) use converse::BrokenOff;
pub use mock_world::MockWorld;

/// A marketplace that listens on a port of this machine, until it is dropped or stopped.
///
/// Everything a [`MockWorld`] does, it does for its own.
pub struct MockServer {
    own: MockWorld,
    /// Dropped, it tells the accept loop to end.
    running: watch::Sender<()>,
    accepting: JoinHandle<()>,
}

/// What a server is like before it is started.
#[derive(Clone, Debug)]
pub struct Builder {
    listen: IpAddr,
    port: u16,
    db: Option<PathBuf>,
    seed: Option<PathBuf>,
    public_url: Option<String>,
    max_connections: usize,
    rate_limits: Vec<(Callers, RateLimit)>,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Somebody else has the port, or the address is not this machine's. Choose another; port 0
    /// takes a free one.
    #[error("can't listen on {address}: {source}")]
    Listen {
        /// Where it should have listened.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The database can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys in the database are not keys. Take another database.
    #[error("the keys in the database are damaged")]
    DamagedKeys,
    /// The world it was to be founded with makes no sense. Correct the file.
    #[error("the seed: {0}")]
    Seed(String),
    /// The database was founded with another world. Take another file, or leave the seed out.
    #[error(
        "the database was founded with another world than that of the seed: take another file for \
         it, or delete the one there is, with its keys and all that was used"
    )]
    OtherSeed,
    /// Tokens name the URL as their issuer, so it must be one.
    #[error("the public URL must be http(s)://host[:port], without a path, not {0:?}")]
    PublicUrl(String),
    /// The operating system has no random numbers.
    #[error("the operating system gave no random bytes")]
    Randomness,
}

impl MockServer {
    /// Starts a server at a free port of 127.0.0.1 that forgets everything when it ends.
    ///
    /// Runs on the tokio runtime it is called in.
    pub async fn start() -> Result<MockServer, StartError> {
        MockServer::builder().start().await
    }

    /// For a server that is different from that of [`MockServer::start`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use cloudnestle_mock_server::MockServer;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let server = MockServer::builder().db(folder.path().join("market.db")).start().await?;
    /// server.stop().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> Builder {
        Builder {
            listen: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            db: None,
            seed: None,
            public_url: None,
            max_connections: 10_000,
            rate_limits: Vec::new(),
        }
    }

    /// The API as an OpenAPI 3.1 document, as `GET /openapi.json` answers it.
    ///
    /// ```
    /// # use cloudnestle_mock_server::MockServer;
    /// assert_eq!(MockServer::openapi()["paths"]["/healthz"]["get"]["operationId"], "getHealthz");
    /// ```
    pub fn openapi() -> &'static serde_json::Value {
        &crate::api::openapi::DOCUMENT
    }

    /// The marketplace's calls as a Postman collection, in its format 2.1.
    ///
    /// ```
    /// # use cloudnestle_mock_server::MockServer;
    /// assert_eq!(MockServer::postman()["item"][0]["name"], "POST /api/users");
    /// ```
    pub fn postman() -> &'static serde_json::Value {
        &crate::api::openapi::POSTMAN
    }

    /// Ends it: calls under way get five seconds to finish. Afterwards the port is free and the
    /// database closed.
    pub async fn stop(self) {
        let MockServer { own, running, accepting } = self;
        drop(running);
        // An accept loop that panicked has ended, too.
        let _ = accepting.await;
        own.market.agenda.close().await;
        drop(own);
    }
}

impl Builder {
    /// The address to listen on; 127.0.0.1 unless set.
    pub fn listen(mut self, address: IpAddr) -> Builder {
        self.listen = address;
        self
    }

    /// The port to listen on; 0, a free one, unless set.
    pub fn port(mut self, port: u16) -> Builder {
        self.port = port;
        self
    }

    /// Keeps everything in this file, which is made if there is none; in memory unless set.
    pub fn db(mut self, path: impl Into<PathBuf>) -> Builder {
        self.db = Some(path.into());
        self
    }

    /// Founds a new database with the world of this YAML file, in place of the built-in one. A
    /// database that was founded before must have been founded with the same file.
    pub fn seed(mut self, path: impl Into<PathBuf>) -> Builder {
        self.seed = Some(path.into());
        self
    }

    /// The URL the marketplace is known by, such as `https://market.test`: the `iss` of its tokens.
    /// `http://address:port` unless set.
    pub fn public_url(mut self, url: impl Into<String>) -> Builder {
        self.public_url = Some(url.into());
        self
    }

    /// The most connections at a time; 10,000 unless set. Where there is no room left, the oldest of
    /// those that are idle are closed; if none is idle, whoever comes waits.
    pub fn max_connections(mut self, connections: usize) -> Builder {
        self.max_connections = connections.max(1);
        self
    }

    /// How often some callers may call. Unless set, 50,000 times a second with the same key or token,
    /// 5,000 from the same address without any, and 10 (or, after a pause, 100 at once) to register or
    /// sign in.
    pub fn rate_limit(mut self, callers: Callers, limit: RateLimit) -> Builder {
        self.rate_limits.push((callers, limit));
        self
    }

    /// Starts it. When this returns, it answers.
    pub async fn start(self) -> Result<MockServer, StartError> {
        let address = SocketAddr::new(self.listen, self.port);
        let failed = |source| StartError::Listen { address, source };
        let listener = accept::listen(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let url = match self.public_url {
            Some(url) => check_url(url)?,
            None => format!("http://{}", reachable(address)),
        };

        let world = World::real()?;
        // Before there is a database: one without a world would be given another at the next start.
        let seed = self.seed.map(|path| read_seed(&path, &world)).transpose()?;
        let store: Arc<dyn Store> = match self.db {
            Some(path) => Arc::new(Sqlite::open_metered(&path, world.metrics.store.clone())?),
            None => Arc::new(Memory::new()),
        };
        for (callers, limit) in self.rate_limits {
            world.rates.set(callers, limit, world.now());
        }
        let market = Arc::new(Market::open(store, world, Site::new(url, address), seed).await?);
        // What an earlier process accepted and did not live to count.
        projection::catch_up(&market).await?;
        agenda::attend(&market);

        let (running, ended) = watch::channel(());
        let host = Host { market: market.clone(), router: router(market.clone()), ended };
        let accepting = tokio::spawn(accept::serve(listener, host, self.max_connections));
        Ok(MockServer { own: MockWorld::new(market), running, accepting })
    }
}

fn read_seed(path: &Path, world: &World) -> Result<Seed, StartError> {
    let failed = |error: std::io::Error| StartError::Seed(format!("{}: {error}", path.display()));
    let yaml = std::fs::read_to_string(path).map_err(failed)?;
    Seed::read(&yaml, world).map_err(StartError::Seed)
}

/// Where a server that listens on all addresses is reached from its own machine.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// The issuer is compared to the letter, so it has one spelling: no path, no slash at the end.
fn check_url(url: String) -> Result<String, StartError> {
    let parsed: Option<axum::http::Uri> = url.parse().ok();
    let is_bare = parsed.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some()
    });
    match is_bare && url.matches('/').count() == 2 && !url.contains(['?', '#', '@']) {
        true => Ok(url),
        false => Err(StartError::PublicUrl(url)),
    }
}

impl From<NoRandomness> for StartError {
    fn from(_: NoRandomness) -> Self {
        StartError::Randomness
    }
}

impl Deref for MockServer {
    type Target = MockWorld;
    fn deref(&self) -> &MockWorld {
        &self.own
    }
}

impl fmt::Debug for MockServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MockServer({})", self.url())
    }
}
