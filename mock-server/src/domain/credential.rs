//! Opaque secrets: what they look like, and what is kept of them.
//!
//! `cnsk_test_` + 43 characters for 256 bits + 6 characters of checksum. The prefix says to people
//! and scanners what leaked; the checksum lets a scanner decide without asking us. Of a secret only
//! its SHA-256 is kept: with this much entropy a slow hash would add nothing.

use std::fmt;

use cloudnestle_marketplace::model::Secret;
use ring::digest;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// What a secret is for. Its environment is `test`: this server has no other, and refuses
/// [`LIVE_PREFIXES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A solution's backend.
    SecretKey,
    /// A solution's page in a browser. No secret; it looks like one so that scanners can tell.
    PublishableKey,
    /// Exchanged for a token pair, once.
    LaunchCode,
    /// The marketplace's own people and programs.
    AdminKey,
    /// Renews a token pair.
    RefreshToken,
    /// Rules this server's clock and faults.
    #[cfg_attr(not(feature = "control"), allow(dead_code))]
    ControlToken,
}

/// What live keys begin with: a solution's two, and the marketplace's own.
pub(crate) const LIVE_PREFIXES: [&str; 3] = ["cnsk_live_", "cnpk_live_", "cnak_live_"];

/// 62^43 > 2^256.
const BODY_CHARS: usize = 43;
/// 62^6 > 2^32.
const CHECKSUM_CHARS: usize = 6;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Whether a text begins like one of our secrets, of whatever kind and environment: `cnsk_test_…`.
pub(crate) fn looks_secret(text: &str) -> bool {
    let environment = text.strip_prefix("cn").and_then(|rest| rest.get(2..8));
    matches!(environment, Some("_test_" | "_live_"))
}

impl Kind {
    /// What a secret of this kind begins with.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Kind::SecretKey => "cnsk_test_",
            Kind::PublishableKey => "cnpk_test_",
            Kind::LaunchCode => "cnlc_test_",
            Kind::AdminKey => "cnak_test_",
            Kind::RefreshToken => "cnrt_test_",
            Kind::ControlToken => "cnct_test_",
        }
    }

    /// The secret of this kind that stands for `bits`.
    pub(crate) fn secret(self, bits: [u8; 32]) -> Secret {
        let mut text = format!("{}{}", self.prefix(), base62(&bits, BODY_CHARS));
        let checksum = crc32(text.as_bytes());
        text.push_str(&base62(&checksum.to_be_bytes(), CHECKSUM_CHARS));
        Secret::new(text)
    }

    /// Whether this may be a secret of this kind: prefix, length, alphabet and checksum. What is
    /// not needs no look-up.
    pub(crate) fn is_well_formed(self, text: &str) -> bool {
        let length = self.prefix().len() + BODY_CHARS + CHECKSUM_CHARS;
        if text.len() != length || !text.is_ascii() || !text.starts_with(self.prefix()) {
            return false;
        }
        let (rest, checksum) = text.split_at(length - CHECKSUM_CHARS);
        let alphabetic = rest[self.prefix().len()..].bytes().all(|b| b.is_ascii_alphanumeric());
        alphabetic && checksum == base62(&crc32(rest.as_bytes()).to_be_bytes(), CHECKSUM_CHARS)
    }
}

/// What is kept of a secret.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Hash([u8; 32]);

impl Hash {
    /// Of a secret as it was presented.
    pub(crate) fn of(secret: &Secret) -> Hash {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, secret.expose().as_bytes()).as_ref());
        Hash(hash)
    }

    /// The first half, by which an item is found. Finding takes a time that depends on what is
    /// looked for; the other half is compared by [`Hash::matches`], which doesn't.
    pub(crate) fn index(&self) -> String {
        self.0[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether both are the hash of one secret, in constant time.
    pub(crate) fn matches(&self, other: &Hash) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hash]")
    }
}

/// A big-endian number in base 62, padded with zeros to `width`.
fn base62(bytes: &[u8], width: usize) -> String {
    let mut number = bytes.to_vec();
    let mut digits = vec![b'0'; width];
    for digit in digits.iter_mut().rev() {
        let mut remainder = 0u32;
        for byte in &mut number {
            let value = remainder << 8 | u32::from(*byte);
            *byte = (value / 62) as u8;
            remainder = value % 62;
        }
        *digit = BASE62[remainder as usize];
    }
    digits.into_iter().map(char::from).collect()
}

/// CRC-32 as in zlib, so that a scanner in any language can check a secret with its standard
/// library. Bit by bit: it is called for a few dozen bytes.
fn crc32(bytes: &[u8]) -> u32 {
    const REVERSED_POLYNOMIAL: u32 = 0xEDB8_8320;
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ REVERSED_POLYNOMIAL } else { crc >> 1 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_zlibs() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn base62_counts_like_any_other_base() {
        assert_eq!(base62(&[0, 61], 2), "0z");
        assert_eq!(base62(&[0, 62], 2), "10");
        assert_eq!(base62(&[0xff; 32], BODY_CHARS).len(), BODY_CHARS);
    }

    #[test]
    fn a_secret_says_what_it_is_and_is_well_formed() {
        let secret = Kind::SecretKey.secret([7; 32]);
        assert!(secret.expose().starts_with("cnsk_test_"));
        assert!(Kind::SecretKey.is_well_formed(secret.expose()));
        assert!(!Kind::RefreshToken.is_well_formed(secret.expose()));
    }

    #[test]
    fn any_single_wrong_character_is_noticed() {
        let secret = Kind::RefreshToken.secret([200; 32]);
        for at in 0..secret.expose().len() {
            let mut wrong = secret.expose().as_bytes().to_vec();
            wrong[at] = if wrong[at] == b'x' { b'y' } else { b'x' };
            let wrong = String::from_utf8(wrong).expect("ASCII");
            assert!(!Kind::RefreshToken.is_well_formed(&wrong), "{at}");
        }
        assert!(!Kind::RefreshToken.is_well_formed(""));
        assert!(!Kind::RefreshToken.is_well_formed(&"ä".repeat(30)));
    }

    #[test]
    fn a_hash_matches_its_secret_alone_and_prints_nothing() {
        let hash = Hash::of(&Kind::SecretKey.secret([1; 32]));
        assert!(hash.matches(&Hash::of(&Kind::SecretKey.secret([1; 32]))));
        assert!(!hash.matches(&Hash::of(&Kind::SecretKey.secret([2; 32]))));
        assert_eq!(format!("{hash:?}"), "[hash]");
    }
}
