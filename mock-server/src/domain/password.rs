//! Passwords: what is taken for one, and what is kept of it.

use std::fmt;
use std::ops::RangeInclusive;

use argon2::{Algorithm, Argon2, Params, Version};
use cloudnestle_marketplace::model::Secret;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// How long a password may be, in characters. NIST SP 800-63B-4, 3.1.1.2: at least 8 where it is not
/// the only factor, room for at least 64, and no rule about its characters.
const LENGTH: RangeInclusive<usize> = 8..=256;

/// Whether a password is as long as one has to be, and no longer.
pub(crate) fn has_length(password: &Secret) -> bool {
    LENGTH.contains(&password.expose().chars().count())
}

/// OWASP Password Storage Cheat Sheet: Argon2id with 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// What is kept of a password, with what it was hashed by: parameters may grow later.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct PasswordHash {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: [u8; 16],
    hash: [u8; 32],
}

impl PasswordHash {
    /// Takes about 20 ms of one core and 19 MiB: not on a thread that others wait for.
    pub(crate) fn of(password: &Secret, salt: [u8; 16]) -> Option<PasswordHash> {
        let (memory_kib, passes, lanes) = (MEMORY_KIB, PASSES, LANES);
        let mut kept = PasswordHash { memory_kib, passes, lanes, salt, hash: [0; 32] };
        kept.hash = kept.hash_of(password)?;
        Some(kept)
    }

    /// A hash that was computed before, by the same parameters.
    pub(crate) const fn computed_before(salt: [u8; 16], hash: [u8; 32]) -> PasswordHash {
        PasswordHash { memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES, salt, hash }
    }

    /// Whether the password is the one that was hashed. Takes as long as hashing it.
    pub(crate) fn matches(&self, password: &Secret) -> bool {
        self.hash_of(password).is_some_and(|hash| self.hash.ct_eq(&hash).into())
    }

    /// `None` if the parameters are none: the database is damaged.
    fn hash_of(&self, password: &Secret) -> Option<[u8; 32]> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, None).ok()?;
        let mut hash = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(password.expose().as_bytes(), &self.salt, &mut hash)
            .ok()?;
        Some(hash)
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[password hash]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashed(salt: [u8; 16]) -> PasswordHash {
        PasswordHash::of(&Secret::new("correct horse"), salt).expect("a hash")
    }

    #[test]
    fn a_hash_matches_its_password_alone_and_prints_nothing() {
        let hash = hashed([7; 16]);
        assert!(hash.matches(&Secret::new("correct horse")));
        assert!(!hash.matches(&Secret::new("correct horsf")));
        assert_ne!(hash.hash, hashed([8; 16]).hash);
        assert_eq!(format!("{hash:?}"), "[password hash]");
    }

    #[test]
    fn a_damaged_hash_matches_nothing() {
        let mut hash = hashed([7; 16]);
        hash.memory_kib = 0;
        assert!(!hash.matches(&Secret::new("correct horse")));
    }
}
