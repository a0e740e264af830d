//! Text that is not printed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A value that must not be printed: keys and tokens.
///
/// `Debug` shows how long it is and nothing of it; there is no `Display`. Reading it takes the
/// visible word [`expose`](Secret::expose).
///
/// ```
/// use cloudnestle_marketplace::model::Secret;
///
/// let key = Secret::new("cnsk_test_0123456789");
/// assert_eq!(format!("{key:?}"), "[redacted, 20 bytes]");
/// assert_eq!(key.expose(), "cnsk_test_0123456789");
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value so that it can be carried about but not printed.
    pub fn new(value: impl Into<String>) -> Self {
        Secret(value.into())
    }

    /// The value itself. Call it where the secret leaves the program, nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[redacted, {} bytes]", self.0.len())
    }
}

impl<T: Into<String>> From<T> for Secret {
    fn from(value: T) -> Self {
        Secret::new(value)
    }
}
