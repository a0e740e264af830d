//! What an answer knows about itself: who stands behind it, and how old it is.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// What the marketplace says, and how sure it is. Reads like the value itself.
///
/// ```
/// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
/// # example::run(async |sdk, token, _pair| {
/// use cloudnestle_marketplace::{Freshness, Verified};
///
/// let user = sdk.validate_user(token).await?;
/// println!("{} is a {:?} customer", user.customer_id, user.tier);
/// assert_eq!(user.verified(), Verified::Online);
/// assert_eq!(user.freshness(), Freshness::Fresh);
/// # Ok(()) });
/// ```
#[derive(Debug)]
pub struct Answer<T> {
    pub(crate) value: Arc<T>,
    pub(crate) verified: Verified,
    pub(crate) freshness: Freshness,
    pub(crate) age: Duration,
}

/// Who stands behind an answer. It is about the past: [`Freshness`] says whether that still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verified {
    /// The marketplace, which knows of revocations: it was asked about this token, or the
    /// signature was checked here and its revocation feed does not name the token.
    Online,
    /// The token's signature and its own words alone.
    Local,
}

/// Whether an answer may be out of date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Freshness {
    /// Within the bound: at most 5 s old. With [`Verified::Local`] it says nothing of revocations, and the
    /// [age](Answer::age) is the token's.
    Fresh,
    /// A context of at most 30 s ago, of a token that is still good. A newer one is on its way for
    /// whoever asks next.
    Stale,
    /// Older than the bound, because the marketplace can't be reached; at most 5 minutes old.
    Offline,
}

impl<T> Answer<T> {
    /// Who stands behind it.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// use cloudnestle_marketplace::Verified;
    ///
    /// let user = sdk.validate_user(token).await?;
    /// if user.verified() == Verified::Local {
    ///     println!("by the token's own words");
    /// }
    /// # Ok(()) });
    /// ```
    pub fn verified(&self) -> Verified {
        self.verified
    }

    /// Whether it may be out of date.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// use cloudnestle_marketplace::Freshness;
    ///
    /// let user = sdk.validate_user(token).await?;
    /// if user.freshness() == Freshness::Offline {
    ///     println!("the marketplace can't be reached; nothing costly now");
    /// }
    /// # Ok(()) });
    /// ```
    pub fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// How long ago the marketplace said what it takes to say this: when it was asked about this token or
    /// for its revocation feed, or, where nobody was asked, when it issued the token.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// let user = sdk.validate_user(token).await?;
    /// println!("as of {} ms ago", user.age().as_millis());
    /// # Ok(()) });
    /// ```
    pub fn age(&self) -> Duration {
        self.age
    }

    /// The value, shared and without what is known about it.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// let user = sdk.validate_user(token).await?.into_inner(); // an Arc<User>
    /// assert_eq!(user.customer_id, "cus_asha");
    /// # Ok(()) });
    /// ```
    pub fn into_inner(self) -> Arc<T> {
        self.value
    }
}

impl<T> Deref for Answer<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Clone for Answer<T> {
    fn clone(&self) -> Self {
        Answer { value: self.value.clone(), ..*self }
    }
}
