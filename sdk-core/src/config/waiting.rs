//! Where usage waits, of what the program wants and the platform has.

use std::sync::Arc;

use super::{Logs, SpoolPlace, invalid};
use crate::error::Result;
use crate::host::Host;
use crate::usage::{Durability, Keeps, SharedSpool, Spool, SpoolLimits};

/// What is known of it before the host is.
pub(super) struct Waiting {
    pub(super) place: Option<SpoolPlace>,
    /// Whose usage it is.
    pub(super) principal: String,
    pub(super) logs: Logs,
    pub(super) limits: SpoolLimits,
}

impl Waiting {
    #[cfg(feature = "files")]
    pub(super) fn on(self, host: Arc<dyn Host>, durability: Durability) -> Result<Arc<dyn Spool>> {
        use std::path::PathBuf;

        use crate::host::{Files, MemoryFiles};
        use crate::usage::FileSpool;

        let in_memory = || (Arc::new(MemoryFiles::default()) as Arc<dyn Files>, true);
        let ((files, in_memory), root) = match (&self.place, host.files()) {
            (Some(SpoolPlace::Memory), _) => (in_memory(), PathBuf::from("memory")),
            (Some(SpoolPlace::Dir(dir)), Some(files)) => ((files, false), dir.clone()),
            (None, Some(files)) => {
                let dir = host.state_dir().ok_or_else(|| {
                    invalid("This machine has no folder for state; set CLOUDNESTLE_SPOOL_DIR.")
                })?;
                ((files, false), dir.join("cloudnestle-marketplace"))
            }
            #[cfg(feature = "backend")]
            (None, None) if self.logs == Logs::Own => (in_memory(), PathBuf::from("memory")),
            (_, None) => return self.without_files(host, durability),
        };
        let (dir, limits) = (root.join(self.principal), self.limits);
        Ok(Arc::new(FileSpool { host, files, dir, limits, in_memory }))
    }

    #[cfg(not(feature = "files"))]
    pub(super) fn on(self, host: Arc<dyn Host>, durability: Durability) -> Result<Arc<dyn Spool>> {
        self.without_files(host, durability)
    }

    fn without_files(self, host: Arc<dyn Host>, durability: Durability) -> Result<Arc<dyn Spool>> {
        let keeps = match self.place {
            Some(SpoolPlace::Dir(_)) => {
                return Err(invalid("This host has no files, so the spool can't have a folder."));
            }
            Some(SpoolPlace::Memory) => Keeps::InMemory,
            None if durability == Durability::Fast => Keeps::Somewhere,
            None => Keeps::OnPlatform,
        };
        Ok(SharedSpool::named(host, self.principal, self.limits, keeps))
    }
}
