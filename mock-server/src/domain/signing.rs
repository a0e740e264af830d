//! The keys that tokens are signed with.
//!
//! One signs at a time, and two more kinds are published beside it: the one that signs next, so that
//! everybody has it before they meet it, and those that have signed, until the last of their tokens
//! has ended. So rotating refuses nobody.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudnestle_marketplace::model::{Jwk, Jwks, Timestamp};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::{Deserialize, Serialize};

use super::jwt::ACCESS_SECS;

/// How long a key is published after it has stopped signing: the life of a token, and some minutes in
/// which clocks may differ.
const OVERLAP: Duration = Duration::from_secs(ACCESS_SECS + 5 * 60);

/// The random bytes the keys are made of, as they are kept.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SigningSeeds {
    /// Those that have signed, the oldest first.
    retired: Vec<RetiredSeed>,
    current: [u8; 32],
    next: [u8; 32],
}

#[derive(Clone, Serialize, Deserialize)]
struct RetiredSeed {
    seed: [u8; 32],
    retired_at: Timestamp,
}

impl SigningSeeds {
    pub(crate) fn new(current: [u8; 32], next: [u8; 32]) -> Self {
        SigningSeeds { retired: Vec::new(), current, next }
    }

    /// Lets the next key sign from now on, and `fresh` follow it.
    #[cfg(any(test, feature = "control"))]
    pub(crate) fn rotate(&mut self, fresh: [u8; 32], now: Timestamp) {
        self.retired.retain(|retired| now < retired.retired_at + OVERLAP);
        self.retired.push(RetiredSeed { seed: self.current, retired_at: now });
        self.current = std::mem::replace(&mut self.next, fresh);
    }
}

/// The keys, ready for use.
pub(crate) struct SigningKeys {
    current: SigningKey,
    next: SigningKey,
    retired: Vec<(SigningKey, Timestamp)>,
}

/// A key that signs, and its name.
pub(crate) struct SigningKey {
    pair: Ed25519KeyPair,
    id: String,
}

impl SigningKeys {
    /// `None` if a seed is not one that Ed25519 takes: the database is damaged.
    pub(crate) fn open(seeds: &SigningSeeds) -> Option<SigningKeys> {
        let retired = seeds.retired.iter();
        let retired = retired.map(|it| Some((SigningKey::open(&it.seed)?, it.retired_at)));
        Some(SigningKeys {
            current: SigningKey::open(&seeds.current)?,
            next: SigningKey::open(&seeds.next)?,
            retired: retired.collect::<Option<_>>()?,
        })
    }

    /// The key that signs.
    pub(crate) fn current(&self) -> &SigningKey {
        &self.current
    }

    /// The key of that name, unless it has signed nothing yet or its time is over.
    pub(crate) fn get(&self, id: &str, now: Timestamp) -> Option<&SigningKey> {
        let retired = self.retired.iter().filter(|(_, since)| now < *since + OVERLAP);
        let mut known = std::iter::once(&self.current).chain(retired.map(|(key, _)| key));
        known.find(|key| key.id == id)
    }

    /// What the world needs to check signatures.
    pub(crate) fn jwks(&self, issuer: &str, now: Timestamp) -> Jwks {
        let retired = self.retired.iter().filter(|(_, since)| now < *since + OVERLAP);
        let retired = retired.map(|(key, _)| key);
        let all = [&self.current, &self.next].into_iter().chain(retired);
        Jwks { keys: all.map(SigningKey::jwk).collect(), issuer: Some(issuer.to_owned()) }
    }
}

impl SigningKey {
    /// `None` if the seed is not one that Ed25519 takes: the database is damaged.
    fn open(seed: &[u8; 32]) -> Option<SigningKey> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let id = thumbprint(pair.public_key().as_ref());
        Some(SigningKey { pair, id })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn public_key(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// Ed25519 has no randomness in it: the same message always gets the same signature.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    fn jwk(&self) -> Jwk {
        Jwk {
            kty: "OKP".to_owned(),
            crv: Some("Ed25519".to_owned()),
            kid: Some(self.id.clone()),
            x: Some(URL_SAFE_NO_PAD.encode(self.public_key())),
            alg: Some("EdDSA".to_owned()),
            usage: Some("sig".to_owned()),
        }
    }
}

/// A key's name is its JWK thumbprint (RFC 7638): the same key has the same name everywhere.
fn thumbprint(public_key: &[u8]) -> String {
    let x = URL_SAFE_NO_PAD.encode(public_key);
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    let hash = ring::digest::digest(&ring::digest::SHA256, canonical.as_bytes());
    URL_SAFE_NO_PAD.encode(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotated_key_is_published_before_it_signs_and_until_its_last_token_has_ended() {
        let start = Timestamp::from_secs(1_800_000_000);
        let mut seeds = SigningSeeds::new([1; 32], [2; 32]);
        let ids = |jwks: Jwks| jwks.keys.into_iter().filter_map(|jwk| jwk.kid).collect::<Vec<_>>();
        let keys = SigningKeys::open(&seeds).expect("keys");
        let before = ids(keys.jwks("http://market.test", start));
        assert_eq!(before.len(), 2);
        assert!(keys.get(&before[1], start).is_none(), "the next one signs nothing yet");

        seeds.rotate([9; 32], start);
        let keys = SigningKeys::open(&seeds).expect("keys");
        assert_eq!(keys.current().id(), before[1]);
        assert!(keys.get(&before[0], start).is_some());
        let after = ids(keys.jwks("http://market.test", start));
        assert_eq!((after.len(), &after[2]), (3, &before[0]));

        let over = start + OVERLAP;
        assert_eq!(ids(keys.jwks("http://market.test", over)).len(), 2);
        assert!(keys.get(&before[0], over).is_none());
    }

    #[test]
    fn the_key_is_named_by_the_thumbprint_of_rfc_8037() {
        // RFC 8037, appendix A.3.
        let x =
            URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").expect("base64");
        assert_eq!(thumbprint(&x), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
