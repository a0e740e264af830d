//! Where it happens: a folder with the database, the spool and the lists, and the processes at work
//! in it. They are all this crate's binary.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::SOLUTION;
use crate::acks;
use crate::ledger::{Balance, Ledger};
use crate::server::Ready;
use crate::writer::Writer;

/// When to give up on what should come: far beyond what a busy machine takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// The folder and the program.
pub struct Stage {
    program: PathBuf,
    folder: tempfile::TempDir,
    /// The server's port, the same at each start: the spool is kept by its URL.
    port: u16,
}

/// A process that dies with this value, as by `kill -9`.
pub struct Process(Child);

impl Stage {
    /// A stage on which a server has founded its database, and ended.
    ///
    /// # Errors
    /// The server does not start.
    pub fn set(program: &Path) -> Result<Stage> {
        let folder = tempfile::tempdir()?;
        for name in ["acks", "spool"] {
            std::fs::create_dir(folder.path().join(name))?;
        }
        let mut stage = Stage { program: program.to_owned(), folder, port: 0 };
        let (_server, ready) = stage.start_server()?;
        let port = ready.url.rsplit(':').next().context("a URL has a port")?;
        stage.port = port.parse()?;
        Ok(stage)
    }

    /// Starts a server and waits until it is ready.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn start_server(&self) -> Result<(Process, Ready)> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let mut server = self.spawn_server()?;
            match self.wait_until_ready(&mut server)? {
                Some(ready) => return Ok((server, ready)),
                // Somebody's connection may have had the port for a moment.
                None => ensure!(Instant::now() < give_up, "the server does not start"),
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Starts a server, and does not wait.
    ///
    /// # Errors
    /// The process can't be made.
    pub fn spawn_server(&self) -> Result<Process> {
        let _ = std::fs::remove_file(self.ready_file());
        let mut command = Command::new(&self.program);
        command.arg("server").args(["--port", &self.port.to_string(), "--db"]).arg(self.db());
        command.arg("--ready-file").arg(self.ready_file());
        Process::spawn(&mut command)
    }

    /// What the running server told, if it is ready.
    #[must_use]
    pub fn ready(&self) -> Option<Ready> {
        serde_json::from_slice(&std::fs::read(self.ready_file()).ok()?).ok()
    }

    fn wait_until_ready(&self, server: &mut Process) -> Result<Option<Ready>> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            if let Some(ready) = self.ready() {
                return Ok(Some(ready));
            }
            if server.0.try_wait()?.is_some() {
                return Ok(None);
            }
            ensure!(Instant::now() < give_up, "the server was not ready in {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// A writer for this stage, by its name.
    #[must_use]
    pub fn writer(&self, name: impl Into<String>, tasks: usize) -> Writer {
        let acks = self.folder.path().join("acks");
        Writer { acks, name: name.into(), tasks, pace_us: 0, noted: Default::default() }
    }

    /// Starts a writer.
    ///
    /// # Errors
    /// The process can't be made.
    pub fn spawn_writer(&self, writer: &Writer, ready: &Ready) -> Result<Process> {
        Process::spawn(self.client(ready).arg("writer").args(writer.arguments()))
    }

    /// Lets the next process of the program deliver everything, ends the server, and compares.
    ///
    /// # Errors
    /// Something stays in the spool, or the ledger does not agree with itself.
    pub fn settle(&self) -> Result<Balance> {
        let (server, ready) = self.start_server()?;
        let mut drain = self.client(&ready);
        drain.arg("drain").arg("--spool").arg(self.spool());
        ensure!(drain.status()?.success(), "the spool was not drained");
        drop(server);
        Ledger::read(&self.db())?.balance(&acks::read(&self.folder.path().join("acks"))?)
    }

    /// A process that finds the marketplace.
    fn client(&self, ready: &Ready) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("CLOUDNESTLE_URL", &ready.url)
            .env("CLOUDNESTLE_SOLUTION", SOLUTION)
            .env("CLOUDNESTLE_SECRET_KEY", &ready.secret_key)
            .env("CLOUDNESTLE_TOKEN", &ready.token)
            .env("CLOUDNESTLE_SPOOL_DIR", self.spool());
        command
    }

    fn spool(&self) -> PathBuf {
        self.folder.path().join("spool")
    }

    fn db(&self) -> PathBuf {
        self.folder.path().join("marketplace.db")
    }

    fn ready_file(&self) -> PathBuf {
        self.folder.path().join("ready.json")
    }

    /// Keeps the folder, for whoever looks for what went wrong.
    #[must_use]
    pub fn keep(mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }
}

impl Process {
    fn spawn(command: &mut Command) -> Result<Process> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.stdout(Stdio::null()).spawn();
        Ok(Process(child.with_context(|| format!("{name} can't be started"))?))
    }

    /// Kills it, as by `kill -9`. Whether it lived until then.
    ///
    /// # Errors
    /// The system can't say.
    pub fn kill(mut self) -> Result<bool> {
        let lived = self.0.try_wait()?.is_none();
        self.0.kill()?;
        self.0.wait()?;
        Ok(lived)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
