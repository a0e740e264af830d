//! The writer process: a program that uses the SDK, and notes what it was told.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use cloudnestle_marketplace::MarketplaceSdk;

use crate::ACTION;
use crate::acks::Acks;

/// How a task waits after it was refused: the server may be dead, and its token with it.
const AFTER_ERROR: Duration = Duration::from_millis(5);

/// What a writer does. Where it finds the marketplace is in the environment.
#[derive(Args, Clone, Debug)]
pub struct Writer {
    /// Where its lists go
    #[arg(long)]
    pub acks: PathBuf,
    /// What its lists are called
    #[arg(long)]
    pub name: String,
    /// How many tasks track at the same time
    #[arg(long)]
    pub tasks: usize,
    /// How long a task waits between two events, in microseconds
    #[arg(long)]
    pub pace_us: u64,
    /// When an event is noted
    #[arg(long, value_enum, default_value_t)]
    pub noted: Noted,
}

/// When an event is taken for acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Noted {
    /// When `track_usage` has returned.
    #[default]
    Returned,
    /// When its receipt says that it survives the loss of power.
    Persisted,
}

impl Writer {
    /// As its process is told it.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let acks = self.acks.to_string_lossy().into_owned();
        let noted = self.noted.to_possible_value().map(|value| value.get_name().to_owned());
        let (tasks, pace_us) = (self.tasks.to_string(), self.pace_us.to_string());
        let named = [
            ("acks", acks),
            ("name", self.name.clone()),
            ("tasks", tasks),
            ("pace-us", pace_us),
            ("noted", noted.unwrap_or_default()),
        ];
        named.map(|(name, value)| format!("--{name}={value}")).into()
    }

    /// Tracks until the process dies.
    ///
    /// # Errors
    /// Only from what surrounds the SDK: what the SDK refuses is tried again.
    pub async fn run(self) -> Result<()> {
        let sdk = MarketplaceSdk::from_env()?;
        let token = std::env::var("CLOUDNESTLE_TOKEN").context("CLOUDNESTLE_TOKEN")?;
        let tasks: Vec<_> = (0..self.tasks)
            .map(|task| {
                let (writer, sdk, token) = (self.clone(), sdk.clone(), token.clone());
                tokio::spawn(async move { writer.track(task, &sdk, &token).await })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        Ok(())
    }

    async fn track(&self, task: usize, sdk: &MarketplaceSdk, token: &str) -> Result<()> {
        let mut acks = Acks::create(&self.acks, &format!("{}-{task}", self.name))?;
        loop {
            match self.track_one(sdk, token).await {
                Ok(id) => {
                    acks.note(&id)?;
                    tokio::time::sleep(Duration::from_micros(self.pace_us)).await;
                }
                Err(_) => tokio::time::sleep(AFTER_ERROR).await,
            }
        }
    }

    async fn track_one(
        &self,
        sdk: &MarketplaceSdk,
        token: &str,
    ) -> cloudnestle_marketplace::Result<String> {
        let receipt = sdk.track_usage(token, ACTION).await?;
        if self.noted == Noted::Persisted {
            receipt.persisted().await?;
        }
        Ok(receipt.event_id().to_owned())
    }
}

/// Delivers what dead writers have left, as the next process of the program does.
///
/// # Errors
/// Something is left in the spool after that time.
pub async fn drain(spool: &Path, within: Duration) -> Result<()> {
    let sdk = MarketplaceSdk::from_env()?;
    let give_up = Instant::now() + within;
    let mut flushed = sdk.flush().await;
    while holds_a_log(spool)? {
        ensure!(
            Instant::now() < give_up,
            "usage is left in the spool: {flushed:?}, {:?}",
            sdk.stats()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
        flushed = sdk.flush().await;
    }
    sdk.close(Duration::ZERO).await;
    Ok(())
}

/// Whether any process's log is in the spool: a drained one is removed.
fn holds_a_log(spool: &Path) -> Result<bool> {
    for principal in std::fs::read_dir(spool)? {
        for producer in std::fs::read_dir(principal?.path())? {
            if producer?.file_name().to_string_lossy().starts_with("prd_") {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
