//! What the revocation feed has told so far: which tokens have ended, and who has another tier.
//!
//! Pure: it knows neither clocks nor requests. Every change moves the *epoch* on, so that whoever has
//! judged a token at one epoch need not judge it again before the next.

use std::collections::HashMap;
use std::time::Duration;

use super::verdict::{Subject, Verdict};
use crate::error::{Error, Result};
use crate::http::Now;
use crate::model::{Code, FeedChange, FeedEntry, Revocations as Page, Tier, Timestamp};
use crate::planted::{Bug, planted};

/// The most tokens and users that are remembered: a hundred of the marketplace's largest pages, some
/// 15 MB. A feed with more is not kept; the marketplace is asked about every token, as it is where there
/// is no feed.
const MOST: usize = 100_000;

/// How long what was told is remembered at least, by the clock that never jumps. The other may: set on by an
/// hour and put right a second later, it must not bring a revoked token back. A token's life is 15 minutes.
const REMEMBERED_FOR: Duration = Duration::from_secs(20 * 60);

/// Everything that was told and still matters.
#[derive(Default)]
pub(super) struct Ended {
    generation: String,
    /// What to read after the next time.
    cursor: Option<String>,
    epoch: u64,
    /// What was learned before this epoch was learned from another database, and is void.
    void_before: u64,
    /// Of tokens that were issued before this second the feed can't tell; in seconds since 1970.
    silent_before: u64,
    /// Revoked tokens.
    tokens: HashMap<String, Until>,
    users: HashMap<String, OfUser>,
}

/// What was told of a user.
struct OfUser {
    /// Tokens issued before have ended; in seconds since 1970.
    not_before: u64,
    tier: Option<Retiered>,
    until: Until,
}

/// How long something must be remembered.
#[derive(Clone, Copy)]
struct Until {
    /// When it matters no longer, by the marketplace's clock.
    expires_at: Timestamp,
    /// By the monotonic clock.
    told: Duration,
}

impl Until {
    fn is_over(self, now: Now) -> bool {
        let was_told_long_ago =
            planted(Bug::FeedForgottenByTheClock) || now.here >= self.told + REMEMBERED_FOR;
        self.expires_at <= now.there && was_told_long_ago
    }
}

#[derive(Clone, Copy)]
struct Retiered {
    tier: Tier,
    /// In seconds since 1970, as in a token.
    changed_at: u64,
    epoch: u64,
}

impl Ended {
    pub(super) fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Learns what an answer tells, and says whether it is that of another database than before.
    pub(super) fn learn(&mut self, page: Page, now: Now) -> Result<bool> {
        let is_other = page.generation != self.generation;
        let goes_on = self.cursor.as_ref().is_none_or(|cursor| *cursor != page.cursor);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if is_other && !page.snapshot || page.more && !goes_on || !page.cursor.chars().all(is_plain)
        {
            let words = "The revocation feed does not go on from where it was.";
            return Err(Error::because(Code::AnswerInvalid, words));
        }
        let was_replaced = is_other && !self.generation.is_empty();
        if was_replaced {
            self.tokens.clear();
            self.users.clear();
            self.void();
        }
        if is_other {
            self.generation = page.generation;
            self.silent_before = page.began_at.numeric_date();
        }
        if !page.changes.is_empty() {
            self.epoch += 1;
            self.tokens.retain(|_, until| !until.is_over(now));
            self.users.retain(|_, user| !user.until.is_over(now));
        }
        for entry in page.changes {
            self.apply(entry, now);
            if self.tokens.len() + self.users.len() > MOST {
                self.tokens.clear();
                self.users.clear();
                self.know_nothing(now.there);
            }
        }
        self.cursor = Some(page.cursor);
        Ok(was_replaced)
    }

    fn apply(&mut self, FeedEntry { expires_at, change, .. }: FeedEntry, now: Now) {
        let until = Until { expires_at, told: now.here };
        match change {
            FeedChange::TokensRevoked { token_ids } => {
                self.tokens.extend(token_ids.into_iter().map(|id| (id, until)));
            }
            FeedChange::UserRevoked { customer_id, not_before } => {
                let user = self.user(customer_id, until);
                user.not_before = user.not_before.max(not_before);
            }
            FeedChange::TierChanged { customer_id, tier, changed_at } => {
                let (changed_at, epoch) = (changed_at.numeric_date(), self.epoch);
                self.user(customer_id, until).tier = Some(Retiered { tier, changed_at, epoch });
            }
            // It may concern any token there is.
            FeedChange::Unknown => self.know_nothing(now.there),
        }
    }

