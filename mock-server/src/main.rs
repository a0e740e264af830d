//! `cloudnestle-mock-server`: the marketplace on a laptop, until Ctrl-C.

mod ready;

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use cloudnestle_mock_server::{Callers, MockServer, RateLimit};
use ready::Ready;

/// The C library's allocator takes a quarter of the time of a busy server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How a process ends that was interrupted before it was done: what a shell makes of SIGINT.
const INTERRUPTED: i32 = 130;

/// The CloudNestle marketplace on a laptop: one binary, one file of state, a clock and faults that
/// tests control.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 4242)]
    port: u16,

    /// The address to listen on. Others than loopback let the network in
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    listen: IpAddr,

    /// The file everything is kept in. With it, keys are the same at each start
    #[arg(long, value_name = "PATH", default_value = "cloudnestle.db")]
    db: PathBuf,

    /// A YAML file with the world to found a new database with: solutions, customers, subscriptions
    #[arg(long, value_name = "PATH")]
    seed: Option<PathBuf>,

    /// Keep nothing: start from the built-in world, with new keys
    #[arg(long, conflicts_with = "db")]
    memory: bool,

    /// The URL by which others reach the server, and the issuer of its tokens
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,

    /// The most connections at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000)]
    max_connections: usize,

    /// How often each of some callers (key, token, open, sign_in) may call: a second, and at once
    #[arg(long, value_name = "CALLERS=NUMBER[,NUMBER]", value_parser = rate_limit)]
    rate_limit: Vec<(Callers, RateLimit)>,

    /// What to say on standard error: error, warn, info or debug (each request)
    #[arg(long, value_name = "LEVEL", default_value = "warn", env = "CLOUDNESTLE_LOG")]
    log: tracing::level_filters::LevelFilter,

    /// How to say it
    #[arg(long, value_name = "FORMAT", default_value = "text", env = "CLOUDNESTLE_LOG_FORMAT")]
    log_format: LogFormat,

    /// Write URL, keys, control token and a token pair for each solution to this file, as JSON, once
    /// the server listens
    #[arg(long, value_name = "PATH")]
    ready_file: Option<PathBuf>,

    /// Print the API as an OpenAPI document, and end
    #[arg(long)]
    openapi: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// An object a line, for programs
    Json,
}

// One thread serves a laptop, starts faster than many and takes less memory.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    if arguments.openapi {
        println!("{:#}", MockServer::openapi());
        return Ok(());
    }
    let log = tracing_subscriber::fmt()
        .with_max_level(arguments.log)
        .with_writer(std::io::stderr)
        .with_ansi(has_colours());
    match arguments.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    // What a panic says may hold what it tripped over; the place it happened at tells enough.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panicked");
    }));
    let mut builder = MockServer::builder()
        .listen(arguments.listen)
        .port(arguments.port)
        .max_connections(arguments.max_connections);
    if !arguments.memory {
        builder = builder.db(&arguments.db);
    }
    if let Some(path) = &arguments.seed {
        builder = builder.seed(path);
    }
    if let Some(url) = arguments.public_url {
        builder = builder.public_url(url);
    }
    for (callers, limit) in arguments.rate_limit {
        builder = builder.rate_limit(callers, limit);
    }
    let server = builder.start().await.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        std::process::exit(1);
    });

    let mut end = End::listen()?;
    let database = (!arguments.memory).then_some(arguments.db.as_path());
    let ready = Ready::of(&server).await?;
    if let Some(path) = &arguments.ready_file {
        ready.write_file(path)?;
    }
    // Nobody may be reading; the server serves all the same.
    let _ = std::io::stdout().write_all(ready.banner(database).as_bytes());
    end.asked_for().await?;
    tokio::select! {
        () = server.stop() => Ok(()),
        // Whoever asks twice doesn't want to wait. What was answered is on the disk.
        again = end.asked_for() => again.map(|()| std::process::exit(INTERRUPTED))?,
    }
}

/// Whether people read the log, and want colours (<https://no-color.org>).
fn has_colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty())
}

/// Of `key=100` or `sign_in=1,60`.
fn rate_limit(text: &str) -> Result<(Callers, RateLimit), String> {
    let (name, limit) = text.split_once('=').ok_or("expected CALLERS=NUMBER")?;
    let callers = Callers::ALL.into_iter().find(|callers| callers.name() == name);
    let callers = callers.ok_or("the callers are key, token, open and sign_in")?;
    let limit = limit.parse().map_err(|error| format!("{limit}: {error}"))?;
    Ok((callers, limit))
}

/// The user, or the system, who asks for the end.
struct End {
    #[cfg(unix)]
    terminated: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupted: tokio::signal::unix::Signal,
}

impl End {
    /// Heard from now on: whoever is told that the server is ready may end it at once.
    #[cfg(unix)]
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let terminated = signal(SignalKind::terminate())?;
        Ok(End { terminated, interrupted: signal(SignalKind::interrupt())? })
    }

    #[cfg(unix)]
    async fn asked_for(&mut self) -> std::io::Result<()> {
        tokio::select! {
            _ = self.interrupted.recv() => Ok(()),
            _ = self.terminated.recv() => Ok(()),
        }
    }

    #[cfg(not(unix))]
    fn listen() -> std::io::Result<Self> {
        Ok(End {})
    }

    #[cfg(not(unix))]
    async fn asked_for(&mut self) -> std::io::Result<()> {
        tokio::signal::ctrl_c().await
    }
}
