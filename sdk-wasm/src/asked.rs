//! What the face asks with, as it writes it.

#[cfg(feature = "backend")]
mod filter;

use cloudnestle_marketplace::{Code, EventRef, Result, Usage, json};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

#[cfg(feature = "backend")]
pub(crate) use filter::FilterJson;

/// What was done, besides how much of it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Particulars {
    idempotency_key: Option<String>,
    #[serde(deserialize_with = "json::facts")]
    metadata: Option<Map<String, Value>>,
    amends: Option<EventRef>,
    voids: Option<EventRef>,
}

/// What was done. The particulars are JSON, or empty where there are none.
pub(crate) fn usage_of(action: String, quantity: f64, particulars: &str) -> Result<Usage> {
    // What is no whole number of things is out of bounds: the core says so of 0.
    let quantity = if quantity.fract() == 0.0 { quantity as u64 } else { 0 };
    let usage = Usage::of(action).quantity(quantity);
    if particulars.is_empty() {
        return Ok(usage);
    }
    Ok(read::<Particulars>(particulars)?.add_to(usage))
}

impl Particulars {
    fn add_to(self, mut usage: Usage) -> Usage {
        if let Some(key) = self.idempotency_key {
            usage = usage.idempotency_key(key);
        }
        for (name, value) in self.metadata.into_iter().flatten() {
            usage = usage.metadata(name, value);
        }
        if let Some(event) = self.amends {
            usage = usage.amends(event);
        }
        if let Some(event) = self.voids {
            usage = usage.voids(event);
        }
        usage
    }
}

/// What the face has written. It has checked the types, so that this is no error but in a program that
/// goes around it.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T> {
    json::read(text.as_bytes()).map_err(|_| Code::RequestInvalid.into())
}
