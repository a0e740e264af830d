//! The folder that usage waits in, where there are files, and who owns [which part](producer) of it.
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

mod producer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::{Batch, Condition, Spool};
use crate::error::{Error, Result};
use crate::host::{Files, Host, Lock, MemoryFiles};
use crate::json;
use crate::model::{Code, Timestamp, new_id};
use crate::planted::{Bug, planted};
use crate::usage::limits::SpoolLimits;
use crate::usage::log::{RecordLog, SegmentLog, code_of};
use crate::usage::rejected::DeadLetters;
use crate::usage::uploader::Uplink;
use producer::{FORMAT, OWNER, Owner};

pub(crate) use producer::{LeaseRight, Producer};

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
        Ok(Producer::of(self, dir, lock, owner, log))
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
        let mut owner: Owner =
            json::read(&content).map_err(|error| Error::new(Code::SpoolFailed).caused_by(error))?;
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
        Ok(Some(Producer::of(self, dir, lock, owner, log)))
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
