//! Each system call on the way of usage, from the spool's first folder to the database's last page, is
//! once the last one of its process and once fails, as far as it can.
//!
//! The scenario is the same each time: a program tracks a few events and waits for their delivery, the
//! server founds its database, counts them, and folds its log into the file at the end. A first run
//! tells the calls. Then each meets its fate in a run of its own; what died is started again, the
//! next process of the program drains the spool, and the count must come out even.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::ledger::Balance;
use crate::stage::Stage;
use crate::strace::{Fate, Injection, Seen, Trace};
use crate::writer::{Mode, Writer};

/// What is done.
#[derive(Args, Clone, Debug)]
pub struct Sweep {
    /// Whose calls
    #[arg(long, value_enum)]
    pub of: Of,
    /// So many of the points alone, drawn from the seed; without, all
    #[arg(long)]
    pub sample: Option<usize>,
    /// What the sample is drawn from
    #[arg(long, default_value_t = fastrand::u64(..))]
    pub seed: u64,
}

/// Whose calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// Of a program that tracks its first event: folders, lock, owner, segment.
    Beginning,
    /// Of a program that goes on, until it has delivered everything and removed its log.
    Spool,
    /// Of the next process of the program, which adopts the log of one that was killed.
    Adoption,
    /// Of the server, from founding its database to folding the log into the file at the end.
    Database,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whose calls.
    pub of: Of,
    /// What the sample was drawn from.
    pub seed: u64,
    /// How many points there are.
    pub points: usize,
    /// How many calls were the last one of their process.
    pub killed: usize,
    /// How many calls failed.
    pub failed: usize,
    /// What was noted in all runs together.
    pub acknowledged: usize,
    /// What appeared in all runs together that was not noted.
    pub unacknowledged: usize,
    /// What the SDK told the marketplace is lost.
    pub declared_lost: u64,
}

/// The calls that change something or let it be found again, and how they fail in the field.
const CALLS: &[(&str, &[&str])] = &[
    ("mkdir", &["EIO", "ENOSPC"]),
    ("openat", &["EIO", "ENOSPC", "EMFILE"]),
    ("write", &["EIO", "ENOSPC"]),
    ("pwrite64", &["EIO", "ENOSPC"]),
    ("fsync", &["EIO", "ENOSPC"]),
    ("fdatasync", &["EIO", "ENOSPC"]),
    ("ftruncate", &["EIO", "ENOSPC"]),
    ("fallocate", &["EIO", "ENOSPC"]),
    ("rename", &["EIO", "ENOSPC"]),
    ("unlink", &["EIO"]),
    ("unlinkat", &["EIO"]),
    ("flock", &["EIO"]),
    ("getdents64", &["EIO"]),
    ("read", &["EIO"]),
    ("pread64", &["EIO"]),
];

/// What the adopter can't deliver in that time is for the next one.
const ADOPTED_WITHIN: Duration = Duration::from_secs(2);
/// As `kill -l` has it.
const SIGKILL: i32 = 9;
/// How often a point is tried: threads share work, so a call may come at another place.
const TRIES: usize = 20;
/// How many events there are, and after how many their delivery is waited for. Three large ones make
/// the spool begin its next segment file.
const EVENTS: u32 = 6;
const FLUSH_EVERY: u32 = 2;

impl Sweep {
    /// Finds the points, and goes through them.
    ///
    /// # Errors
    /// A point was not met, or a count did not come out even.
    pub fn run(&self, program: &Path) -> Result<Report> {
        let mut points = self.points(program)?;
        let mut report = Report {
            of: self.of,
            seed: self.seed,
            points: points.len(),
            killed: 0,
            failed: 0,
            acknowledged: 0,
            unacknowledged: 0,
            declared_lost: 0,
        };
        if let Some(sample) = self.sample {
            fastrand::Rng::with_seed(self.seed).shuffle(&mut points);
            points.truncate(sample);
        }
        let mut failures = Vec::new();
        for point in points {
            match self.meet(program, point) {
                Ok(balance) => report.add(point, balance),
                Err(error) => {
                    let Injection { call, nth, fate } = point;
                    let failure = format!("{fate} {call} {nth}: {error:#}");
                    eprintln!("{failure}");
                    failures.push(failure);
                }
            }
        }
        ensure!(failures.is_empty(), "{} points failed:\n{}", failures.len(), failures.join("\n"));
        Ok(report)
    }

