//! What writers and spenders are both: tasks that do the same again and again until their process dies, and
//! note what they were told.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use cloudnestle_marketplace::MarketplaceSdk;

use crate::acks::Acks;

/// How a task waits after it was refused: the server may be dead, and its token with it.
const AFTER_ERROR: Duration = Duration::from_millis(5);

/// The tasks of a process.
#[derive(Args, Clone, Debug)]
pub struct Crew {
    /// Where their lists go
    #[arg(long)]
    pub acks: PathBuf,
    /// What their lists are called
    #[arg(long)]
    pub name: String,
    /// How many there are
    #[arg(long)]
    pub tasks: usize,
    /// How long each waits between two events, in microseconds
    #[arg(long)]
    pub pace_us: u64,
}

impl Crew {
    /// As a process is told it.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let Crew { acks, name, tasks, pace_us } = self;
        vec![
            format!("--acks={}", acks.display()),
            format!("--name={name}"),
            format!("--tasks={tasks}"),
            format!("--pace-us={pace_us}"),
        ]
    }

    /// Begins the work of all: each task gets its number, the SDK and the user's token. They are at it
    /// whether or not anybody waits for their end.
    pub(crate) fn begin<W, F>(
        &self,
        sdk: &MarketplaceSdk,
        work: W,
    ) -> Result<impl Future<Output = Result<()>> + use<W, F>>
    where
        W: Fn(usize, MarketplaceSdk, String) -> F,
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let token = std::env::var("CLOUDNESTLE_TOKEN").context("CLOUDNESTLE_TOKEN")?;
        let begin = |task| tokio::spawn(work(task, sdk.clone(), token.clone()));
        let tasks: Vec<_> = (0..self.tasks).map(begin).collect();
        Ok(async {
            for task in tasks {
                task.await??;
            }
            Ok(())
        })
    }

    /// The list of a task.
    pub(crate) fn list(&self, task: usize) -> io::Result<Acks> {
        Acks::create(&self.acks, &format!("{}-{task}", self.name))
    }

    /// The pause of a task after an event.
    pub(crate) async fn rest(&self) {
        tokio::time::sleep(Duration::from_micros(self.pace_us)).await;
    }

    /// And after an error.
    pub(crate) async fn recover(&self) {
        tokio::time::sleep(AFTER_ERROR).await;
    }
}