    /// Of every token there is, only asking tells from now on.
    fn know_nothing(&mut self, now: Timestamp) {
        self.silent_before = self.silent_before.max(now.numeric_date() + 1);
        self.void();
    }

    fn user(&mut self, customer_id: String, until: Until) -> &mut OfUser {
        let nothing = OfUser { not_before: 0, tier: None, until };
        let user = self.users.entry(customer_id).or_insert(nothing);
        let expires_at = user.until.expires_at.max(until.expires_at);
        user.until = Until { expires_at, ..until };
        user
    }

    fn void(&mut self) {
        self.epoch += 1;
        self.void_before = self.epoch;
    }

    /// What was learned before this epoch counts no longer.
    pub(super) fn void_before(&self) -> u64 {
        self.void_before
    }

    /// Whether the feed tells if a token ends that was issued then; if not, ask the marketplace.
    pub(super) fn tells_of(&self, issued_at: u64) -> bool {
        issued_at >= self.silent_before
    }

    /// What was told of a token since `epoch`, when the marketplace said what is known of it; `None`
    /// if all that is known of it are its own words.
    pub(super) fn judge(&self, token: Subject<'_>, epoch: Option<u64>) -> Verdict {
        if epoch.is_some_and(|epoch| epoch < self.void_before) {
            return Verdict::Void;
        }
        if self.tokens.contains_key(token.token_id) {
            return Verdict::Revoked;
        }
        let Some(user) = self.users.get(token.customer_id) else { return Verdict::Good };
        if token.issued_at < user.not_before {
            return Verdict::Revoked;
        }
        let is_newer = |change: &Retiered| match epoch {
            Some(epoch) => change.epoch > epoch,
            None => change.changed_at >= token.issued_at,
        };
        user.tier.filter(is_newer).map_or(Verdict::Good, |change| Verdict::Retiered(change.tier))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
    const AT: Now = Now { here: Duration::from_secs(50), there: NOW };
    const LIFE: Duration = Duration::from_secs(900);

    fn page(version: u64, changes: Vec<FeedChange>) -> Page {
        let expires_at = NOW + LIFE;
        let entry = |change| FeedEntry { version, expires_at, change };
        Page {
            generation: "gen_a".into(),
            began_at: NOW - LIFE,
            version,
            cursor: format!("gen_a.{version}"),
            snapshot: version == 0,
            more: false,
            changes: changes.into_iter().map(entry).collect(),
        }
    }

    fn told(changes: Vec<FeedChange>) -> Ended {
        let mut ended = Ended::default();
        ended.learn(page(0, vec![]), AT).unwrap();
        ended.learn(page(1, changes), AT).unwrap();
        ended
    }

    /// A token of that customer, issued so many seconds after `NOW`.
    fn token(customer_id: &str, after: i64) -> Subject<'_> {
        let issued_at = (NOW.as_secs() + after) as u64;
        Subject { token_id: "tok_a", customer_id, issued_at }
    }

    fn tier(tier: Tier) -> FeedChange {
        FeedChange::TierChanged { customer_id: "cus_a".into(), tier, changed_at: NOW }
    }

    #[test]
    fn a_revoked_token_has_ended_and_others_have_not() {
        let ended = told(vec![FeedChange::TokensRevoked { token_ids: vec!["tok_a".into()] }]);
        assert_eq!(ended.judge(token("cus_a", 0), None), Verdict::Revoked);
        let other = Subject { token_id: "tok_b", ..token("cus_a", 0) };
        assert_eq!(ended.judge(other, None), Verdict::Good);
    }

    #[test]
    fn of_a_revoked_user_the_tokens_from_before_have_ended() {
        let not_before = NOW.as_secs() as u64;
        let ended = told(vec![FeedChange::UserRevoked { customer_id: "cus_a".into(), not_before }]);
        assert_eq!(ended.judge(token("cus_a", -1), None), Verdict::Revoked);
        assert_eq!(ended.judge(token("cus_a", 0), None), Verdict::Good);
        assert_eq!(ended.judge(token("cus_b", -1), None), Verdict::Good);
    }

    #[test]
    fn a_tier_is_told_of_tokens_from_before_and_of_answers_from_before() {
        let mut ended = told(vec![tier(Tier::Pro)]);
        assert_eq!(ended.judge(token("cus_a", 0), None), Verdict::Retiered(Tier::Pro));
        assert_eq!(ended.judge(token("cus_a", 1), None), Verdict::Good, "it says so itself");
        let epoch = ended.epoch();
        assert_eq!(ended.judge(token("cus_a", 0), Some(epoch)), Verdict::Good, "known already");
        ended.learn(page(2, vec![tier(Tier::Enterprise)]), AT).unwrap();
        assert_eq!(
            ended.judge(token("cus_a", 0), Some(epoch)),
            Verdict::Retiered(Tier::Enterprise)
        );
    }

