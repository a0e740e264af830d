//! Setting the SDK up: what the program says, what the environment says in its place, and what can't be.
//! It checks forms, and asks nobody.

mod client;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use crate::auth::ValidationMode;
use crate::error::{Error, Result};
use crate::host::{Files, Host, MemoryFiles};
use crate::http::{KeyProvider, SecretKey};
use crate::model::{Code, Secret, is_id, is_name};
use crate::sdk::MarketplaceSdk;
use crate::usage::{Durability, Spool, SpoolLimits};

pub use client::ClientBuilder;
pub(crate) use client::ClientConfig;

/// Where `cloudnestle-mock-server` listens unless it is told otherwise.
pub(crate) const LOCAL_SERVER: &str = "http://127.0.0.1:4242";

/// The longest key behind its prefix, in bytes: the marketplace's own have 49.
const MAX_KEY_BYTES: usize = 64;

/// How long asking one thing may take, retries included. A page waits for it.
const DEADLINE: Duration = Duration::from_secs(5);

/// Sets up a [`MarketplaceSdk`]. What is not set comes from the environment:
///
/// | variable | |
/// |---|---|
/// | `CLOUDNESTLE_SECRET_KEY` | the solution's secret key |
/// | `CLOUDNESTLE_SOLUTION` | the solution's id |
/// | `CLOUDNESTLE_URL` | the marketplace; a test key defaults to the local mock server |
/// | `CLOUDNESTLE_ISSUER` | the `iss` of its tokens, if it is not that URL |
/// | `CLOUDNESTLE_SPOOL_DIR` | where usage waits until it is delivered |
///
/// No proxy is used: the SDK's own host connects to the marketplace itself, whatever `HTTPS_PROXY` says.
/// Who must go through one brings a [host](Self::host) that does.
#[derive(Clone, Default)]
pub struct Builder {
    secret_key: Option<Secret>,
    key_provider: Option<KeyProvider>,
    validation: ValidationMode,
    settings: Settings,
}

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

/// A backend's settings, complete and checked.
pub(crate) struct Config {
    pub(crate) secret_key: Arc<SecretKey>,
    pub(crate) validation: ValidationMode,
    pub(crate) place: Place,
}

/// Between which marketplace and which program the SDK is.
pub(crate) struct Place {
    pub(crate) is_test: bool,
    pub(crate) solution: String,
    pub(crate) url: String,
    pub(crate) issuer: String,
    pub(crate) deadline: Duration,
    pub(crate) spool: Spool,
    pub(crate) durability: Durability,
    pub(crate) host: Arc<dyn Host>,
}

impl Builder {
    /// The solution's secret key, `cnsk_test_…` or `cnsk_live_…`. It belongs on a server, never in
    /// a program that users hold.
    ///
    /// ```
    /// use cloudnestle_marketplace::MarketplaceSdk;
    ///
    /// let builder = MarketplaceSdk::builder().secret_key("cnsk_test_0123456789");
    /// assert!(!format!("{builder:?}").contains("0123456789"));
    /// ```
    pub fn secret_key(mut self, key: impl Into<Secret>) -> Self {
        self.secret_key = Some(key.into());
        self
    }

    /// Where to get the key that has replaced the secret key, for programs that outlive one: asked when
    /// the marketplace refuses the one in use, at most every 5 s. Meanwhile usage waits, and
    /// [`Event::UsageWaiting`](crate::Event::UsageWaiting) says so. `None` is no news.
    ///
    /// ```
    /// use cloudnestle_marketplace::{MarketplaceSdk, Secret};
    ///
    /// let builder = MarketplaceSdk::builder().secret_key_provider(async || {
    ///     let key = std::fs::read_to_string("/run/secrets/cloudnestle").ok()?;
    ///     Some(Secret::new(key.trim()))
    /// });
    /// ```
    pub fn secret_key_provider<P, F>(mut self, provider: P) -> Self
    where
        P: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Option<Secret>> + Send + 'static,
    {
        self.key_provider = Some(Arc::new(move || provider().boxed()));
        self
    }

