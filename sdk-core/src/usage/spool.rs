//! The folder that usage waits in, and who owns which part of it.
//!
//! ```text
//! SPOOL/SOLUTION-ENVIRONMENT-MARKETPLACE/     one principal: a producer never changes it
//!     prd_01K…/                               one producer: one process's log
//!         lock                                held while the process lives
//!         owner.json                          {"format":1,"producer":"prd_01K…","epoch":0}
//!         00000000000000000001.log            segments
//! ```
//!
//! The log of a process that died is adopted: its epoch grows by one, so that the marketplace
//! refuses the old owner should it come back, and it is only drained. New events go to the
//! adopter's own log.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::log::SegmentLog;
use crate::error::{Error, Result};
use crate::host::{Files, Host, Lock};
use crate::model::{Code, Timestamp, new_id};

const FORMAT: u32 = 1;

pub(crate) struct Spool {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) files: Arc<dyn Files>,
    /// The principal's folder.
    pub(crate) dir: PathBuf,
}

/// A log and the right to send it.
pub(crate) struct Producer {
    pub(crate) id: String,
    pub(crate) epoch: u64,
    pub(crate) log: Arc<SegmentLog>,
    files: Arc<dyn Files>,
    dir: PathBuf,
    /// Until the producer is left.
    lock: Mutex<Option<Box<dyn Lock>>>,
}

#[derive(Serialize, Deserialize)]
struct Owner {
    format: u32,
    producer: String,
    epoch: u64,
}

impl Spool {
    /// A new producer with an empty log.
    pub(super) fn begin(&self, now: Timestamp) -> Result<Producer> {
        let mut random = [0; 10];
        self.host.random(&mut random);
        let id = new_id("prd", now, random);
        let dir = self.dir.join(&id);
        self.files.create_dir(&dir).map_err(|error| self.failed(error))?;
        let lock = self.lock(&dir)?.ok_or_else(|| {
            Error::because(Code::SpoolFailed, "Another process took the new spool's folder.")
        })?;
        self.write_owner(&dir, &id, 0)?;
        let log = SegmentLog::create(self.host.clone(), self.files.clone(), &dir)?;
        let (files, lock) = (self.files.clone(), Mutex::new(Some(lock)));
        Ok(Producer { id, epoch: 0, log, files, dir, lock })
    }

    /// What processes that are gone have left.
    pub(super) async fn adopt(&self) -> Vec<Producer> {
        let names = self.files.list(&self.dir).unwrap_or_default();
        let mut adopted = Vec::new();
        for name in names.iter().filter(|name| name.starts_with("prd_")) {
            match self.adopt_one(&self.dir.join(name)).await {
                Ok(producer) => adopted.extend(producer),
                Err(error) => tracing::warn!(%error, name, "a spool that was left is not readable"),
            }
        }
        adopted
    }

    async fn adopt_one(&self, dir: &Path) -> Result<Option<Producer>> {
        let Some(lock) = self.lock(dir)? else { return Ok(None) };
        let content = self.files.read_at(&dir.join("owner.json"), 0, 4096).await;
        let Ok(content) = content else {
            // Its process died before it wrote anything.
            self.files.remove(dir).map_err(|error| self.failed(error))?;
            return Ok(None);
        };
        let owner: Owner = serde_json::from_slice(&content)
            .map_err(|error| Error::new(Code::SpoolFailed).caused_by(error))?;
        if owner.format != FORMAT {
            let words = format!("The spool in {} has format {}.", dir.display(), owner.format);
            return Err(Error::because(Code::SpoolFailed, words));
        }
        let epoch = owner.epoch + 1;
        self.write_owner(dir, &owner.producer, epoch)?;
        let log = SegmentLog::left_behind(self.host.clone(), self.files.clone(), dir).await?;
        let (files, dir, lock) = (self.files.clone(), dir.to_owned(), Mutex::new(Some(lock)));
        Ok(Some(Producer { id: owner.producer, epoch, log, files, dir, lock }))
    }

    fn lock(&self, dir: &Path) -> Result<Option<Box<dyn Lock>>> {
        self.files.lock(&dir.join("lock")).map_err(|error| self.failed(error))
    }

    fn write_owner(&self, dir: &Path, producer: &str, epoch: u64) -> Result<()> {
        let owner = Owner { format: FORMAT, producer: producer.to_owned(), epoch };
        let json = serde_json::to_vec(&owner)
            .map_err(|error| Error::new(Code::SpoolFailed).caused_by(error))?;
        self.files.replace(&dir.join("owner.json"), &json).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: std::io::Error) -> Error {
        let words = format!("The spool in {} can't be used: {error}.", self.dir.display());
        Error::because(Code::SpoolFailed, words).caused_by(error)
    }
}

impl Producer {
    /// Gives the log up: nothing is appended to it any more, and the next process may adopt it,
    /// unless everything in it is `answered` for; then it is removed.
    pub(super) fn leave(&self, answered: u64) {
        let Some(_lock) = self.lock.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        if self.log.seal() > answered {
            return;
        }
        if let Err(error) = self.files.remove(&self.dir) {
            tracing::warn!(%error, "an empty spool could not be removed");
        }
    }
}
