//! Whom a client asks about a token: the token itself. In the place of `asking.rs`, where there is no backend.

use std::sync::Arc;

use super::Revocations;
use crate::http::SecretKey;

pub(crate) enum Asking {
    Nobody,
}

impl Asking {
    pub(crate) fn always(&self) -> Option<&Arc<SecretKey>> {
        None
    }

    pub(crate) fn by_feed(&self) -> Option<(&Arc<SecretKey>, &Arc<Revocations>)> {
        None
    }
}
