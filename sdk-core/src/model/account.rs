//! Customers, their sessions and how they open solutions.

use serde::{Deserialize, Serialize};

use super::{Secret, Tier, Timestamp};

/// `POST /api/users`: somebody registers with the marketplace. `POST /api/users/convert` takes the
/// same from an anonymous visitor, who stays the same customer: usage and quotas go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegisterUser {
    /// The address to sign in with. Upper and lower case are the same.
    #[cfg_attr(
        feature = "openapi",
        schema(pattern = "^[^@\\s]+@[^@\\s]+$", max_length = 254, examples("kavya@example.com"))
    )]
    pub email: String,
    /// 8 to 256 characters.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Password, min_length = 8, max_length = 256))]
    pub password: Secret,
    /// What to call them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 200, examples("Kavya Rao"))
    )]
    pub name: Option<String>,
}

/// `POST /api/sessions`: a customer signs in. The answer is a [`TokenPair`](super::TokenPair) whose
/// access token is good for the marketplace itself, and for no solution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignIn {
    /// The address the customer registered with.
    pub email: String,
    /// The customer's password.
    pub password: Secret,
}

/// A customer of the marketplace, as the customer sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Customer {
    /// `cus_…`
    pub customer_id: String,
    /// The address to sign in with.
    pub email: String,
    /// The name the customer gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When the customer registered.
    pub registered_at: Timestamp,
}

/// A solution that a customer may open: an entry of `GET /api/user-solutions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UserSolution {
    /// `sol_…`
    pub solution_id: String,
    /// Its name.
    pub name: String,
    /// The customer's tier in it.
    pub tier: Tier,
    /// Whether it can be used.
    pub state: SubscriptionState,
    /// What the tier switches on, by the names the solution gave.
    #[serde(default)]
    pub entitlements: Vec<String>,
    /// Since when.
    pub since: Timestamp,
}

/// Whether a subscription can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SubscriptionState {
    /// It can.
    Active,
    /// A state this release does not know. Ask the marketplace rather than guess.
    #[serde(other)]
    Unknown,
}

/// `POST /api/user-solutions`: the signed-in customer takes up a solution's free tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AddSolution {
    /// `sol_…`
    pub solution_id: String,
}

/// `POST /api/launches`: the signed-in customer opens a solution. The answer is where to send the
/// customer's browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StartLaunch {
    /// The solution, `sol_…`; or the `publishable_key` its page in the browser gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(examples("sol_faiss_search")))]
    pub solution_id: Option<String>,
    /// The publishable key of the page that asked for the launch, `cnpk_…`. Only that page, with the
    /// verifier that belongs to `code_challenge`, can exchange the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publishable_key: Option<Secret>,
    /// The SHA-256 of the verifier, base64url without padding (RFC 7636, `S256`). Needed with a
    /// publishable key, welcome without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$"))]
    pub code_challenge: Option<String>,
    /// Given back to the solution with the code, so that it knows its own launch again; at most 512
    /// characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(max_length = 512))]
    pub state: Option<String>,
}

/// The answer of `POST /api/launches`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Launch {
    /// The solution's registered URL with `?code=…` and `state`: where to send the browser.
    pub redirect_url: Secret,
    /// When the code ends.
    pub expires_at: Timestamp,
}

/// `POST /api/exchange-code`: a solution turns the code it was called with into a
/// [`TokenPair`](super::TokenPair). Works once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExchangeCode {
    /// The code, `cnlc_…`.
    pub code: Secret,
    /// What the `code_challenge` was made of, if the launch had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_verifier: Option<Secret>,
}

/// `POST /api/secret-keys/rotate`: a solution's backend asks for a new secret key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RotateSecretKey {
    /// How long the key of this call stays good, in seconds: 86,400 (a day) unless set, at most
    /// 604,800 (a week); 0 ends it at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(maximum = 604_800, examples(3600)))]
    pub overlap_secs: Option<u64>,
}

/// The answer of `POST /api/secret-keys/rotate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RotatedSecretKey {
    /// The new key. It is not shown again.
    pub secret_key: Secret,
    /// When the key of this call ends.
    pub previous_expires_at: Timestamp,
}
