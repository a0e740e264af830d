//! The processes that die, and the campaigns that kill them.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};
use cloudnestle_crash::kills::Kills;
use cloudnestle_crash::quota::Quota;
#[cfg(target_os = "linux")]
use cloudnestle_crash::sweep::Sweep;
use cloudnestle_crash::{server, spender, writer};
use serde::Serialize;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the marketplace
    Server {
        #[command(flatten)]
        settings: server::Settings,
        /// Begin when standard input ends
        #[arg(long)]
        wait: bool,
    },
    /// Tracks usage
    Writer(writer::Writer),
    /// Spends what has a hard limit
    Spender(spender::Spender),
    /// Delivers what is in the spool
    Drain {
        #[arg(long)]
        spool: PathBuf,
        /// How long it may take, in milliseconds
        #[arg(long)]
        within_ms: u64,
        /// Begin when standard input ends
        #[arg(long)]
        wait: bool,
    },
    /// Kills processes at random moments
    Kills(Kills),
    /// Kills programs that spend what has a hard limit, and servers
    Quota(Quota),
    /// Lets each system call on the way of usage be the last one, or fail
    #[cfg(target_os = "linux")]
    Sweep(Sweep),
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Server { settings, wait } => {
            if wait {
                writer::wait_to_go_on()?;
            }
            one_thread()?.block_on(server::serve(settings))
        }
        // One task on one thread calls the system in the same order each time.
        Command::Writer(writer) if writer.crew.tasks == 1 => one_thread()?.block_on(writer.run()),
        Command::Writer(writer) => tokio::runtime::Runtime::new()?.block_on(writer.run()),
        Command::Drain { spool, within_ms, wait } => {
            if wait {
                writer::wait_to_go_on()?;
            }
            one_thread()?.block_on(writer::drain(&spool, Duration::from_millis(within_ms)))
        }
        Command::Spender(spender) => tokio::runtime::Runtime::new()?.block_on(spender.run()),
        Command::Quota(quota) => tell(&quota.run(&std::env::current_exe()?)?),
        Command::Kills(kills) => tell(&kills.run(&std::env::current_exe()?)?),
        #[cfg(target_os = "linux")]
        Command::Sweep(sweep) => tell(&sweep.run(&std::env::current_exe()?)?),
    }
}

/// The totals, for whoever notes them.
fn tell(report: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(report)?);
    Ok(())
}

fn one_thread() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
