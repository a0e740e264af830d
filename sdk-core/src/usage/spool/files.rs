//! The folder that usage waits in, where there are files, and who owns which part of it.
//!
//! ```text
//! SPOOL/SOLUTION-ENVIRONMENT-MARKETPLACE/     one principal: a producer never changes it
//!     prd_01K…/                               one producer: one process's log
//!         lock                                held while the process lives
//!         owner.json                          {"format":1,"producer":"prd_01K…","epoch":0}, and `"leases":true`
//!                                             where there may be some to give back
//!         00000000000000000001.log            segments
//!     quarantine/                             what was found damaged
//!     rejected/                               events that the marketplace refused
//!     cus_…/                                  another principal: a customer, in a program that has the
//!                                             customers' tokens in place of a key; with the same in it
//! ```
//!
//! The log of a process that died is adopted: its epoch grows by one, so that the marketplace
//! refuses the old owner should it come back, and it is only drained. New events go to the
//! adopter's own log.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use serde::{Deserialize, Serialize};

use super::{Batch, Condition, Spool};
use crate::error::{Error, Result};
use crate::host::{Files, Host, Lock, MemoryFiles};
use crate::model::{Code, LossReason, Timestamp, new_id};
use crate::planted::{Bug, planted};
use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Signal};
use crate::usage::limits::SpoolLimits;
use crate::usage::log::{
    Found, Gap, Most, RecordLog, SEGMENT, SegmentLog, Settled, Taken, Ticket, code_of,
};
use crate::usage::rejected::DeadLetters;
use crate::usage::uploader::Uplink;

const FORMAT: u32 = 1;
const OWNER: &str = "owner.json";

/// How long a process takes a log for its own without looking again: within it, nobody removes a lock and
/// takes over what it was to protect.
const OURS_FOR: Duration = Duration::from_millis(100);

/// How the names of producers' folders begin.
const PRODUCER: &str = "prd_";

#[derive(Clone)]
pub(crate) struct FileSpool {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) files: Arc<dyn Files>,
    /// The principal's folder.
    pub(crate) dir: PathBuf,
    pub(crate) limits: SpoolLimits,
    /// What is in it ends with the process.
    pub(crate) in_memory: bool,
}

/// A log and the right to send it.
pub(crate) struct Producer {
    pub(crate) id: String,
    pub(crate) epoch: u64,
    pub(crate) log: Arc<SegmentLog>,
    /// What is in it ends with the process.
    pub(crate) in_memory: bool,
    host: Arc<dyn Host>,
    files: Arc<dyn Files>,
    dir: PathBuf,
    /// When the lock was last seen to be held, in milliseconds of the monotonic clock.
    ours_at: AtomicU64,
    hold: Mutex<Hold>,
    /// It may have leases, which nobody has given back.
    owes_leases: AtomicBool,
    /// They are all given back, and there will be no more.
    leases_ended: AtomicBool,
    dead_letters: DeadLetters,
    /// Told after each append.
    appended: Signal,
}

/// What a process has of a log.
enum Hold {
    /// It is this process's.
    Locked(Box<dyn Lock>),
    /// This process has left it: what was noted by then, the next one will find.
    Left,
    /// It was another's before this process noticed.
    Lost,
}

/// The right to take leases in a producer's name: whoever finds its log without its owner knows that there
/// may be some.
pub(crate) struct LeaseRight<'p>(&'p Producer);

#[derive(Serialize, Deserialize)]
struct Owner {
    format: u32,
    producer: String,
    epoch: u64,
    /// Whether it may have leases.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    leases: bool,
}

impl FileSpool {
    /// A new producer with an empty log.
    pub(in crate::usage) fn begin(&self, now: Timestamp) -> Result<Producer> {
        // Another process may take a folder that is not locked yet for one that was left.
        self.try_begin(now).or_else(|_| self.try_begin(now))
    }

    fn try_begin(&self, now: Timestamp) -> Result<Producer> {
        let mut random = [0; 10];
        self.host.random(&mut random);
        let id = new_id("prd", now, random);
        let dir = self.dir.join(&id);
        self.files.create_dir(&dir).map_err(|error| self.failed(error))?;
        let begun = self.begin_in(&dir, &id);
        if begun.is_err() {
            let _ = self.files.remove(&dir); // a full disk would fill with empty folders
        }
        begun
    }

