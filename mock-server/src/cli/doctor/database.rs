//! The file everything is kept in.

use std::fs::OpenOptions;
use std::path::Path;

use cloudnestle_mock_server::store::{OpenError, Sqlite};

use super::Finding;

const ABOUT: &str = "database";

pub(super) fn file(path: &Path) -> Finding {
    let name = path.display();
    if !path.exists() {
        return match can_be_made(path) {
            Ok(()) => Finding::ok(ABOUT, format!("{name} is not there yet, and can be made")),
            Err(error) => Finding::fail(ABOUT, format!("{name} can't be made: {error}"))
                .advice("name a file of a folder that you may write to, by --db; or take --memory"),
        };
    }
    match Sqlite::examine(path) {
        Ok(_) if is_readable_by_others(path) => {
            Finding::warn(ABOUT, format!("{name} holds keys, and others may read it"))
                .advice(format!("chmod 600 {name}"))
        }
        Ok(examined) if examined.version < examined.newest => Finding::ok(
            ABOUT,
            format!(
                "{name} is whole, of version {}: the next start makes version {} of it",
                examined.version, examined.newest
            ),
        ),
        Ok(examined) => {
            Finding::ok(ABOUT, format!("{name} is whole, of version {}", examined.version))
        }
        Err(error @ OpenError::InUse(_)) => Finding::warn(ABOUT, error.to_string())
            .advice("use the server that has it, or another file"),
        Err(error) => Finding::fail(ABOUT, error.to_string()).advice(match &error {
            OpenError::Newer { .. } => "take a newer cloudnestle-mock-server, or another file",
            OpenError::Foreign(_) => "take another file",
            _ => "see to its permissions and its disk; if it is damaged, take a copy, or another file",
        }),
    }
}

/// By making another one beside it, for a moment.
fn can_be_made(path: &Path) -> std::io::Result<()> {
    let trial = path.with_added_extension("doctor");
    OpenOptions::new().write(true).create_new(true).open(&trial)?;
    std::fs::remove_file(trial)
}

#[cfg(unix)]
fn is_readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_readable_by_others(_path: &Path) -> bool {
    false
}
