//! The command line: what the binary can be told, and how it ends.

mod doctor;
mod exec;
mod ready;
mod serve;
mod server;
mod signals;

use std::error::Error;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use cloudnestle_mock_server::MockServer;

/// Why a command ended without having done what it was to do.
type Failure = Box<dyn Error>;

/// How the binary ends, as `--help` tells it. `docs/testing/cli.md` says the same.
const EXIT_CODES: &str = "\
How it ends:
    0  it was asked to end, or has done what it was to do
    1  it could not start, or the doctor has found what keeps it from that
    2  the command line makes no sense
    3  exec --strict-faults: the command succeeded, and a planned fault was not met
  125  exec: the server could not start, so the command did not
  126  exec: the command can't be run
  127  exec: there is no such command
  130  asked twice, it did not wait for the calls under way
    n  exec: as the command did; 128 + its number where a signal ended the command";

/// The CloudNestle marketplace on a laptop: one binary, one file of state, a clock and faults that
/// tests control.
///
/// Without a command it serves until it is told to end.
#[derive(Parser)]
#[command(version, after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    serve: serve::Serve,

    /// Print the API as an OpenAPI document, and end; `openapi` does so, too
    #[arg(long)]
    openapi: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Run a command beside a server of its own, in memory and at a free port unless told otherwise,
    /// which the command finds by its environment
    Exec(exec::Exec),
    /// Look at what keeps a server from starting here, or a program from finding it, and say what to do
    Doctor(doctor::Doctor),
    /// Print the API as an OpenAPI document
    Openapi,
    /// Print the marketplace's calls as a Postman collection
    Postman,
    /// Print what makes a shell complete this command line
    Completions(Completions),
}

#[derive(Args)]
struct Completions {
    /// The shell that is to read it
    shell: Shell,
}

impl CommandLine {
    /// Does as it is told. What went wrong is on standard error by then.
    pub(crate) async fn run(self) -> ExitCode {
        match self.command {
            None if self.openapi => said(print(&format!("{:#}\n", MockServer::openapi()))),
            None => said(self.serve.run().await),
            Some(Command::Exec(exec)) => exec.run().await,
            Some(Command::Doctor(doctor)) => doctor.run().await,
            Some(Command::Openapi) => said(print(&format!("{:#}\n", MockServer::openapi()))),
            Some(Command::Postman) => said(print(&format!("{:#}\n", MockServer::postman()))),
            Some(Command::Completions(Completions { shell })) => said(print(&completions(shell))),
        }
    }
}

fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    let mut command = CommandLine::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Whoever reads may have read enough: `completions bash | head`.
fn print(text: &str) -> Result<(), Failure> {
    use std::io::{ErrorKind, Write};
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn said(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