    /// The solution's id, `sol_…`: tokens for any other are refused.
    ///
    /// ```
    /// use cloudnestle_marketplace::MarketplaceSdk;
    ///
    /// let builder = MarketplaceSdk::builder().solution("sol_faiss_search");
    /// ```
    pub fn solution(mut self, id: impl Into<String>) -> Self {
        self.settings.solution = Some(id.into());
        self
    }

    /// The marketplace, such as `https://marketplace.example`. Plain `http` is for this machine
    /// only.
    ///
    /// ```
    /// use cloudnestle_marketplace::MarketplaceSdk;
    ///
    /// let key = MarketplaceSdk::builder().secret_key("cnsk_test_0123456789").solution("sol_x");
    /// assert!(key.clone().url("https://marketplace.example").build().is_ok());
    /// assert!(key.url("http://marketplace.example").build().is_err()); // everybody could read the key
    /// ```
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.settings.url = Some(url.into());
        self
    }

    /// The exact `iss` of the marketplace's tokens, if it is not its URL.
    ///
    /// ```
    /// use cloudnestle_marketplace::MarketplaceSdk;
    ///
    /// // Reached under one name, and known under another.
    /// let builder = MarketplaceSdk::builder()
    ///     .url("https://10.0.0.7")
    ///     .issuer("https://marketplace.example");
    /// ```
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.settings.issuer = Some(issuer.into());
        self
    }

    /// Whom a validation asks; [`ValidationMode::Connected`] unless set.
    ///
    /// ```
    /// use cloudnestle_marketplace::{MarketplaceSdk, ValidationMode};
    ///
    /// let builder = MarketplaceSdk::builder().validation(ValidationMode::Online);
    /// ```
    pub fn validation(mut self, mode: ValidationMode) -> Self {
        self.validation = mode;
        self
    }

    /// How long asking the marketplace one thing may take, retries included; 5 s unless set.
    ///
    /// ```
    /// use std::time::Duration;
    /// use cloudnestle_marketplace::MarketplaceSdk;
    ///
    /// let builder = MarketplaceSdk::builder().deadline(Duration::from_millis(800));
    /// ```
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = Some(deadline);
        self
    }

    /// The folder usage waits in until it is delivered. Several processes may share it.
    ///
    /// ```
    /// use cloudnestle_marketplace::MarketplaceSdk;
    ///
    /// let builder = MarketplaceSdk::builder().spool_dir("/var/lib/faiss-search/usage");
    /// ```
    pub fn spool_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.settings.spool = Some(SpoolPlace::Dir(dir.into()));
        self
    }

    /// Keeps usage in memory until it is delivered: what is not delivered when the process ends is
    /// gone.
    ///
    /// ```
    /// use cloudnestle_marketplace::MarketplaceSdk;
    ///
    /// let builder = MarketplaceSdk::builder().spool_in_memory(); // for a test, say
    /// ```
    pub fn spool_in_memory(mut self) -> Self {
        self.settings.spool = Some(SpoolPlace::Memory);
        self
    }

    /// How much usage may wait, and what happens beyond that.
    ///
    /// ```
    /// use cloudnestle_marketplace::{MarketplaceSdk, SpoolLimits};
    ///
    /// let limits = SpoolLimits::default().events(100_000); // then track_usage says spool_full
    /// let builder = MarketplaceSdk::builder().spool_limits(limits);
    /// ```
    pub fn spool_limits(mut self, limits: SpoolLimits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// When an event counts as noted; [`Durability::Fast`] unless set.
    ///
    /// ```
    /// use cloudnestle_marketplace::{Durability, MarketplaceSdk};
    ///
    /// let builder = MarketplaceSdk::builder().durability(Durability::Durable);
    /// ```
    pub fn durability(mut self, durability: Durability) -> Self {
        self.settings.durability = durability;
        self
    }

    /// Runs the SDK on primitives of your own: elsewhere than on an operating system, through a proxy, or
    /// on the time of a test. [`Host`] has an example of one.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use cloudnestle_marketplace::MarketplaceSdk;
    /// use cloudnestle_marketplace::host::Host;
    ///
    /// fn on(host: Arc<dyn Host>) -> cloudnestle_marketplace::Result<MarketplaceSdk> {
    ///     MarketplaceSdk::builder().host(host).build()
    /// }
    /// ```
    pub fn host(mut self, host: Arc<dyn Host>) -> Self {
        self.settings.host = Some(host);
        self
    }

    /// Builds the SDK, and asks nobody. In the background it delivers what earlier processes have
    /// left in the spool.
    ///
    /// ```
    /// use cloudnestle_marketplace::{Code, MarketplaceSdk};
    ///
    /// let error = MarketplaceSdk::builder().secret_key("mistyped").build().unwrap_err();
    /// assert_eq!(error.code(), Code::ConfigInvalid);
    /// println!("{error}"); // names the setting
    /// ```
    ///
    /// # Errors
    /// [`Code::ConfigInvalid`] when a setting is missing or wrong; the message names it.
    pub fn build(self) -> Result<MarketplaceSdk> {
        Ok(MarketplaceSdk::over(self.config()?))
    }

    fn config(self) -> Result<Config> {
        let secret_key = match self.secret_key {
            Some(key) => key,
            None => Secret::new(variable("CLOUDNESTLE_SECRET_KEY")?),
        };
        let is_test = is_secret_key(&secret_key, true);
        if !is_test && !is_secret_key(&secret_key, false) {
            return Err(invalid(format!(
                "The secret key (CLOUDNESTLE_SECRET_KEY) is cnsk_test_… or cnsk_live_…, letters and \
                 digits.{}",
                what_it_is(secret_key.expose())
            )));
        }
        let place = self.settings.place(is_test)?;
        let host = place.host.clone();
        Ok(Config {
            secret_key: SecretKey::new(host, secret_key, self.key_provider),
            validation: self.validation,
            place,
        })
    }
}

