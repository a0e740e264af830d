//! The file operations a platform brings for the spool, and nothing about what is in the files.

use std::io;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;

/// The file operations the usage spool is built from.
///
/// Paths are made of names the SDK chose. Folders and files are for their owner only.
pub trait Files: Send + Sync + 'static {
    /// Makes a folder and the folders above it; no error if it is there.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// The names in a folder; none if the folder isn't there.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Opens a file to append to, and makes it if it isn't there.
    fn append_to(&self, file: &Path) -> io::Result<Arc<dyn AppendFile>>;

    /// Up to `len` bytes from `offset`; fewer only at the end of the file.
    fn read_at(&self, file: &Path, offset: u64, len: usize) -> BoxFuture<'_, io::Result<Vec<u8>>>;

    /// Cuts a file to `len` bytes.
    fn truncate(&self, file: &Path, len: u64) -> io::Result<()>;

    /// Replaces a small file: after a crash it has either the old content or the new.
    fn replace(&self, file: &Path, content: &[u8]) -> io::Result<()>;

    /// Removes a file, or a folder with what is in it; no error if it isn't there.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Takes the lock that `file` stands for, or `None` if another owner has it. The operating
    /// system gives it back when the owner dies.
    fn lock(&self, file: &Path) -> io::Result<Option<Box<dyn Lock>>>;
}

/// A file that only grows.
pub trait AppendFile: Send + Sync {
    /// Hands bytes to the operating system: when this returns they survive the process, and not yet
    /// the loss of power. All of them are written, or the error says they may be there in part.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Completes when what was appended before the call survives the loss of power.
    fn sync(&self) -> BoxFuture<'static, io::Result<()>>;
}

/// A lock that is held as long as this value lives.
pub trait Lock: Send + Sync {
    /// Whether it keeps others away: not if somebody has removed its file, where the platform can tell.
    fn is_held(&self) -> bool;
}
