//! Renewing a token pair, so that a lost answer logs nobody out and a thief is noticed.
//!
//! The pairs that descend from one sign-in are a *family*. Presenting a refresh token uses it up
//! and gives its one successor, which is computed and not drawn ([`Keys::successor`]). A client that
//! never saw the answer asks again and gets the same pair, byte for byte; there is no second child
//! that could fall out of use. A token that comes back when its successor is in use was copied, and
//! then nobody in the family is believed any more.
//!
//! [`Keys::successor`]: super::keys::Keys::successor

use std::time::Duration;

use cloudnestle_marketplace::model::{Claims, Timestamp};
use serde::{Deserialize, Serialize};

use super::credential::Hash;
use super::jwt::ACCESS_SECS;
use super::revocation::NotBefore;
use crate::planted::{Bug, planted};

/// How long a family can be renewed. Afterwards the customer opens the solution anew.
pub(crate) const FAMILY_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How long a used token still gets its successor, whatever became of that: two tabs of a browser,
/// or a request that was sent twice. SuperTokens grants 30 s; a thief has as long, so it is less here.
const REPEAT_WINDOW: Duration = Duration::from_secs(10);

/// How long a used token gets its successor while nobody has used that one: the answer was lost on
/// its way. The pair it gives back is of no use for longer.
const UNUSED_SUCCESSOR_WINDOW: Duration = Duration::from_secs(ACCESS_SECS);

/// All pairs that descend from one sign-in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Family {
    pub customer_id: String,
    pub solution_id: String,
    /// The place of its newest refresh token, which nobody has used yet.
    pub newest: u64,
    pub ends_at: Timestamp,
    /// Set once; no token of the family is good from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// How often all tokens of the customer had been revoked when it began or was last renewed; the
    /// first release didn't count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_revocations: Option<u64>,
}

impl Family {
    /// Whether its token of that `iat` was ended before its time.
    pub(crate) fn is_over(&self, not_before: &NotBefore, iat: u64) -> bool {
        self.revoked_at.is_some() || not_before.ends(self, iat)
    }

    /// Whether that changed anything.
    pub(crate) fn revoke(&mut self, now: Timestamp) -> bool {
        let was_good = self.revoked_at.is_none();
        self.revoked_at.get_or_insert(now);
        was_good
    }
}

/// What is kept of a refresh token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeptRefreshToken {
    pub hash: Hash,
    /// Its family, `fam_…`.
    pub family_id: String,
    /// Its place in the line of the family; the first is 0.
    pub generation: u64,
    /// What the access token beside it says. Signing them again gives the same token.
    pub access: Claims,
    /// When it was used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewed_at: Option<Timestamp>,
}

/// What becomes of a refresh token that is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// It is used up now, and its successor is born.
    New,
    /// It was used up before; its successor is answered once more.
    Again,
    /// It was used up and should have been forgotten: somebody has a copy. The family ends.
    Reused,
    /// The family has ended.
    Ended,
}

/// What to do with `presented`, a token of `family`, at `now`; `not_before` says which tokens of this
/// customer and solution have ended.
pub(crate) fn renewal(
    family: &Family,
    presented: &KeptRefreshToken,
    not_before: &NotBefore,
    now: Timestamp,
) -> Renewal {
    if family.ends_at <= now || family.is_over(not_before, presented.access.iat) {
        return Renewal::Ended;
    }
    let Some(renewed_at) = presented.renewed_at else {
        return Renewal::New;
    };
    if planted(Bug::ReuseAtOnce) {
        return Renewal::Reused;
    }
    let age = now.since(renewed_at);
    let successor_is_unused = presented.generation + 1 == family.newest;
    let lost_answer = successor_is_unused && age < UNUSED_SUCCESSOR_WINDOW;
    let is_repeat = age <= REPEAT_WINDOW || lost_answer || planted(Bug::ReuseUnnoticed);
    if is_repeat { Renewal::Again } else { Renewal::Reused }
}

#[cfg(test)]
mod tests {
    use cloudnestle_marketplace::model::Tier;

    use super::*;
    use crate::domain::credential::Kind;

    const START: Timestamp = Timestamp::from_secs(1_000_000);

    fn at(secs: u64) -> Timestamp {
        START + Duration::from_secs(secs)
    }

    fn family() -> Family {
        Family {
            customer_id: "cus_a".to_owned(),
            solution_id: "sol_a".to_owned(),
            newest: 7,
            ends_at: START + FAMILY_LIFE,
            revoked_at: None,
            after_revocations: Some(0),
        }
    }

    /// A token of that generation; all but the newest were renewed at 0.
    fn token(generation: u64) -> KeptRefreshToken {
        KeptRefreshToken {
            hash: Hash::of(&Kind::RefreshToken.secret([0; 32])),
            family_id: "fam_a".to_owned(),
            generation,
            access: Claims {
                iss: String::new(),
                aud: String::new(),
                sub: String::new(),
                jti: String::new(),
                iat: 0,
                exp: 0,
                nbf: None,
                tier: Tier::Pro,
            },
            renewed_at: (generation < 7).then_some(START),
        }
    }

    #[test]
    fn the_table_of_decisions() {
        use Renewal::*;
        let newest = token(7);
        let renewed = token(6);
        let older = token(5);
        for (presented, after_secs, expected, story) in [
            (&newest, 0, New, "the newest token renews"),
            (&newest, 29 * 86_400, New, "for as long as the family lives"),
            (&newest, 30 * 86_400, Ended, "and not a second longer"),
            (&renewed, 0, Again, "two tabs at once"),
            (&renewed, 10, Again, "a retry"),
            (&renewed, 11, Again, "an answer that was lost, asked for later"),
            (&renewed, 899, Again, "as long as the lost pair would be of use"),
            (&renewed, 900, Reused, "but not longer"),
            (&older, 10, Again, "a straggler of the renewal"),
            (&older, 11, Reused, "a copy"),
        ] {
            assert_eq!(
                renewal(&family(), presented, &NotBefore::default(), at(after_secs)),
                expected,
                "{story}"
            );
        }
    }

    #[test]
    fn a_revoked_family_renews_nothing() {
        let mut family = family();
        assert!(family.revoke(at(5)));
        assert!(!family.revoke(at(9)));
        assert_eq!(family.revoked_at, Some(at(5)), "the first time counts");
        for presented in [token(7), token(6), token(5)] {
            assert_eq!(renewal(&family, &presented, &NotBefore::default(), at(6)), Renewal::Ended);
        }
    }

    #[test]
    fn a_token_from_before_its_user_was_revoked_renews_nothing() {
        let mut presented = token(7);
        presented.access.iat = 1_000_000;
        let mut not_before = NotBefore { secs: 1_000_000, ..NotBefore::default() };
        let uncounted = Family { after_revocations: None, ..family() };
        assert_eq!(renewal(&uncounted, &presented, &not_before, at(6)), Renewal::New);
        assert_eq!(renewal(&family(), &presented, &not_before, at(6)), Renewal::New);
        not_before.revoke(1_000_000);
        assert_eq!(renewal(&uncounted, &presented, &not_before, at(6)), Renewal::Ended);
        assert_eq!(renewal(&family(), &presented, &not_before, at(6)), Renewal::Ended);
    }

    #[test]
    fn a_clock_that_goes_back_makes_no_thief() {
        assert_eq!(renewal(&family(), &token(5), &NotBefore::default(), at(0)), Renewal::Again);
        let before = START - Duration::from_secs(3_600);
        assert_eq!(renewal(&family(), &token(5), &NotBefore::default(), before), Renewal::Again);
    }
}
