//! When all tokens of a customer for a solution end at once.
//!
//! Those who judge tokens by themselves know a token's `iat`, in whole seconds, and so a revocation
//! ends for them what was issued before the *next* second, in which what follows is said to be issued.
//! A clock may have gone back since a token was issued: what is said of tokens from before is never said of
//! an earlier second than that of the last one. The marketplace itself counts revocations, and asks no clock.

use serde::{Deserialize, Serialize};

use super::refresh::Family;
use crate::planted::{Bug, planted};

/// How far ahead of its issue an `iat` may lie, in seconds, before it is taken for a clock's mistake:
/// what the judges of usage grant.
const MOST_AHEAD: u64 = 60;
/// The most tokens that are issued ahead of a second and end by name: 35 KB of an item.
const MOST_NAMED: usize = 1_000;

/// From when on a customer's tokens for a solution must have been issued to be good.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Kept")]
pub(crate) struct NotBefore {
    /// In seconds since 1970: those with an earlier `iat` have ended.
    pub secs: u64,
    /// How often they were revoked. Families that began after fewer have ended.
    pub times: u64,
    /// The tokens that were issued since, with an `iat` that was still to come.
    pub ahead: Vec<String>,
    /// The latest `iat` of all other tokens, by whatever clock.
    pub latest: u64,
}

/// As it is kept; the first release kept the seconds alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Kept {
    Secs(u64),
    Whole {
        secs: u64,
        times: u64,
        ahead: Vec<String>,
        #[serde(default)]
        latest: u64,
    },
}

impl From<Kept> for NotBefore {
    fn from(kept: Kept) -> NotBefore {
        match kept {
            Kept::Secs(secs) => NotBefore { secs, ..NotBefore::default() },
            Kept::Whole { secs, times, ahead, latest } => NotBefore { secs, times, ahead, latest },
        }
    }
}

impl NotBefore {
    /// Whether the family has ended, with its token of that `iat`.
    pub(crate) fn ends(&self, family: &Family, iat: u64) -> bool {
        match family.after_revocations {
            Some(times) => times != self.times,
            None => iat < self.secs,
        }
    }

    /// The `iat` of a token that is issued at `now`, and which is good.
    pub(crate) fn issue(&mut self, now: u64, token_id: &str) -> u64 {
        if self.secs <= now || self.secs > now + MOST_AHEAD {
            // A clock that went back far must not make tokens that outlive it.
            if !planted(Bug::StampedByTheClock) {
                self.latest = self.latest.max(now);
            }
            return now;
        }
        self.ahead.push(token_id.to_owned());
        self.secs
    }

    /// The latest `iat` there is.
    pub(crate) fn last_iat(&self) -> u64 {
        if self.ahead.is_empty() { self.latest } else { self.latest.max(self.secs) }
    }

    /// Ends all that were issued up to `now`. Gives the tokens that must be named, because their `iat`
    /// is none that the seconds end.
    pub(crate) fn revoke(&mut self, now: u64) -> Vec<String> {
        self.times += 1;
        let mut named = std::mem::take(&mut self.ahead);
        let now = now.max(self.latest);
        if self.secs <= now {
            self.secs = now + 1;
            named.clear();
        } else if self.secs > now + MOST_AHEAD {
            self.secs = now + 1;
        } else if named.len() > MOST_NAMED {
            self.secs += 1;
            named.clear();
        }
        named
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_often_a_user_is_revoked_in_a_second_what_follows_is_of_the_next() {
        let mut end = NotBefore::default();
        assert_eq!(end.issue(1_000, "tok_1"), 1_000);
        assert_eq!(end.revoke(1_000), [""; 0]);
        for n in 0..300 {
            let token = format!("tok_{n}");
            assert_eq!(end.issue(1_000, &token), 1_001);
            assert_eq!(end.revoke(1_000), [token], "it ends by name");
        }
        assert_eq!((end.secs, end.times), (1_001, 301));
        // In the next second the seconds end it.
        end.issue(1_000, "tok_2");
        assert_eq!(end.revoke(1_001), [""; 0]);
        assert_eq!(end.secs, 1_002);
    }

    #[test]
    fn more_tokens_than_can_be_named_end_by_the_second() {
        let mut end = NotBefore::default();
        end.revoke(1_000);
        (0..=MOST_NAMED).for_each(|n| assert_eq!(end.issue(1_000, &n.to_string()), 1_001));
        assert_eq!(end.revoke(1_000), [""; 0]);
        assert_eq!(end.secs, 1_002);
    }

    #[test]
    fn a_clock_that_went_back_stamps_nothing_ahead() {
        let mut end = NotBefore::default();
        end.revoke(1_000_000);
        assert_eq!(end.issue(1_000, "tok_1"), 1_000);
        end.revoke(1_000);
        assert_eq!(end.issue(1_000, "tok_2"), 1_001);
    }

    #[test]
    fn what_was_issued_before_the_clock_went_back_ends_with_the_rest() {
        for back in [1, 30, 3_600] {
            let mut end = NotBefore::default();
            assert_eq!(end.issue(10_000, "tok_1"), 10_000);
            assert_eq!(end.revoke(10_000 - back), [""; 0]);
            assert_eq!(end.secs, 10_001, "the first has ended");
        }
        // What follows is good, and ends in its turn.
        let mut end = NotBefore::default();
        end.issue(10_000, "tok_1");
        end.revoke(9_999);
        assert_eq!(end.issue(9_999, "tok_2"), 10_001);
        assert_eq!(end.last_iat(), 10_001);
        assert_eq!(end.revoke(9_999), ["tok_2"]);
    }

    #[test]
    fn what_earlier_releases_kept_is_read() {
        let kept: NotBefore = serde_json::from_str("1000").expect("seconds");
        assert_eq!(kept, NotBefore { secs: 1_000, ..NotBefore::default() });
        let kept: NotBefore = serde_json::from_str(r#"{"secs":1000,"times":2,"ahead":["tok_1"]}"#)
            .expect("no second of the last token");
        assert_eq!((kept.times, kept.latest, kept.last_iat()), (2, 0, 1_000));
        let text = serde_json::to_string(&kept).expect("JSON");
        assert_eq!(serde_json::from_str::<NotBefore>(&text).expect("the same"), kept);
    }
}
