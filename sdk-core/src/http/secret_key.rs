//! The secret key, which may be replaced while the program runs.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::config::is_secret_key;
use crate::host::Host;
use crate::model::Secret;

/// How often a program is asked for a newer key, at most, while it has none.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// Where a program gets the key that has replaced the one it began with.
pub(crate) type KeyProvider = Arc<dyn Fn() -> BoxFuture<'static, Option<Secret>> + Send + Sync>;

/// The solution's secret key. It may be replaced while the program runs: when the marketplace refuses
/// it, the program is asked for a newer one.
pub(crate) struct SecretKey {
    host: Arc<dyn Host>,
    current: RwLock<Secret>,
    provider: Option<KeyProvider>,
    /// When the provider was last asked in vain, by the monotonic clock. Held while it is asked.
    asked: futures_util::lock::Mutex<Option<Duration>>,
}

impl SecretKey {
    pub(crate) fn new(
        host: Arc<dyn Host>,
        key: Secret,
        provider: Option<KeyProvider>,
    ) -> Arc<SecretKey> {
        let asked = futures_util::lock::Mutex::new(None);
        Arc::new(SecretKey { host, current: RwLock::new(key), provider, asked })
    }

    pub(crate) fn current(&self) -> Secret {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A key that is newer than the refused one, if the program has any. However many are refused at
    /// once, it is asked once.
    pub(super) async fn newer_than(&self, refused: &Secret) -> Option<Secret> {
        let provider = self.provider.as_ref()?;
        let mut asked = self.asked.lock().await;
        let current = self.current();
        if current.expose() != refused.expose() {
            return Some(current); // somebody else has asked meanwhile
        }
        let now = self.host.monotonic();
        if asked.is_some_and(|asked| now.saturating_sub(asked) < ASK_EVERY) {
            return None;
        }
        *asked = Some(now);
        let newer = provider().await.filter(|newer| newer.expose() != refused.expose())?;
        if !is_secret_key(&newer, is_test(refused)) {
            tracing::warn!("the provided secret key has not the form of one for this environment");
            return None;
        }
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = newer.clone();
        *asked = None;
        Some(newer)
    }
}

fn is_test(key: &Secret) -> bool {
    is_secret_key(key, true)
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}
