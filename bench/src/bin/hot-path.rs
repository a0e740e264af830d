//! A hot path, so many times, for a tool that counts instructions:
//! `hot-path warm|cold|ring|track|consume|bounded CALLS`.
//!
//! What is counted is in functions of its own, on a thread that does nothing else: the server and
//! the SDK's uploads have theirs.

use cloudnestle_bench::Bench;
use cloudnestle_marketplace::{MarketplaceSdk, ValidationMode};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use tokio::runtime::{Builder, Runtime};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path =
        arguments.next().expect("usage: hot-path warm|cold|ring|track|consume|bounded CALLS");
    let calls: usize = arguments.next().and_then(|n| n.parse().ok()).expect("a number of calls");

    let elsewhere = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let elsewhere = elsewhere.expect("a runtime starts");
    let here = Builder::new_current_thread().build().expect("a runtime starts");
    let bench = elsewhere.block_on(Bench::start(ValidationMode::Local));
    let known = elsewhere.block_on(bench.token());
    elsewhere.block_on(bench.sdk.validate_user(&known)).expect("the token is good");

    match path.as_str() {
        "warm" => measured_validations(&here, &bench.sdk, &vec![known; calls]),
        "cold" => {
            let tokens = (0..calls).map(|_| elsewhere.block_on(bench.token()));
            measured_validations(&here, &bench.sdk, &tokens.collect::<Vec<_>>());
        }
        "ring" => measured_signatures(&known, calls),
        "track" => measured_tracking(&here, &bench.sdk, &known, calls),
        "consume" => {
            let token = elsewhere.block_on(bench.token_without_limit());
            elsewhere.block_on(bench.sdk.consume(&token, "export")).expect("nothing is in the way");
            measured_consuming(&here, &bench.sdk, &token, calls);
        }
        "bounded" => {
            let bench = elsewhere.block_on(Bench::start_bounded());
            let token = elsewhere.block_on(bench.token());
            measured_consuming(&here, &bench.sdk, &token, calls);
        }
        _ => panic!("no such path: {path}"),
    }
}

#[inline(never)]
fn measured_validations(here: &Runtime, sdk: &MarketplaceSdk, tokens: &[String]) {
    here.block_on(async {
        for token in tokens {
            sdk.validate_user(token).await.expect("the token is good");
        }
    });
}

#[inline(never)]
fn measured_tracking(here: &Runtime, sdk: &MarketplaceSdk, token: &str, calls: usize) {
    here.block_on(async {
        for _ in 0..calls {
            sdk.track_usage(token, "search").await.expect("there is room");
        }
    });
}

/// A lease is there before, so that none is asked for.
#[inline(never)]
fn measured_consuming(here: &Runtime, sdk: &MarketplaceSdk, token: &str, calls: usize) {
    here.block_on(async {
        for _ in 0..calls {
            sdk.consume(token, "export").await.expect("it is leased");
        }
    });
}

/// The peer of a cold validation: its one signature check, by the same library.
#[inline(never)]
fn measured_signatures(token: &str, calls: usize) {
    let (signed, _) = token.rsplit_once('.').expect("a token has three parts");
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a seed has 32 bytes");
    let signature = pair.sign(signed.as_bytes());
    let key = UnparsedPublicKey::new(&ED25519, pair.public_key());
    for _ in 0..calls {
        key.verify(signed.as_bytes(), signature.as_ref()).expect("the signature is good");
    }
}
