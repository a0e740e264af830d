//! The marketplace's own keys, made once and kept in its database.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use cloudnestle_marketplace::model::Secret;
use ring::hmac;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::credential::{Hash, Kind};
use super::signing::{SigningKeys, SigningSeeds};
use crate::planted::{Bug, planted};

/// How much of an HMAC-SHA256 seals a value: 128 bits can't be guessed.
pub(crate) const SEAL_BYTES: usize = 16;

/// The random bytes each key is made of, as they are kept.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct KeySeeds {
    pub signing: SigningSeeds,
    refresh: [u8; 32],
    seals: [u8; 32],
    test_keys: [u8; 32],
}

impl KeySeeds {
    pub(crate) fn new(mut random: impl FnMut() -> [u8; 32]) -> Self {
        KeySeeds {
            signing: SigningSeeds::new(random(), random()),
            refresh: random(),
            seals: random(),
            test_keys: random(),
        }
    }

    /// Whether these are the keys of the same marketplace, whichever of them sign.
    #[cfg(feature = "control")]
    pub(crate) fn are_those_of(&self, other: &KeySeeds) -> bool {
        let ours = [self.refresh, self.seals, self.test_keys].concat();
        let theirs = [other.refresh, other.seals, other.test_keys].concat();
        ours.ct_eq(&theirs).into()
    }
}

/// The keys, ready for use.
pub(crate) struct Keys {
    signing: RwLock<Arc<SigningKeys>>,
    refresh: hmac::Key,
    seals: hmac::Key,
    test_keys: hmac::Key,
}

impl Keys {
    /// `None` if a seed is not one that Ed25519 takes: the database is damaged.
    pub(crate) fn open(seeds: &KeySeeds) -> Option<Keys> {
        let hmac_key = |seed| hmac::Key::new(hmac::HMAC_SHA256, seed);
        Some(Keys {
            signing: RwLock::new(Arc::new(SigningKeys::open(&seeds.signing)?)),
            refresh: hmac_key(&seeds.refresh),
            seals: hmac_key(&seeds.seals),
            test_keys: hmac_key(&seeds.test_keys),
        })
    }

    /// The keys of tokens, as they are now.
    pub(crate) fn signing(&self) -> Arc<SigningKeys> {
        self.signing.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes over keys that were rotated.
    #[cfg(feature = "control")]
    pub(crate) fn replace(&self, rotated: SigningKeys) {
        *self.signing.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rotated);
    }

    /// The refresh token that follows `presented`, the family's token number `generation`.
    ///
    /// It is computed, not drawn: a client that lost the answer asks again and gets the same token,
    /// although nothing that could be stolen was kept. Without the key nobody can compute it, not
    /// even with the presented token in hand.
    pub(crate) fn successor(&self, family: &str, generation: u64, presented: &Hash) -> Secret {
        let mut context = hmac::Context::with_key(&self.refresh);
        if planted(Bug::SuccessorDrawn) {
            use std::sync::atomic::{AtomicU64, Ordering};
            static DRAWN: AtomicU64 = AtomicU64::new(0);
            context.update(&DRAWN.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        }
        context.update(b"rt.v1\0");
        context.update(family.as_bytes());
        context.update(b"\0");
        context.update(&generation.to_be_bytes());
        context.update(presented.as_bytes());
        Kind::RefreshToken.secret(bytes(context.sign()))
    }

    /// What shows that a value, which somebody else keeps for us, is ours and of this context.
    pub(crate) fn seal(&self, context: &[u8], value: &[u8]) -> [u8; SEAL_BYTES] {
        let mut mac = hmac::Context::with_key(&self.seals);
        mac.update(&context.len().to_be_bytes());
        mac.update(context);
        mac.update(value);
        let mut seal = [0; SEAL_BYTES];
        seal.copy_from_slice(&mac.sign().as_ref()[..SEAL_BYTES]);
        seal
    }

    /// Whether that is the seal of the value, compared in constant time.
    pub(crate) fn has_seal(&self, context: &[u8], value: &[u8], seal: &[u8]) -> bool {
        self.seal(context, value).ct_eq(seal).into()
    }

    /// What seals the answer to something that was done under a caller's idempotency key.
    pub(crate) fn answer_key(&self, caller: &str, idempotency_key: &str) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.seals);
        context.update(b"answer.v1\0");
        context.update(caller.as_bytes());
        context.update(b"\0");
        context.update(idempotency_key.as_bytes());
        bytes(context.sign())
    }

    /// The secret key of a solution of the built-in world.
    ///
    /// A real marketplace draws keys and shows them once. This one computes those of its built-in
    /// world from a seed of the database, so that it can print them at each start.
    pub(crate) fn test_secret_key(&self, solution_id: &str) -> Secret {
        Kind::SecretKey.secret(bytes(hmac::sign(&self.test_keys, solution_id.as_bytes())))
    }

    /// The publishable key of a solution of the built-in world, computed like its secret key.
    pub(crate) fn test_publishable_key(&self, solution_id: &str) -> Secret {
        let bits = hmac::sign(&self.test_keys, format!("publishable/{solution_id}").as_bytes());
        Kind::PublishableKey.secret(bytes(bits))
    }

    /// The key that may do everything, computed like those of the solutions.
    pub(crate) fn test_admin_key(&self) -> Secret {
        // No solution's id begins so.
        Kind::AdminKey.secret(bytes(hmac::sign(&self.test_keys, b"admin")))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.signing().current().id())
    }
}

fn bytes(tag: hmac::Tag) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(tag.as_ref());
    bytes
}

#[cfg(test)]
pub(crate) fn test_keys() -> Keys {
    let mut seed = 0;
    let seeds = KeySeeds::new(|| {
        seed += 1;
        [seed; 32]
    });
    Keys::open(&seeds).expect("any 32 bytes are a seed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_depends_on_family_generation_and_predecessor() {
        let keys = test_keys();
        let first = Hash::of(&Kind::RefreshToken.secret([1; 32]));
        let other = Hash::of(&Kind::RefreshToken.secret([2; 32]));
        let successor = keys.successor("fam_a", 1, &first);
        assert!(Kind::RefreshToken.is_well_formed(successor.expose()));
        assert_eq!(successor, keys.successor("fam_a", 1, &first));
        for different in [
            keys.successor("fam_b", 1, &first),
            keys.successor("fam_a", 2, &first),
            keys.successor("fam_a", 1, &other),
        ] {
            assert_ne!(successor, different);
        }
    }
}
