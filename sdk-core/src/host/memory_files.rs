//! Files that are nowhere but in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::{AppendFile, Files, Lock};

/// A spool that lives and dies with the process, for programs that have no disk to write to.
#[derive(Clone, Default)]
pub struct MemoryFiles(Arc<Mutex<Tree>>);

#[derive(Default)]
struct Tree {
    files: BTreeMap<PathBuf, Vec<u8>>,
    locked: BTreeSet<PathBuf>,
}

impl MemoryFiles {
    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files for MemoryFiles {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let tree = self.tree();
        let names: BTreeSet<String> = tree
            .files
            .keys()
            .filter_map(|path| path.strip_prefix(dir).ok()?.iter().next())
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        Ok(names.into_iter().collect())
    }

    fn append_to(&self, file: &Path) -> io::Result<Arc<dyn AppendFile>> {
        self.tree().files.entry(file.to_owned()).or_default();
        Ok(Arc::new(MemoryFile { files: self.clone(), path: file.to_owned() }))
    }

    fn read_at(&self, file: &Path, offset: u64, len: usize) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        let read = self.tree().files.get(file).map(|content| {
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
            content[start..content.len().min(start.saturating_add(len))].to_vec()
        });
        ready(read.ok_or_else(|| io::ErrorKind::NotFound.into())).boxed()
    }

    fn truncate(&self, file: &Path, len: u64) -> io::Result<()> {
        if let Some(content) = self.tree().files.get_mut(file) {
            content.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        }
        Ok(())
    }

    fn replace(&self, file: &Path, content: &[u8]) -> io::Result<()> {
        self.tree().files.insert(file.to_owned(), content.to_vec());
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.tree().files.retain(|file, _| !file.starts_with(path));
        Ok(())
    }

    fn lock(&self, file: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        if !self.tree().locked.insert(file.to_owned()) {
            return Ok(None);
        }
        Ok(Some(Box::new(MemoryLock { files: self.clone(), path: file.to_owned() })))
    }
}

struct MemoryFile {
    files: MemoryFiles,
    path: PathBuf,
}

impl AppendFile for MemoryFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut tree = self.files.tree();
        let content = tree.files.get_mut(&self.path).ok_or(io::ErrorKind::NotFound)?;
        content.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> BoxFuture<'static, io::Result<()>> {
        ready(Ok(())).boxed()
    }
}

struct MemoryLock {
    files: MemoryFiles,
    path: PathBuf,
}

impl Lock for MemoryLock {
    fn is_held(&self) -> bool {
        true // nobody else has this memory
    }
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.files.tree().locked.remove(&self.path);
    }
}
