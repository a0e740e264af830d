//! Setting the SDK up: what the program says, what the environment says in its place, and what can't be.
//! It checks forms, and asks nobody.

#[cfg(feature = "backend")]
mod backend;
mod client;
mod waiting;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::host::Host;
use crate::model::{Code, Secret, is_id, is_name};
use crate::usage::{Durability, Spool, SpoolLimits};

#[cfg(feature = "backend")]
pub use backend::Builder;
#[cfg(feature = "backend")]
pub(crate) use backend::Config;
pub use client::ClientBuilder;
pub(crate) use client::ClientConfig;
use waiting::Waiting;

/// Where `cloudnestle-mock-server` listens unless it is told otherwise.
pub(crate) const LOCAL_SERVER: &str = "http://127.0.0.1:4242";

/// The longest key behind its prefix, in bytes: the marketplace's own have 49.
const MAX_KEY_BYTES: usize = 64;

/// How long asking one thing may take, retries included. A page waits for it.
const DEADLINE: Duration = Duration::from_secs(5);

/// What backends and clients are both set up with.
#[derive(Clone, Default)]
struct Settings {
    solution: Option<String>,
    url: Option<String>,
    issuer: Option<String>,
    deadline: Option<Duration>,
    spool: Option<SpoolPlace>,
    limits: SpoolLimits,
    durability: Durability,
    host: Option<Arc<dyn Host>>,
}

#[derive(Clone)]
enum SpoolPlace {
    Dir(PathBuf),
    Memory,
}

/// Between which marketplace and which program the SDK is.
pub(crate) struct Place {
    pub(crate) is_test: bool,
    pub(crate) solution: String,
    pub(crate) url: String,
    pub(crate) issuer: String,
    pub(crate) deadline: Duration,
    pub(crate) spool: Arc<dyn Spool>,
    pub(crate) durability: Durability,
    pub(crate) host: Arc<dyn Host>,
}

/// Whose a log is that new usage goes to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Logs {
    /// One program's, because it has leases.
    #[cfg(feature = "backend")]
    Own,
    /// All programs' of a principal, where the platform keeps logs itself.
    Shared,
}

impl Settings {
    fn place(self, is_test: bool, logs: Logs) -> Result<Place> {
        let solution = match self.solution {
            Some(id) => id,
            None => variable("CLOUDNESTLE_SOLUTION")?,
        };
        if !is_id(&solution, "sol_") {
            return Err(invalid("The solution's id (CLOUDNESTLE_SOLUTION) looks like sol_…."));
        }
        let url = match self.url.or_else(|| variable("CLOUDNESTLE_URL").ok()) {
            Some(url) => url,
            None if is_test => LOCAL_SERVER.to_owned(),
            None => {
                return Err(invalid("Without a test key the URL (CLOUDNESTLE_URL) must be set."));
            }
        };
        let url = url.trim_end_matches('/').to_owned();
        check_url(&url)?;
        let issuer = self.issuer.or_else(|| variable("CLOUDNESTLE_ISSUER").ok());
        let host = match self.host {
            Some(host) => host,
            None => crate::host::native(&url)?,
        };
        let place = self.spool.or_else(|| {
            variable("CLOUDNESTLE_SPOOL_DIR").ok().map(|dir| SpoolPlace::Dir(dir.into()))
        });
        let environment = if is_test { "test" } else { "live" };
        // Two marketplaces may have solutions of one name; their usage must not mix.
        let principal = format!("{solution}-{environment}-{:08x}", checksum(&url));
        let waiting = Waiting { place, principal, logs, limits: self.limits };
        let spool = waiting.on(host.clone(), self.durability)?;
        Ok(Place {
            is_test,
            solution,
            issuer: issuer.unwrap_or_else(|| url.clone()),
            url,
            deadline: self.deadline.unwrap_or(DEADLINE),
            spool,
            durability: self.durability,
            host,
        })
    }
}

/// CRC-32C, bit by bit: once for each SDK, it needs no tables of 8 KB.
fn checksum(text: &str) -> u32 {
    /// The polynomial, reversed (RFC 3720, appendix B.4).
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let bits = text.bytes().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            if sum & 1 == 1 { sum >> 1 ^ POLYNOMIAL } else { sum >> 1 }
        })
    });
    !bits
}

/// Whether a text looks like a secret key of the test or the live environment.
pub(crate) fn is_secret_key(key: &Secret, of_test: bool) -> bool {
    is_key(key.expose(), if of_test { "cnsk_test_" } else { "cnsk_live_" })
}

fn is_key(text: &str, prefix: &str) -> bool {
    let rest = text.strip_prefix(prefix).unwrap_or_default();
    rest.len() <= MAX_KEY_BYTES && is_name(rest)
}

/// What a text is that is no secret key, where that can be told without showing it.
fn what_it_is(text: &str) -> &'static str {
    if text.ends_with(['\n', '\r']) {
        return " This ends with a line break: trim what is read from a file.";
    }
    if text != text.trim() {
        return " There is space around this.";
    }
    let kinds = [
        ("cnak_", " This is an admin key."),
        ("cnpk_", " This is a publishable key."),
        ("cnsk_", " This is a secret key."),
        ("cnct_", " This is a control token."),
        ("cnrt_", " This is a refresh token."),
    ];
    kinds.iter().find(|(prefix, _)| text.starts_with(prefix)).map_or("", |(_, words)| words)
}

fn invalid(message: impl Into<String>) -> Error {
    Error::because(Code::ConfigInvalid, message)
}

fn variable(name: &str) -> Result<String> {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => Ok(value),
        _ => Err(invalid(format!(
            "{name} is not set, and the builder was given nothing in its place."
        ))),
    }
}

/// A secret key over plain http to another machine would be everybody's.
fn check_url(url: &str) -> Result<()> {
    let (scheme, rest) = url.split_once(':').unwrap_or_default();
    let rest = rest.strip_prefix("//").unwrap_or_default();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() || authority.contains('@') {
        return Err(invalid("The URL (CLOUDNESTLE_URL) is https://HOST, without a user."));
    }
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let loopback = host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
    match scheme {
        "https" => Ok(()),
        "http" if host == "localhost" || loopback => Ok(()),
        "http" => Err(invalid("Plain http is for this machine only; use https:// for another.")),
        _ => Err(invalid("The URL (CLOUDNESTLE_URL) begins with https://.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spool_is_found_under_the_sum_it_always_had() {
        for text in ["", "123456789", LOCAL_SERVER] {
            assert_eq!(checksum(text), crc32c::crc32c(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_secret_key_does_not_travel_in_the_clear() {
        for url in
            ["http://127.0.0.1:4242", "http://localhost", "http://[::1]:80", "https://m.example"]
        {
            assert!(check_url(url).is_ok(), "{url}");
        }
        for url in [
            "http://m.example",
            "http://127.0.0.1.evil.example",
            "http://localhost@evil.example",
            "http://localhost:x@evil.example",
            "http://[::1]@evil.example",
            "https://key@m.example",
            "m.example",
            "ftp://x",
            "https://",
        ] {
            assert!(check_url(url).is_err(), "{url}");
        }
    }
}
