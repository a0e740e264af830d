//! Launch codes: a customer's browser carries one to a solution, which exchanges it for a token pair.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudnestle_marketplace::model::{Secret, Timestamp};
use ring::digest;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::credential::Hash;
use crate::planted::{Bug, planted};

/// How long a code can be exchanged (`docs/guides/api.md`, Limits): a browser follows a redirect at
/// once.
pub(crate) const CODE_LIFE: Duration = Duration::from_secs(60);
/// The longest `state`, in characters: room for a signed URL to come back to.
pub(crate) const MAX_STATE_CHARS: usize = 512;
/// The shortest and the longest verifier (RFC 7636, 4.1).
const VERIFIER_BYTES: std::ops::RangeInclusive<usize> = 43..=128;

/// What is kept of a code.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeptCode {
    pub hash: Hash,
    pub customer_id: String,
    pub solution_id: String,
    /// The SHA-256 of a verifier, which whoever exchanges the code must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<String>,
    /// A page in a browser asked for the launch. Only a page exchanges its code, only a backend the
    /// others.
    pub by_page: bool,
    pub expires_at: Timestamp,
    /// The token it was exchanged for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchanged_for: Option<String>,
}

/// What becomes of a code that is presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// It is exchanged now.
    First,
    /// It was exchanged before, and whoever comes now has all it takes: it was copied, and nobody can
    /// tell which of the two is the thief. What it was exchanged for ends (RFC 6749, 4.1.2).
    Again { token_id: String },
    /// It is not this caller's, or its time is over. Which of these is nobody's business.
    Refused,
}

impl KeptCode {
    /// What happens when a caller presents it at `now`.
    pub(crate) fn exchange(
        &self,
        solution_id: &str,
        by_page: bool,
        verifier: Option<&Secret>,
        now: Timestamp,
    ) -> Exchange {
        let is_callers = self.solution_id == solution_id && self.by_page == by_page;
        if !is_callers || !self.is_met_by(verifier) || now >= self.expires_at {
            return Exchange::Refused;
        }
        match self.exchanged_for.clone() {
            Some(token_id) if !planted(Bug::CodeTakenTwice) => Exchange::Again { token_id },
            _ => Exchange::First,
        }
    }

    fn is_met_by(&self, verifier: Option<&Secret>) -> bool {
        match (&self.challenge, verifier) {
            (None, None) => true,
            (Some(challenge), Some(verifier)) => {
                let is_one = VERIFIER_BYTES.contains(&verifier.expose().len());
                is_one && challenge.as_bytes().ct_eq(challenge_of(verifier).as_bytes()).into()
            }
            // A verifier without a challenge would mean that somebody has taken the challenge away.
            _ => false,
        }
    }
}

/// Whether this may be a challenge of the method `S256`.
pub(crate) fn is_challenge(text: &str) -> bool {
    URL_SAFE_NO_PAD.decode(text).is_ok_and(|hash| hash.len() == digest::SHA256_OUTPUT_LEN)
}

fn challenge_of(verifier: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.expose().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn code() -> KeptCode {
        KeptCode {
            hash: Hash::of(&Secret::new("a code")),
            customer_id: "cus_a".to_owned(),
            solution_id: "sol_a".to_owned(),
            challenge: None,
            by_page: false,
            expires_at: NOW + CODE_LIFE,
            exchanged_for: None,
        }
    }

    #[test]
    fn the_challenge_is_that_of_rfc_7636() {
        let verifier = Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        let challenge = challenge_of(&verifier);
        assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert!(is_challenge(&challenge));

        let code = KeptCode { challenge: Some(challenge), by_page: true, ..code() };
        assert_eq!(code.exchange("sol_a", true, Some(&verifier), NOW), Exchange::First);
        let other = Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXX");
        assert_eq!(code.exchange("sol_a", true, Some(&other), NOW), Exchange::Refused);
        assert_eq!(code.exchange("sol_a", true, None, NOW), Exchange::Refused);
    }

    #[test]
    fn a_code_is_one_callers_for_a_minute_and_once() {
        let code = code();
        assert_eq!(code.exchange("sol_a", false, None, NOW), Exchange::First);
        assert_eq!(code.exchange("sol_b", false, None, NOW), Exchange::Refused);
        assert_eq!(code.exchange("sol_a", true, None, NOW), Exchange::Refused);
        assert_eq!(code.exchange("sol_a", false, None, NOW + CODE_LIFE), Exchange::Refused);
        let stray = Secret::new("a".repeat(43));
        assert_eq!(code.exchange("sol_a", false, Some(&stray), NOW), Exchange::Refused);
        let used = KeptCode { exchanged_for: Some("tok_a".to_owned()), ..code };
        assert_eq!(
            used.exchange("sol_a", false, None, NOW),
            Exchange::Again { token_id: "tok_a".to_owned() }
        );
        assert_eq!(used.exchange("sol_b", false, None, NOW), Exchange::Refused);
    }
}
