//! Setting a client up.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Logs, Place, Settings, SpoolPlace, invalid, is_key, variable, what_it_is};
use crate::client::ClientSdk;
use crate::error::Result;
use crate::host::Host;
use crate::model::Secret;
use crate::usage::{Durability, SpoolLimits};

/// Sets up a [`ClientSdk`]. What is not set comes from the environment, where there is one:
///
/// | variable | |
/// |---|---|
/// | `CLOUDNESTLE_PUBLISHABLE_KEY` | the solution's publishable key, for who opens it |
/// | `CLOUDNESTLE_SOLUTION` | the solution's id |
/// | `CLOUDNESTLE_URL` | the marketplace; a test key defaults to the local mock server |
/// | `CLOUDNESTLE_ISSUER` | the `iss` of its tokens, if it is not that URL |
/// | `CLOUDNESTLE_SPOOL_DIR` | where usage waits until it is delivered |
#[derive(Clone, Default)]
pub struct ClientBuilder {
    publishable_key: Option<Secret>,
    settings: Settings,
}

/// A client's settings, complete and checked.
pub(crate) struct ClientConfig {
    pub(crate) publishable_key: Option<Secret>,
    pub(crate) place: Place,
}

impl ClientBuilder {
    /// The solution's publishable key, `cnpk_test_…` or `cnpk_live_…`: with it a client can take in who
    /// opens the solution, and welcome visitors. It proves nothing, and everybody may read it.
    ///
    /// ```
    /// use cloudnestle_marketplace::ClientSdk;
    ///
    /// let client = ClientSdk::builder().solution("sol_faiss_search");
    /// assert!(client.clone().publishable_key("cnpk_test_0123456789").build().is_ok());
    /// assert!(client.publishable_key("cnsk_test_0123456789").build().is_err()); // a secret, in a client
    /// ```
    pub fn publishable_key(mut self, key: impl Into<Secret>) -> Self {
        self.publishable_key = Some(key.into());
        self
    }

    /// The solution's id, `sol_…`: tokens for any other are refused.
    ///
    /// ```
    /// let client = cloudnestle_marketplace::ClientSdk::builder().solution("sol_faiss_search");
    /// ```
    pub fn solution(mut self, id: impl Into<String>) -> Self {
        self.settings.solution = Some(id.into());
        self
    }

    /// As [`Builder::url`](crate::Builder::url).
    ///
    /// ```
    /// use cloudnestle_marketplace::ClientSdk;
    ///
    /// let client = ClientSdk::builder().solution("sol_faiss_search");
    /// assert!(client.clone().url("https://marketplace.example").build().is_ok());
    /// assert!(client.url("http://marketplace.example").build().is_err()); // everybody could read the tokens
    /// ```
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.settings.url = Some(url.into());
        self
    }

    /// As [`Builder::issuer`](crate::Builder::issuer).
    ///
    /// ```
    /// use cloudnestle_marketplace::ClientSdk;
    ///
    /// let client = ClientSdk::builder().issuer("https://marketplace.example");
    /// ```
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.settings.issuer = Some(issuer.into());
        self
    }

    /// As [`Builder::deadline`](crate::Builder::deadline).
    ///
    /// ```
    /// use std::time::Duration;
    /// use cloudnestle_marketplace::ClientSdk;
    ///
    /// let client = ClientSdk::builder().deadline(Duration::from_secs(2));
    /// ```
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = Some(deadline);
        self
    }

    /// As [`Builder::spool_dir`](crate::Builder::spool_dir). Each customer's usage is in a folder of its own;
    /// no token is in any.
    ///
    /// ```
    /// use cloudnestle_marketplace::ClientSdk;
    ///
    /// let client = ClientSdk::builder().spool_dir("faiss-search/usage");
    /// ```
    pub fn spool_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.settings.spool = Some(SpoolPlace::Dir(dir.into()));
        self
    }

    /// As [`Builder::spool_in_memory`](crate::Builder::spool_in_memory).
    ///
    /// ```
    /// use cloudnestle_marketplace::ClientSdk;
    ///
    /// let client = ClientSdk::builder().spool_in_memory();
    /// ```
    pub fn spool_in_memory(mut self) -> Self {
        self.settings.spool = Some(SpoolPlace::Memory);
        self
    }

    /// As [`Builder::spool_limits`](crate::Builder::spool_limits), for each customer.
    ///
    /// ```
    /// use cloudnestle_marketplace::{ClientSdk, SpoolLimits};
    ///
    /// let limits = SpoolLimits::default().events(1_000);
    /// let client = ClientSdk::builder().spool_limits(limits);
    /// ```
    pub fn spool_limits(mut self, limits: SpoolLimits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// As [`Builder::durability`](crate::Builder::durability).
    ///
    /// ```
    /// use cloudnestle_marketplace::{ClientSdk, Durability};
    ///
    /// let client = ClientSdk::builder().durability(Durability::Durable);
    /// ```
    pub fn durability(mut self, durability: Durability) -> Self {
        self.settings.durability = durability;
        self
    }

    /// As [`Builder::host`](crate::Builder::host).
    ///
    /// ```
    /// use std::sync::Arc;
    /// use cloudnestle_marketplace::host::Host;
    /// use cloudnestle_marketplace::{ClientSdk, Result};
    ///
    /// fn on(host: Arc<dyn Host>) -> Result<ClientSdk> {
    ///     ClientSdk::builder().host(host).build()
    /// }
    /// ```
    pub fn host(mut self, host: Arc<dyn Host>) -> Self {
        self.settings.host = Some(host);
        self
    }

    /// Builds the client, and asks nobody.
    ///
    /// ```
    /// use cloudnestle_marketplace::{ClientSdk, Code};
    ///
    /// let error = ClientSdk::builder().solution("faiss").build().unwrap_err();
    /// assert_eq!(error.code(), Code::ConfigInvalid);
    /// ```
    ///
    /// # Errors
    /// [`Code::ConfigInvalid`](crate::Code::ConfigInvalid) when a setting is missing or wrong; the message
    /// names it.
    pub fn build(self) -> Result<ClientSdk> {
        Ok(ClientSdk::over(self.config()?))
    }

    fn config(mut self) -> Result<ClientConfig> {
        let publishable_key = self
            .publishable_key
            .or_else(|| variable("CLOUDNESTLE_PUBLISHABLE_KEY").ok().map(Secret::new));
        let key = publishable_key.as_ref().map(Secret::expose);
        let url = self.settings.url.take().or_else(|| variable("CLOUDNESTLE_URL").ok());
        let is_test = match key {
            Some(key) if is_key(key, "cnpk_test_") => true,
            Some(key) if is_key(key, "cnpk_live_") => false,
            Some(key) => {
                return Err(invalid(format!(
                    "The publishable key (CLOUDNESTLE_PUBLISHABLE_KEY) is cnpk_test_… or cnpk_live_…, \
                     letters and digits.{}",
                    what_it_is(key)
                )));
            }
            // No key says which environment it is. On this machine there are none but tests.
            None => url.as_deref().is_none_or(|url| url.starts_with("http://")),
        };
        self.settings.url = url;
        let place = self.settings.place(is_test, Logs::Shared)?;
        Ok(ClientConfig { publishable_key, place })
    }
}

impl std::fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("solution", &self.settings.solution)
            .field("url", &self.settings.url)
            .finish_non_exhaustive()
    }
}