    #[test]
    fn what_matters_no_longer_is_forgotten() {
        let mut ended = told(vec![
            FeedChange::TokensRevoked { token_ids: vec!["tok_a".into()] },
            tier(Tier::Pro),
        ]);
        let later = Now { here: AT.here + REMEMBERED_FOR, there: NOW + REMEMBERED_FOR };
        let mut news = page(2, vec![FeedChange::TokensRevoked { token_ids: vec!["tok_b".into()] }]);
        news.changes[0].expires_at = later.there + LIFE;
        ended.learn(news, later).unwrap();
        assert_eq!((ended.tokens.len(), ended.users.len()), (1, 0));
    }

    #[test]
    fn a_clock_that_is_set_on_and_put_right_brings_no_token_back() {
        let mut ended = told(vec![
            FeedChange::TokensRevoked { token_ids: vec!["tok_a".into()] },
            FeedChange::UserRevoked { customer_id: "cus_b".into(), not_before: u64::MAX },
        ]);
        let set_on = Now { there: NOW + 4 * LIFE, ..AT };
        ended.learn(page(2, vec![tier(Tier::Pro)]), set_on).unwrap();
        assert_eq!(ended.judge(token("cus_a", 0), None), Verdict::Revoked);
        let other = Subject { token_id: "tok_b", ..token("cus_b", 0) };
        assert_eq!(ended.judge(other, None), Verdict::Revoked);
    }

    #[test]
    fn another_generation_voids_everything_and_the_first_one_nothing() {
        let mut ended = Ended::default();
        let before = ended.epoch();
        assert!(!ended.learn(page(0, vec![]), AT).unwrap());
        assert_eq!((before, ended.void_before()), (0, 0));

        ended.learn(page(1, vec![tier(Tier::Pro)]), AT).unwrap();
        let known = ended.epoch();
        let mut other = page(0, vec![]);
        (other.generation, other.began_at) = ("gen_b".into(), NOW);
        assert!(ended.learn(other, AT).unwrap());
        assert_eq!(ended.judge(token("cus_a", 0), Some(known)), Verdict::Void);
        assert_eq!(ended.judge(token("cus_a", 0), None), Verdict::Good);
        assert!(!ended.tells_of(NOW.as_secs() as u64 - 1) && ended.tells_of(NOW.as_secs() as u64));
    }

    #[test]
    fn a_change_of_a_newer_marketplace_makes_the_sdk_ask_about_every_token() {
        let mut ended = told(vec![]);
        let known = ended.epoch();
        ended.learn(page(2, vec![FeedChange::Unknown]), AT).unwrap();
        assert!(known < ended.void_before());
        assert!(!ended.tells_of(NOW.as_secs() as u64));
        assert!(ended.tells_of(NOW.as_secs() as u64 + 1));
    }

    #[test]
    fn more_than_can_be_kept_is_forgotten_and_the_marketplace_asked_instead() {
        let ids = |page: usize| (0..10_000).map(move |n| format!("tok_{page}_{n}"));
        let mut ended = told(vec![]);
        for page_of in 1..=10 {
            let token_ids = ids(page_of).collect();
            let news = page(1 + page_of as u64, vec![FeedChange::TokensRevoked { token_ids }]);
            ended.learn(news, AT).unwrap();
        }
        let known = ended.epoch();
        let issued_at = NOW.as_secs() as u64;
        assert!(ended.tells_of(issued_at) && ended.tokens.len() == MOST);

        ended.learn(page(12, vec![tier(Tier::Pro)]), AT).unwrap();

        assert!(!ended.tells_of(issued_at) && ended.tells_of(issued_at + 1));
        assert_eq!(ended.judge(token("cus_b", 0), Some(known)), Verdict::Void);
        assert_eq!((ended.tokens.len(), ended.users.len()), (0, 0));
        assert_eq!(ended.cursor(), Some("gen_a.12"), "what comes next is told again");
    }

    #[test]
    fn a_feed_that_goes_nowhere_or_elsewhere_is_not_believed() {
        let mut ended = told(vec![]);
        let stuck = Page { more: true, ..page(1, vec![]) };
        let elsewhere = Page { generation: "gen_b".into(), ..page(2, vec![]) };
        let not_plain = Page { cursor: "a&b=c".into(), ..page(2, vec![]) };
        for page in [stuck, elsewhere, not_plain] {
            assert_eq!(ended.learn(page, AT).unwrap_err().code(), Code::AnswerInvalid);
        }
        assert_eq!(ended.cursor(), Some("gen_a.1"));
    }
}
