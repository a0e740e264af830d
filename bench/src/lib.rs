//! What the benchmarks measure: a server, an SDK of one of its solutions, and customers' tokens.

#![forbid(unsafe_code)]

pub mod tokens;

use cloudnestle_marketplace::{MarketplaceSdk, ValidationMode};
use cloudnestle_mock_server::MockServer;

/// The solution the SDK is built for.
pub const SOLUTION: &str = "sol_faiss_search";

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
        let server = MockServer::start().await.expect("a port is free");
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
