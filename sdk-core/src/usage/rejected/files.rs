//! Dead letters on files, beside the spool, until somebody replays them or deletes the files.
//!
//! ```text
//! SPOOL/SOLUTION-ENVIRONMENT-MARKETPLACE/rejected/prd_01K…-00000000000000000500.jsonl
//! ```
//!
//! A file is what was rejected of one answer, a line for each event. Its name is that of the range: an
//! answer that comes twice writes the same file twice.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::RejectedUsage;
use crate::host::Files;
use crate::json;

/// The most files that are kept, the newest, so that a mistake in a program does not fill the disk: an answer has
/// at most 500 events.
const MAX_FILES: usize = 1_000;

/// Larger than any file of the kind: a range is half a megabyte.
const MAX_FILE_BYTES: usize = 8 * 1024 * 1024;

pub(in crate::usage) struct DeadLetters {
    pub(in crate::usage) files: Arc<dyn Files>,
    pub(in crate::usage) dir: PathBuf,
}

impl DeadLetters {
    /// Keeps what was rejected of a producer's range that ends with the number `last`.
    pub(in crate::usage) fn keep(
        &self,
        producer: &str,
        last: u64,
        rejected: &[(u64, RejectedUsage)],
    ) -> io::Result<()> {
        let lines: String = rejected.iter().map(|(_, event)| json::write(event) + "\n").collect();
        self.files.create_dir(&self.dir)?;
        let newest = format!("{producer}-{last:020}.jsonl");
        self.files.replace(&self.dir.join(&newest), lines.as_bytes())?;
        // That of a producer that was taken over may have the oldest name.
        let mut names = self.names()?;
        names.retain(|name| *name != newest);
        let too_many = (names.len() + 1).saturating_sub(MAX_FILES);
        names.iter().take(too_many).try_for_each(|oldest| self.remove(oldest))
    }

    /// The names of the files, the oldest producer's first.
    pub(in crate::usage) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = self.files.list(&self.dir)?;
        names.retain(|name| name.ends_with(".jsonl"));
        names.sort_unstable();
        Ok(names)
    }

    pub(in crate::usage) async fn read(&self, name: &str) -> io::Result<Vec<RejectedUsage>> {
        let file = self.dir.join(name);
        let content = match self.files.read_at(&file, 0, MAX_FILE_BYTES).await {
            // Another process has replayed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            content => content?,
        };
        let lines = content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let (events, damaged): (Vec<_>, Vec<_>) = lines.map(json::read).partition(Result::is_ok);
        if !damaged.is_empty() {
            tracing::warn!(file = %file.display(), lines = damaged.len(), "damaged rejected usage");
            // Out of the way of the others, and not gone.
            self.files.replace(&file.with_extension("damaged"), &content)?;
        }
        Ok(events.into_iter().flatten().collect())
    }

    pub(in crate::usage) fn remove(&self, name: &str) -> io::Result<()> {
        self.files.remove(&self.dir.join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::MemoryFiles;

    #[test]
    fn of_what_was_rejected_the_newest_files_are_kept() {
        let (files, dir) = (Arc::new(MemoryFiles::default()), PathBuf::from("rejected"));
        let letters = DeadLetters { files, dir };
        for last in 1..=MAX_FILES as u64 + 2 {
            letters.keep("prd_a", last, &[]).unwrap();
        }
        let names = letters.names().unwrap();
        assert_eq!(names.len(), MAX_FILES);
        assert_eq!(names[0], format!("prd_a-{:020}.jsonl", 3));
    }
}
