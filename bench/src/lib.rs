//! What the benchmarks measure: a server, an SDK of one of its solutions, and customers' tokens.

#![forbid(unsafe_code)]

pub mod tokens;

use cloudnestle_marketplace::{MarketplaceSdk, ValidationMode};
use cloudnestle_mock_server::MockServer;

/// The solution the SDK is built for.
pub const SOLUTION: &str = "sol_faiss_search";

/// A world in which a pro customer has a hard limit that no benchmark reaches.
const BOUNDED: &str = "
solutions:
  - id: sol_faiss_search
    name: FAISS Search
    actions: [{ name: search, unit: request }, { name: export, unit: file }]
    plans:
      - tier: pro
        allowances: [{ action: export, limit: 1000000000, window: month, policy: hard }]
customers: [{ id: cus_asha }]
subscriptions: [{ customer: cus_asha, solution: sol_faiss_search, tier: pro }]
";

/// So often has the SDK to spend of a limit until it asks for leases that last a while.
const UNTIL_LEASES_ARE_LARGE: usize = 20_000;

/// A server and an SDK with a spool on disk.
pub struct Bench {
    /// Kept, so that it runs.
    pub server: MockServer,
    /// What is measured.
    pub sdk: MarketplaceSdk,
    _spool: tempfile::TempDir,
}

impl Bench {
    /// Starts both.
    pub async fn start(validation: ValidationMode) -> Bench {
        Bench::of(MockServer::start().await.expect("a port is free"), validation)
    }

    /// Starts both, in a world in which `export` has a hard limit for the customer of [`token`](Self::token), and
    /// spends of it until leases are large.
    pub async fn start_bounded() -> Bench {
        let seed = tempfile::NamedTempFile::new().expect("there is a folder for temporary files");
        std::fs::write(seed.path(), BOUNDED).expect("there is room");
        let server = MockServer::builder().seed(seed.path()).start().await.expect("it is a world");
        let bench = Bench::of(server, ValidationMode::Local);
        let token = bench.token().await;
        for _ in 0..UNTIL_LEASES_ARE_LARGE {
            bench.sdk.consume(&token, "export").await.expect("it is within the limit");
        }
        bench
    }

    fn of(server: MockServer, validation: ValidationMode) -> Bench {
        let spool = tempfile::tempdir().expect("there is a folder for temporary files");
        let sdk = MarketplaceSdk::builder()
            .url(server.url())
            .secret_key(server.secret_key(SOLUTION).expect("the built-in world has it"))
            .solution(SOLUTION)
            .spool_dir(spool.path())
            .validation(validation)
            .build()
            .expect("the settings are complete");
        Bench { server, sdk, _spool: spool }
    }

    /// An access token of a pro customer.
    pub async fn token(&self) -> String {
        let pair = self.server.token_pair("cus_asha", SOLUTION).await;
        pair.expect("the customer has the solution").access_token.expose().to_owned()
    }

    /// An access token of an enterprise customer, for whom the hard limit of `export` is no limit.
    pub async fn token_without_limit(&self) -> String {
        let pair = self.server.token_pair("cus_meera", SOLUTION).await;
        pair.expect("the customer has the solution").access_token.expose().to_owned()
    }
}
