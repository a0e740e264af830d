//! The marketplace's own keys, made once and kept in its database.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudnestle_marketplace::model::{Jwk, Jwks, Secret};
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::credential::{Hash, Kind};

/// How much of an HMAC-SHA256 seals a value: 128 bits can't be guessed.
pub(crate) const SEAL_BYTES: usize = 16;

/// The 32 random bytes each key is made of, as they are kept.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct KeySeeds {
    signing: [u8; 32],
    refresh: [u8; 32],
    test_keys: [u8; 32],
}

impl KeySeeds {
    pub(crate) fn new(mut random: impl FnMut() -> [u8; 32]) -> Self {
        KeySeeds { signing: random(), refresh: random(), test_keys: random() }
    }
}

/// The keys, ready for use.
pub(crate) struct Keys {
    signing: Ed25519KeyPair,
    key_id: String,
    refresh: hmac::Key,
    test_keys: hmac::Key,
    seals: hmac::Key,
}

impl Keys {
    /// `None` if a seed is not one that Ed25519 takes: the database is damaged.
    pub(crate) fn open(seeds: &KeySeeds) -> Option<Keys> {
        let signing = Ed25519KeyPair::from_seed_unchecked(&seeds.signing).ok()?;
        let key_id = thumbprint(signing.public_key().as_ref());
        let refresh = hmac::Key::new(hmac::HMAC_SHA256, &seeds.refresh);
        let seals = hmac::sign(&refresh, b"seal.v1");
        Some(Keys {
            signing,
            key_id,
            refresh,
            seals: hmac::Key::new(hmac::HMAC_SHA256, seals.as_ref()),
            test_keys: hmac::Key::new(hmac::HMAC_SHA256, &seeds.test_keys),
        })
    }

    /// The name of the key that signs.
    pub(crate) fn key_id(&self) -> &str {
        &self.key_id
    }

    pub(crate) fn public_key(&self) -> &[u8] {
        self.signing.public_key().as_ref()
    }

    /// Ed25519 has no randomness in it: the same message always gets the same signature, so a pair
    /// that must be answered twice need not be kept.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.signing.sign(message).as_ref().to_vec()
    }

    /// What the world needs to check a signature.
    pub(crate) fn jwks(&self) -> Jwks {
        Jwks {
            keys: vec![Jwk {
                kty: "OKP".to_owned(),
                crv: Some("Ed25519".to_owned()),
                kid: Some(self.key_id.clone()),
                x: Some(URL_SAFE_NO_PAD.encode(self.public_key())),
                alg: Some("EdDSA".to_owned()),
                usage: Some("sig".to_owned()),
            }],
        }
    }

    /// The refresh token that follows `presented`, the family's token number `generation`.
    ///
    /// It is computed, not drawn: a client that lost the answer asks again and gets the same token,
    /// although nothing that could be stolen was kept. Without the key nobody can compute it, not
    /// even with the presented token in hand.
    pub(crate) fn successor(&self, family: &str, generation: u64, presented: &Hash) -> Secret {
        let mut context = hmac::Context::with_key(&self.refresh);
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

    /// The secret key of a solution of the built-in world.
    ///
    /// A real marketplace draws keys and shows them once. This one computes those of its built-in
    /// world from a seed of the database, so that it can print them at each start.
    pub(crate) fn test_secret_key(&self, solution_id: &str) -> Secret {
        Kind::SecretKey.secret(bytes(hmac::sign(&self.test_keys, solution_id.as_bytes())))
    }

    /// The key that may do everything, computed like those of the solutions.
    pub(crate) fn test_admin_key(&self) -> Secret {
        // No solution's id begins so.
        Kind::AdminKey.secret(bytes(hmac::sign(&self.test_keys, b"admin")))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.key_id)
    }
}

fn bytes(tag: hmac::Tag) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(tag.as_ref());
    bytes
}

/// A key's name is its JWK thumbprint (RFC 7638): the same key has the same name everywhere.
fn thumbprint(public_key: &[u8]) -> String {
    let x = URL_SAFE_NO_PAD.encode(public_key);
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    let hash = ring::digest::digest(&ring::digest::SHA256, canonical.as_bytes());
    URL_SAFE_NO_PAD.encode(hash)
}

#[cfg(test)]
pub(crate) fn test_keys() -> Keys {
    Keys::open(&KeySeeds { signing: [1; 32], refresh: [2; 32], test_keys: [3; 32] })
        .expect("any 32 bytes are a seed")
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

    #[test]
    fn the_key_is_named_by_the_thumbprint_of_rfc_8037() {
        // RFC 8037, appendix A.3.
        let x =
            URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").expect("base64");
        assert_eq!(thumbprint(&x), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
