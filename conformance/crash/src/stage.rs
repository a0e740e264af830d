//! Where it happens: a folder with the database, the spool and the lists, and the processes at work
//! in it. They are all this crate's binary.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::SOLUTION;
use crate::acks;
use crate::crew::Crew;
use crate::ledger::{Balance, Ledger};
use crate::server::Ready;
use crate::spender::Spender;
use crate::strace::Trace;
use crate::writer::{self, Ending, Mode, Writer};

/// When to give up on what should come: far beyond what a busy machine takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long it may take to deliver a campaign's backlog on a busy machine.
const DRAINED_WITHIN: Duration = Duration::from_secs(110);

/// The folder and the program.
pub struct Stage {
    program: PathBuf,
    folder: tempfile::TempDir,
    /// The server's port, the same at each start: the spool is kept by its URL.
    port: u16,
    /// What the database is founded with, unless it is the built-in world.
    world: Option<PathBuf>,
    /// How far the clocks of servers are ahead, in milliseconds.
    ahead_ms: AtomicU64,
}

/// A process that dies with this value, as by `kill -9`.
pub struct Process {
    process: Child,
    strace: Option<Child>,
}

impl Stage {
    /// An empty stage.
    ///
    /// # Errors
    /// There is no room, or no port.
    pub fn set(program: &Path) -> Result<Stage> {
        let folder = tempfile::tempdir()?;
        for name in ["acks", "spool", "denied"] {
            std::fs::create_dir(folder.path().join(name))?;
        }
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let (world, ahead_ms) = (None, AtomicU64::new(0));
        Ok(Stage { program: program.to_owned(), folder, port, world, ahead_ms })
    }

    /// The same, in a world of its own: that of this YAML.
    ///
    /// # Errors
    /// There is no room.
    pub fn in_world(mut self, yaml: &str) -> Result<Stage> {
        let file = self.folder.path().join("world.yaml");
        std::fs::write(&file, yaml)?;
        self.world = Some(file);
        Ok(self)
    }

    /// Lets the clocks of all servers that are started from now on be so far ahead.
    pub fn move_clock(&self, ahead: Duration) {
        self.ahead_ms.store(ahead.as_millis() as u64, Ordering::Relaxed);
    }

