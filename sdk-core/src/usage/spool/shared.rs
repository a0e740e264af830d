//! Usage waits in what the platform keeps itself, or in memory: one log for all programs of a principal.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Batch, Condition, Spool};
use crate::error::Result;
use crate::host::{Host, MemoryLog};
use crate::model::new_id;
use crate::sync::Mutex;
use crate::usage::limits::SpoolLimits;
use crate::usage::log::RecordLog;
use crate::usage::log::shared::SharedLog;
use crate::usage::uploader::Uplink;

pub(crate) struct SharedSpool {
    host: Arc<dyn Host>,
    /// What the platform knows the log by.
    name: String,
    limits: SpoolLimits,
    keeps: Keeps,
    /// What was opened last.
    log: Mutex<Option<Arc<SharedLog>>>,
}

/// Where events are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeps {
    OnPlatform,
    /// Where the platform refuses, too: in memory.
    Somewhere,
    InMemory,
}

impl SharedSpool {
    pub(crate) fn named(
        host: Arc<dyn Host>,
        name: String,
        limits: SpoolLimits,
        keeps: Keeps,
    ) -> Arc<dyn Spool> {
        Arc::new(SharedSpool { host, name, limits, keeps, log: Mutex::new(None) })
    }

    fn log(&self) -> Option<Arc<SharedLog>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Spool for SharedSpool {
    fn open(&self, uplink: &Uplink) -> Result<Arc<dyn RecordLog>> {
        let producer = || {
            let mut random = [0; 10];
            self.host.random(&mut random);
            new_id("prd", uplink.clock.now(), random)
        };
        // A log that opens too late is begun all the same: what is in memory must not have its numbers.
        let (producer, memory) = (producer(), MemoryLog::new(producer()));
        let on_platform = match self.keeps {
            Keeps::InMemory => None,
            Keeps::OnPlatform | Keeps::Somewhere => self.host.log(&self.name, &producer),
        };
        let in_memory = on_platform.is_none();
        let store = on_platform.unwrap_or_else(|| Arc::new(memory.clone()));
        let instead = (self.keeps == Keeps::Somewhere).then_some(memory);
        let (host, announcer) = (self.host.clone(), uplink.announcer.clone());
        let refused = self.log().map(|last| last.take_refused()).unwrap_or_default();
        let log = SharedLog::over(host, announcer, self.limits, store, in_memory, instead, refused);
        *self.log.lock().unwrap_or_else(PoisonError::into_inner) = Some(log.clone());
        Ok(Arc::new(log))
    }

    fn is_shared(&self) -> bool {
        true
    }

    #[cfg(feature = "files")]
    fn producers(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    #[cfg(feature = "files")]
    fn adopt<'a>(
        &'a self,
        _: &'a std::path::Path,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn RecordLog>>>> {
        futures_util::future::ready(Ok(None)).boxed()
    }

    fn in_memory(&self) -> Option<Arc<dyn Spool>> {
        None // the log sees to that, which learns later whether it is refused
    }

    fn of_customer(&self, id: &str) -> Arc<dyn Spool> {
        let name = format!("{}/{id}", self.name);
        SharedSpool::named(self.host.clone(), name, self.limits, self.keeps)
    }

    fn limits(&self) -> SpoolLimits {
        self.limits
    }

    fn rejected_after<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Batch>>> {
        let batch = async move {
            let Some(log) = self.log() else { return Ok(None) };
            let rejected = log.rejected_after(name.parse().unwrap_or_default()).await?;
            let Some((last, _)) = rejected.last() else { return Ok(None) };
            let name = last.to_string();
            let (numbers, events) = rejected.into_iter().unzip();
            Ok(Some(Batch { name, numbers, events }))
        };
        batch.boxed()
    }

    fn forget<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<()>> {
        let forgotten = async move {
            match self.log() {
                Some(log) => log.forget(batch.numbers.clone()).await,
                None => Ok(()),
            }
        };
        forgotten.boxed()
    }

    fn condition(&self) -> Condition {
        let dir = PathBuf::from(&self.name);
        Condition { dir, not_writable: None, elsewhere: Vec::new(), rejected_files: 0 }
    }
}
