//! Prints `conformance/jwt/attacks.json`: a good token, its key, and the attacks made of it.

use std::error::Error;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudnestle_conformance::attacks::Genuine;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::json;

/// The key is no secret: anybody may forge what these files are for.
const SEED: &[u8; 32] = b"a key that anybody may have seen";
const ISSUER: &str = "https://market.test";
const SOLUTION: &str = "sol_faiss_search";
/// 2025-10-09, and the first day of the year 2100.
const LIFE: (u64, u64) = (1_760_000_000, 4_102_444_800);

fn main() -> Result<(), Box<dyn Error>> {
    let key = Ed25519KeyPair::from_seed_unchecked(SEED).map_err(|error| error.to_string())?;
    let public_key = key.public_key().as_ref();
    let kid = "test-key";
    let genuine = Genuine {
        claims: json!({
            "iss": ISSUER, "aud": SOLUTION, "sub": "cus_ravi", "jti": "tok_1",
            "iat": LIFE.0, "exp": LIFE.1, "tier": "registered",
        }),
        typ: "at+jwt",
        kid,
        public_key,
        sign: &|text| key.sign(text).as_ref().to_vec(),
    };
    let x = URL_SAFE_NO_PAD.encode(public_key);
    let pack = json!({
        "issuer": ISSUER,
        "solution": SOLUTION,
        "jwks": {"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": x}]},
        "good": genuine.token(),
        "attacks": genuine.attacks(),
    });
    println!("{pack:#}");
    Ok(())
}