    fn begin_in(&self, dir: &Path, id: &str) -> Result<Producer> {
        let lock = self.lock(dir)?.ok_or_else(|| {
            Error::because(Code::SpoolFailed, "Another process took the new spool's folder.")
        })?;
        let owner = Owner { format: FORMAT, producer: id.to_owned(), epoch: 0, leases: false };
        owner.write(&*self.files, dir).map_err(|error| self.failed(error))?;
        let log = SegmentLog::create(self.host.clone(), self.files.clone(), dir, self.limits)?;
        Ok(self.producer(dir, lock, owner, log))
    }

    /// The producer whose folder is locked.
    fn producer(
        &self,
        dir: &Path,
        lock: Box<dyn Lock>,
        owner: Owner,
        log: Arc<SegmentLog>,
    ) -> Producer {
        Producer {
            id: owner.producer,
            epoch: owner.epoch,
            log,
            in_memory: self.in_memory,
            host: self.host.clone(),
            files: self.files.clone(),
            dir: dir.to_owned(),
            ours_at: AtomicU64::new(0),
            hold: Mutex::new(Hold::Locked(lock)),
            owes_leases: AtomicBool::new(owner.leases),
            leases_ended: AtomicBool::new(false),
            dead_letters: self.dead_letters(),
            appended: Signal::new(),
        }
    }

    /// Writes something into the folder, and removes it again.
    fn try_to_write(&self) -> Result<()> {
        let mut random = [0; 10];
        self.host.random(&mut random);
        let file = self.dir.join(new_id("try", self.host.wall(), random));
        let tried = self.files.create_dir(&self.dir).and_then(|()| self.files.replace(&file, b"."));
        tried.and_then(|()| self.files.remove(&file)).map_err(|error| self.failed(error))
    }

    /// As [`Spool::producers`].
    pub(in crate::usage) fn producers(&self) -> Vec<PathBuf> {
        let mut names = self.files.list(&self.dir).unwrap_or_default();
        names.retain(|name| name.starts_with(PRODUCER));
        names.into_iter().map(|name| self.dir.join(name)).collect()
    }

    /// Folders with usage of the same solution that is for a marketplace of another address.
    fn elsewhere(&self) -> Vec<PathBuf> {
        let (Some(root), Some(own)) = (self.dir.parent(), self.dir.file_name()) else {
            return Vec::new();
        };
        let own = own.to_string_lossy();
        let Some((principal, _)) = own.rsplit_once('-') else { return Vec::new() };
        let mut names = self.files.list(root).unwrap_or_default();
        names.retain(|name| {
            let sibling = name.rsplit_once('-').is_some_and(|(theirs, _)| theirs == principal);
            sibling && *name != own
        });
        let folders = names.into_iter().map(|name| root.join(name));
        let has_usage = |dir: &PathBuf| {
            let names = self.files.list(dir).unwrap_or_default();
            names.iter().any(|name| name.starts_with(PRODUCER))
        };
        folders.filter(has_usage).collect()
    }

