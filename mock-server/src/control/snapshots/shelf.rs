//! The snapshots that a world keeps.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::is_id;

use super::Snapshot;
use crate::api::problem::Failure;

/// The most snapshots of a world.
const MAX_SNAPSHOTS: usize = 64;
/// The most bytes of all of a world.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// Snapshots by their ids.
#[derive(Default)]
pub(crate) struct Shelf {
    kept: Mutex<BTreeMap<String, Snapshot>>,
}

impl Shelf {
    /// Keeps a snapshot under an id that no other has.
    pub(super) fn put(&self, id: &str, snapshot: Snapshot) -> Result<(), Failure> {
        let mut kept = self.kept();
        check(&kept, id)?;
        let bytes: usize = kept.values().map(Snapshot::bytes).sum();
        if bytes + snapshot.bytes() > MAX_BYTES {
            let detail = "The snapshots of a world have 256 MiB: delete one, or keep it as a file.";
            return Err(Failure::new(Code::RequestInvalid, detail));
        }
        kept.insert(id.to_owned(), snapshot);
        Ok(())
    }

    /// Whether a snapshot could be kept under the id, before one is taken.
    pub(super) fn check(&self, id: &str) -> Result<(), Failure> {
        check(&self.kept(), id)
    }

    pub(crate) fn get(&self, id: &str) -> Result<Snapshot, Failure> {
        self.kept().get(id).cloned().ok_or_else(no_such)
    }

    pub(super) fn remove(&self, id: &str) -> Result<(), Failure> {
        self.kept().remove(id).map(drop).ok_or_else(no_such)
    }

    pub(super) fn all(&self) -> Vec<(String, Snapshot)> {
        self.kept().iter().map(|(id, snapshot)| (id.clone(), snapshot.clone())).collect()
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<String, Snapshot>> {
        // Nothing can panic half-way through a change.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check(kept: &BTreeMap<String, Snapshot>, id: &str) -> Result<(), Failure> {
    if !is_id(id, "snp_") {
        return Err(Failure::field("id", "A snapshot's id looks like `snp_subscribed`."));
    }
    if kept.contains_key(id) {
        return Err(Failure::field("id", "There is a snapshot of that id: delete it first."));
    }
    if kept.len() >= MAX_SNAPSHOTS {
        let detail = "There are 64 snapshots: delete those that are not needed any more.";
        return Err(Failure::new(Code::RequestInvalid, detail));
    }
    Ok(())
}

fn no_such() -> Failure {
    Failure::new(Code::NotFound, "There is no snapshot of that id.")
}