impl Settings {
    fn place(self, is_test: bool) -> Result<Place> {
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
        let (files, root, in_memory) = match (place, host.files()) {
            (Some(SpoolPlace::Memory), _) | (None, None) => in_memory(),
            (Some(SpoolPlace::Dir(dir)), Some(files)) => (files, dir, false),
            (Some(SpoolPlace::Dir(_)), None) => {
                return Err(invalid("This host has no files, so the spool can't have a folder."));
            }
            (None, Some(files)) => {
                let dir = host.state_dir().ok_or_else(|| {
                    invalid("This machine has no folder for state; set CLOUDNESTLE_SPOOL_DIR.")
                })?;
                (files, dir.join("cloudnestle-marketplace"), false)
            }
        };
        let environment = if is_test { "test" } else { "live" };
        // Two marketplaces may have solutions of one name; their usage must not mix.
        let principal = format!("{solution}-{environment}-{:08x}", crc32c::crc32c(url.as_bytes()));
        let (dir, limits) = (root.join(principal), self.limits);
        let spool = Spool { host: host.clone(), files, dir, limits, in_memory };
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

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("solution", &self.settings.solution)
            .field("url", &self.settings.url)
            .finish_non_exhaustive()
    }
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
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
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

fn in_memory() -> (Arc<dyn Files>, PathBuf, bool) {
    (Arc::new(MemoryFiles::default()), PathBuf::from("memory"), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_for_a_secret_key_is_named_and_not_shown() {
        for (key, words) in [
            ("cnsk_test_0123456789\n", "ends with a line break"),
            (" cnsk_test_0123456789", "space around"),
            ("cnak_test_0123456789", "an admin key"),
            ("cnpk_test_0123456789", "a publishable key"),
            ("0123456789 ", "space around"),
        ] {
            let error = Builder::default().secret_key(key).build().expect_err("no secret key");
            let said = error.to_string();
            assert!(said.contains(words) && !said.contains("0123456789"), "{said}");
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
