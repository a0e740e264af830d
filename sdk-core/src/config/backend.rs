//! Setting a backend up.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use super::{Logs, Place, Settings, SpoolPlace, invalid, is_secret_key, variable, what_it_is};
use crate::auth::ValidationMode;
use crate::error::Result;
use crate::host::Host;
use crate::http::{KeyProvider, SecretKey};
use crate::model::Secret;
use crate::sdk::MarketplaceSdk;
use crate::usage::{Durability, SpoolLimits};

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

/// A backend's settings, complete and checked.
pub(crate) struct Config {
    pub(crate) secret_key: Arc<SecretKey>,
    pub(crate) validation: ValidationMode,
    pub(crate) place: Place,
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
    /// [`Code::ConfigInvalid`](crate::Code::ConfigInvalid) when a setting is missing or wrong; the message
    /// names it.
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
        let place = self.settings.place(is_test, Logs::Own)?;
        let host = place.host.clone();
        Ok(Config {
            secret_key: SecretKey::new(host, secret_key, self.key_provider),
            validation: self.validation,
            place,
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
}
