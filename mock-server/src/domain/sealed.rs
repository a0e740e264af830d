//! What must be kept although it holds a secret: an answer that may have to be given again.
//!
//! It is sealed with a key that is made of the caller's own idempotency key, of which only a hash is
//! kept: whoever has the database alone can't read it.

use std::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};

/// A text that only its key opens.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Sealed {
    nonce: [u8; NONCE_LEN],
    bytes: Vec<u8>,
}

/// The key was not the right one, or the text was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unopened;

impl Sealed {
    /// `nonce` must be drawn anew for each text.
    pub(crate) fn new(key: &[u8; 32], nonce: [u8; NONCE_LEN], text: &[u8]) -> Option<Sealed> {
        let mut bytes = text.to_vec();
        let sealing = aead(key)?;
        let unique = Nonce::assume_unique_for_key(nonce);
        sealing.seal_in_place_append_tag(unique, Aad::empty(), &mut bytes).ok()?;
        Some(Sealed { nonce, bytes })
    }

    pub(crate) fn open(&self, key: &[u8; 32]) -> Result<Vec<u8>, Unopened> {
        let mut bytes = self.bytes.clone();
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        let opened = aead(key).ok_or(Unopened)?.open_in_place(nonce, Aad::empty(), &mut bytes);
        opened.map(|text| text.to_vec()).map_err(|_| Unopened)
    }
}

/// `None` can't be: 32 bytes are what AES-256 takes.
fn aead(key: &[u8; 32]) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, key).ok().map(LessSafeKey::new)
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[sealed, {} bytes]", self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_key_opens_a_sealed_text() {
        let sealed = Sealed::new(&[1; 32], [7; NONCE_LEN], b"cnrt_test_a").expect("a key");
        assert_eq!(sealed.open(&[1; 32]).expect("the key"), b"cnrt_test_a");
        assert_eq!(sealed.open(&[2; 32]), Err(Unopened));
        let mut changed = sealed.clone();
        changed.bytes[0] ^= 1;
        assert_eq!(changed.open(&[1; 32]), Err(Unopened));
        assert_eq!(format!("{sealed:?}"), "[sealed, 27 bytes]");
    }
}
