//! `kill -9` at random moments: writers and servers, each on its own, so that they overlap.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;

use crate::ledger::Balance;
use crate::server::Ready;
use crate::stage::Stage;
use crate::writer::Mode;

/// What is done.
#[derive(Args, Clone, Debug)]
pub struct Kills {
    /// How many processes are killed
    #[arg(long, default_value_t = 200)]
    pub kills: usize,
    /// What the moments are drawn from
    #[arg(long, default_value_t = fastrand::u64(..))]
    pub seed: u64,
    /// How long a task waits between two events, in microseconds
    #[arg(long, default_value_t = 2_000)]
    pub pace_us: u64,
    /// When the SDK acknowledges
    #[arg(long, value_enum, default_value_t)]
    pub mode: Mode,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What the moments were drawn from.
    pub seed: u64,
    /// When the SDK acknowledged.
    pub mode: Mode,
    /// How many writers were killed.
    pub writers_killed: usize,
    /// How many servers were killed.
    pub servers_killed: usize,
    /// The calls of `track_usage` that a kill may have cut off.
    pub in_flight: usize,
    #[serde(flatten)]
    #[allow(missing_docs, reason = "its type says it")]
    pub balance: Balance,
    /// How long a killed server takes until it serves again: the median, in milliseconds.
    pub restart_p50_ms: u64,
    /// As that, and one in a hundred takes longer.
    pub restart_p99_ms: u64,
}

/// How many programs share the spool.
const PROGRAMS: u64 = 2;
/// How many tasks a program has.
const TASKS: std::ops::RangeInclusive<usize> = 8..=32;
/// How long a writer lives, in milliseconds: from before its first line runs to well after its first
/// uploads.
pub(crate) const WRITER_LIVES: std::ops::Range<u64> = 0..1_500;
/// How long a server lives.
const SERVER_LIVES: std::ops::Range<u64> = 0..1_200;

impl Kills {
    /// Kills, settles, and compares. Everything is drawn from the seed; what a moment meets is up to
    /// the system.
    ///
    /// # Errors
    /// The count does not come out even.
    pub fn run(&self, program: &Path) -> Result<Report> {
        let stage = Stage::set(program)?;
        let report = self.run_on(&stage);
        report.with_context(|| format!("seed {}; see {}", self.seed, stage.keep().display()))
    }

    fn run_on(&self, stage: &Stage) -> Result<Report> {
        let mut seeds = fastrand::Rng::with_seed(self.seed);
        let (first_server, ready) = stage.start_server()?;
        drop(first_server);
        let left = Left::new(self.kills, ready);
        let (servers, writers) = thread::scope(|scope| {
            let rng = seeds.fork();
            let servers = scope.spawn(|| kill_servers(stage, &left, rng));
            let writers: Vec<_> = (0..PROGRAMS)
                .map(|program| {
                    let (rng, left) = (seeds.fork(), &left);
                    scope.spawn(move || self.kill_writers(stage, left, program, rng))
                })
                .collect();
            let writers: Result<Vec<_>> = writers.into_iter().map(joined).collect();
            (joined(servers), writers)
        });
        let (mut restarts, writers) = (servers?, writers?);
        let balance = stage.settle()?;
        let in_flight = writers.iter().flatten().sum();
        balance.check(in_flight)?;
        restarts.sort_unstable();
        let percentile = |percent: usize| {
            let place = (restarts.len() * percent).div_ceil(100).saturating_sub(1);
            restarts.get(place).map_or(0, |time| time.as_millis() as u64)
        };
        let writers_killed = writers.iter().map(Vec::len).sum();
        Ok(Report {
            seed: self.seed,
            mode: self.mode,
            writers_killed,
            servers_killed: self.kills - writers_killed,
            in_flight,
            balance,
            restart_p50_ms: percentile(50),
            restart_p99_ms: percentile(99),
        })
    }

    /// Returns how many tasks each of those killed had.
    fn kill_writers(
        &self,
        stage: &Stage,
        left: &Left,
        program: u64,
        mut rng: fastrand::Rng,
    ) -> Result<Vec<usize>> {
        let mut killed = Vec::new();
        while left.one() {
            let tasks = rng.usize(TASKS);
            let mut writer = stage.writer(format!("{program}-{}", killed.len()), tasks);
            (writer.crew.pace_us, writer.mode) = (self.pace_us, self.mode);
            let process = stage.spawn_writer(&writer, &left.ready()?)?;
            thread::sleep(Duration::from_millis(rng.u64(WRITER_LIVES)));
            ensure!(process.kill()?, "a writer ended by itself");
            killed.push(tasks);
        }
        Ok(killed)
    }
}

/// What there is left to do, and what writers need for it.
pub(crate) struct Left {
    kills: AtomicUsize,
    ready: Mutex<Ready>,
}

impl Left {
    pub(crate) fn new(kills: usize, ready: Ready) -> Left {
        Left { kills: AtomicUsize::new(kills), ready: Mutex::new(ready) }
    }

    /// Whether there is one more to kill; then it is the caller's.
    pub(crate) fn one(&self) -> bool {
        let take = |kills: usize| kills.checked_sub(1);
        self.kills.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    pub(crate) fn ready(&self) -> Result<Ready> {
        Ok(self.ready.lock().map_err(|_| anyhow::anyhow!("a lane panicked"))?.clone())
    }
}

/// Returns how long each of those took to be ready that lived so long.
pub(crate) fn kill_servers(
    stage: &Stage,
    left: &Left,
    mut rng: fastrand::Rng,
) -> Result<Vec<Duration>> {
    let mut restarts = Vec::new();
    while left.one() {
        while !kill_server(stage, left, &mut rng, &mut restarts)? {
            // Somebody's connection had its port for a moment.
        }
    }
    ensure!(!restarts.is_empty(), "no server lived long enough to serve");
    Ok(restarts)
}

/// Whether the server lived until it was killed.
fn kill_server(
    stage: &Stage,
    left: &Left,
    rng: &mut fastrand::Rng,
    restarts: &mut Vec<Duration>,
) -> Result<bool> {
    let started = Instant::now();
    let process = stage.spawn_server(None)?;
    let life = Duration::from_millis(rng.u64(SERVER_LIVES));
    let mut is_ready = false;
    while started.elapsed() < life {
        if !is_ready && let Some(ready) = stage.ready() {
            is_ready = true;
            restarts.push(started.elapsed());
            *left.ready.lock().map_err(|_| anyhow::anyhow!("a lane panicked"))? = ready;
        }
        thread::sleep(Duration::from_millis(1));
    }
    process.kill()
}

pub(crate) fn joined<T>(lane: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    lane.join().map_err(|_| anyhow::anyhow!("a lane panicked"))?
}
