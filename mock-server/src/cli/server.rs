//! What every command that starts a server can be told of it.

use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use clap::{Args, ColorChoice, ValueEnum};
use cloudnestle_mock_server::{Builder, Callers, MockServer, RateLimit};

/// Where a server listens that is told nothing else.
pub(super) const PORT: u16 = 4242;
/// Where it keeps everything then.
pub(super) const DATABASE: &str = "cloudnestle.db";

#[derive(Args)]
pub(super) struct ServerOptions {
    /// The port to listen on; 0 takes a free one [default: 4242, with exec a free one]
    #[arg(long)]
    pub(super) port: Option<u16>,

    /// The address to listen on. Others than loopback let the network in
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub(super) listen: IpAddr,

    /// The file everything is kept in. With it, keys are the same at each start [default:
    /// cloudnestle.db, with exec none]
    #[arg(long, value_name = "PATH")]
    pub(super) db: Option<PathBuf>,

    /// A YAML file with the world to found a new database with: solutions, customers, subscriptions
    #[arg(long, value_name = "PATH")]
    seed: Option<PathBuf>,

    /// Keep nothing: start from the built-in world, with new keys
    #[arg(long, conflicts_with = "db")]
    pub(super) memory: bool,

    /// The URL by which others reach the server, and the issuer of its tokens
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,

    /// The most connections at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000)]
    pub(super) max_connections: usize,

    /// How often each of some callers (key, token, open, sign_in) may call: a second, and at once
    #[arg(long, value_name = "CALLERS=NUMBER[,NUMBER]", value_parser = rate_limit)]
    rate_limit: Vec<(Callers, RateLimit)>,
}

impl ServerOptions {
    /// A server like that; one in memory unless it has a database.
    pub(super) fn builder(&self, port: u16, db: Option<&Path>) -> Builder {
        let mut builder = MockServer::builder()
            .listen(self.listen)
            .port(port)
            .max_connections(self.max_connections);
        if let Some(path) = db {
            builder = builder.db(path);
        }
        if let Some(path) = &self.seed {
            builder = builder.seed(path);
        }
        if let Some(url) = &self.public_url {
            builder = builder.public_url(url);
        }
        for (callers, limit) in &self.rate_limit {
            builder = builder.rate_limit(*callers, *limit);
        }
        builder
    }
}

/// Of `key=100` or `sign_in=1,60`.
fn rate_limit(text: &str) -> Result<(Callers, RateLimit), String> {
    let (name, limit) = text.split_once('=').ok_or("expected CALLERS=NUMBER")?;
    let callers = Callers::ALL.into_iter().find(|callers| callers.name() == name);
    let callers = callers.ok_or("the callers are key, token, open and sign_in")?;
    let limit = limit.parse().map_err(|error| format!("{limit}: {error}"))?;
    Ok((callers, limit))
}

#[derive(Args)]
pub(super) struct LogOptions {
    /// What to say on standard error: error, warn, info or debug (each request)
    #[arg(long, value_name = "LEVEL", default_value = "warn", env = "CLOUDNESTLE_LOG")]
    log: tracing::level_filters::LevelFilter,

    /// How to say it
    #[arg(long, value_name = "FORMAT", default_value = "text", env = "CLOUDNESTLE_LOG_FORMAT")]
    log_format: LogFormat,

    #[command(flatten)]
    colours: Colours,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// An object a line, for programs
    Json,
}

#[derive(Args)]
pub(super) struct Colours {
    /// Whether what people read has colours: where it is a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
}

impl Colours {
    /// Of what is written there.
    pub(super) fn are_for(&self, stream: &impl IsTerminal) -> bool {
        // <https://no-color.org>
        let unwanted = || std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty());
        match self.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => stream.is_terminal() && !unwanted(),
        }
    }
}

impl LogOptions {
    /// Logs from here on.
    pub(super) fn init(&self) {
        let log = tracing_subscriber::fmt()
            .with_max_level(self.log)
            .with_writer(std::io::stderr)
            .with_ansi(self.colours.are_for(&std::io::stderr()));
        match self.log_format {
            LogFormat::Text => log.init(),
            LogFormat::Json => log.json().flatten_event(true).init(),
        }
        // What a panic says may hold what it tripped over; the place it happened at tells enough.
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string);
            tracing::error!(place, "panicked");
        }));
    }
}
