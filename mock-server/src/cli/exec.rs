//! `exec`: a command beside a server of its own.
//!
//! The command has this process's terminal and files, finds the server by its environment, and gives
//! this process its exit code. The server is a part of this process, so nothing of it is left.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::process::{ExitCode, ExitStatus};

use clap::Args;
use cloudnestle_mock_server::MockServer;
use tokio::process::{Child, Command};

use super::Failure;
use super::ready::Ready;
use super::server::{LogOptions, ServerOptions};
use super::signals::{Signal, Signals, terminal_tells_all};

/// `--strict-faults`, for a command that succeeded without meeting what was planned for it.
const FAULTS_LEFT: u8 = 3;
/// As `env` and `timeout` say that the failure is their own, and not the command's.
const NOT_STARTED: u8 = 125;
/// As shells say it.
const NOT_RUNNABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

#[derive(Args)]
pub(super) struct Exec {
    #[command(flatten)]
    server: ServerOptions,

    #[command(flatten)]
    log: LogOptions,

    /// The solution whose keys and token the command is given; the first one unless told
    #[arg(long, value_name = "ID")]
    solution: Option<String>,

    /// End with 3 where the command succeeds and a planned fault was not met by any call
    #[arg(long)]
    strict_faults: bool,

    /// The command, and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Exec {
    pub(super) async fn run(self) -> ExitCode {
        self.log.init();
        let (server, signals, ready) = match self.prepare().await {
            Ok(prepared) => prepared,
            Err(error) => {
                eprintln!("error: {error}");
                return ExitCode::from(NOT_STARTED);
            }
        };
        let code = match self.spawn(&ready) {
            Ok(child) => match accompany(child, signals).await {
                Ok(status) => code_of(status),
                Err(error) => {
                    eprintln!("error: {error}");
                    NOT_STARTED
                }
            },
            Err(error) => {
                eprintln!("error: {}: {error}", self.command[0].display());
                if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_RUNNABLE }
            }
        };
        let faults_left = report_faults(&server);
        server.stop().await;
        match code {
            0 if faults_left && self.strict_faults => ExitCode::from(FAULTS_LEFT),
            code => ExitCode::from(code),
        }
    }

    async fn prepare(&self) -> Result<(MockServer, Signals, Ready), Failure> {
        let port = self.server.port.unwrap_or(0);
        let server = self.server.builder(port, self.server.db.as_deref()).start().await?;
        let ready = Ready::of(&server).await?;
        if let Some(id) = &self.solution
            && !ready.has(id)
        {
            let known = server.solutions().into_iter().map(|it| it.id).collect::<Vec<_>>();
            return Err(format!("the world has no {id}, but {}", known.join(", ")).into());
        }
        // Before there is a command: it must not be left behind by a signal that comes early.
        Ok((server, Signals::listen()?, ready))
    }

    fn spawn(&self, ready: &Ready) -> std::io::Result<Child> {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).kill_on_drop(true);
        for (name, value) in ready.environment(self.solution.as_deref()) {
            match value {
                Some(value) => command.env(name, value),
                // One of another marketplace would be taken for this one's.
                None => command.env_remove(name),
            };
        }
        command.spawn()
    }
}

/// Until the command ends. What is asked of this process is asked of the command.
async fn accompany(mut child: Child, mut signals: Signals) -> std::io::Result<ExitStatus> {
    loop {
        tokio::select! {
            status = child.wait() => return status,
            signal = signals.next() => {
                let signal = signal?;
                // Twice would be "at once" to many a program.
                let has_it = signal == Signal::Interrupt && terminal_tells_all();
                if let Some(id) = child.id().filter(|_| !has_it) {
                    signal.send_to(id);
                }
            }
        }
    }
}

/// What a shell would say of it.
fn code_of(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return u8::try_from(128 + signal).unwrap_or(u8::MAX);
    }
    // Elsewhere codes have 32 bits; what doesn't fit is a failure still.
    status.code().map_or(1, |code| u8::try_from(code).unwrap_or(1))
}

/// Says what was planned and didn't happen: a test that meant to meet it has not tested that.
#[cfg(feature = "control")]
fn report_faults(server: &MockServer) -> bool {
    let left = server.faults().left;
    for fault in &left {
        // A plan was made of JSON, and can be told as such.
        let fault = serde_json::to_string(fault).unwrap_or_default();
        eprintln!("warning: no call met the planned fault {fault}");
    }
    !left.is_empty()
}

#[cfg(not(feature = "control"))]
fn report_faults(_server: &MockServer) -> bool {
    false
}
