//! The facts that an event is given: a name each, and a text, a number or a truth value.

#[cfg(feature = "small")]
mod fact;

use serde::de::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// The facts, if there are any, for `deserialize_with`.
///
/// ```
/// use cloudnestle_marketplace::model::UsageEvent;
///
/// let event = br#"{"id": "evt_1", "customer_id": "cus_1", "token_id": "tok_1", "action": "index",
///     "quantity": 1, "occurred_at": "2026-11-23T12:00:00Z", "metadata": {"pages": 12}}"#;
/// let event: UsageEvent = cloudnestle_marketplace::json::read(event)?;
/// assert_eq!(event.metadata.unwrap()["pages"], 12);
/// # Ok::<(), cloudnestle_marketplace::json::Unreadable>(())
/// ```
///
/// # Errors
/// What the deserializer says of something else.
pub fn facts<'de, D>(value: D) -> Result<Option<Map<String, Value>>, D::Error>
where
    D: Deserializer<'de>,
{
    #[cfg(not(feature = "small"))]
    return Option::deserialize(value);
    #[cfg(feature = "small")]
    Ok(Option::<fact::Facts>::deserialize(value)?.map(|facts| facts.0))
}
