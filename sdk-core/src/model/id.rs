//! Ids: how they are made, and what looks like one.

use super::{Timestamp, UsageEvent};

/// A prefixed, sortable id such as `evt_01KAPM6T9Z…`: a ULID (48 bits of time in milliseconds, 80
/// random bits) in Crockford's base 32. Ids made in a later millisecond sort later.
///
/// Time and randomness are the caller's, so that a simulated world makes the same ids twice.
///
/// ```
/// use cloudnestle_marketplace::model::{Timestamp, new_id};
///
/// let id = new_id("evt", Timestamp::from_millis(1_764_000_000_000), [7; 10]);
/// assert_eq!(id, new_id("evt", Timestamp::from_millis(1_764_000_000_000), [7; 10]));
/// assert!(id.starts_with("evt_") && id.len() == 30);
/// ```
pub fn new_id(prefix: &str, now: Timestamp, random: [u8; 10]) -> String {
    let mut bits = [0; 16];
    bits[6..].copy_from_slice(&random);
    let ulid = ulid::Ulid::from_parts(now.as_millis().max(0) as u64, u128::from_be_bytes(bits));
    let mut text = [0; ulid::ULID_LEN];
    // Each event gets one, and `format!` takes four times as long to put two texts together.
    [prefix, "_", ulid.array_to_str(&mut text)].concat()
}

/// Whether a text looks like an id with that prefix, such as `cus_` or `sol_`: ASCII letters, digits, `_`
/// and `-` behind it, at most [`UsageEvent::MAX_ID_BYTES`] in all. Nothing in one means anything in a
/// path.
///
/// ```
/// use cloudnestle_marketplace::model::is_id;
///
/// assert!(is_id("sol_faiss_search", "sol_"));
/// assert!(!is_id("sol_", "sol_") && !is_id("cus_ravi", "sol_") && !is_id("sol_a/b", "sol_"));
/// ```
pub fn is_id(text: &str, prefix: &str) -> bool {
    let rest = text.strip_prefix(prefix).unwrap_or_default();
    text.len() <= UsageEvent::MAX_ID_BYTES && is_name(rest)
}

/// Whether there is something, and nothing but ASCII letters, digits, `_` and `-`.
pub(crate) fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !text.is_empty() && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_as_long_as_an_event_can_carry_prefix_included() {
        let id = |length: usize| format!("cus_{}", "a".repeat(length - 4));
        assert!(is_id(&id(UsageEvent::MAX_ID_BYTES), "cus_"));
        assert!(!is_id(&id(UsageEvent::MAX_ID_BYTES + 1), "cus_"));
    }
}
