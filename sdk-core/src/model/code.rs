//! The catalogue: every error there is, with what it means and what to do about it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Whether the catalogue's words are in the program. A face of the SDK that has them in its own language
/// leaves them out.
const PROSE: bool = cfg!(feature = "prose");

/// One row of the catalogue a variant; the server and every face of the SDK read this table.
macro_rules! catalogue {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $status:literal, $retry:ident, $reason:literal, $advice:literal;)*) => {
        /// What went wrong: stable names that programs may match on. The catalogue gives each a
        /// reason, an advice and whether trying again can help.
        ///
        /// ```
        /// use cloudnestle_marketplace::Code;
        ///
        /// assert_eq!(Code::TokenExpired.as_str(), "token_expired");
        /// assert!(!Code::TokenExpired.is_retryable());
        /// assert!(Code::Unavailable.is_retryable());
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $reason] #[doc = ""] #[doc = $advice] $(#[$doc])* $variant,)*
        }

        impl Code {
            /// Every code there is.
            pub const ALL: &'static [Code] = &[$(Code::$variant),*];

            /// Its name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $code,)* }
            }

            /// The HTTP status the server sends it with; 0 for what only a client can meet.
            pub const fn status(self) -> u16 {
                match self { $(Code::$variant => $status,)* }
            }

            /// Whether the same call may succeed later, without anybody changing anything.
            pub const fn is_retryable(self) -> bool {
                match self { $(Code::$variant => catalogue!(@$retry),)* }
            }

            /// What went wrong. Empty without the feature `prose`.
            pub const fn reason(self) -> &'static str {
                if !PROSE {
                    return "";
                }
                match self { $(Code::$variant => $reason,)* }
            }

            /// What to do about it. Empty without the feature `prose`.
            pub const fn advice(self) -> &'static str {
                if !PROSE {
                    return "";
                }
                match self { $(Code::$variant => $advice,)* }
            }

            /// Where it is explained: a page of this repository, generated from the catalogue. The
            /// marketplace that answered explains its own codes, too; see
            /// [`Error::docs_url`](crate::Error::docs_url). Empty without the feature `prose`.
            ///
            /// ```
            /// use cloudnestle_marketplace::Code;
            ///
            /// assert_eq!(Code::TokenExpired.docs_url(), "docs/errors.md#token_expired");
            /// ```
            pub const fn docs_url(self) -> &'static str {
                if !PROSE {
                    return "";
                }
                match self { $(Code::$variant => concat!("docs/errors.md#", $code),)* }
            }

            /// The code of that name; [`Code::Unknown`] when this release has none.
            pub fn from_name(name: &str) -> Code {
                match name { $($code => Code::$variant,)* _ => Code::Unknown }
            }
        }
    };
    (@retry) => { true };
    (@final) => { false };
}

