//! The SDK's hot paths, each beside what its floor costs on the same machine in the same run.

use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudnestle_bench::Bench;
use cloudnestle_marketplace::ValidationMode;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().expect("a runtime starts")
}

/// How long so many calls take, in batches, each with something before it that is not measured.
async fn timed(calls: u64, batch: u64, before: &impl AsyncFn(), call: &impl AsyncFn()) -> Duration {
    let mut total = Duration::ZERO;
    let mut left = calls;
    while left > 0 {
        before().await;
        let started = Instant::now();
        for _ in 0..left.min(batch) {
            call().await;
        }
        total += started.elapsed();
        left -= left.min(batch);
    }
    total
}

/// A token that was validated less than 5 s ago. The floor: the look-up in moka and the clock.
fn validate_warm(c: &mut Criterion) {
    let runtime = runtime();
    let bench = runtime.block_on(Bench::start(ValidationMode::Local));
    let token = runtime.block_on(bench.token());
    let mut group = c.benchmark_group("validate_user warm");

    let (sdk, token) = (&bench.sdk, token.as_str());
    let validate = async || {
        black_box(sdk.validate_user(black_box(token)).await.expect("the token is good"));
    };
    group.bench_function("sdk", |b| {
        // Every batch begins just after a validation, so that all of it is warm.
        b.to_async(&runtime).iter_custom(|calls| timed(calls, 1_000_000, &validate, &validate));
    });

    let map = moka::sync::Cache::<Box<str>, std::sync::Arc<u64>, _>::builder()
        .max_capacity(10_000)
        .build_with_hasher(foldhash::fast::RandomState::default());
    map.insert(token.into(), std::sync::Arc::new(1));
    group.bench_function("floor: moka and Instant", |b| {
        b.iter(|| (black_box(map.get(black_box(token))), Instant::now()));
    });
}

/// A token that was never seen. The floor: decoding it and verifying its signature with ring.
fn validate_cold(c: &mut Criterion) {
    let runtime = runtime();
    let local = runtime.block_on(Bench::start(ValidationMode::Local));
    let connected = runtime.block_on(Bench::start(ValidationMode::Connected));
    let mut group = c.benchmark_group("validate_user cold");
    for (name, bench) in [("sdk, local", &local), ("sdk, connected (one request)", &connected)] {
        runtime
            .block_on(async { bench.sdk.validate_user(&bench.token().await).await.expect("good") });
        group.bench_function(name, |b| {
            b.to_async(&runtime).iter_batched(
                || tokio::task::block_in_place(|| runtime.handle().block_on(bench.token())),
                |token| async move { bench.sdk.validate_user(&token).await.expect("good") },
                BatchSize::SmallInput,
            );
        });
    }

    let seed = [7; 32];
    let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(&seed).expect("a seed");
    let token = runtime.block_on(local.token());
    let (signed, _) = token.rsplit_once('.').expect("three parts");
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()));
    let key = ring::signature::KeyPair::public_key(&pair).as_ref().to_vec();
    let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, key);
    group.bench_function("floor: ring", |b| {
        b.iter(|| {
            let signature = URL_SAFE_NO_PAD.decode(black_box(&signature)).expect("base64url");
            key.verify(black_box(signed.as_bytes()), &signature).expect("a good signature");
        });
    });
}

/// An event of a user who is known. The floor: writing as many bytes to a file.
fn track(c: &mut Criterion) {
    let runtime = runtime();
    let bench = runtime.block_on(Bench::start(ValidationMode::Local));
    let token = runtime.block_on(bench.token());
    let mut group = c.benchmark_group("track_usage");
    let (sdk, token) = (&bench.sdk, token.as_str());
    let track = async || {
        black_box(sdk.track_usage(token, "search").await.expect("there is room"));
    };
    // Delivery is verified, and not measured: it has a thread of its own.
    let deliver = async || sdk.flush().await.expect("the server is there");
    group.bench_function("sdk, fast", |b| {
        b.to_async(&runtime).iter_custom(|calls| timed(calls, 10_000, &deliver, &track));
    });
    runtime.block_on(deliver());
    assert_eq!(bench.sdk.stats().usage.rejected, 0);

    let mut file = tempfile::tempfile().expect("a temporary file");
    let record = [b'x'; 300];
    group.bench_function("floor: write of 300 bytes", |b| {
        b.iter(|| file.write_all(black_box(&record)).expect("there is room"));
    });
}

/// What is leased. The floor: noting it without a lease.
fn consume(c: &mut Criterion) {
    let runtime = runtime();
    let bench = runtime.block_on(Bench::start(ValidationMode::Local));
    let token = runtime.block_on(bench.token_without_limit());
    let mut group = c.benchmark_group("consume");
    let (sdk, token) = (&bench.sdk, token.as_str());
    let deliver = async || sdk.flush().await.expect("the server is there");
    let consume = async || {
        black_box(sdk.consume(token, "export").await.expect("it is leased"));
    };
    runtime.block_on(consume());
    group.bench_function("sdk, fast", |b| {
        b.to_async(&runtime).iter_custom(|calls| timed(calls, 10_000, &deliver, &consume));
    });
    let track = async || {
        black_box(sdk.track_usage(token, "export").await.expect("there is room"));
    };
    group.bench_function("floor: track_usage", |b| {
        b.to_async(&runtime).iter_custom(|calls| timed(calls, 10_000, &deliver, &track));
    });
    runtime.block_on(deliver());
    assert_eq!(bench.sdk.stats().usage.rejected, 0);

    let bounded = runtime.block_on(Bench::start_bounded());
    let token = runtime.block_on(bounded.token());
    let (sdk, token) = (&bounded.sdk, token.as_str());
    let deliver = async || sdk.flush().await.expect("the server is there");
    let consume = async || {
        black_box(sdk.consume(token, "export").await.expect("it is within the limit"));
    };
    group.bench_function("sdk, fast, of a hard limit", |b| {
        b.to_async(&runtime).iter_custom(|calls| timed(calls, 10_000, &deliver, &consume));
    });
    runtime.block_on(deliver());
    assert_eq!(bounded.sdk.stats().usage.rejected, 0);
}

criterion_group!(benches, validate_warm, validate_cold, track, consume);
criterion_main!(benches);