    /// Every call of the scenario that is about usage, and what may become of it.
    fn points(&self, program: &Path) -> Result<Vec<Injection>> {
        let stage = Stage::set(program)?;
        let watch = trace(&stage, None);
        self.play(&stage, watch.clone())?;
        let seen = watch.seen()?;
        let mut points = Vec::new();
        for (call, errors) in CALLS {
            // What only reads leaves the same behind, killed before or after.
            let is_read = matches!(*call, "getdents64" | "read" | "pread64");
            let fates = (!is_read).then_some(Fate::Killed).into_iter();
            let fates: Vec<Fate> =
                fates.chain(errors.iter().map(|error| Fate::Fails(error))).collect();
            // A thread wakes others by a write, too; where those can't be told apart, they don't fail.
            let fates: Vec<Fate> = match (self.of, *call) {
                (Of::Beginning, "write") => vec![Fate::Killed],
                _ => fates,
            };
            let about_usage = seen.iter().filter(|s| s.call == *call && self.is_about(&stage, s));
            let places: BTreeSet<u32> = about_usage.map(|seen| seen.nth).collect();
            for nth in places {
                points.extend(fates.iter().map(|&fate| Injection { call, nth, fate }));
            }
        }
        ensure!(!points.is_empty(), "no call is about usage");
        Ok(points)
    }

    fn is_about(&self, stage: &Stage, seen: &Seen) -> bool {
        let path = match self.of {
            Of::Beginning | Of::Spool | Of::Adoption => stage.spool(),
            Of::Database => stage.db(),
        };
        seen.text.contains(&*path.to_string_lossy())
    }

    /// Plays the scenario until the call meets its fate in it. Threads share the work and wake each
    /// other as they come, so it may be another call by strace's count.
    fn meet(&self, program: &Path, point: Injection) -> Result<Balance> {
        for _ in 0..TRIES {
            let stage = Stage::set(program)?;
            let trace = trace(&stage, Some(point));
            let played = self.play(&stage, trace.clone());
            let settled = stage.settle().and_then(|balance| self.judge(point, balance));
            let seen = trace.seen()?;
            let mut met = seen.iter().filter(|seen| seen.tampered);
            let is_met = match point.fate {
                Fate::Killed => met.next().is_some(),
                // A program can't go on when others of its calls fail.
                Fate::Fails(_) => met.any(|seen| self.is_about(&stage, seen)),
            };
            // The count must come out even whatever was met.
            let outcome = if is_met { played.and(settled) } else { settled };
            match outcome {
                Ok(balance) if is_met => return Ok(balance),
                Ok(_) => {}
                Err(error) => {
                    return Err(error.context(format!("see {}", stage.keep().display())));
                }
            }
        }
        bail!("was not met in {TRIES} tries")
    }

    fn play(&self, stage: &Stage, trace: Trace) -> Result<()> {
        match self.of {
            Of::Beginning => begin(stage, &trace),
            Of::Spool => go_on(stage, trace),
            Of::Adoption => adopt(stage, trace),
            Of::Database => serve(stage, trace),
        }
    }

    fn judge(&self, point: Injection, balance: Balance) -> Result<Balance> {
        let cut_off = match (self.of, point.fate) {
            (Of::Database | Of::Adoption, _) => 0,
            (Of::Beginning | Of::Spool, Fate::Killed) => 1,
            // A call that was refused may have left its event there all the same.
            (Of::Beginning | Of::Spool, Fate::Fails(_)) => EVENTS as usize - balance.acknowledged,
        };
        balance.check(cut_off)?;
        Ok(balance)
    }
}

impl Report {
    fn add(&mut self, point: Injection, balance: Balance) {
        match point.fate {
            Fate::Killed => self.killed += 1,
            Fate::Fails(_) => self.failed += 1,
        }
        self.acknowledged += balance.acknowledged;
        self.unacknowledged += balance.unacknowledged;
        self.declared_lost += balance.declared_lost;
    }
}

