//! The spool's files on this machine's disk. When it syncs, and what it keeps, is the log's affair.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

use super::{AppendFile, Files, Lock};

/// Files of this machine; 0700 for folders and 0600 for files where the system has modes.
pub(super) struct DiskFiles {
    runtime: Handle,
}

impl DiskFiles {
    /// `runtime`: whose blocking threads wait for the disk.
    pub(super) fn new(runtime: Handle) -> Self {
        DiskFiles { runtime }
    }
}

impl Files for DiskFiles {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let named = |dir: &&Path| !dir.as_os_str().is_empty();
        let missing: Vec<&Path> =
            dir.ancestors().filter(named).take_while(|dir| !dir.exists()).collect();
        // Whoever made the folder above may have died before its name was synced.
        if let Some(above) = missing.last().and_then(|highest| highest.parent()) {
            sync_name(above).or_else(|error| match error.kind() {
                io::ErrorKind::PermissionDenied => Ok(()), // then it was made by somebody else
                _ => Err(error),
            })?;
        }
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true); // another process may make it at the same time
        for dir in missing.into_iter().rev() {
            builder.create(dir)?;
            sync_name(dir)?;
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
            Ok(entries) => {
                entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
            }
        }
    }

    fn append_to(&self, file: &Path) -> io::Result<Arc<dyn AppendFile>> {
        let open = for_owner(OpenOptions::new().append(true).create(true)).open(file)?;
        let name = Arc::new(Mutex::new(Some(file.to_owned())));
        Ok(Arc::new(DiskFile { file: Arc::new(open), name, runtime: self.runtime.clone() }))
    }

    fn read_at(&self, file: &Path, offset: u64, len: usize) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        let file = file.to_owned();
        // Others have work on this thread while the disk is waited for.
        let read = self.runtime.spawn_blocking(move || {
            check_is_file(&file)?;
            let mut content = Vec::new();
            let mut file = File::open(file)?;
            file.seek(SeekFrom::Start(offset))?;
            file.take(len as u64).read_to_end(&mut content)?;
            Ok(content)
        });
        async { read.await.unwrap_or_else(|_| Err(dropped())) }.boxed()
    }

    fn truncate(&self, file: &Path, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(file)?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn replace(&self, file: &Path, content: &[u8]) -> io::Result<()> {
        let draft = file.with_extension("new");
        if let Err(error) = write_whole(&draft, content).and_then(|()| fs::rename(&draft, file)) {
            let _ = fs::remove_file(&draft);
            return Err(error);
        }
        sync_name(file)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        removed.or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })
    }

    fn lock(&self, file: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        check_is_file(file)?;
        let file =
            for_owner(OpenOptions::new().write(true).create(true).truncate(false)).open(file)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(FileLock { held: file }))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Opening a pipe that somebody has put here would wait for another that opens it, too.
fn check_is_file(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"))
        }
        _ => Ok(()), // opening it tells what else is wrong
    }
}

fn write_whole(file: &Path, content: &[u8]) -> io::Result<()> {
    // Not through a link that somebody has left in its place.
    let _ = fs::remove_file(file);
    let mut out = for_owner(OpenOptions::new().write(true).create_new(true)).open(file)?;
    out.write_all(content)?;
    out.sync_all()
}

fn for_owner(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// A name lives in its folder: without this what it names may be gone after a power loss.
fn sync_name(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        File::open(dir)?.sync_all()?;
    }
    Ok(())
}

struct DiskFile {
    file: Arc<File>,
    /// Its name, until that survives the loss of power.
    name: Arc<Mutex<Option<PathBuf>>>,
    runtime: Handle,
}

impl AppendFile for DiskFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        (&*self.file).write_all(bytes)
    }

    fn sync(&self) -> BoxFuture<'static, io::Result<()>> {
        let (file, name) = (self.file.clone(), self.name.clone());
        // Takes milliseconds, so not on a thread that has other work.
        let task = self.runtime.spawn_blocking(move || {
            file.sync_data()?;
            let mut name = name.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(path) = &*name {
                sync_name(path)?;
            }
            *name = None;
            Ok(())
        });
        async { task.await.unwrap_or_else(|_| Err(dropped())) }.boxed()
    }
}

fn dropped() -> io::Error {
    io::Error::other("the SDK was dropped")
}

struct FileLock {
    held: File,
}

impl Lock for FileLock {
    #[cfg(unix)]
    fn is_held(&self) -> bool {
        self.held.metadata().is_ok_and(|file| std::os::unix::fs::MetadataExt::nlink(&file) > 0)
    }

    #[cfg(not(unix))]
    fn is_held(&self) -> bool {
        self.held.metadata().is_ok()
    }
}
