//! The spool's files, where JavaScript has some.

use std::io;
use std::path::Path;
use std::sync::Arc;

use cloudnestle_marketplace::host::{AppendFile, Files, Lock};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use wasm_bindgen::{JsCast, JsValue};

use crate::js::{JsAppendFile, JsError, JsFiles, JsLock};
use crate::waiting::Waiting;

pub(crate) struct WebFiles {
    pub(crate) js: JsFiles,
    pub(crate) syncs: Arc<Waiting<io::Result<()>>>,
}

impl Files for WebFiles {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.js.create_dir(text(dir)?).map_err(failed)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.js.list(text(dir)?).map_err(failed)
    }

    fn append_to(&self, file: &Path) -> io::Result<Arc<dyn AppendFile>> {
        let js = Arc::new(Appending(self.js.append_to(text(file)?).map_err(failed)?));
        Ok(Arc::new(WebFile { js, syncs: self.syncs.clone() }))
    }

    fn read_at(&self, file: &Path, offset: u64, len: usize) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        let read =
            text(file).and_then(|file| self.js.read_at(file, offset as f64, len).map_err(failed));
        ready(read).boxed()
    }

    fn truncate(&self, file: &Path, len: u64) -> io::Result<()> {
        self.js.truncate(text(file)?, len as f64).map_err(failed)
    }

    fn replace(&self, file: &Path, content: &[u8]) -> io::Result<()> {
        self.js.replace(text(file)?, content).map_err(failed)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.js.remove(text(path)?).map_err(failed)
    }

    fn lock(&self, file: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let lock = self.js.lock(text(file)?).map_err(failed)?;
        Ok(lock.map(|js| Box::new(WebLock(js)) as Box<dyn Lock>))
    }
}

struct WebFile {
    js: Arc<Appending>,
    syncs: Arc<Waiting<io::Result<()>>>,
}

impl AppendFile for WebFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.js.0.append(bytes).map_err(failed)
    }

    fn sync(&self) -> BoxFuture<'static, io::Result<()>> {
        let syncing = self.syncs.ask(|_| ());
        self.js.0.sync(syncing.number);
        let held_open = self.js.clone();
        syncing
            .map(move |synced| {
                drop(held_open);
                synced.unwrap_or_else(|| Err(io::Error::other("the SDK was dropped")))
            })
            .boxed()
    }
}

/// A file that is open until nobody appends to it or waits for it.
struct Appending(JsAppendFile);

impl Drop for Appending {
    fn drop(&mut self) {
        self.0.close();
    }
}

struct WebLock(JsLock);

impl Lock for WebLock {
    fn is_held(&self) -> bool {
        self.0.is_held()
    }
}

impl Drop for WebLock {
    fn drop(&mut self) {
        self.0.release();
    }
}

fn text(path: &Path) -> io::Result<&str> {
    path.to_str().ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// What Node's files throw, as the kind the core knows it by.
fn failed(thrown: JsValue) -> io::Error {
    let thrown = thrown.unchecked_ref::<JsError>();
    error_of(&thrown.code().unwrap_or_default(), thrown.message().unwrap_or_default())
}

pub(crate) fn error_of(code: &str, message: String) -> io::Error {
    let kind = match code {
        "ENOENT" => io::ErrorKind::NotFound,
        "EACCES" | "EPERM" => io::ErrorKind::PermissionDenied,
        "EROFS" => io::ErrorKind::ReadOnlyFilesystem,
        "ENOSPC" => io::ErrorKind::StorageFull,
        "EDQUOT" => io::ErrorKind::QuotaExceeded,
        "EFBIG" => io::ErrorKind::FileTooLarge,
        "EEXIST" => io::ErrorKind::AlreadyExists,
        "EINVAL" => io::ErrorKind::InvalidInput,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_known_by_its_code() {
        let error = error_of("ENOSPC", "no space left on device, write".into());
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(error_of("EWHAT", String::new()).kind(), io::ErrorKind::Other);
    }
}
