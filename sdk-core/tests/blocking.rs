//! The front for programs without async, called from everywhere one can call from.

use std::time::Duration;

use cloudnestle_marketplace::blocking::MarketplaceSdk;
use cloudnestle_marketplace::{Code, Event, MarketplaceSdk as Async};
use cloudnestle_mock_server::MockServer;
use tokio::runtime::{Builder, Runtime};

const SOLUTION: &str = "sol_faiss_search";

struct Stage {
    server: MockServer,
    token: String,
    /// The server's own: nothing of the SDK runs here.
    _runtime: Runtime,
}

impl Stage {
    fn set() -> Stage {
        let runtime = Runtime::new().unwrap();
        let (server, token) = runtime.block_on(async {
            let server = MockServer::start().await.unwrap();
            let pair = server.token_pair("cus_asha", SOLUTION).await.unwrap();
            (server, pair.access_token.expose().to_owned())
        });
        Stage { server, token, _runtime: runtime }
    }

    fn sdk(&self) -> MarketplaceSdk {
        let key = self.server.secret_key(SOLUTION).unwrap();
        let builder = Async::builder().url(self.server.url()).secret_key(key).solution(SOLUTION);
        builder.spool_in_memory().build().unwrap().into()
    }

    fn use_all_of_it(&self) {
        let sdk = self.sdk();
        let mut events = sdk.events();
        assert_eq!(sdk.validate_user(&self.token).unwrap().customer_id, "cus_asha");
        assert_eq!(sdk.validate_user("garbage").unwrap_err().code(), Code::TokenMalformed);
        sdk.track_usage(&self.token, "search").unwrap().persisted().unwrap();
        sdk.flush().unwrap();
        assert!(matches!(events.next(), Some(Event::UsageDelivered { count: 1 })));
        assert_eq!(sdk.close(Duration::from_secs(2)).usage.pending, 0);
        drop(sdk);
        assert!(events.next().is_none(), "the SDK is gone");
    }
}

#[test]
fn every_call_that_can_be_awaited_can_be_waited_for() {
    let blocking = include_str!("../src/blocking.rs");
    for (of, source) in [
        ("MarketplaceSdk", include_str!("../src/sdk.rs")),
        ("TokenSource", include_str!("../src/auth/source.rs")),
        ("Receipt", include_str!("../src/usage/receipt.rs")),
    ] {
        let (_, rest) = blocking.split_once(&format!("\nimpl {of} {{\n")).unwrap();
        let (waited_for, _) = rest.split_once("\n}\n").unwrap();
        let awaited = source.lines();
        let awaited = awaited.filter_map(|line| line.trim().strip_prefix("pub async fn "));
        for call in awaited {
            let (name, _) = call.split_once(['(', '<']).unwrap();
            let is_there =
                ["(", "<"].map(|end| waited_for.contains(&format!("pub fn {name}{end}")));
            assert!(is_there.contains(&true), "{of}::{name} is missing");
        }
    }
}

#[test]
fn a_program_without_a_runtime_needs_none() {
    Stage::set().use_all_of_it();
}

#[test]
fn a_task_of_a_runtime_may_wait_and_drop_it() {
    let stage = Stage::set();
    Runtime::new().unwrap().block_on(async { stage.use_all_of_it() });
    let one_thread = Builder::new_current_thread().build().unwrap();
    one_thread.block_on(async { stage.use_all_of_it() });
}

#[test]
fn many_threads_share_one() {
    let stage = Stage::set();
    let sdk = stage.sdk();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                sdk.validate_user(&stage.token).unwrap();
                sdk.track_usage(&stage.token, "search").unwrap();
            });
        }
    });
    sdk.flush().unwrap();
    assert_eq!(sdk.stats().usage.delivered, 16);
}
