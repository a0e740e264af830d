//! The processes that die, and the campaigns that kill them.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};
use cloudnestle_crash::kills::Kills;
use cloudnestle_crash::{server, writer};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the marketplace
    Server {
        #[arg(long)]
        db: PathBuf,
        #[arg(long)]
        port: u16,
        #[arg(long)]
        ready_file: PathBuf,
    },
    /// Tracks usage
    Writer(writer::Writer),
    /// Delivers what is in the spool
    Drain {
        #[arg(long)]
        spool: PathBuf,
    },
    /// Kills processes at random moments
    Kills(Kills),
}

/// How long a drain may take, while a campaign's backlog is counted on a busy machine.
const DRAIN_WITHIN: Duration = Duration::from_secs(300);

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Server { db, port, ready_file } => {
            one_thread()?.block_on(server::serve(&db, port, &ready_file))
        }
        Command::Writer(writer) => tokio::runtime::Runtime::new()?.block_on(writer.run()),
        Command::Drain { spool } => one_thread()?.block_on(writer::drain(&spool, DRAIN_WITHIN)),
        Command::Kills(kills) => {
            let report = kills.run(&std::env::current_exe()?)?;
            println!("{}", serde_json::to_string(&report)?);
            Ok(())
        }
    }
}

fn one_thread() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
