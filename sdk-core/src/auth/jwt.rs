//! Reading a token: strictly, and its words only after its signature.
//!
//! The profile is narrow on purpose (RFC 8725, RFC 9068): Ed25519 alone, `typ` and `alg` exact, no
//! key from inside the token, no extension. The signature itself is the host's business, because
//! JavaScript verifies faster than WebAssembly does; that is why no JWT library is used here.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::{Error, Result};
use crate::host::{Algorithm, Host};
use crate::model::{Claims, Code, Timestamp, TokenHeader};

/// The marketplace's tokens are about 450 bytes; nothing near this is one.
pub(crate) const MAX_TOKEN_BYTES: usize = 4096;

/// How far a token may begin in the future: what two clocks differ by (Clerk allows the same 5 s).
const BEGINS_LEEWAY_SECS: u64 = 5;

/// A token taken apart and not believed yet.
pub(crate) struct Unverified<'a> {
    pub(crate) kid: String,
    signed: &'a [u8],
    payload: &'a str,
    signature: Vec<u8>,
}

/// What a token says, after its signature was found good. There is no other way to get one.
pub(crate) struct Verified(Claims);

impl<'a> Unverified<'a> {
    pub(crate) fn parse(token: &'a str) -> Result<Self> {
        Unverified::take_apart(token).ok_or_else(|| Error::new(Code::TokenMalformed))
    }

    fn take_apart(token: &'a str) -> Option<Self> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let header: TokenHeader = serde_json::from_slice(&decode(header)?).ok()?;
        let ours = header.typ == "at+jwt" && header.alg == "EdDSA" && header.crit.is_none();
        ours.then_some(Unverified {
            kid: header.kid,
            signed: signed.as_bytes(),
            payload,
            signature: decode(signature)?,
        })
    }

    pub(crate) async fn verify(self, host: &dyn Host, key: &[u8]) -> Result<Verified> {
        if !host.verify(Algorithm::Ed25519, key, self.signed, &self.signature).await {
            return Err(Error::new(Code::TokenSignatureInvalid));
        }
        let claims = decode(self.payload).and_then(|json| serde_json::from_slice(&json).ok());
        claims.map(Verified).ok_or_else(|| Error::new(Code::TokenMalformed))
    }
}

impl Verified {
    /// The claims, if they are meant for `audience`, come from `issuer`, and hold at `now`.
    pub(crate) fn claims(self, issuer: &str, audience: &str, now: Timestamp) -> Result<Claims> {
        let Verified(claims) = self;
        let secs = now.as_secs().max(0) as u64;
        let begins = claims.nbf.unwrap_or(claims.iat);
        if claims.iss != issuer {
            return Err(Error::new(Code::TokenWrongIssuer));
        }
        if claims.aud != audience {
            return Err(Error::new(Code::TokenWrongSolution));
        }
        if begins > secs.saturating_add(BEGINS_LEEWAY_SECS) {
            return Err(Error::new(Code::TokenNotYetValid));
        }
        if claims.exp <= secs {
            return Err(Error::new(Code::TokenExpired));
        }
        Ok(claims)
    }
}

fn decode(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}
