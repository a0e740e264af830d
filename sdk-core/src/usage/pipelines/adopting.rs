//! Logs that processes which are gone have left in the spool's folder.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Pipelines;
use crate::error::Error;
use crate::events::Event;

/// Those that can't be taken over, and why.
#[derive(Default)]
pub(super) struct Stuck(BTreeMap<PathBuf, Error>);

impl Stuck {
    /// Why one of them can't be.
    pub(super) fn first(&self) -> Option<Error> {
        self.0.values().next().cloned()
    }
}

impl Pipelines {
    /// Begins to deliver what others have left.
    pub(super) async fn adopt_left(self: &Arc<Self>) {
        for dir in self.spool.producers() {
            if self.has_left() {
                return; // the rest is for whoever comes next
            }
            match self.spool.adopt(&dir).await {
                Ok(Some(log)) => {
                    self.state().stuck.0.remove(&dir);
                    drop(self.run(log));
                }
                Ok(None) => {}
                Err(error) => self.is_stuck(dir, error),
            }
            // Each costs the disk some milliseconds; others have work on this thread, too.
            self.uplink.host.sleep(Duration::ZERO).await;
        }
    }

    /// Says, once for each log, that what was left in it can't be delivered.
    fn is_stuck(&self, dir: PathBuf, error: Error) {
        tracing::warn!(%error, dir = %dir.display(), "a log that was left is not readable");
        if self.state().stuck.0.insert(dir, error.clone()).is_none() {
            self.uplink.announcer.announce(Event::UsageWaiting { error });
        }
    }
}
