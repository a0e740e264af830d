//! `cargo xtask bench --spool`: what durable events cost, how long a large spool takes to be found and
//! delivered, and what delivering takes of the processor.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use cloudnestle_bench::SOLUTION;
use cloudnestle_marketplace::{Builder, Durability, MarketplaceSdk, SpoolLimits};
use cloudnestle_mock_server::MockServer;
use tokio::task::JoinSet;

/// How long each row of durable events is measured.
const ROW: Duration = Duration::from_secs(3);

/// How many events the processor's time is spread over.
const DELIVERED: u64 = 1_000_000;

#[derive(Parser)]
struct Arguments {
    /// How large the spool is that is recovered, in megabytes
    #[arg(long, default_value_t = 1_000)]
    megabytes: u64,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Subcommand)]
enum Part {
    /// Tracks and delivers, and says what that took of the processor; the parent process serves
    #[command(hide = true)]
    Deliver { token: String, spool: PathBuf },
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(Part::Deliver { token, spool }) = arguments.part {
        return deliver(&token, MarketplaceSdk::builder().spool_dir(spool)).await;
    }
    println!("| durable events, callers | events/s |\n|---|---|");
    for callers in [1, 8, 64] {
        println!("| {callers} | {} |", durable(callers).await?);
    }
    processor().await?;
    recover(arguments.megabytes * 1_000_000).await
}

struct Stage {
    server: MockServer,
    token: String,
    spool: tempfile::TempDir,
}

impl Stage {
    async fn set() -> Result<Stage> {
        let spool = tempfile::tempdir_in("target")?; // a disk, where /tmp may be memory
        // The ledger is not what is measured, but it has to be on disk as well: it grows large.
        let server = MockServer::builder().db(spool.path().join("server.db")).start().await?;
        let pair = server.token_pair("cus_asha", SOLUTION).await?;
        let token = pair.access_token.expose().to_owned();
        Ok(Stage { server, token, spool })
    }

    fn builder(&self) -> Result<Builder> {
        let key = self.server.secret_key(SOLUTION).context("the built-in world has it")?;
        let builder = MarketplaceSdk::builder().url(self.server.url()).secret_key(key);
        Ok(builder.solution(SOLUTION).spool_dir(self.spool.path().join("spool")))
    }

    /// An SDK that knows its user, and a marketplace that then goes away.
    async fn in_an_outage(&self, builder: Builder) -> Result<MarketplaceSdk> {
        let sdk = builder.build()?;
        sdk.validate_user(&self.token).await?;
        self.server.set_outage(true);
        Ok(sdk)
    }
}

/// Events a second that survive the loss of power, while nothing can be delivered.
async fn durable(callers: usize) -> Result<u64> {
    let stage = Stage::set().await?;
    let builder = stage.builder()?.durability(Durability::Durable);
    let sdk = stage.in_an_outage(builder).await?;
    let (over, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut tasks = JoinSet::new();
    let started = Instant::now();
    for _ in 0..callers {
        let (sdk, token) = (sdk.clone(), stage.token.clone());
        let (over, acknowledged) = (over.clone(), acknowledged.clone());
        tasks.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                sdk.track_usage(&token, "search").await?;
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    tokio::time::sleep(ROW).await;
    over.store(true, Ordering::Relaxed);
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    let each_second = acknowledged.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64();
    stage.server.set_outage(false);
    sdk.flush().await?;
    let usage = sdk.stats().usage;
    ensure!(usage.delivered == acknowledged.load(Ordering::Relaxed), "{usage:?}");
    Ok(each_second as u64)
}

/// What one event takes of the processor in the program, from `track_usage` to its answer.
async fn processor() -> Result<()> {
    let stage = Stage::set().await?;
    let key = stage.server.secret_key(SOLUTION).context("the built-in world has it")?;
    let mut program = Command::new(std::env::current_exe()?);
    program
        .arg("deliver")
        .args([&stage.token, &stage.spool.path().join("spool").to_string_lossy().into_owned()])
        .env("CLOUDNESTLE_URL", stage.server.url())
        .env("CLOUDNESTLE_SECRET_KEY", key.expose())
        .env("CLOUDNESTLE_SOLUTION", SOLUTION);
    let status = tokio::task::spawn_blocking(move || program.status()).await??;
    ensure!(status.success(), "the program failed");
    Ok(())
}

async fn deliver(token: &str, builder: Builder) -> Result<()> {
    let sdk = builder.build()?;
    sdk.validate_user(token).await?;
    let before = processor_time()?;
    for _ in 0..DELIVERED {
        sdk.track_usage(token, "search").await?;
    }
    let tracked = processor_time()?;
    while sdk.stats().usage.pending > 0 {
        sdk.flush_before_return(Duration::from_secs(10)).await;
    }
    let delivered = processor_time()?;
    let usage = sdk.stats().usage;
    ensure!(usage.delivered == DELIVERED, "{usage:?}");
    let each = |time: Duration| time.as_secs_f64() * 1e6 / DELIVERED as f64;
    println!(
        "processor time of an event: {:.2} µs, {:.2} of it while {DELIVERED} were tracked",
        each(delivered - before),
        each(tracked - before),
    );
    Ok(())
}

/// User and system time of this process so far (proc(5), clock ticks of 10 ms).
fn processor_time() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').context("proc(5)")?;
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).filter_map(|it| it.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}

/// How long a spool that another process has left takes to be found and delivered.
async fn recover(bytes: u64) -> Result<()> {
    let stage = Stage::set().await?;
    let limits = SpoolLimits::default().bytes(bytes);
    let sdk = stage.in_an_outage(stage.builder()?.spool_limits(limits)).await?;
    let mut tracked = 0_u64;
    while sdk.track_usage(&stage.token, "search").await.is_ok() {
        tracked += 1;
    }
    drop(sdk);
    stage.server.set_outage(false);

    let started = Instant::now();
    let sdk = stage.builder()?.build()?;
    while sdk.stats().usage.tracked < tracked {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let found = started.elapsed();
    while sdk.stats().usage.pending > 0 {
        sdk.flush_before_return(Duration::from_secs(10)).await;
    }
    let usage = sdk.stats().usage;
    ensure!((usage.delivered, usage.lost.total()) == (tracked, 0), "{usage:?}");
    println!(
        "a spool of {bytes} bytes, {tracked} events: found in {found:.2?}, delivered in {:.1?}",
        started.elapsed()
    );
    Ok(())
}
