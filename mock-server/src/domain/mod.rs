//! What the marketplace means.
//!
//! Everything here is pure: it takes facts and `now` and returns decisions. There is no HTTP, no
//! storage and no clock in it, so each rule can be read, and tested, as a sentence.

pub(crate) mod account;
pub(crate) mod builtin;
pub(crate) mod calendar;
pub(crate) mod catalogue;
pub(crate) mod correction;
pub(crate) mod credential;
pub(crate) mod feed;
pub(crate) mod fence;
pub(crate) mod founding;
pub(crate) mod jwt;
pub(crate) mod keys;
pub(crate) mod launch;
pub(crate) mod lease;
pub(crate) mod limit;
pub(crate) mod password;
pub(crate) mod principal;
pub(crate) mod quota;
pub(crate) mod refresh;
pub(crate) mod revocation;
pub(crate) mod sealed;
pub(crate) mod signing;
pub(crate) mod usage;
