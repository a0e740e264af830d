//! The form of a token, read strictly: the SDK and the marketplace refuse the same things.
//!
//! The profile is narrow on purpose (RFC 8725, RFC 9068): Ed25519 alone, no key from inside the
//! token, no extension, no second spelling. Whether the signature is good is for the caller to find
//! out, because JavaScript's own cryptography is faster than any in WebAssembly, and asynchronous;
//! no JWT library leaves that open.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;

use super::{Claims, Code, Timestamp, TokenHeader};
use crate::json;

/// A token taken apart, and not believed yet.
///
/// ```
/// use cloudnestle_marketplace::Code;
/// use cloudnestle_marketplace::model::UnverifiedToken;
///
/// // {"typ":"at+jwt","alg":"EdDSA","kid":"k"} . {} . nothing
/// let token = "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSIsImtpZCI6ImsifQ.e30.";
/// let unverified = UnverifiedToken::parse(token, UnverifiedToken::ACCESS)?;
/// assert_eq!(unverified.kid(), "k");
/// let signature_is_good = unverified.signature().len() == 64; // here: a real check
/// let error = unverified.claims(signature_is_good).unwrap_err();
/// assert_eq!(error, Code::TokenSignatureInvalid);
/// # Ok::<(), Code>(())
/// ```
#[derive(Clone, Debug)]
pub struct UnverifiedToken<'a> {
    header: TokenHeader,
    signed: &'a str,
    payload: &'a str,
    signature: Vec<u8>,
}

impl<'a> UnverifiedToken<'a> {
    /// The `typ` of a token for a solution (RFC 9068).
    pub const ACCESS: &'static str = "at+jwt";
    /// The one `alg`, with Ed25519 keys (RFC 8037).
    pub const ALGORITHM: &'static str = "EdDSA";
    /// The marketplace's tokens have about 500 bytes; nothing near this is one.
    pub const MAX_BYTES: usize = 4096;

    /// Takes a token of type `typ` apart.
    ///
    /// # Errors
    /// [`Code::TokenMalformed`] for what is none.
    pub fn parse(token: &'a str, typ: &str) -> Result<Self, Code> {
        let unverified = Self::take_apart(token).ok_or(Code::TokenMalformed)?;
        if unverified.header.typ != typ {
            return Err(Code::TokenMalformed);
        }
        Ok(unverified)
    }

    fn take_apart(token: &'a str) -> Option<Self> {
        if token.len() > Self::MAX_BYTES {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let header: TokenHeader = object(&decode(header)?)?;
        let known = header.alg == Self::ALGORITHM && header.crit.is_none();
        let signature = decode(signature)?;
        known.then_some(UnverifiedToken { header, signed, payload, signature })
    }

    /// The `typ` a token gives itself, if it has the form of one.
    pub fn claimed_type(token: &str) -> Option<String> {
        UnverifiedToken::take_apart(token).map(|unverified| unverified.header.typ)
    }

    /// Which key is to have signed it.
    pub fn kid(&self) -> &str {
        &self.header.kid
    }

    /// What the signature is over.
    pub fn signed(&self) -> &[u8] {
        self.signed.as_bytes()
    }

    /// The signature.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// What the token says, after its signature was looked at: not before, so that nothing of a
    /// forged token is ever interpreted.
    ///
    /// # Errors
    /// [`Code::TokenSignatureInvalid`], or [`Code::TokenMalformed`] when a claim is missing or has
    /// the wrong type.
    pub fn claims(self, signature_is_good: bool) -> Result<Claims, Code> {
        if !signature_is_good {
            return Err(Code::TokenSignatureInvalid);
        }
        decode(self.payload).and_then(|json| object(&json)).ok_or(Code::TokenMalformed)
    }
}

impl Claims {
    /// How far a token may begin in the future, in seconds: what two clocks differ by. Clerk allows
    /// the same.
    const BEGINS_LEEWAY: u64 = 5;

    /// Whether the token is `issuer`'s, for `audience` (`None`: whoever it is for), and good at
    /// `now`.
    ///
    /// # Errors
    /// The code that says what it is not; another solution learns nothing of its time.
    pub fn check(&self, issuer: &str, audience: Option<&str>, now: Timestamp) -> Result<(), Code> {
        let now = now.numeric_date();
        if self.iss != issuer {
            return Err(Code::TokenWrongIssuer);
        }
        if audience.is_some_and(|audience| self.aud != audience) {
            return Err(Code::TokenWrongSolution);
        }
        if self.nbf.is_some_and(|begins| begins > now.saturating_add(Self::BEGINS_LEEWAY)) {
            return Err(Code::TokenNotYetValid);
        }
        if self.exp <= now {
            return Err(Code::TokenExpired);
        }
        Ok(())
    }
}

/// A JSON object, each of whose fields has one value. serde would take a list of the values, too.
fn object<T: DeserializeOwned>(text: &[u8]) -> Option<T> {
    text.starts_with(b"{").then(|| json::read(text).ok()).flatten()
}

/// Base64url without padding and without stray bits: one token has one spelling.
fn decode(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}
