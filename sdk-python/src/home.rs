//! The SDK of one process, and what becomes of it in a forked child.
//!
//! A child has its parent's memory and none of its threads: whatever it asked of them would never come, and
//! a lock that one of them held stays locked. So the child lets go of what it has inherited, untouched, and
//! builds its own when it is first used. What its parent has noted is its parent's to deliver.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cloudnestle_marketplace::{Code, Error, MarketplaceSdk, Result};
use pyo3::prelude::*;

use crate::call::nobody_tells;
use crate::errors::raised;
use crate::events::End;
use crate::logging;
use crate::settings::Settings;

/// How often this process is a child's child.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// Python's hook after a fork, in the child. Waits for no lock.
#[pyfunction]
pub(crate) fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    nobody_tells();
    logging::forget();
}

/// The SDK, in whichever process it is used.
pub(crate) struct Home {
    settings: Settings,
    /// Locked with the interpreter held and never while waiting: no thread is within when another forks.
    kept: Mutex<Kept>,
}

struct Kept {
    process: Process,
    sdk: Option<MarketplaceSdk>,
    /// That of everything which is watched of it.
    end: Arc<End>,
    is_closed: bool,
}

/// A process, and not its children.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Process(u64);

impl Process {
    fn this() -> Self {
        Process(FORKS.load(Ordering::Relaxed))
    }
}

/// Where the SDK's own tasks run, in the process whose SDK it is. What a call gives out keeps this, and no SDK.
#[derive(Clone)]
pub(crate) struct Background {
    background: cloudnestle_marketplace::Background,
    process: Process,
}

impl Background {
    pub(crate) fn of(sdk: &MarketplaceSdk) -> Self {
        Background { background: sdk.background(), process: Process::this() }
    }

    /// # Errors
    /// [`Code::Forked`] in a child: nothing runs there.
    pub(crate) fn check(&self) -> Result<()> {
        if self.process == Process::this() { Ok(()) } else { Err(Error::from(Code::Forked)) }
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.background.spawn(task);
    }
}

impl Home {
    /// Builds the SDK, and asks nobody.
    pub(crate) fn build(settings: Settings) -> Result<Self> {
        let sdk = Some(settings.build()?);
        let kept = Mutex::new(Kept {
            process: Process::this(),
            sdk,
            end: Arc::default(),
            is_closed: false,
        });
        Ok(Home { settings, kept })
    }

    /// The SDK of this process.
    pub(crate) fn sdk(&self, py: Python<'_>) -> PyResult<MarketplaceSdk> {
        let (sdk, is_new) = self.begin().map_err(|error| raised(py, &error))?;
        if is_new {
            py.import("cloudnestle_marketplace._ending")?.call_method0("begun_in_child")?;
        }
        Ok(sdk)
    }

    /// It, and whether it was just built. Nothing in here is Python's: another thread could run meanwhile.
    fn begin(&self) -> Result<(MarketplaceSdk, bool)> {
        let mut kept = self.kept();
        if kept.process != Process::this() {
            // Ending it would wait for threads that are not here.
            std::mem::forget(kept.sdk.take());
            std::mem::forget(std::mem::take(&mut kept.end));
            kept.process = Process::this();
        }
        if let Some(sdk) = &kept.sdk {
            return Ok((sdk.clone(), false));
        }
        if kept.is_closed {
            return Err(Error::from(Code::Closed));
        }
        let sdk = self.settings.build()?;
        kept.sdk = Some(sdk.clone());
        Ok((sdk, true))
    }

    /// That of this process, if there is one and it was not closed.
    pub(crate) fn begun(&self) -> Option<MarketplaceSdk> {
        let kept = self.kept();
        let is_ours = kept.process == Process::this() && !kept.is_closed;
        kept.sdk.clone().filter(|_| is_ours)
    }

    /// When what is watched of the SDK that is here ends.
    pub(crate) fn end(&self) -> Arc<End> {
        self.kept().end.clone()
    }

    /// A program that closes its SDK has none in its children either.
    pub(crate) fn is_closing(&self) {
        self.kept().is_closed = true;
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let kept = self.kept.get_mut().unwrap_or_else(PoisonError::into_inner);
        if kept.process != Process::this() {
            std::mem::forget(kept.sdk.take());
        }
    }
}
