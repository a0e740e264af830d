//! The writer process: a program that uses the SDK, and notes what it was told.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use cloudnestle_marketplace::model::UsageEvent;
use cloudnestle_marketplace::{Durability, MarketplaceSdk, Usage};
use serde::Serialize;

use crate::ACTION;
use crate::crew::Crew;

/// What is not delivered then stays in the spool.
const CLOSED_WITHIN: Duration = Duration::from_secs(1);

/// What a writer does. Where it finds the marketplace is in the environment.
#[derive(Args, Clone, Debug)]
pub struct Writer {
    /// Who tracks
    #[command(flatten)]
    pub crew: Crew,
    /// When the SDK acknowledges
    #[arg(long, value_enum, default_value_t)]
    pub mode: Mode,
    /// After how many attempts a task ends; without, never
    #[arg(long)]
    pub attempts: Option<u32>,
    /// After how many attempts a task waits until all is delivered; without, never
    #[arg(long)]
    pub flush_every: Option<u32>,
    /// Events as large as they may be: 60 KB
    #[arg(long)]
    pub large: bool,
    /// After how many attempts it waits until its standard input ends
    #[arg(long)]
    pub wait_after: Option<u32>,
    /// How long it waits for delivery, in milliseconds: less than the SDK would, or more
    #[arg(long)]
    pub patience_ms: u64,
    /// How its process ends when every task has made its attempts
    #[arg(long, value_enum)]
    pub ending: Ending,
}

/// The ways out of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Ending {
    /// It closes the SDK.
    Close,
    /// It closes the SDK as soon as it gets SIGTERM, whatever its tasks are at.
    CloseOnTerm,
    /// `main` returns.
    Return,
    /// It panics.
    Panic,
    /// `std::process::exit`, which drops nothing.
    Exit,
    /// `std::process::abort`
    Abort,
    /// It does not, and is at its leisure.
    Never,
}

/// What the SDK is told to wait for before it acknowledges: [`Durability`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The write.
    #[default]
    Fast,
    /// The sync.
    Durable,
}

impl Writer {
    /// As its process is told it.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = self.crew.arguments();
        let mode = self.mode.to_possible_value().map(|value| value.get_name().to_owned());
        arguments.push(format!("--mode={}", mode.unwrap_or_default()));
        arguments.push(format!("--patience-ms={}", self.patience_ms));
        let ending = self.ending.to_possible_value().map(|value| value.get_name().to_owned());
        arguments.push(format!("--ending={}", ending.unwrap_or_default()));
        arguments.extend(self.attempts.map(|number| format!("--attempts={number}")));
        arguments.extend(self.flush_every.map(|number| format!("--flush-every={number}")));
        arguments.extend(self.wait_after.map(|number| format!("--wait-after={number}")));
        arguments.extend(self.large.then(|| "--large".to_owned()));
        arguments
    }

    /// Tracks, until the process dies or every task has made its attempts.
    ///
    /// # Errors
    /// Only from what surrounds the SDK: what the SDK refuses is tried again.
    pub async fn run(self) -> Result<()> {
        let durability = match self.mode {
            Mode::Fast => Durability::Fast,
            Mode::Durable => Durability::Durable,
        };
        let sdk = MarketplaceSdk::builder().durability(durability).build()?;
        let track = |task, sdk, token| {
            let writer = self.clone();
            async move { writer.track(task, sdk, token).await }
        };
        let attempts = self.crew.begin(&sdk, track)?;
        if self.ending == Ending::CloseOnTerm {
            crate::server::asked_to_end().await?;
        } else {
            attempts.await?;
        }
        self.end(sdk).await;
        Ok(())
    }

    async fn end(&self, sdk: MarketplaceSdk) {
        match self.ending {
            Ending::Close | Ending::CloseOnTerm => {
                sdk.close(CLOSED_WITHIN).await;
            }
            Ending::Return => {}
            Ending::Panic => {
                // Meant, and nothing to be read in the log of a test.
                std::panic::set_hook(Box::new(|_| {}));
                panic!("as a program may")
            }
            Ending::Exit => std::process::exit(0),
            Ending::Abort => std::process::abort(),
            Ending::Never => std::future::pending().await,
        }
    }

    async fn track(&self, task: usize, sdk: MarketplaceSdk, token: String) -> Result<()> {
        let mut acks = self.crew.list(task)?;
        let patience = Duration::from_millis(self.patience_ms);
        if self.wait_after == Some(0) {
            wait_to_go_on()?;
        }
        for attempt in 1..=self.attempts.unwrap_or(u32::MAX) {
            match self.track_one(&sdk, &token).await {
                Ok(id) => {
                    acks.note(&id)?;
                    self.crew.rest().await;
                }
                Err(_) => self.crew.recover().await,
            }
            if self.wait_after == Some(attempt) {
                wait_to_go_on()?;
            }
            if self.flush_every.is_some_and(|every| attempt % every == 0) {
                // What it can't deliver stays in the spool.
                let _ = tokio::time::timeout(patience, sdk.flush()).await;
            }
        }
        Ok(())
    }

    async fn track_one(
        &self,
        sdk: &MarketplaceSdk,
        token: &str,
    ) -> cloudnestle_marketplace::Result<String> {
        let mut usage = Usage::of(ACTION);
        if self.large {
            for number in 0..UsageEvent::MAX_METADATA {
                // JSON writes such a character as six.
                let text = "\u{1}".repeat(UsageEvent::MAX_METADATA_TEXT_BYTES);
                usage = usage.metadata(number.to_string(), text);
            }
        }
        Ok(sdk.track_usage(token, usage).await?.event_id().to_owned())
    }
}

/// Waits until whoever started this process wants it to go on.
///
/// # Errors
/// Standard input can't be read.
pub fn wait_to_go_on() -> std::io::Result<()> {
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).map(drop)
}

/// Delivers what dead writers have left, as the next process of the program does.
///
/// # Errors
/// Something is left in the spool after that time.
pub async fn drain(spool: &Path, within: Duration) -> Result<()> {
    let sdk = MarketplaceSdk::from_env()?;
    let give_up = Instant::now() + within;
    let mut flushed = sdk.flush().await;
    while !logs(spool)?.is_empty() {
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

/// The folders of the logs in a spool.
///
/// # Errors
/// A folder can't be read.
pub(crate) fn logs(spool: &Path) -> Result<Vec<PathBuf>> {
    let mut logs = Vec::new();
    for principal in std::fs::read_dir(spool)? {
        for producer in std::fs::read_dir(principal?.path())? {
            let producer = producer?;
            if producer.file_name().to_string_lossy().starts_with("prd_") {
                logs.push(producer.path());
            }
        }
    }
    Ok(logs)
}