catalogue! {
    // The user's token.
    TokenExpired = "token_expired", 401, final, "The token has expired.", "Refresh the pair and use the new access token.";
    TokenRevoked = "token_revoked", 401, final, "The token was revoked.", "Ask the user to open the solution from the marketplace again.";
    TokenMalformed = "token_malformed", 401, final, "This is not a token of the marketplace.", "Pass the access token exactly as the marketplace gave it, without `Bearer`; a refresh token (`cnrt_…`) is for `refresh`.";
    TokenSignatureInvalid = "token_signature_invalid", 401, final, "The token's signature does not match.", "Refuse the user. If every token fails so, check that the SDK and the token come from the same marketplace.";
    TokenKeyUnknown = "token_key_unknown", 401, final, "The token names a key that the marketplace does not publish.", "Refuse the user. If every token fails so, check that the SDK and the token come from the same marketplace.";
    TokenNotYetValid = "token_not_yet_valid", 401, final, "The token is not valid yet.", "Check this machine's clock.";
    TokenWrongIssuer = "token_wrong_issuer", 401, final, "The token was issued by another marketplace.", "Set the issuer (CLOUDNESTLE_ISSUER) to the `iss` of the marketplace's tokens; it is the marketplace's URL unless set.";
    TokenWrongSolution = "token_wrong_solution", 401, final, "The token is for another solution.", "Refuse the user, or check the solution id this program was given.";
    TokenRefused = "token_refused", 401, final, "The marketplace refuses the token.", "Refuse the user, or ask them to open the solution from the marketplace again.";
    RefreshTokenInvalid = "refresh_token_invalid", 401, final, "The refresh token is unknown, expired or revoked.", "Ask the user to open the solution from the marketplace again.";
    RefreshTokenReused = "refresh_token_reused", 401, final, "The refresh token had been used before, so its whole family was revoked.", "Ask the user to open the solution again, and keep only the newest pair.";

    // The caller.
    CredentialMissing = "credential_missing", 401, final, "The request has no credential.", "Send the credential as `Authorization: Bearer …`.";
    CredentialInvalid = "credential_invalid", 401, final, "The credential is not known to the marketplace.", "Check the key (CLOUDNESTLE_SECRET_KEY) and which marketplace it belongs to.";
    CredentialWrongSolution = "credential_wrong_solution", 401, final, "The secret key belongs to another solution than the one the caller names.", "Use the key (CLOUDNESTLE_SECRET_KEY) of the solution that CLOUDNESTLE_SOLUTION names, or name the key's.";
    CredentialLive = "credential_live", 401, final, "This server is for tests and refuses live keys.", "Use a test key here (cnsk_test_…), and rotate the live key if it may have been exposed.";
    Forbidden = "forbidden", 403, final, "The credential does not allow this.", "Use a credential that may do this; the API page lists who may call what.";

    // The request.
    RequestInvalid = "request_invalid", 422, final, "The request does not have the form the API asks for.", "Correct what the message names; `field` tells where it is, if it is in a field.";
    RequestTooLarge = "request_too_large", 413, final, "The request is larger than the marketplace takes.", "Send less at once: a body has at most 1 MiB, before and after it was compressed.";
    UriTooLong = "uri_too_long", 414, final, "The path and the query are longer than the marketplace reads.", "Keep them within 8 KiB.";
    HeadersTooLarge = "headers_too_large", 431, final, "The headers are larger than the marketplace reads.", "Keep them within 64 KiB, and 100 in number.";
    HttpMalformed = "http_malformed", 400, final, "This is not HTTP as the marketplace reads it.", "Speak HTTP/1.1, and check what lies between.";
    VersionUnknown = "version_unknown", 400, final, "The API has no such version.", "Send `CloudNestle-Version` as the detail lists them, or not at all.";
    CursorInvalid = "cursor_invalid", 422, final, "The cursor is not one of this list.", "Begin again without a cursor, and keep the filters from page to page.";
    NotFound = "not_found", 404, final, "There is no such thing.", "Check the id and the path.";
    MethodNotAllowed = "method_not_allowed", 405, final, "This path has no such method.", "Use a method of the `Allow` header.";
    EncodingUnsupported = "encoding_unsupported", 415, final, "The body is compressed in a way the marketplace doesn't read.", "Send it as it is, or compressed once by gzip or zstd.";
    MediaTypeUnsupported = "media_type_unsupported", 415, final, "The body is not JSON.", "Send JSON with `Content-Type: application/json`.";

    // Customers, and how they come to a solution.
    SignInRefused = "sign_in_refused", 401, final, "The address and the password do not go together.", "Check both; the marketplace does not say which of them is wrong.";
    EmailTaken = "email_taken", 409, final, "Somebody has registered with this address.", "Sign in with it, or register with another.";
    AlreadyRegistered = "already_registered", 409, final, "The customer is no anonymous visitor any more.", "Sign in.";
    LaunchCodeInvalid = "launch_code_invalid", 401, final, "The launch code is unknown, used, over a minute old, or another caller's.", "Let the customer open the solution again, and exchange the code at once.";
    OriginNotAllowed = "origin_not_allowed", 403, final, "The publishable key is not for pages of this origin.", "Register the origin with the solution, or use the key of the page's own solution.";
    SubscriptionMissing = "subscription_missing", 404, final, "The customer has no subscription to the solution.", "Let the customer subscribe first; a tier is changed, not given.";
    TierNotOffered = "tier_not_offered", 422, final, "The solution has no plan for this tier.", "Use a tier the solution has a plan for.";

    // Usage.
    ActionUnknown = "action_unknown", 422, final, "The solution has no such action.", "Use an action that the solution declares.";
    ActionNotForClients = "action_not_for_clients", 422, final, "This action is reported by the solution's backend alone.", "Send it from the backend, with the solution's secret key.";
    QuantityInvalid = "quantity_invalid", 422, final, "The quantity is out of bounds.", "Send a whole number between 1 and 1,000,000,000.";
    QuotaExceeded = "quota_exceeded", 422, final, "The customer's quota for this window is used up.", "Refuse the user until `resets_at`, or offer a higher tier.";
    OriginalUnknown = "original_unknown", 422, final, "The event to be corrected is not one that counted for this customer and action.", "Name an event that was delivered and accepted; corrections themselves can't be corrected.";
    OriginalVoided = "original_voided", 422, final, "The event to be corrected was voided before.", "Nothing is left of it; send what should count as a new event.";
    OccurredOutOfRange = "occurred_out_of_range", 422, final, "The event lies too far back or ahead.", "Send events within 35 days, and check this machine's clock.";
    TokenNotForCustomer = "token_not_for_customer", 422, final, "The token named by the event was not issued for this customer and solution, or did not cover its time.", "Track usage with the token the user was validated by.";
    MetadataInvalid = "metadata_invalid", 422, final, "The metadata is larger than the marketplace takes.", "Keep metadata within 20 short entries.";
    SequenceGap = "sequence_gap", 409, final, "Numbers are missing between what the marketplace has and what was sent.", "Send from the fence on, and declare what is lost.";
    EpochSuperseded = "epoch_superseded", 409, final, "Another process has taken this producer over.", "Stop sending for this producer; its new owner does.";
    LeaseUnsettled = "lease_unsettled", 409, retry, "Usage that the lease allowed has not been reported yet.", "Deliver the producer's log first, then give the lease back.";
    LeasesTooMany = "leases_too_many", 422, final, "The producer holds as many leases as the marketplace keeps for one.", "Give back leases that are not in use any more.";
    IdempotencyMismatch = "idempotency_mismatch", 422, final, "This idempotency key was used with another body.", "Use a new key for a new event.";
    SpoolFull = "spool_full", 0, retry, "The spool or the disk is full, so the event was not taken.", "Check that the marketplace can be reached and the disk has room; `SpoolLimits` says how much may wait.";
    UsageLost = "usage_lost", 0, final, "The event was lost before the marketplace had it.", "`stats` says how many events were lost and why; the marketplace is told, too.";
    SpoolFailed = "spool_failed", 0, retry, "The spool could not be written, so the event was not taken.", "Check the disk and the permissions of the spool folder.";

    // The way there and back.
    RateLimited = "rate_limited", 429, retry, "The marketplace asks to slow down.", "Wait as long as it says; the SDK does so by itself.";
    Conflict = "conflict", 409, retry, "Others changed the same thing at the same time.", "Try again.";
    Internal = "internal", 500, retry, "The marketplace failed.", "Try again; if it lasts, report the request id.";
    Unavailable = "unavailable", 503, retry, "The marketplace can't be reached or does not answer.", "Try again later; usage that was acknowledged is kept and sent. If it never worked, `diagnose()` tells what is in the way.";
    DeadlineExceeded = "deadline_exceeded", 0, retry, "The call did not finish within its time.", "Try again, or allow more time.";
    AnswerInvalid = "answer_invalid", 0, retry, "The answer is not one the marketplace gives.", "Check that the URL is the marketplace's, and what lies between.";
    ConfigInvalid = "config_invalid", 0, final, "The SDK is set up wrongly.", "Correct the setting that the message names.";
    SignatureUnverifiable = "signature_unverifiable", 0, final, "The platform can't check the token's signature, so nobody knows who the user is.", "Don't refuse the user: have the backend validate the token. Pages need Ed25519 in WebCrypto, and `https:`.";
    Forked = "forked", 0, final, "This process was forked from the one the SDK was built in.", "Build an SDK in the child process; the parent's events are the parent's to send.";
    Closed = "closed", 0, final, "The SDK was closed.", "Make calls before `close`, or build another one.";
    Unknown = "unknown", 0, final, "Something this release has no name for.", "Read the detail; a newer release of the SDK may know it.";
}