    /// As [`Spool::adopt`].
    pub(in crate::usage) async fn adopt(&self, dir: &Path) -> Result<Option<Producer>> {
        let Some(lock) = self.lock(dir)? else { return Ok(None) };
        let content = match self.files.read_at(&dir.join(OWNER), 0, 4096).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.clear(dir).map(|()| None);
            }
            content => content.map_err(|error| self.failed(error))?,
        };
        let mut owner: Owner = serde_json::from_slice(&content)
            .map_err(|error| Error::new(Code::SpoolFailed).caused_by(error))?;
        if owner.format != FORMAT {
            let words = format!("The spool in {} has format {}.", dir.display(), owner.format);
            return Err(Error::because(Code::SpoolFailed, words));
        }
        // What is not as we wrote it is somebody else's, and left alone.
        let is_ours = dir.file_name().is_some_and(|name| *name == *owner.producer);
        let taken_over = if planted(Bug::AdopterKeepsEpoch) { 0 } else { 1 };
        let Some(epoch) = owner.epoch.checked_add(taken_over).filter(|_| is_ours) else {
            let words = format!("{} in {} is not of its folder.", OWNER, dir.display());
            return Err(Error::because(Code::SpoolFailed, words));
        };
        owner.epoch = epoch;
        match owner.write(&*self.files, dir).map_err(|error| self.failed(error)) {
            // Delivering what fills the disk must not wait for room on it. The lock keeps others away,
            // and whoever comes after us may have the same epoch: we are gone then.
            Err(error) if error.code() == Code::SpoolFull => {}
            written => written?,
        }
        let log = SegmentLog::left_behind(self.host.clone(), self.files.clone(), dir).await?;
        Ok(Some(self.producer(dir, lock, owner, log)))
    }

    /// Removes a folder without an owner: its process died before it wrote anything. Segments that
    /// lie there all the same are somebody's, and not ours to judge.
    fn clear(&self, dir: &Path) -> Result<()> {
        let names = self.files.list(dir).map_err(|error| self.failed(error))?;
        if names.iter().any(|name| !["lock", "owner.new"].contains(&name.as_str())) {
            let words = format!("{} has files but no {OWNER}.", dir.display());
            return Err(Error::because(Code::SpoolFailed, words));
        }
        self.files.remove(dir).map_err(|error| self.failed(error))
    }

    /// Where the events are that the marketplace refused.
    fn dead_letters(&self) -> DeadLetters {
        DeadLetters { files: self.files.clone(), dir: self.dir.join("rejected") }
    }

    fn lock(&self, dir: &Path) -> Result<Option<Box<dyn Lock>>> {
        self.files.lock(&dir.join("lock")).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> Error {
        let words = format!("The spool in {} can't be used.", self.dir.display());
        let code = code_of(&error);
        Error::because(code, words).caused_by(error)
    }
}

impl Spool for FileSpool {
    fn open(&self, uplink: &Uplink) -> Result<Arc<dyn RecordLog>> {
        Ok(Arc::new(self.begin(uplink.clock.now())?))
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn producers(&self) -> Vec<PathBuf> {
        self.producers()
    }

    fn adopt<'a>(&'a self, dir: &'a Path) -> BoxFuture<'a, Result<Option<Arc<dyn RecordLog>>>> {
        let adopted = self.adopt(dir);
        async { Ok(adopted.await?.map(|left| Arc::new(left) as Arc<dyn RecordLog>)) }.boxed()
    }

    fn in_memory(&self) -> Option<Arc<dyn Spool>> {
        let files = Arc::new(MemoryFiles::default());
        Some(Arc::new(FileSpool { files, in_memory: true, ..self.clone() }))
    }

    fn of_customer(&self, id: &str) -> Arc<dyn Spool> {
        Arc::new(FileSpool { dir: self.dir.join(id), ..self.clone() })
    }

    fn limits(&self) -> SpoolLimits {
        self.limits
    }

    fn rejected_after<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Batch>>> {
        let batch = async move {
            let dead_letters = self.dead_letters();
            let names = dead_letters.names().map_err(|error| self.failed(error))?;
            let Some(name) = names.into_iter().find(|next| **next > *name) else { return Ok(None) };
            let events = dead_letters.read(&name).await.map_err(|error| self.failed(error))?;
            Ok(Some(Batch { name, numbers: Vec::new(), events }))
        };
        batch.boxed()
    }

    fn forget<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<()>> {
        let forgotten = self.dead_letters().remove(&batch.name);
        ready(forgotten.map_err(|error| self.failed(error))).boxed()
    }

    fn condition(&self) -> Condition {
        Condition {
            dir: self.dir.clone(),
            not_writable: self.try_to_write().err(),
            elsewhere: self.elsewhere(),
            rejected_files: self.dead_letters().names().map_or(0, |names| names.len()),
        }
    }
}

impl Owner {
    fn write(&self, files: &dyn Files, dir: &Path) -> io::Result<()> {
        files.replace(&dir.join(OWNER), &serde_json::to_vec(self)?)
    }
}

impl LeaseRight<'_> {
    /// Whose leases they are.
    pub(in crate::usage) fn producer_id(&self) -> &str {
        &self.0.id
    }

