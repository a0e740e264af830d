//! What the revocation feed is asked, and what it answers.

use crate::model::Tier;

/// A token, as far as the feed speaks of it.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) token_id: &'a str,
    pub(crate) customer_id: &'a str,
    /// Its `iat`.
    pub(crate) issued_at: u64,
}

/// What the feed has told of a token since it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Good,
    /// Its user has another tier.
    Retiered(Tier),
    /// It has ended.
    Revoked,
    /// The marketplace may have another database now: whatever was known of it is void.
    Void,
}
