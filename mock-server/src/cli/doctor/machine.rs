//! The machine: its port, its clock, its disk, and what it lets a process have.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, SystemTime};

use axum::http::{Request, Uri};
use cloudnestle_marketplace::model::API_VERSION;
use serde_json::Value;

use super::Finding;
use super::ask::ask;

/// How far a file's time may be ahead of the clock: file systems of other machines have their own.
const AHEAD: Duration = Duration::from_secs(5 * 60);
/// Below this a busy day of tests may fill the disk.
const LITTLE_SPACE: u64 = 1 << 30;
/// Below this SQLite may not be able to fold its log into the file.
const NO_SPACE: u64 = 64 << 20;

pub(super) async fn port(listen: IpAddr, port: u16) -> Finding {
    let address = SocketAddr::new(listen, port);
    let error = match TcpListener::bind(address) {
        Ok(_) if port == 0 => return Finding::ok("port", "a free one will be taken"),
        Ok(_) => return Finding::ok("port", format!("{address} is free")),
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::AddrInUse => who_listens(address).await,
        ErrorKind::PermissionDenied => Finding::fail("port", format!("{address}: {error}"))
            .advice("take a port above 1023, by --port"),
        _ => Finding::fail("port", format!("{address}: {error}"))
            .advice("name an address of this machine, by --listen"),
    }
}

async fn who_listens(address: SocketAddr) -> Finding {
    const ADVICE: &str = "--port 0 takes a free one";
    let url: Option<Uri> = format!("http://{address}").parse().ok();
    let answer = match &url {
        Some(url) => ask(url, Request::get("/healthz"), Value::Null).await,
        None => Err("it can't be asked".to_owned()),
    };
    match answer {
        Ok(answer) if answer.is_of_marketplace() => {
            Finding::warn("port", format!("a marketplace listens at {address} already"))
                .advice(format!("use that one, or end it; {ADVICE}"))
        }
        Ok(_) => {
            Finding::fail("port", format!("{address} is another program's, which speaks HTTP"))
                .advice(ADVICE)
        }
        Err(_) => Finding::fail("port", format!("{address} is another program's")).advice(ADVICE),
    }
}

/// Nobody is asked for the time: it must be after this program was made, and after the database was written.
pub(super) fn clock(database: Option<&Path>) -> Finding {
    let now = jiff::Timestamp::now();
    let earliest = format!("{API_VERSION}T00:00:00Z").parse::<jiff::Timestamp>();
    let advice = "set the clock of this machine: tokens have an end, and events a time";
    if earliest.is_ok_and(|earliest| now < earliest) {
        return Finding::fail("clock", format!("{now:.0} is before this program was made"))
            .advice(advice);
    }
    let modified = database.and_then(|path| path.metadata().ok()?.modified().ok());
    match modified.and_then(|modified| modified.duration_since(SystemTime::now()).ok()) {
        Some(ahead) if ahead > AHEAD => Finding::warn(
            "clock",
            format!("{now:.0}, and the database was written {} s after that", ahead.as_secs()),
        )
        .advice(advice),
        _ => Finding::ok("clock", format!("{now:.0}")),
    }
}

/// Of the disk that holds the database.
#[cfg(unix)]
pub(super) fn space(database: &Path) -> Finding {
    let folder = database.parent().filter(|it| !it.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let disk = match rustix::fs::statvfs(folder) {
        Ok(disk) => disk,
        Err(error) => {
            return Finding::fail("disk", format!("{}: {error}", folder.display()))
                .advice("name a file of a folder that is there, by --db");
        }
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let says = format!("{} MB free", free >> 20);
    if free < NO_SPACE {
        return Finding::fail("disk", says).advice("make room, or take --memory");
    }
    match free < LITTLE_SPACE {
        true => Finding::warn("disk", says).advice("make room"),
        false => Finding::ok("disk", says),
    }
}

#[cfg(not(unix))]
pub(super) fn space(_database: &Path) -> Finding {
    Finding::ok("disk", "not looked at on this system")
}

/// Each connection takes a file descriptor.
#[cfg(unix)]
pub(super) fn descriptors(connections: usize) -> Finding {
    use rustix::process::{Resource, getrlimit};
    let limit = getrlimit(Resource::Nofile).current;
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX);
    match limit {
        // Whom there is no descriptor for waits for one; that is no failure.
        Some(limit) if limit < wanted.min(1024) => {
            Finding::warn("descriptors", format!("{limit} for {wanted} connections"))
                .advice(format!("ulimit -n {wanted}, or a smaller --max-connections"))
        }
        Some(limit) => Finding::ok("descriptors", format!("{limit}")),
        None => Finding::ok("descriptors", "as many as wanted"),
    }
}

#[cfg(not(unix))]
pub(super) fn descriptors(_connections: usize) -> Finding {
    Finding::ok("descriptors", "not looked at on this system")
}
