//! Tokens as they travel: signed by the marketplace, checked before anything in them is believed.
//!
//! What a token must look like is in the model, because the SDK must refuse the same things. Here
//! are the two types there are, each with its purpose, and the keys.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{Claims, Secret, Timestamp, UnverifiedToken};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::Serialize;

use super::keys::Keys;

/// How long an access token lives, in seconds: a stolen one is of use no longer. `docs/guides/api.md`,
/// Limits, promises it.
pub(crate) const ACCESS_SECS: u64 = 15 * 60;

const ACCESS_TYPE: &str = UnverifiedToken::ACCESS;
/// The type of customer sessions. It differs, so that neither can pass for the other.
const SESSION_TYPE: &str = "session+jwt";

/// The claims of a token of ours. Only checking its signature and issuer makes one.
#[derive(Clone, Debug)]
pub(crate) struct VerifiedToken(Claims);

impl VerifiedToken {
    pub(crate) fn claims(&self) -> &Claims {
        &self.0
    }
}

/// The token that says this: a session if it is for its own issuer.
pub(crate) fn sign(keys: &Keys, claims: &Claims) -> Secret {
    let is_session = claims.aud == claims.iss;
    sign_as(if is_session { SESSION_TYPE } else { ACCESS_TYPE }, keys, claims)
}

/// A solution token that is good at `now` and for `audience` (`None`: whoever it is for), as far as
/// the token itself can tell: whether it was revoked is for the store to say.
pub(crate) fn verify_access(
    keys: &Keys,
    issuer: &str,
    audience: Option<&str>,
    token: &str,
    now: Timestamp,
) -> Result<VerifiedToken, Code> {
    let claims = open(keys, ACCESS_TYPE, token, now)?;
    claims.check(issuer, audience, now)?;
    Ok(VerifiedToken(claims))
}

/// A solution token of ours, even one whose time is over: ending a session that has ended is fine.
pub(crate) fn read_access(
    keys: &Keys,
    issuer: &str,
    token: &str,
    now: Timestamp,
) -> Result<VerifiedToken, Code> {
    let claims = open(keys, ACCESS_TYPE, token, now)?;
    if claims.iss != issuer {
        return Err(Code::TokenWrongIssuer);
    }
    Ok(VerifiedToken(claims))
}

/// A customer session that is good at `now`, as far as it can tell by itself.
pub(crate) fn verify_session(
    keys: &Keys,
    issuer: &str,
    token: &str,
    now: Timestamp,
) -> Result<VerifiedToken, &'static str> {
    let claims = open(keys, SESSION_TYPE, token, now)
        .map_err(|_| "This is not a session of this marketplace.")?;
    match claims.check(issuer, Some(issuer), now) {
        Ok(()) => Ok(VerifiedToken(claims)),
        Err(Code::TokenExpired) => Err("The session has ended."),
        Err(_) => Err("The session is another marketplace's."),
    }
}

/// What a token says it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenType {
    Access,
    Session,
}

/// What a token says it is, if it says so. Believe nothing else of it.
pub(crate) fn claimed_type(token: &str) -> Option<TokenType> {
    match UnverifiedToken::claimed_type(token)?.as_str() {
        ACCESS_TYPE => Some(TokenType::Access),
        SESSION_TYPE => Some(TokenType::Session),
        _ => None,
    }
}

/// Who a token says has issued it. Believe nothing else of it: it tells where the token is to be judged.
#[cfg(feature = "control")]
pub(crate) fn claimed_issuer(token: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Issued {
        iss: String,
    }
    claimed_type(token)?;
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&claims).ok().map(|Issued { iss }| iss)
}

fn sign_as(typ: &str, keys: &Keys, claims: &Claims) -> Secret {
    #[derive(Serialize)]
    struct Header<'a> {
        typ: &'a str,
        alg: &'a str,
        kid: &'a str,
    }
    let published = keys.signing();
    let key = published.current();
    let header = Header { typ, alg: UnverifiedToken::ALGORITHM, kid: key.id() };
    let mut token = encode(&header);
    token.push('.');
    token.push_str(&encode(claims));
    let signature = key.sign(token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Secret::new(token)
}

fn encode(part: &impl Serialize) -> String {
    // Structs of strings and numbers have a JSON form; `to_vec` fails for maps with odd keys alone.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(part).unwrap_or_default())
}

fn open(keys: &Keys, typ: &str, token: &str, now: Timestamp) -> Result<Claims, Code> {
    let unverified = UnverifiedToken::parse(token, typ)?;
    let published = keys.signing();
    let key = published.get(unverified.kid(), now).ok_or(Code::TokenKeyUnknown)?;
    let key = UnparsedPublicKey::new(&ED25519, key.public_key());
    let signature_is_good = key.verify(unverified.signed(), unverified.signature()).is_ok();
    unverified.claims(signature_is_good)
}

#[cfg(test)]
mod tests {
    use cloudnestle_marketplace::model::Tier;
    use serde_json::json;

    use super::*;
    use crate::domain::keys::{KeySeeds, test_keys};

    const ISSUER: &str = "http://127.0.0.1:4242";

