use super::Timestamp;

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
    format!("{prefix}_{}", ulid.array_to_str(&mut text))
}