    pub(in crate::usage) fn epoch(&self) -> u64 {
        self.0.epoch
    }
}

impl Producer {
    /// Notes that leases are taken, before the first one is: whoever finds the log without its owner has
    /// to give them back.
    ///
    /// # Errors
    /// [`Code::Closed`] when the producer was left, or has ended: nobody would give them back.
    pub(in crate::usage) fn lease_right(&self) -> Result<LeaseRight<'_>> {
        let hold = self.hold();
        if !hold.is_held() {
            self.log.cut_off(); // it is another's
            return Err(Error::new(Code::Closed));
        }
        if self.leases_ended.load(Ordering::Acquire) {
            return Err(Error::new(Code::Closed));
        }
        if self.owes_leases() {
            return Ok(LeaseRight(self));
        }
        let owner =
            Owner { format: FORMAT, producer: self.id.clone(), epoch: self.epoch, leases: true };
        owner.write(&*self.files, &self.dir).map_err(|error| {
            let words = "The spool could not note that there are leases.";
            Error::because(code_of(&error), words).caused_by(error)
        })?;
        self.owes_leases.store(true, Ordering::Release);
        Ok(LeaseRight(self))
    }

    /// Whether it may have leases that nobody has given back.
    pub(in crate::usage) fn owes_leases(&self) -> bool {
        self.owes_leases.load(Ordering::Acquire)
    }

    /// Notes that all leases are given back, and no more will be taken.
    pub(in crate::usage) fn has_returned_leases(&self) {
        let _no_more_rights = self.hold();
        self.leases_ended.store(true, Ordering::Release);
        self.owes_leases.store(false, Ordering::Release);
    }

    /// Whether what is noted now is this process's to send. Where its lock was removed, another may have taken
    /// the log over while this process was stopped, and has seen what was in it by then.
    pub(in crate::usage) fn is_ours(&self) -> bool {
        let now = self.host.monotonic().as_millis() as u64;
        let since = now.saturating_sub(self.ours_at.load(Ordering::Relaxed));
        if u128::from(since) < OURS_FOR.as_millis() {
            return true;
        }
        let is_ours = match &*self.hold() {
            Hold::Locked(lock) => lock.is_held(),
            // Nothing could be noted any more when the lock was given back.
            Hold::Left => true,
            Hold::Lost => false,
        };
        if is_ours {
            self.ours_at.store(now, Ordering::Relaxed);
        } else {
            self.log.cut_off();
        }
        is_ours
    }

    /// Gives the log up: nothing is appended to it any more, and the next process may adopt it,
    /// unless everything in it is `answered` for and no lease is to be given back; then it is removed.
    pub(in crate::usage) fn leave(&self, answered: u64) {
        let Some(_lock) = self.give_up() else { return };
        if self.log.is_cut_off() || self.log.seal() > answered || self.owes_leases() {
            return;
        }
        if let Err(error) = self.remove() {
            tracing::warn!(%error, "an empty spool could not be removed");
        }
    }

    /// Gives the log up to the process that has taken it over, whatever is in it.
    pub(in crate::usage) fn abandon(&self) {
        self.log.seal();
        *self.hold() = Hold::Lost;
    }

    /// The segments first, and the owner before the folder: whenever this is interrupted, what is
    /// left is a log of which everything is answered for, or an empty folder.
    fn remove(&self) -> io::Result<()> {
        for name in self.files.list(&self.dir)?.iter().filter(|name| name.ends_with(SEGMENT)) {
            self.files.remove(&self.dir.join(name))?;
        }
        self.files.remove(&self.dir.join(OWNER))?;
        self.files.remove(&self.dir)
    }

    /// Gives back the room of what is answered for, if the log is still ours.
    pub(in crate::usage) fn trim(&self, answered: u64) {
        if matches!(&*self.hold(), Hold::Locked(_))
            && let Err(error) = self.log.trim(answered)
        {
            tracing::warn!(%error, "the spool keeps what was delivered");
        }
    }

    /// The lock, which is the caller's to give back, if it is this process's to give.
    fn give_up(&self) -> Option<Box<dyn Lock>> {
        let mut hold = self.hold();
        if let Hold::Locked(lock) = &*hold
            && !lock.is_held()
        {
            self.log.cut_off();
            *hold = Hold::Lost;
        }
        match std::mem::replace(&mut *hold, Hold::Left) {
            Hold::Locked(lock) => Some(lock),
            left_before => {
                *hold = left_before;
                None
            }
        }
    }

    fn hold(&self) -> MutexGuard<'_, Hold> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecordLog for Producer {
    fn append(&self, record: &[u8]) -> Result<Taken> {
        let taken = self.log.append(record)?;
        if !self.is_ours() {
            let words =
                "Another process took the log over while the event was written: it may count.";
            return Err(Error::because(Code::SpoolFailed, words));
        }
        self.appended.notify(1);
        Ok(taken)
    }

    fn persisted(&self, ticket: Ticket) -> BoxFuture<'_, Result<u64>> {
        self.log.persisted(ticket).boxed()
    }

    fn everything(&self) -> Ticket {
        self.log.everything()
    }

    fn more(&self, answered: u64) -> BoxFuture<'_, ()> {
        let appended = self.appended.listen();
        match self.log.last() == answered {
            true => appended.boxed(),
            false => ready(()).boxed(),
        }
    }

    fn scan(&self, after: u64, most: Most) -> BoxFuture<'_, Result<Found>> {
        // Read before the records are: a number that is appended meanwhile is not missing.
        let last = self.log.last();
        let found = async move {
            let records = self.log.scan(after, most).await?;
            Ok(Found { answered: after, refused: Vec::new(), records, last })
        };
        found.boxed()
    }

    fn settle<'a>(&'a self, settled: Settled<'a>) -> BoxFuture<'a, ()> {
        let Settled { answered, rejected, .. } = settled;
        // Before the log may forget them: whoever is rejected by mistake can be replayed.
        if !rejected.is_empty()
            && let Err(error) = self.dead_letters.keep(&self.id, answered, rejected)
        {
            tracing::warn!(%error, "rejected usage could not be kept");
        }
        ready(()).boxed()
    }

    fn trim(&self, answered: u64) {
        self.trim(answered);
    }

    fn reopen(&self, _fence: u64) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }

    fn last(&self) -> u64 {
        self.log.last()
    }

    fn numbered(&self) -> BoxFuture<'_, Result<u64>> {
        ready(Ok(self.log.last())).boxed()
    }

    fn unnumbered(&self) -> u64 {
        0
    }

    fn has_given_out(&self, number: u64) -> BoxFuture<'_, bool> {
        // What was in a log that was left behind, and is lost, nobody knows.
        ready(self.epoch > 0 || number <= self.log.last()).boxed()
    }

    fn opened_after(&self) -> Option<u64> {
        Some(self.log.trimmed())
    }

    fn losses(&self, first: u64, last: u64) -> Vec<Gap> {
        self.log.losses(first, last)
    }

    fn lost_after(&self, number: u64, reason: LossReason) -> u64 {
        self.log.lost_after(number, reason)
    }

    fn waiting_after(&self, number: u64) -> u64 {
        self.log.waiting_after(number)
    }

    fn producer(&self) -> String {
        self.id.clone()
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn is_in_memory(&self) -> bool {
        self.in_memory
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn bytes(&self) -> u64 {
        self.log.bytes()
    }

    fn takes_no_more(&self) -> bool {
        self.log.is_cut_off() || !self.is_ours()
    }

    fn leave(&self, answered: u64) {
        self.leave(answered);
    }

    fn abandon(&self) {
        self.abandon();
    }

    #[cfg(feature = "backend")]
    fn lessee(&self) -> Option<&Producer> {
        Some(self)
    }
}

impl Hold {
    /// Whether nobody else can have the log.
    fn is_held(&self) -> bool {
        matches!(self, Hold::Locked(lock) if lock.is_held())
    }
}
