use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, poll_fn, ready};

use super::tree::Tree;
use crate::host::{AppendFile, Files, Lock};

/// A disk that keeps what was synced, and of the rest what chance leaves of it: nothing, a part that
/// ends anywhere, sectors of zeros. Names (new files, renames, removals) are lost as well unless their
/// folder was synced, in the order in which they came: a journal is cut, not shuffled, as on ext4 and
/// XFS. It does the same system calls in the same order as the disk of a real machine does.
///
/// ```
/// use std::path::Path;
/// use cloudnestle_marketplace::host::Files;
/// use cloudnestle_marketplace::host::sim::SimDisk;
///
/// let disk = SimDisk::new(7);
/// disk.replace(Path::new("kept"), b"synced")?; // synced, with its name
/// disk.append_to(Path::new("forgotten"))?.append(b"in the cache alone")?;
///
/// let found = disk.lose_power();
/// assert!(found.list(Path::new(""))?.contains(&"kept".to_owned()));
/// assert!(disk.list(Path::new("")).is_err(), "whoever used it before is dead");
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct SimDisk {
    tree: Arc<Mutex<Tree>>,
    /// Which of its users in a row this is.
    user: u64,
}

impl SimDisk {
    /// An empty disk; chance is what the seed makes of it.
    pub fn new(seed: u64) -> Self {
        SimDisk { tree: Arc::new(Mutex::new(Tree::new(seed))), user: 0 }
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For one more process on the same machine: it finds what the others have written, and not their
    /// locks.
    ///
    /// ```
    /// use std::path::Path;
    /// use cloudnestle_marketplace::host::Files;
    /// use cloudnestle_marketplace::host::sim::SimDisk;
    ///
    /// let first = SimDisk::new(7);
    /// let second = first.share();
    /// let lock = first.lock(Path::new("lock"))?;
    /// assert!(lock.is_some() && second.lock(Path::new("lock"))?.is_none());
    /// first.end(); // the second one goes on, and may have it
    /// assert!(second.lock(Path::new("lock"))?.is_some());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn share(&self) -> SimDisk {
        SimDisk { tree: self.tree.clone(), user: self.tree().one_more_user() }
    }

    /// This process dies, and no other: its locks are given back.
    pub fn end(&self) {
        self.tree().end_user(self.user);
    }

    /// What the next process finds when all that use the disk die: all of it, locks given back.
    pub fn kill(&self) -> SimDisk {
        SimDisk { tree: self.tree.clone(), user: self.tree().next_user() }
    }

    /// What the next process finds when the machine loses its power.
    pub fn lose_power(&self) -> SimDisk {
        let next = self.kill();
        next.tree().forget();
        next
    }

    /// Nothing is done any more after so many further system calls that change something; the one
    /// after them may be done in part.
    pub fn die_after(&self, calls: u64) {
        self.tree().calls_left = Some(calls);
    }

    /// Whether that has come, or somebody else uses the disk now.
    pub fn is_dead(&self) -> bool {
        self.tree().is_dead(self.user)
    }

    /// Has room for so many bytes in all (`ENOSPC`); without limit if `None`.
    pub fn set_room(&self, bytes: Option<u64>) {
        self.tree().room = bytes;
    }

    /// An fsync fails, and what it was about is forgotten as if it had not: the pages are clean, and
    /// may read as zeros from then on, as on ext4 ("fsyncgate").
    pub fn fail_syncs(&self, fail: bool) {
        self.tree().fail_syncs = fail;
    }

    /// Files can't be cut.
    pub fn fail_truncates(&self, fail: bool) {
        self.tree().fail_truncates = fail;
    }

    /// Nothing can be read (`EIO`).
    pub fn fail_reads(&self, fail: bool) {
        self.tree().fail_reads = fail;
    }

    /// How many bytes the files have that can be found.
    pub fn bytes(&self) -> u64 {
        self.tree().used()
    }
}

impl Files for SimDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.tree().create_dir(self.user, dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.tree().list(self.user, dir)
    }

    fn append_to(&self, file: &Path) -> io::Result<Arc<dyn AppendFile>> {
        let content = self.tree().open(self.user, file)?;
        let name = Arc::new(Mutex::new(Some(file.to_owned())));
        Ok(Arc::new(SimFile { disk: self.clone(), content, name }))
    }

    fn read_at(&self, file: &Path, offset: u64, len: usize) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        ready(self.tree().read_at(self.user, file, offset, len)).boxed()
    }

    fn truncate(&self, file: &Path, len: u64) -> io::Result<()> {
        self.tree().truncate(self.user, file, len)
    }

    fn replace(&self, file: &Path, content: &[u8]) -> io::Result<()> {
        self.tree().replace(self.user, file, content)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.tree().remove(self.user, path)
    }

    fn lock(&self, file: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let mut tree = self.tree();
        tree.open(self.user, file)?;
        if tree.locked.contains_key(file) {
            return Ok(None);
        }
        tree.locked.insert(file.to_owned(), self.user);
        Ok(Some(Box::new(SimLock { disk: self.clone(), file: file.to_owned() })))
    }
}

struct SimFile {
    disk: SimDisk,
    content: usize,
    /// Its name, until that survives the loss of power.
    name: Arc<Mutex<Option<PathBuf>>>,
}

impl AppendFile for SimFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.disk.tree().append(self.disk.user, self.content, bytes)
    }

    fn sync(&self) -> BoxFuture<'static, io::Result<()>> {
        let (disk, content, name) = (self.disk.clone(), self.content, self.name.clone());
        let (through, mut turns) = disk.tree().begin_sync(content);
        async move {
            // Others go on meanwhile.
            poll_fn(|context| {
                if turns == 0 {
                    return Poll::Ready(());
                }
                turns -= 1;
                context.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
            let mut tree = disk.tree();
            tree.sync(disk.user, content, through)?;
            let mut name = name.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(path) = &*name {
                tree.sync_folder_of(disk.user, path)?;
            }
            *name = None;
            Ok(())
        }
        .boxed()
    }
}

struct SimLock {
    disk: SimDisk,
    file: PathBuf,
}

impl Lock for SimLock {
    fn is_held(&self) -> bool {
        self.disk.tree().locked.get(&self.file) == Some(&self.disk.user)
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        if self.is_held() {
            self.disk.tree().locked.remove(&self.file);
        }
    }
}
