//! Tokens that nobody may take: the known attacks on JWT libraries (RFC 8725, and what CVEs have
//! taught since), each made from a token that is good.
//!
//! A defect is only put to the test where nothing else is wrong, so most attacks are signed with the
//! right key: who checks them must find the defect itself. The same list is played against the server
//! and the SDK, and lies in `conformance/jwt/attacks.json` for the faces in other languages.

mod content;
mod keys;
mod spelling;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Value, json};

/// A token that must be refused.
#[derive(Clone, Debug, Serialize)]
pub struct Attack {
    /// What is wrong with it.
    pub name: String,
    /// The token.
    pub token: String,
}

/// A good token taken apart, and the key it was signed with.
pub struct Genuine<'a> {
    /// Its claims.
    pub claims: Value,
    /// Its header's `typ`.
    pub typ: &'a str,
    /// Its header's `kid`.
    pub kid: &'a str,
    /// The 32 bytes of the public key.
    pub public_key: &'a [u8],
    /// Signs with the private key.
    pub sign: &'a dyn Fn(&[u8]) -> Vec<u8>,
}

impl Genuine<'_> {
    /// The token itself, which must be taken: otherwise its attacks prove nothing.
    pub fn token(&self) -> String {
        self.signed(&self.header(), &self.claims)
    }

    fn header(&self) -> Value {
        json!({"typ": self.typ, "alg": "EdDSA", "kid": self.kid})
    }

    fn signed(&self, header: &Value, claims: &Value) -> String {
        self.signed_text(&header.to_string(), &claims.to_string())
    }

    fn signed_text(&self, header: &str, claims: &str) -> String {
        self.signed_bytes(header.as_bytes(), claims.as_bytes())
    }

    fn signed_bytes(&self, header: &[u8], claims: &[u8]) -> String {
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = (self.sign)(signed.as_bytes());
        format!("{signed}.{}", encode(&signature))
    }

    fn with_header(&self, name: &str, value: Value) -> String {
        let mut header = self.header();
        header[name] = value;
        self.signed(&header, &self.claims)
    }

    fn with_claim(&self, name: &str, value: Value) -> Value {
        let mut claims = self.claims.clone();
        claims[name] = value;
        claims
    }

    /// Every attack there is.
    pub fn attacks(&self) -> Vec<Attack> {
        let mut attacks = Attacks(Vec::new());
        self.of_algorithms(&mut attacks);
        self.of_keys(&mut attacks);
        self.of_headers(&mut attacks);
        self.of_claims(&mut attacks);
        self.of_json(&mut attacks);
        self.of_signatures(&mut attacks);
        self.of_spelling(&mut attacks);
        attacks.0
    }
}

struct Attacks(Vec<Attack>);

impl Attacks {
    fn add(&mut self, name: impl Into<String>, token: String) {
        self.0.push(Attack { name: name.into(), token });
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
