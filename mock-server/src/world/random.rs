//! Randomness for ids and secrets.

use std::sync::atomic::{AtomicU64, Ordering};

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

/// The operating system gave no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRandomness;

/// HMAC-SHA256 of a counter under a seed drawn once: cryptographically strong, it cannot fail while
/// requests are served, and a simulated world that chooses the seed gets the same ids twice.
#[derive(Debug)]
pub(crate) struct Random {
    seed: hmac::Key,
    drawn: AtomicU64,
}

impl Random {
    /// Seeded by the operating system.
    pub(crate) fn from_os() -> Result<Random, NoRandomness> {
        let mut seed = [0; 32];
        SystemRandom::new().fill(&mut seed).map_err(|_| NoRandomness)?;
        Ok(Random::seeded(&seed))
    }

    pub(crate) fn seeded(seed: &[u8; 32]) -> Random {
        Random { seed: hmac::Key::new(hmac::HMAC_SHA256, seed), drawn: AtomicU64::new(0) }
    }

    /// Another stream for each name, and in it for each number.
    #[cfg(feature = "control")]
    pub(crate) fn named(name: &str, number: u64) -> Random {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &number.to_be_bytes());
        let mut seed = [0; 32];
        seed.copy_from_slice(hmac::sign(&key, name.as_bytes()).as_ref());
        Random::seeded(&seed)
    }

    /// What the seed and a name decide: always the same, and nothing that is ever drawn.
    #[cfg(feature = "control")]
    pub(crate) fn derived(&self, name: &[u8]) -> [u8; 32] {
        let mut bytes = [0; 32];
        // What is drawn is of eight bytes, and no name is.
        bytes.copy_from_slice(hmac::sign(&self.seed, &[b"derived ", name].concat()).as_ref());
        bytes
    }

    /// How much has been drawn.
    #[cfg(feature = "control")]
    pub(crate) fn place(&self) -> u64 {
        self.drawn.load(Ordering::Relaxed)
    }

    /// Goes on from a place: what was drawn after it is drawn again.
    #[cfg(feature = "control")]
    pub(crate) fn go_on_from(&self, place: u64) {
        self.drawn.store(place, Ordering::Relaxed);
    }

    /// Up to 32 random bytes.
    pub(crate) fn bytes<const N: usize>(&self) -> [u8; N] {
        const { assert!(N <= 32, "one draw has 32 bytes") }
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        let block = hmac::sign(&self.seed, &drawn.to_be_bytes());
        let mut bytes = [0; N];
        bytes.copy_from_slice(&block.as_ref()[..N]);
        bytes
    }

    /// A number from 0 until before 1, the same one whenever the same thing is decided: what else is drawn,
    /// and in which order, changes nothing.
    #[cfg(feature = "control")]
    pub(crate) fn share(&self, decided: &str) -> f64 {
        // No counter is as long.
        let block = hmac::sign(&self.seed, format!("decided: {decided}").as_bytes());
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&block.as_ref()[..8]);
        // As many bits as a number of this type has.
        (u64::from_be_bytes(bytes) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_everything_that_is_drawn() {
        let (one, same, other) =
            (Random::seeded(&[1; 32]), Random::seeded(&[1; 32]), Random::seeded(&[2; 32]));
        let first: [u8; 32] = one.bytes();
        assert_eq!(first, same.bytes());
        assert_ne!(first, other.bytes());
        assert_ne!(first, one.bytes(), "nothing is drawn twice");
    }
}
