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

/// What was done. The particulars are JSON, or empty where there are none, or [facts].
///
/// [facts]: with_facts
pub(crate) fn usage_of(action: String, quantity: f64, particulars: &str) -> Result<Usage> {
    // What is no whole number of things is out of bounds: the core says so of 0.
    let quantity = if quantity.fract() == 0.0 { quantity as u64 } else { 0 };
    let usage = Usage::of(action).quantity(quantity);
    if particulars.is_empty() {
        return Ok(usage);
    }
    #[cfg(feature = "backend")]
    if let Some(facts) = particulars.strip_prefix('\0') {
        return with_facts(usage, facts).ok_or_else(|| Code::RequestInvalid.into());
    }
    Ok(read::<Particulars>(particulars)?.add_to(usage))
}

/// With so many facts as are told of first: names, and values of which the first letter says what they are. All end with
/// a letter that is in none of them. It takes the face and the core a third of the time that JSON does.
#[cfg(feature = "backend")]
fn with_facts(mut usage: Usage, told: &str) -> Option<Usage> {
    let mut words = told.split_terminator('\0');
    let many: usize = words.next()?.parse().ok()?;
    for _ in 0..many {
        let (name, value) = (words.next()?, words.next()?);
        let (kind, value) = value.split_at_checked(1)?;
        usage = match kind {
            "s" => usage.metadata(name, value),
            "n" => usage.metadata(name, value.parse::<serde_json::Number>().ok()?),
            "t" => usage.metadata(name, true),
            "f" => usage.metadata(name, false),
            _ => return None,
        };
    }
    // A text with that letter in it would be told as several.
    words.next().is_none().then_some(usage)
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

#[cfg(all(test, feature = "backend"))]
mod tests {
    use super::*;

    fn usage(particulars: &str) -> Option<String> {
        usage_of("index".into(), 1.0, particulars).ok().map(|usage| format!("{usage:?}"))
    }

    #[test]
    fn facts_are_the_same_by_themselves_as_in_json() {
        let facts = "\x004\0job\0sn\u{e4}ht\nly\0pages\0n3\0share\0n0.5\0cached\0t\0";
        let json =
            r#"{"metadata": {"job": "n\u00e4ht\nly", "pages": 3, "share": 0.5, "cached": true}}"#;
        assert_eq!(usage(facts), usage(json));
        assert!(usage(facts).is_some());
        assert_eq!(usage("\x001\0empty\0s\0"), usage(r#"{"metadata": {"empty": ""}}"#));
    }

    #[test]
    fn a_text_that_would_end_early_is_no_fact_and_adds_none() {
        let ends_early = "\x001\0job\0snightly\0price\0n0\0";
        let too_few = "\x002\0job\0snightly\0";
        for told in
            [ends_early, too_few, "\x001\0job\0sa\0\0", "\x001\0job\0", "\x001\0job\0nx\0", "\0"]
        {
            assert_eq!(usage(told), None, "{told:?}");
        }
    }
}
