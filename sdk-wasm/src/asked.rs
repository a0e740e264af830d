//! What the face asks with, as it writes it.

#[cfg(feature = "backend")]
mod filter;

use cloudnestle_marketplace::{Code, EventRef, Result, Usage};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

#[cfg(feature = "backend")]
pub(crate) use filter::FilterJson;

/// What was done.
#[derive(Deserialize)]
pub(crate) struct UsageJson {
    action: String,
    #[serde(default)]
    quantity: Option<f64>,
    #[serde(default)]
    idempotency_key: Option<String>,
    #[serde(default)]
    metadata: Option<Map<String, Value>>,
    #[serde(default)]
    amends: Option<EventRef>,
    #[serde(default)]
    voids: Option<EventRef>,
}

impl UsageJson {
    pub(crate) fn usage(self) -> Usage {
        // What is no whole number of things is out of bounds: the core says so of 0.
        let whole = |quantity: f64| if quantity.fract() == 0.0 { quantity as u64 } else { 0 };
        let mut usage = Usage::of(self.action).quantity(self.quantity.map_or(1, whole));
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
pub(crate) fn read<T: DeserializeOwned>(json: &str) -> Result<T> {
    serde_json::from_slice(json.as_bytes()).map_err(|_| Code::RequestInvalid.into())
}
