//! Another key, another algorithm, another signature.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use super::{Attacks, Genuine, encode};

impl Genuine<'_> {
    pub(super) fn of_algorithms(&self, attacks: &mut Attacks) {
        let token = self.token();
        let (signed, signature) = token.rsplit_once('.').unwrap_or_default();
        let payload = signed.split('.').nth(1).unwrap_or_default();
        for alg in ["none", "None", "NONE", "nOnE", ""] {
            let header = json!({"typ": self.typ, "alg": alg, "kid": self.kid});
            let header = encode(header.to_string().as_bytes());
            attacks.add(format!("alg {alg:?}, no signature"), format!("{header}.{payload}."));
            attacks.add(
                format!("alg {alg:?}, another's signature"),
                format!("{header}.{payload}.{signature}"),
            );
            attacks.add(format!("alg {alg:?}, signed"), self.with_header("alg", json!(alg)));
        }
        for alg in [
            "HS256", "HS384", "HS512", "RS256", "PS256", "ES256", "ES256K", "ES384", "Ed448",
            "Ed25519", "eddsa", "EDDSA", "EdDSA ", " EdDSA", "EdDSA\0",
        ] {
            attacks.add(format!("alg {alg:?}"), self.with_header("alg", json!(alg)));
        }
        // The public key taken for a shared secret (CVE-2015-9235), in each form it is published in.
        let x = encode(self.public_key);
        let jwk = json!({"crv": "Ed25519", "kid": self.kid, "kty": "OKP", "x": x}).to_string();
        let mut spki = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00".to_vec();
        spki.extend(self.public_key);
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(&spki)
        );
        let header = json!({"typ": self.typ, "alg": "HS256", "kid": self.kid}).to_string();
        let signed = format!("{}.{payload}", encode(header.as_bytes()));
        for (form, secret) in [
            ("its bytes", self.public_key),
            ("its base64", x.as_bytes()),
            ("its JWK", jwk.as_bytes()),
            ("its SPKI", &spki),
            ("its PEM", pem.as_bytes()),
            ("nothing", b""),
        ] {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            let tag = hmac::sign(&key, signed.as_bytes());
            attacks.add(
                format!("HS256 with the public key as secret: {form}"),
                format!("{signed}.{}", encode(tag.as_ref())),
            );
        }
    }

    pub(super) fn of_keys(&self, attacks: &mut Attacks) {
        for kid in [
            "",
            "unknown",
            "../../../../../../dev/null",
            "/dev/null",
            "..\\..\\windows\\win.ini",
            "x' UNION SELECT 'key' --",
            "x\" OR \"1\"=\"1",
            "$(id)",
            "| id",
            "http://169.254.169.254/latest/meta-data",
            "file:///etc/passwd",
            "\0",
            "%00",
        ] {
            attacks.add(format!("kid {kid:?}"), self.with_header("kid", json!(kid)));
        }
        for kid in [
            format!("{} ", self.kid),
            format!("{}\0", self.kid),
            format!("{}\n", self.kid),
            self.kid.to_ascii_uppercase(),
            self.kid[1..].to_owned(),
            "k".repeat(2_000),
        ] {
            let name = if kid.len() > 100 {
                "kid of 2,000 bytes".to_owned()
            } else {
                format!("kid {kid:?}")
            };
            attacks.add(name, self.with_header("kid", json!(kid)));
        }
        // The attacker's own key, and every way to ask for it to be used.
        let Ok(attacker) = Ed25519KeyPair::from_seed_unchecked(&[0x66; 32]) else { return };
        let sign = |text: &[u8]| attacker.sign(text).as_ref().to_vec();
        let x = encode(attacker.public_key().as_ref());
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": self.kid});
        let theirs = Genuine { sign: &sign, claims: self.claims.clone(), ..*self };
        attacks.add("another's key", theirs.token());
        let unnamed =
            Genuine { sign: &sign, claims: self.claims.clone(), kid: "attacker", ..*self };
        attacks.add("another's key under its own name", unnamed.token());
        for (name, value) in [
            ("jwk", jwk.clone()),
            ("jku", json!("http://127.0.0.1:9/jwks.json")),
            ("jku", json!("data:application/json,{}")),
            ("x5u", json!("http://127.0.0.1:9/key.pem")),
            ("x5c", json!([STANDARD.encode(attacker.public_key().as_ref())])),
            ("x5t", json!(x)),
            ("x5t#S256", json!(x)),
            ("keys", json!([jwk])),
        ] {
            attacks.add(
                format!("another's key, given in {name}: {value}"),
                theirs.with_header(name, value.clone()),
            );
            attacks.add(
                format!("an unknown key, given in {name}: {value}"),
                unnamed.with_header(name, value),
            );
        }
    }

    pub(super) fn of_signatures(&self, attacks: &mut Attacks) {
        let token = self.token();
        let (signed, signature) = token.rsplit_once('.').unwrap_or_default();
        let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
        let with = |bytes: &[u8]| format!("{signed}.{}", encode(bytes));
        for length in [0, 1, 31, 32, 63] {
            attacks.add(format!("a signature of {length} bytes"), with(&bytes[..length]));
        }
        attacks.add("a signature of 65 bytes", with(&[&bytes[..], &[0]].concat()));
        attacks.add("a signature twice", with(&[&bytes[..], &bytes[..]].concat()));
        attacks.add("a signature of zeros", with(&[0; 64]));
        attacks.add("a signature of ones", with(&[0xff; 64]));
        // The identity as R and 0 as S: what a check that forgets the key would take.
        let mut identity = [0; 64];
        identity[0] = 1;
        attacks.add("the identity for a signature", with(&identity));
        for at in [0, 31, 32, 63] {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            attacks.add(format!("byte {at} of the signature flipped"), with(&flipped));
        }
        attacks.add("S + L: another signature of the same", with(&plus_order(&bytes)));
        let mut swapped = bytes[32..].to_vec();
        swapped.extend(&bytes[..32]);
        attacks.add("the halves of the signature swapped", with(&swapped));

        let forged = |name: &str, value: Value| {
            let header = encode(self.header().to_string().as_bytes());
            let claims = encode(self.with_claim(name, value).to_string().as_bytes());
            format!("{header}.{claims}.{signature}")
        };
        let later = self.claims["exp"].as_u64().unwrap_or(0) + 3_600;
        for (name, value) in [
            ("sub", json!("cus_asha")),
            ("tier", json!("enterprise")),
            ("exp", json!(later)),
            ("jti", json!("tok_other")),
            ("aud", json!("sol_chat_notes")),
            ("admin", json!(true)),
        ] {
            attacks.add(format!("{name} changed, the signature kept"), forged(name, value));
        }
        let other = self.signed(&self.header(), &self.with_claim("jti", json!("tok_other")));
        let others = other.rsplit('.').next().unwrap_or_default();
        attacks.add("the signature of another token", format!("{signed}.{others}"));
    }
}

/// The signature with the order of the group added to its second half: the same to who does not
/// reduce it (RFC 8032, 5.1.7).
fn plus_order(signature: &[u8]) -> Vec<u8> {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut sum = signature.to_vec();
    let mut carry = 0;
    for (byte, order) in sum[32..].iter_mut().zip(ORDER) {
        let total = u16::from(*byte) + u16::from(order) + carry;
        *byte = total as u8;
        carry = total >> 8;
    }
    sum
}
