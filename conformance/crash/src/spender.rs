//! The spender process: a program that spends what has a hard limit, and notes what it was allowed.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use cloudnestle_marketplace::{Code, MarketplaceSdk, Usage};

use crate::crew::Crew;
use crate::writer::wait_to_go_on;

/// What is spent: files, a few at a time, and megabytes, many at a time.
pub const ACTIONS: [(&str, u64); 2] = [("export", 3), ("transfer", 512)];

/// How a task waits after a denial, which is a request each time.
const AFTER_DENIAL: Duration = Duration::from_millis(20);
/// How long it may take to deliver everything and give back what is left.
const CLOSED_WITHIN: Duration = Duration::from_secs(60);

/// What a spender does. Where it finds the marketplace is in the environment.
#[derive(Args, Clone, Debug)]
pub struct Spender {
    /// Whose lists have lines of an event's id, its action and its quantity
    #[command(flatten)]
    pub crew: Crew,
    /// What its quantities are drawn from
    #[arg(long)]
    pub seed: u64,
    /// Nothing but single units
    #[arg(long)]
    pub unit_by_unit: bool,
    /// Ends when nobody gets a single unit any more: a file of this folder tells so, and it goes on to
    /// its end when its standard input ends. Without, it never ends
    #[arg(long)]
    pub until_denied: Option<PathBuf>,
}

impl Spender {
    /// As its process is told it.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let Spender { crew, seed, unit_by_unit, until_denied } = self;
        let mut arguments = crew.arguments();
        arguments.push(format!("--seed={seed}"));
        arguments.extend(unit_by_unit.then(|| "--unit-by-unit".to_owned()));
        arguments.extend(until_denied.iter().map(|it| format!("--until-denied={}", it.display())));
        arguments
    }

    /// Spends, until the process dies or everybody was denied.
    ///
    /// # Errors
    /// Only from what surrounds the SDK: what the SDK refuses is tried again.
    pub async fn run(self) -> Result<()> {
        let sdk = MarketplaceSdk::from_env()?;
        let spend = |task, sdk, token| {
            let spender = self.clone();
            async move { spender.spend(task, sdk, token).await }
        };
        self.crew.begin(&sdk, spend)?.await?;
        if let Some(folder) = &self.until_denied {
            File::create_new(folder.join(&self.crew.name))?;
        }
        tokio::task::spawn_blocking(wait_to_go_on).await??;
        sdk.close(CLOSED_WITHIN).await;
        Ok(())
    }

    async fn spend(&self, task: usize, sdk: MarketplaceSdk, token: String) -> Result<()> {
        let mut acks = self.crew.list(task)?;
        let mut rng = fastrand::Rng::with_seed(self.seed.wrapping_add(task as u64));
        // The most that is tried of each: after a denial, one unit; after one more, nothing.
        let mut most = ACTIONS.map(|(_, most)| if self.unit_by_unit { 1 } else { most });
        while most != [0, 0] {
            let n = rng.usize(0..ACTIONS.len());
            let (action, usual) = ACTIONS[n];
            if most[n] == 0 {
                continue;
            }
            let quantity = rng.u64(1..=most[n]);
            match sdk.consume(&token, Usage::of(action).quantity(quantity)).await {
                Ok(consumed) => {
                    let id = consumed.receipt().event_id();
                    acks.note(&format!("{id} {action} {quantity}"))?;
                    self.crew.rest().await;
                }
                Err(error) if error.code() == Code::QuotaExceeded => {
                    most[n] = match (quantity, self.until_denied.is_some()) {
                        (1, true) => 0,
                        (1, false) => usual,
                        _ => 1,
                    };
                    tokio::time::sleep(AFTER_DENIAL).await;
                }
                Err(_) => self.crew.recover().await,
            }
        }
        Ok(())
    }
}
