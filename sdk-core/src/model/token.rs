//! Tokens and what is asked about them.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

use super::{Code, Secret, Timestamp, UserContext};

/// What a customer hands to a solution: a short-lived access token and what renews it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenPair {
    /// An Ed25519-signed JWT whose audience is the solution.
    pub access_token: Secret,
    /// Renews the pair once; `cnrt_…`.
    pub refresh_token: Secret,
    /// When the access token ends.
    pub expires_at: Timestamp,
}

/// The header of a token. Nothing else in it is honoured: no `jku`, `x5u` or `jwk`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenHeader {
    /// `at+jwt` (RFC 9068).
    pub typ: String,
    /// `EdDSA`, with an Ed25519 key.
    pub alg: String,
    /// Which of the marketplace's keys signed it.
    pub kid: String,
    /// Extensions that must be understood; there are none, so a token that has any is refused.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub crit: Option<Extensions>,
}

/// Extensions of a token: whichever they are, they are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Extensions;

impl<'de> Deserialize<'de> for Extensions {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(value).map(|_| Extensions)
    }
}

/// What a token says. Times are seconds since 1970, as integers: a string `exp` is an error, never
/// an absent one (CVE-2026-25537).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it: the marketplace's URL.
    pub iss: String,
    /// The one solution it is for.
    pub aud: String,
    /// The customer it speaks for.
    pub sub: String,
    /// The token's own id.
    pub jti: String,
    /// When it was issued.
    pub iat: u64,
    /// When it ends.
    pub exp: u64,
    /// When it begins, if not at once.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub nbf: Option<u64>,
    /// The customer's tier in the solution when it was issued.
    pub tier: super::Tier,
}

/// A field that is there. It may be left out, but `null` is not a way to leave it out.
fn given<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// The marketplace's public keys: `GET /.well-known/jwks.json` (RFC 7517).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Jwks {
    /// The keys in use, and those that are about to be or have lately been.
    pub keys: Vec<Jwk>,
    /// The `iss` of the tokens that are signed with them. A member of our own, which others ignore
    /// (RFC 7517, section 5): by it a program finds out that it expects another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
}

/// One public key (RFC 8037).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Jwk {
    /// `OKP`.
    pub kty: String,
    /// `Ed25519`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crv: Option<String>,
    /// The key's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The 32 bytes of the key, base64url without padding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// `EdDSA`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// `sig`.
    #[serde(rename = "use", default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
}

/// `POST /api/generate-token`: the signed-in customer asks for a pair for one solution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GenerateToken {
    /// The solution to open.
    #[cfg_attr(feature = "openapi", schema(examples("sol_faiss_search")))]
    pub solution_id: String,
}

/// `POST /api/validate-token`: a solution's backend asks about a token it was handed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ValidateToken {
    /// The access token in question.
    pub token: Secret,
}

/// The answer of `POST /api/validate-token`. A bad *subject* token is a 200 with `valid: false`; a
/// bad *caller* key is a 401, so that nobody retries the wrong thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenValidation {
    /// Whether the token is good now.
    pub valid: bool,
    /// Why it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// Who it speaks for, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserContext>,
}

/// `POST /api/refresh-token`: exchanges a refresh token for the next pair. Holding it is the proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RefreshToken {
    /// The refresh token to use up.
    pub refresh_token: Secret,
}

/// `DELETE /api/revoke-user`: ends every token that a customer has for the solution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RevokeUser {
    /// The customer, `cus_…`.
    pub customer_id: String,
}

/// `DELETE /api/revoke-token`: ends a token and the family it was refreshed from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RevokeToken {
    /// The access token to end.
    pub token: Secret,
}
