//! A hot path, so many times, for a tool that counts instructions: `hot-path warm|cold|track CALLS`.

use cloudnestle_bench::Bench;
use cloudnestle_marketplace::{MarketplaceSdk, ValidationMode};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().expect("usage: hot-path warm|cold|track CALLS");
    let calls: usize = arguments.next().and_then(|n| n.parse().ok()).expect("a number of calls");
    let bench = Bench::start(ValidationMode::Local).await;
    let known = bench.token().await;
    bench.sdk.validate_user(&known).await.expect("the token is good");
    let mut tokens = vec![known; calls];
    if path == "cold" {
        for token in &mut tokens {
            *token = bench.token().await;
        }
    }
    match path.as_str() {
        "warm" | "cold" => measured_validations(&bench.sdk, &tokens).await,
        "track" => measured_tracking(&bench.sdk, &tokens).await,
        _ => panic!("no such path: {path}"),
    }
}

#[inline(never)]
async fn measured_validations(sdk: &MarketplaceSdk, tokens: &[String]) {
    for token in tokens {
        sdk.validate_user(token).await.expect("the token is good");
    }
}

#[inline(never)]
async fn measured_tracking(sdk: &MarketplaceSdk, tokens: &[String]) {
    for token in tokens {
        sdk.track_usage(token, "search").await.expect("there is room");
    }
}