/// Every run watches the same calls: how long that takes decides which thread wakes which.
fn trace(stage: &Stage, injection: Option<Injection>) -> Trace {
    let names: Vec<&str> = CALLS.iter().map(|(name, _)| *name).collect();
    Trace::of(&names, injection, stage.trace_file())
}

/// A program tracks one event under strace, from its first step on.
fn begin(stage: &Stage, trace: &Trace) -> Result<()> {
    let (_server, ready) = stage.start_server()?;
    let writer = Writer { attempts: Some(1), wait_after: Some(0), ..scenario(stage) };
    let mut program = stage.spawn_writer(&writer, &ready)?;
    stage.until(|| stage.is_noting())?;
    program.go_on(Some(trace))?;
    let status = program.until_ended()?;
    not_brought_down(status)
}

/// Strace comes when the first event is noted: the paths are known then.
fn go_on(stage: &Stage, trace: Trace) -> Result<()> {
    let (_server, ready) = stage.start_server()?;
    let writer = Writer { large: true, wait_after: Some(1), ..scenario(stage) };
    let mut program = stage.spawn_writer(&writer, &ready)?;
    stage.until(|| Ok(!stage.acknowledged()?.is_empty()))?;
    program.go_on(Some(&trace.about(spool_paths(stage)?)))?;
    let status = program.until_ended()?;
    not_brought_down(status)
}

/// Strace watches the process that finds what another has left.
fn adopt(stage: &Stage, trace: Trace) -> Result<()> {
    let (_server, ready) = stage.start_server()?;
    let writer = Writer { large: true, flush_every: None, ..scenario(stage) };
    let writer = Writer { wait_after: writer.attempts, ..writer };
    let killed = stage.spawn_writer(&writer, &ready)?;
    stage.until(|| Ok(stage.acknowledged()?.len() == EVENTS as usize))?;
    killed.kill()?;
    let mut adopter = stage.spawn_drain(&ready, ADOPTED_WITHIN, true)?;
    adopter.go_on(Some(&trace.about(spool_paths(stage)?)))?;
    adopter.until_ended()?;
    Ok(())
}

/// A call that fails must not bring the program down.
fn not_brought_down(status: ExitStatus) -> Result<()> {
    let is_killed = status.signal() == Some(SIGKILL);
    ensure!(status.success() || is_killed, "the program was brought down ({status})");
    Ok(())
}

/// Everything there is in the folders of the spool, or will be.
fn spool_paths(stage: &Stage) -> Result<Vec<PathBuf>> {
    let mut paths = vec![stage.spool()];
    for log in stage.logs()? {
        paths.extend(log.parent().map(Path::to_owned));
        paths.extend(["lock", "owner.json", "owner.new"].map(|name| log.join(name)));
        paths.extend((1..=EVENTS + 1).map(|first| log.join(format!("{first:020}.log"))));
        paths.push(log);
    }
    Ok(paths)
}

/// The server is traced; when it dies, or ends because of what failed, it is started again.
fn serve(stage: &Stage, trace: Trace) -> Result<()> {
    let mut paths = vec![stage.db()];
    for beside in ["-wal", "-shm", "-journal", ".lock"] {
        let mut path = stage.db().into_os_string();
        path.push(beside);
        paths.push(path.into());
    }
    let mut server = stage.spawn_server(Some(&trace.about(paths)))?;
    let ready = match stage.until_ready(&mut server)? {
        Some(ready) => ready,
        None => {
            let (again, ready) = stage.start_server()?;
            server = again;
            ready
        }
    };
    let mut program = stage.spawn_writer(&scenario(stage), &ready)?;
    stage.until(|| {
        if server.has_ended()? {
            (server, _) = stage.start_server()?;
        }
        program.has_ended()
    })?;
    not_brought_down(program.until_ended()?)?;
    if !server.has_ended()? {
        server.signal("TERM")?;
    }
    server.until_ended().context("the server")?;
    Ok(())
}

fn scenario(stage: &Stage) -> Writer {
    Writer {
        mode: Mode::Durable,
        attempts: Some(EVENTS),
        flush_every: Some(FLUSH_EVERY),
        ..stage.writer("swept", 1)
    }
}