impl Code {
    /// What a status says where nobody has said more: a proxy answered, or a fault was planned. `None` for
    /// what is no error, and for those that say nothing of their own.
    ///
    /// ```
    /// use cloudnestle_marketplace::Code;
    ///
    /// assert_eq!(Code::of_status(404), Some(Code::NotFound));
    /// assert_eq!(Code::of_status(418), None);
    /// ```
    pub const fn of_status(status: u16) -> Option<Code> {
        Some(match status {
            401 => Code::CredentialInvalid,
            403 => Code::Forbidden,
            404 => Code::NotFound,
            405 => Code::MethodNotAllowed,
            409 => Code::Conflict,
            413 => Code::RequestTooLarge,
            422 => Code::RequestInvalid,
            429 => Code::RateLimited,
            408 | 502..=504 => Code::Unavailable,
            500..=599 => Code::Internal,
            _ => return None,
        })
    }

    /// Whether it says that the user of a token must not be let in. Others say that the request was
    /// wrong, or that nobody knows.
    pub const fn refuses_user(self) -> bool {
        use Code::*;
        matches!(
            self,
            TokenExpired
                | TokenRevoked
                | TokenMalformed
                | TokenSignatureInvalid
                | TokenKeyUnknown
                | TokenNotYetValid
                | TokenWrongIssuer
                | TokenWrongSolution
                | TokenRefused
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Ok(Code::from_name(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_about_metadata_names_the_bound_of_the_model() {
        let bound = format!("within {} short entries", crate::model::UsageEvent::MAX_METADATA);
        assert!(Code::MetadataInvalid.advice().contains(&bound), "{bound}");
    }
}