    fn claims() -> Claims {
        Claims {
            iss: ISSUER.to_owned(),
            aud: "sol_a".to_owned(),
            sub: "cus_a".to_owned(),
            jti: "tok_a".to_owned(),
            iat: 1_000,
            exp: 1_900,
            nbf: None,
            tier: Tier::Pro,
        }
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn verdict(token: &str) -> Result<(), Code> {
        verify_access(&test_keys(), ISSUER, Some("sol_a"), token, at(1_500)).map(drop)
    }

    /// A token with any header and claims, signed by the right key.
    fn forged(header: serde_json::Value, claims: serde_json::Value) -> String {
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature =
            URL_SAFE_NO_PAD.encode(test_keys().signing().current().sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    fn good_header() -> serde_json::Value {
        json!({"typ": "at+jwt", "alg": "EdDSA", "kid": test_keys().signing().current().id()})
    }

    #[test]
    fn a_token_is_good_from_its_issue_until_the_second_it_expires() {
        let token = sign(&test_keys(), &claims());
        let at =
            |secs| verify_access(&test_keys(), ISSUER, None, token.expose(), at(secs)).map(drop);
        assert_eq!(at(1_000), Ok(()));
        assert_eq!(at(1_899), Ok(()));
        assert_eq!(at(1_900), Err(Code::TokenExpired));
    }

    #[test]
    fn the_same_claims_are_signed_to_the_same_bytes() {
        assert_eq!(sign(&test_keys(), &claims()), sign(&test_keys(), &claims()));
    }

    #[test]
    fn a_token_of_another_issuer_is_refused() {
        let token = sign(&test_keys(), &claims());
        let other = "http://localhost:4242";
        let verdict = verify_access(&test_keys(), other, None, token.expose(), at(1_500));
        assert_eq!(verdict.map(drop), Err(Code::TokenWrongIssuer));
    }

    #[test]
    fn a_token_of_another_solution_is_refused_whether_it_has_expired_or_not() {
        let token = sign(&test_keys(), &claims());
        for now in [1_500, 5_000] {
            let verdict =
                verify_access(&test_keys(), ISSUER, Some("sol_b"), token.expose(), at(now));
            assert_eq!(verdict.map(drop), Err(Code::TokenWrongSolution));
        }
    }

    #[test]
    fn a_changed_token_is_refused_wherever_it_was_changed() {
        let token = sign(&test_keys(), &claims());
        for position in 0..token.expose().len() {
            let mut bytes = token.expose().as_bytes().to_vec();
            bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).expect("ASCII");
            assert!(verdict(&changed).is_err(), "{position}");
        }
    }

    #[test]
    fn the_header_is_taken_by_the_letter() {
        let kid = test_keys().signing().current().id().to_owned();
        let good = serde_json::to_value(claims()).expect("JSON");
        assert_eq!(verdict(&forged(good_header(), good.clone())), Ok(()));
        for (header, code) in [
            (json!({"typ": "JWT", "alg": "EdDSA", "kid": kid}), Code::TokenMalformed),
            (json!({"typ": "session+jwt", "alg": "EdDSA", "kid": kid}), Code::TokenMalformed),
            (json!({"typ": "at+jwt", "alg": "none", "kid": kid}), Code::TokenMalformed),
            (json!({"typ": "at+jwt", "alg": "HS256", "kid": kid}), Code::TokenMalformed),
            (json!({"typ": "at+jwt", "alg": "EdDSA"}), Code::TokenMalformed),
            (
                json!({"typ": "at+jwt", "alg": "EdDSA", "kid": kid, "crit": ["b64"]}),
                Code::TokenMalformed,
            ),
            (json!({"typ": "at+jwt", "alg": "EdDSA", "kid": "../../etc"}), Code::TokenKeyUnknown),
        ] {
            assert_eq!(verdict(&forged(header.clone(), good.clone())), Err(code), "{header}");
        }
    }

    #[test]
    fn a_claim_of_the_wrong_type_is_an_error_and_never_an_absent_claim() {
        for claim in ["iss", "aud", "sub", "jti", "iat", "exp"] {
            for wrong in [
                json!(null),
                json!([]),
                json!({}),
                json!(true),
                json!("9999999999"),
                json!(-1),
                json!(1.5),
            ] {
                let mut claims = serde_json::to_value(claims()).expect("JSON");
                if claims[claim].is_string() && wrong.is_string() {
                    continue;
                }
                claims[claim] = wrong.clone();
                let code = verdict(&forged(good_header(), claims));
                assert_eq!(code, Err(Code::TokenMalformed), "{claim} = {wrong}");
            }
        }
    }

    #[test]
    fn what_is_no_token_is_malformed() {
        for text in
            ["", ".", "..", "a.b", "a.b.c.d", "ä.ö.ü", &"a".repeat(UnverifiedToken::MAX_BYTES + 1)]
        {
            assert_eq!(verdict(text), Err(Code::TokenMalformed));
        }
    }

    #[test]
    fn another_marketplaces_key_is_unknown_here() {
        let other = Keys::open(&KeySeeds::new(|| [9; 32])).expect("keys");
        let token = sign(&other, &claims());
        assert_eq!(verdict(token.expose()), Err(Code::TokenKeyUnknown));
    }

    #[test]
    fn a_session_cannot_pass_for_a_token_nor_a_token_for_a_session() {
        let session = Claims { aud: ISSUER.to_owned(), ..claims() };
        let session = sign(&test_keys(), &session);
        let token = sign(&test_keys(), &claims());
        assert_eq!(claimed_type(session.expose()), Some(TokenType::Session));
        assert_eq!(claimed_type(token.expose()), Some(TokenType::Access));
        assert_eq!(claimed_type("cnsk_test_x"), None);
        assert_eq!(verdict(session.expose()), Err(Code::TokenMalformed));
        assert!(verify_session(&test_keys(), ISSUER, session.expose(), at(1_500)).is_ok());
        assert!(verify_session(&test_keys(), ISSUER, session.expose(), at(1_900)).is_err());
        assert!(verify_session(&test_keys(), ISSUER, token.expose(), at(1_500)).is_err());
    }
}
