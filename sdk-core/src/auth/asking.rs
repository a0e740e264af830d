//! Whom a validation asks, and with what.

use std::sync::Arc;

use super::Revocations;
use crate::http::SecretKey;

pub(crate) enum Asking {
    /// The token itself.
    Nobody,
    /// The marketplace, about each token.
    Always(Arc<SecretKey>),
    /// The feed, and the marketplace about tokens of which it can't tell.
    Feed(Arc<SecretKey>, Arc<Revocations>),
}

impl Asking {
    /// With what the marketplace is asked about each token, if it is.
    pub(crate) fn always(&self) -> Option<&Arc<SecretKey>> {
        match self {
            Asking::Always(key) => Some(key),
            Asking::Nobody | Asking::Feed(..) => None,
        }
    }

    /// The feed that is asked first, if one is.
    pub(crate) fn by_feed(&self) -> Option<(&Arc<SecretKey>, &Arc<Revocations>)> {
        match self {
            Asking::Feed(key, feed) => Some((key, feed)),
            Asking::Nobody | Asking::Always(_) => None,
        }
    }
}
