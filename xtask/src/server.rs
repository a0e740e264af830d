//! A marketplace for the commands that need one: the built binary, started and found by its ready file.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use crate::shell;

/// The solution that programs are tried as: it has an action of every kind.
pub(crate) const SOLUTION: &str = "sol_faiss_search";

const READY_FILE: &str = "ready.json";

/// A server of its own process, on a free port, with a fresh file of state; it ends with this value.
pub(crate) struct Server {
    binary: PathBuf,
    state: tempfile::TempDir,
    process: Child,
    pub(crate) ready: Ready,
    /// From starting the process to its being ready.
    pub(crate) started_in: Duration,
}

/// What the server says of itself when it is ready.
#[derive(Deserialize)]
pub(crate) struct Ready {
    pub(crate) url: String,
    pub(crate) control_token: String,
    admin_key: String,
    pub(crate) solutions: Vec<Solution>,
}

#[derive(Deserialize)]
pub(crate) struct Solution {
    pub(crate) id: String,
    pub(crate) secret_key: String,
    publishable_key: String,
    /// A pair that a customer of this solution has just been given.
    pub(crate) token_pair: TokenPair,
}

#[derive(Deserialize, Serialize)]
pub(crate) struct TokenPair {
    access_token: String,
    refresh_token: String,
    expires_at: String,
}

impl Server {
    /// Starts the server that `cargo build` has put into `target/PROFILE`.
    pub(crate) fn start(profile: &str) -> Result<Self> {
        let binary = shell::target().join(profile).join("cloudnestle-mock-server");
        let state = tempfile::tempdir()?;
        let started = Instant::now();
        let mut process = spawn(&binary, state.path(), "0")?;
        let ready = wait_until_ready(&mut process, state.path())?;
        Ok(Server { binary, state, process, ready, started_in: started.elapsed() })
    }

    /// Kills the server. Its file of state and its port are kept for [`restart`](Self::restart).
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    pub(crate) fn restart(&mut self) -> Result<()> {
        std::fs::remove_file(self.state.path().join(READY_FILE))?;
        let port = self.ready.url.rsplit(':').next().unwrap_or_default();
        self.process = spawn(&self.binary, self.state.path(), port)?;
        // Its control token is another one at each start.
        self.ready = wait_until_ready(&mut self.process, self.state.path())?;
        Ok(())
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until somebody ends the server, or this program: a terminal tells both, and a supervisor
    /// this one alone. When this value is dropped, the server is ended in any case.
    pub(crate) fn wait(&mut self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut terminated = signal(SignalKind::terminate())?;
            let mut interrupted = signal(SignalKind::interrupt())?;
            while self.process.try_wait()?.is_none() {
                tokio::select! {
                    _ = terminated.recv() => break,
                    _ = interrupted.recv() => break,
                    () = tokio::time::sleep(Duration::from_millis(100)) => {}
                }
            }
            Ok(())
        })
    }
}

fn spawn(binary: &Path, state: &Path, port: &str) -> Result<Child> {
    Command::new(binary)
        .args(["--port", port, "--db"])
        .arg(state.join("marketplace.db"))
        .arg("--ready-file")
        .arg(state.join(READY_FILE))
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("{} can't be started", binary.display()))
}

fn wait_until_ready(process: &mut Child, state: &Path) -> Result<Ready> {
    let give_up = Instant::now() + Duration::from_secs(10);
    loop {
        if let Ok(json) = std::fs::read(state.join(READY_FILE))
            && let Ok(ready) = serde_json::from_slice(&json)
        {
            return Ok(ready);
        }
        if let Some(status) = process.try_wait()? {
            bail!("the server ended before it was ready ({status})");
        }
        if Instant::now() > give_up {
            bail!("the server was not ready within 10 s");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Ready {
    /// The settings a program finds this server by, as a partner of that solution.
    pub(crate) fn environment(&self, solution: &str) -> Result<Vec<(&'static str, String)>> {
        let solution = self
            .solutions
            .iter()
            .find(|known| known.id == solution)
            .with_context(|| format!("the built-in world has no {solution}"))?;
        Ok(vec![
            ("CLOUDNESTLE_URL", self.url.clone()),
            ("CLOUDNESTLE_SOLUTION", solution.id.clone()),
            ("CLOUDNESTLE_SECRET_KEY", solution.secret_key.clone()),
            ("CLOUDNESTLE_PUBLISHABLE_KEY", solution.publishable_key.clone()),
            ("CLOUDNESTLE_TOKEN", solution.token_pair.access_token.clone()),
            ("CLOUDNESTLE_TOKEN_PAIR", serde_json::to_string(&solution.token_pair)?),
            ("CLOUDNESTLE_ADMIN_KEY", self.admin_key.clone()),
            ("CLOUDNESTLE_CONTROL_TOKEN", self.control_token.clone()),
        ])
    }
}
