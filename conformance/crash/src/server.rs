//! The server process: the marketplace as its own binary runs it, and what a writer needs of it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use cloudnestle_mock_server::MockServer;
use serde::{Deserialize, Serialize};

use crate::SOLUTION;

/// What a running server tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ready {
    /// Where it is.
    pub url: String,
    /// The key of the solution's backend.
    pub secret_key: String,
    /// Of a customer of the solution, issued just now.
    pub token: String,
}

/// What a server is told.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// The database
    #[arg(long)]
    pub db: PathBuf,
    /// The world it is founded with; without, the built-in one
    #[arg(long)]
    pub seed: Option<PathBuf>,
    /// Where it listens
    #[arg(long)]
    pub port: u16,
    /// Appears when the server listens, complete or not at all
    #[arg(long)]
    pub ready_file: PathBuf,
    /// How far its clock is ahead of the system's, in milliseconds
    #[arg(long, default_value_t = 0)]
    pub ahead_ms: u64,
}

/// Serves until the system asks for the end.
///
/// # Errors
/// The port or the database can't be had.
pub async fn serve(settings: Settings) -> Result<()> {
    let Settings { db, seed, port, ready_file: ready, ahead_ms } = settings;
    let mut builder = MockServer::builder().db(db).port(port);
    if let Some(seed) = seed {
        builder = builder.seed(seed);
    }
    let server = builder.start().await?;
    server.advance_clock(Duration::from_millis(ahead_ms)).await?;
    let secret_key = server.secret_key(SOLUTION).context("a key of the solution")?;
    let pair = server.token_pair("cus_ravi", SOLUTION).await?;
    let told = Ready {
        url: server.url().to_owned(),
        secret_key: secret_key.expose().to_owned(),
        token: pair.access_token.expose().to_owned(),
    };
    let draft = ready.with_extension("draft");
    std::fs::write(&draft, serde_json::to_vec(&told)?)?;
    std::fs::rename(draft, ready)?;
    asked_to_end().await?;
    server.stop().await;
    Ok(())
}

/// Completes when the process gets SIGTERM.
#[cfg(unix)]
pub(crate) async fn asked_to_end() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    signal(SignalKind::terminate())?.recv().await;
    Ok(())
}

#[cfg(not(unix))]
pub(crate) async fn asked_to_end() -> Result<()> {
    std::future::pending().await
}
