//! The lists of what was acknowledged: the truth that everything else is compared with.
//!
//! A task appends an id after `track_usage` has returned it, so a list never has an event that was
//! not acknowledged. It may lack the last one: the process may die before it is noted.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Result, ensure};

/// After how many lines a list is synced. What dies here is processes, and the system keeps what they
/// wrote; the sync bounds what a machine that dies takes with it.
const SYNC_EVERY: u64 = 256;

/// How the names of lists end.
const LIST: &str = "acks";

/// The list of one task.
pub struct Acks {
    file: File,
    unsynced: u64,
}

impl Acks {
    /// A new list.
    ///
    /// # Errors
    /// The file can't be made, or is there.
    pub fn create(folder: &Path, name: &str) -> io::Result<Acks> {
        let file = File::create_new(folder.join(name).with_extension(LIST))?;
        Ok(Acks { file, unsynced: 0 })
    }

    /// Notes that an event was acknowledged.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn note(&mut self, event_id: &str) -> io::Result<()> {
        self.file.write_all(format!("{event_id}\n").as_bytes())?;
        self.unsynced += 1;
        if self.unsynced == SYNC_EVERY {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }
}

/// What all the lists of a folder have. A last line without an end was not finished.
///
/// # Errors
/// A list can't be read, or an id was given twice.
pub fn read(folder: &Path) -> Result<BTreeSet<String>> {
    let mut acknowledged = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let list = fs::read_to_string(entry?.path())?;
        for line in list.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            ensure!(acknowledged.insert(line.to_owned()), "{line} was given twice");
        }
    }
    Ok(acknowledged)
}
