//! The marketplace's public keys.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::{Error, Result};
use crate::host::Host;
use crate::http::{Call, HttpClient};
use crate::model::{Code, Jwks};

/// A key that is not published is asked for again at most this often: anybody can invent a `kid`.
const UNKNOWN_KEY_RECHECK: Duration = Duration::from_secs(30);

/// Keys older than this are asked for again. The marketplace publishes a key longer than that
/// before it signs with it.
const MAX_AGE: Duration = Duration::from_secs(10 * 60);

/// One SDK talks to one marketplace in one environment, and has one of these: a key that another
/// issuer published under the same `kid` can't come in.
pub(crate) struct Keys {
    host: Arc<dyn Host>,
    http: Arc<HttpClient>,
    deadline: Duration,
    published: RwLock<Option<Published>>,
    fetching: futures_util::lock::Mutex<()>,
}

#[derive(Clone)]
struct Published {
    keys: Arc<HashMap<String, [u8; 32]>>,
    asked: Duration,
}

impl Keys {
    pub(crate) fn new(host: Arc<dyn Host>, http: Arc<HttpClient>, deadline: Duration) -> Self {
        Keys {
            host,
            http,
            deadline,
            published: RwLock::default(),
            fetching: futures_util::lock::Mutex::new(()),
        }
    }

    /// The key named `kid`, asking the marketplace if need be.
    pub(crate) async fn get(&self, kid: &str) -> Result<[u8; 32]> {
        if let Some(key) = self.known(kid) {
            return Ok(key);
        }
        let _one_at_a_time = self.fetching.lock().await;
        // Whoever held the lock may have brought it.
        if let Some(key) = self.known(kid) {
            return Ok(key);
        }
        let known = self.published();
        let may_ask = known.as_ref().is_none_or(|published| {
            self.age(published) >= UNKNOWN_KEY_RECHECK || published.keys.contains_key(kid)
        });
        if may_ask {
            match self.fetch().await {
                Ok(()) => {}
                // An old key beats none: the marketplace may be away for longer than MAX_AGE.
                Err(_) if known.is_some() => {}
                Err(error) => return Err(error),
            }
        }
        let key = self.published().and_then(|published| published.keys.get(kid).copied());
        key.ok_or_else(|| Error::new(Code::TokenKeyUnknown))
    }

    fn known(&self, kid: &str) -> Option<[u8; 32]> {
        let published = self.published()?;
        if self.age(&published) >= MAX_AGE {
            return None;
        }
        published.keys.get(kid).copied()
    }

    async fn fetch(&self) -> Result<()> {
        let asked = self.host.monotonic();
        let jwks: Jwks = self.http.call(Call::get("/.well-known/jwks.json"), self.deadline).await?;
        let keys = jwks.keys.into_iter().filter_map(|jwk| {
            let ours = jwk.kty == "OKP" && jwk.crv.as_deref() == Some("Ed25519");
            let bytes = URL_SAFE_NO_PAD.decode(jwk.x?).ok()?;
            Some((jwk.kid?, <[u8; 32]>::try_from(bytes).ok()?)).filter(|_| ours)
        });
        let published = Published { keys: Arc::new(keys.collect()), asked };
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = Some(published);
        Ok(())
    }

    fn published(&self) -> Option<Published> {
        self.published.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn age(&self, published: &Published) -> Duration {
        self.host.monotonic().saturating_sub(published.asked)
    }
}
