//! Without a command: the server, until it is told to end.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use super::ready::Ready;
use super::server::{DATABASE, LogOptions, PORT, ServerOptions};
use super::signals::Signals;

/// How a process ends that was interrupted before it was done: what a shell makes of SIGINT.
const INTERRUPTED: i32 = 130;

#[derive(Args)]
pub(super) struct Serve {
    #[command(flatten)]
    server: ServerOptions,

    #[command(flatten)]
    log: LogOptions,

    /// Write URL, keys, control token and a token pair for each solution to this file, as JSON, once
    /// the server listens
    #[arg(long, value_name = "PATH")]
    ready_file: Option<PathBuf>,

    /// Print that JSON, in a line, in place of what people read
    #[arg(long)]
    json: bool,
}

impl Serve {
    pub(super) async fn run(self) -> Result<(), Failure> {
        self.log.init();
        let options = &self.server;
        let default = (!options.memory).then_some(Path::new(DATABASE));
        let database = options.db.as_deref().or(default);
        let server = options.builder(options.port.unwrap_or(PORT), database).start().await?;

        // Whoever is told that the server is ready may end it at once.
        let mut signals = Signals::listen()?;
        let ready = Ready::of(&server).await?;
        if let Some(path) = &self.ready_file {
            ready.write_file(path)?;
        }
        let said = if self.json { ready.line()? } else { ready.banner(database) };
        // Nobody may be reading; the server serves all the same.
        let _ = std::io::stdout().write_all(said.as_bytes());
        signals.next().await?;
        tokio::select! {
            () = server.stop() => Ok(()),
            // Whoever asks twice doesn't want to wait. What was answered is on the disk.
            again = signals.next() => again.map(|_| std::process::exit(INTERRUPTED))?,
        }
    }
}
