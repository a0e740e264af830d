//! What a server under load does: `load SERVER [--seconds N] [--only CALL] [--connections N]`.
//!
//! The server is the binary that users run, as they run it, with a file of its own for each row. The
//! load comes from one thread of this process, on the same machine. Every event is another one, and
//! afterwards the counters must show exactly what was acknowledged: at once, and again after the
//! server was killed and started anew.

mod calls;
mod connection;
mod figures;
mod server;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;

use calls::Call;
use figures::Row;
use server::Server;

/// How many clients ask at once: one, a few, a pool, a fleet.
const CURVE: [usize; 4] = [1, 8, 32, 256];

#[derive(Parser)]
struct Arguments {
    /// The server's binary, built for release
    server: PathBuf,
    /// How long each row is measured
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Measure this call alone
    #[arg(long, value_enum)]
    only: Option<Call>,
    /// Measure at this number of connections alone
    #[arg(long)]
    connections: Option<usize>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let time = Duration::from_secs(arguments.seconds);
    let calls = arguments.only.map_or(Call::ALL.to_vec(), |call| vec![call]);
    let curve = arguments.connections.map_or(CURVE.to_vec(), |connections| vec![connections]);
    println!("{}", Row::HEAD);
    for call in calls {
        for &connections in call.curve(&curve) {
            let row = measure(&arguments.server, call, connections, time).await;
            println!("{}", row.with_context(|| format!("{call:?} at {connections}"))?);
        }
    }
    Ok(())
}

/// One row: a fresh server, the load, and whether it kept what it acknowledged.
async fn measure(binary: &Path, call: Call, connections: usize, time: Duration) -> Result<Row> {
    let mut server = Server::start(binary).await?;
    let customers = server.customers().await?;
    let load = call.load(&server, &customers, connections);
    let row = figures::run(&server, load, time).await?;
    server.check_usage(&customers, row.events).await.context("while it runs")?;
    server.kill_and_restart().await?;
    server.check_usage(&customers, row.events).await.context("after it was killed")?;
    Ok(row)
}
