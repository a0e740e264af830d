//! One producer: a process's log in its folder, and the right to send it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use serde::{Deserialize, Serialize};

use super::FileSpool;
use crate::error::{Error, Result};
use crate::host::{Files, Host, Lock};
use crate::json;
use crate::model::{Code, LossReason};
use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Signal};
use crate::usage::log::{
    Found, Gap, Most, RecordLog, SEGMENT, SegmentLog, Settled, Taken, Ticket, code_of,
};
use crate::usage::rejected::DeadLetters;

pub(super) const FORMAT: u32 = 1;
pub(super) const OWNER: &str = "owner.json";

/// How long a process takes a log for its own without looking again: within it, nobody removes a lock and
/// takes over what it was to protect.
const OURS_FOR: Duration = Duration::from_millis(100);

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

/// Whose a log is: `owner.json`.
#[derive(Serialize, Deserialize)]
pub(super) struct Owner {
    pub(super) format: u32,
    pub(super) producer: String,
    pub(super) epoch: u64,
    /// Whether it may have leases.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) leases: bool,
}

impl Owner {
    pub(super) fn write(&self, files: &dyn Files, dir: &Path) -> io::Result<()> {
        files.replace(&dir.join(OWNER), json::write(self).as_bytes())
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
    /// That of a spool's folder that is locked.
    pub(super) fn of(
        spool: &FileSpool,
        dir: &Path,
        lock: Box<dyn Lock>,
        owner: Owner,
        log: Arc<SegmentLog>,
    ) -> Self {
        Producer {
            id: owner.producer,
            epoch: owner.epoch,
            log,
            in_memory: spool.in_memory,
            host: spool.host.clone(),
            files: spool.files.clone(),
            dir: dir.to_owned(),
            ours_at: AtomicU64::new(0),
            hold: Mutex::new(Hold::Locked(lock)),
            owes_leases: AtomicBool::new(owner.leases),
            leases_ended: AtomicBool::new(false),
            dead_letters: spool.dead_letters(),
            appended: Signal::new(),
        }
    }

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

    /// The segments first, and the owner before the folder: whenever this is interrupted, what is
    /// left is a log of which everything is answered for, or an empty folder.
    fn remove(&self) -> io::Result<()> {
        for name in self.files.list(&self.dir)?.iter().filter(|name| name.ends_with(SEGMENT)) {
            self.files.remove(&self.dir.join(name))?;
        }
        self.files.remove(&self.dir.join(OWNER))?;
        self.files.remove(&self.dir)
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
            Ok(Found { answered: after, refused: Vec::new(), forgotten: 0, records, last })
        };
        found.boxed()
    }

    fn settle<'a>(&'a self, settled: Settled<'a>) -> BoxFuture<'a, bool> {
        let Settled { answered, rejected, .. } = settled;
        // Before the log may forget them: whoever is rejected by mistake can be replayed.
        let kept = match rejected {
            [] => Ok(()),
            rejected => self.dead_letters.keep(&self.id, answered, rejected),
        };
        if let Err(error) = &kept {
            tracing::warn!(%error, "rejected usage could not be kept");
        }
        ready(kept.is_ok()).boxed()
    }

    fn trim(&self, answered: u64) {
        if matches!(&*self.hold(), Hold::Locked(_))
            && let Err(error) = self.log.trim(answered)
        {
            tracing::warn!(%error, "the spool keeps what was delivered");
        }
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
        let Some(_lock) = self.give_up() else { return };
        if self.log.is_cut_off() || self.log.seal() > answered || self.owes_leases() {
            return;
        }
        if let Err(error) = self.remove() {
            tracing::warn!(%error, "an empty spool could not be removed");
        }
    }

    fn abandon(&self) {
        self.log.seal();
        *self.hold() = Hold::Lost;
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
