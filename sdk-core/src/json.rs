//! JSON, as the SDK reads and writes it: of answers, of tokens, of what waits to be sent.
//!
//! `serde_json` reads, a type at a time: fast, and with code of its own for each type. A module that browsers fetch is
//! built with the feature `small`: a reader of its own makes a tree of any text first, and the types take theirs from
//! there. Both read the same values in what the marketplace sends; a test has them read each other's.

mod facts;
#[cfg(any(feature = "small", test))]
mod fields;
#[cfg(any(feature = "small", test))]
mod tree;
mod writing;

use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};

pub use facts::facts;
pub use writing::Object;

/// What a text is not: JSON, or a value of that type. It repeats nothing of the text, which may hold a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The line and the column, where they are known.
    place: Option<(usize, usize)>,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(f, "not understood at line {line}, column {column}"),
            None => f.write_str("not understood"),
        }
    }
}

impl std::error::Error for Unreadable {}

/// The value that a text says.
///
/// ```
/// use cloudnestle_marketplace::json;
/// use cloudnestle_marketplace::model::Quotas;
///
/// assert_eq!(json::read::<Quotas>(br#"{"quotas": []}"#)?.quotas, []);
/// assert!(json::read::<Quotas>(b"<h1>").is_err());
/// # Ok::<(), json::Unreadable>(())
/// ```
///
/// # Errors
/// [`Unreadable`] for a text that says no such value.
#[cfg(not(feature = "small"))]
pub fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, Unreadable> {
    let place = |error: serde_json::Error| Some((error.line(), error.column()));
    serde_json::from_slice(text).map_err(|error| Unreadable { place: place(error) })
}

/// The value that a text says.
///
/// # Errors
/// [`Unreadable`] for a text that says no such value.
#[cfg(feature = "small")]
pub fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, Unreadable> {
    fields::read(text).ok_or(Unreadable { place: None })
}

/// A value as text.
///
/// ```
/// use cloudnestle_marketplace::{Code, json};
///
/// assert_eq!(json::write(&Code::NotFound), r#""not_found""#);
/// ```
pub fn write(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_default() // what the SDK writes has a form in JSON
}

/// The values of a list that can be read, for `deserialize_with`: what a later release adds must not spoil the others.
pub(crate) fn readable<'de, T, D>(list: D) -> Result<Vec<T>, D::Error>
where
    T: DeserializeOwned,
    D: Deserializer<'de>,
{
    Ok(Vec::<Perhaps<T>>::deserialize(list)?.into_iter().filter_map(|perhaps| perhaps.0).collect())
}

struct Perhaps<T>(Option<T>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Perhaps<T> {
    #[cfg(not(feature = "small"))]
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        // Where its reader stands in the middle of a value, there is no going on.
        serde_json::Value::deserialize(value)
            .map(|value| Perhaps(serde_json::from_value(value).ok()))
    }

    #[cfg(feature = "small")]
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        Ok(Perhaps(T::deserialize(value).ok()))
    }
}

#[cfg(test)]
mod tests;