    /// Starts a server and waits until it is ready.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn start_server(&self) -> Result<(Process, Ready)> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let mut server = self.spawn_server(None)?;
            match self.until_ready(&mut server)? {
                Some(ready) => return Ok((server, ready)),
                // Somebody's connection may have had the port for a moment.
                None => ensure!(Instant::now() < give_up, "the server does not start"),
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Starts a server, and does not wait. One that is traced founds its database under strace.
    ///
    /// # Errors
    /// The process can't be made.
    pub fn spawn_server(&self, trace: Option<&Trace>) -> Result<Process> {
        let _ = std::fs::remove_file(self.ready_file());
        let mut command = Command::new(&self.program);
        command.arg("server").args(["--port", &self.port.to_string(), "--db"]).arg(self.db());
        command.arg("--ready-file").arg(self.ready_file());
        command.arg(format!("--ahead-ms={}", self.ahead_ms.load(Ordering::Relaxed)));
        command.args(self.world.iter().flat_map(|world| [OsStr::new("--seed"), world.as_os_str()]));
        command.args(trace.map(|_| "--wait"));
        let mut server = Process::spawn(&mut command)?;
        server.go_on(trace)?;
        Ok(server)
    }

    /// What the running server told, if it is ready.
    #[must_use]
    pub fn ready(&self) -> Option<Ready> {
        serde_json::from_slice(&std::fs::read(self.ready_file()).ok()?).ok()
    }

    /// Waits until a server is ready, or has ended before.
    ///
    /// # Errors
    /// Neither happens.
    pub fn until_ready(&self, server: &mut Process) -> Result<Option<Ready>> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            if let Some(ready) = self.ready() {
                return Ok(Some(ready));
            }
            if server.has_ended()? {
                return Ok(None);
            }
            ensure!(Instant::now() < give_up, "the server was not ready in {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for something.
    ///
    /// # Errors
    /// It does not happen, or asking failed.
    pub fn until(&self, mut happened: impl FnMut() -> Result<bool>) -> Result<()> {
        let give_up = Instant::now() + PATIENCE;
        while !happened()? {
            ensure!(Instant::now() < give_up, "did not happen in {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// So many tasks for this stage, which pause for so long, by their name.
    pub(crate) fn crew(&self, name: impl Into<String>, tasks: usize, pace_us: u64) -> Crew {
        Crew { acks: self.folder.path().join("acks"), name: name.into(), tasks, pace_us }
    }

    /// A writer for this stage, by its name.
    #[must_use]
    pub fn writer(&self, name: impl Into<String>, tasks: usize) -> Writer {
        Writer {
            crew: self.crew(name, tasks, 0),
            mode: Mode::default(),
            attempts: None,
            flush_every: None,
            large: false,
            wait_after: None,
            patience_ms: 1_000,
            ending: Ending::Close,
        }
    }

    /// Starts a writer.
    ///
    /// # Errors
    /// The process can't be made.
    pub fn spawn_writer(&self, writer: &Writer, ready: &Ready) -> Result<Process> {
        Process::spawn(self.client(ready).arg("writer").args(writer.arguments()))
    }

    /// Starts a spender.
    ///
    /// # Errors
    /// The process can't be made.
    pub fn spawn_spender(&self, spender: &Spender, ready: &Ready) -> Result<Process> {
        Process::spawn(self.client(ready).arg("spender").args(spender.arguments()))
    }

    /// Starts the next process of the program: it delivers what others have left.
    ///
    /// # Errors
    /// The process can't be made.
    pub fn spawn_drain(&self, ready: &Ready, within: Duration, wait: bool) -> Result<Process> {
        let mut drain = self.client(ready);
        drain.arg("drain").arg("--spool").arg(self.spool());
        drain.arg(format!("--within-ms={}", within.as_millis()));
        Process::spawn(drain.args(wait.then_some("--wait")))
    }

    /// Lets the next process of the program deliver everything, ends the server, and compares.
    ///
    /// # Errors
    /// Something stays in the spool, or the ledger does not agree with itself.
    pub fn settle(&self) -> Result<Balance> {
        self.drain()?.balance(&self.acknowledged()?)
    }

    /// Lets the next process of the program deliver everything, ends the server, and reads what it has.
    ///
    /// # Errors
    /// Something stays in the spool, or the ledger does not agree with itself.
    pub fn drain(&self) -> Result<Ledger> {
        let (server, ready) = self.start_server()?;
        let drained = self.spawn_drain(&ready, DRAINED_WITHIN, false)?.until_ended()?;
        ensure!(drained.success(), "the spool was not drained");
        drop(server);
        Ledger::read(&self.db())
    }

    /// Lists that are kept beside those of what was acknowledged.
    #[must_use]
    pub fn denials(&self) -> PathBuf {
        self.folder.path().join("denied")
    }

    /// What writers have noted until now.
    ///
    /// # Errors
    /// A list can't be read.
    pub fn acknowledged(&self) -> Result<BTreeSet<String>> {
        acks::read(&self.folder.path().join("acks"))
    }

    /// How many events the ledger has.
    ///
    /// # Errors
    /// The database can't be read, or does not agree with itself.
    pub fn counted(&self) -> Result<usize> {
        Ok(Ledger::read(&self.db())?.balance(&BTreeSet::new())?.counted)
    }

    /// How many bytes wait for a server that is stopped.
    ///
    /// # Errors
    /// The system does not tell: it is not Linux.
    pub fn unread_bytes(&self) -> Result<u64> {
        let sockets = std::fs::read_to_string("/proc/net/tcp")?;
        let local = format!(":{:04X}", self.port);
        let queues = sockets.lines().skip(1).filter_map(|line| {
            // sl local_address rem_address st tx_queue:rx_queue …
            let mut fields = line.split_whitespace().skip(1);
            let (address, state) = (fields.next()?, fields.nth(1)?);
            let (_, unread) = fields.next()?.split_once(':')?;
            const ESTABLISHED: &str = "01";
            let is_ours = address.ends_with(&local) && state == ESTABLISHED;
            is_ours.then(|| u64::from_str_radix(unread, 16).ok())?
        });
        Ok(queues.sum())
    }

    /// Whether a task has begun its list.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn is_noting(&self) -> Result<bool> {
        Ok(std::fs::read_dir(self.folder.path().join("acks"))?.next().is_some())
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

    /// A file for a trace.
    #[must_use]
    pub fn trace_file(&self) -> PathBuf {
        self.folder.path().join("trace")
    }

    /// The folder of the spool.
    #[must_use]
    pub fn spool(&self) -> PathBuf {
        self.folder.path().join("spool")
    }

    /// The folders of the logs that are in the spool: one that is drained is removed.
    ///
    /// # Errors
    /// A folder can't be read.
    pub fn logs(&self) -> Result<Vec<PathBuf>> {
        writer::logs(&self.spool())
    }

    /// The database.
    #[must_use]
    pub fn db(&self) -> PathBuf {
        self.folder.path().join("marketplace.db")
    }

    fn ready_file(&self) -> PathBuf {
        self.folder.path().join("ready.json")
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
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
        let process = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        let process = process.with_context(|| format!("{name} can't be started"))?;
        Ok(Process { process, strace: None })
    }

    /// Lets it go on when it waits for that, perhaps under strace.
    ///
    /// # Errors
    /// Strace can't attach.
    pub fn go_on(&mut self, trace: Option<&Trace>) -> Result<()> {
        self.strace = trace.map(|trace| trace.attach(self.process.id())).transpose()?;
        self.process.stdin = None;
        Ok(())
    }

    /// Kills it, as by `kill -9`. Whether it lived until then.
    ///
    /// # Errors
    /// The system can't say.
    pub fn kill(mut self) -> Result<bool> {
        let lived = !self.has_ended()?;
        self.process.kill()?;
        self.until_ended()?;
        Ok(lived)
    }

    /// Sends it a signal, such as `TERM`.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&self, name: &str) -> Result<()> {
        let mut kill = Command::new("kill");
        let status = kill.arg(format!("-{name}")).arg(self.process.id().to_string()).status()?;
        ensure!(status.success(), "there is no such process");
        Ok(())
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// The system can't say.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.process.try_wait()?.is_some())
    }

    /// Waits until it ends, and what traces it has written everything.
    ///
    /// # Errors
    /// It does not.
    pub fn until_ended(&mut self) -> Result<ExitStatus> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait()? {
                self.strace.as_mut().map(Child::wait).transpose()?;
                return Ok(status);
            }
            ensure!(Instant::now() < give_up, "a process did not end in {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = self.strace.as_mut().map(Child::wait);
    }
}
