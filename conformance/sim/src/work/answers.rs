//! Who somebody is, by what a program is told: no answer says more than its age lets it know, and nobody is
//! refused for nothing.

use std::sync::atomic::Ordering;
use std::time::Duration;

use cloudnestle_marketplace::{Answer, Code, Error, Freshness, Tier, ValidationMode, Verified};

use super::token_id;
use crate::fault::Fault;
use crate::people::Person;
use crate::program::Running;

/// What an answer that is fresh is at most old, and one that is not.
const FRESH: Duration = Duration::from_secs(5);
const OFFLINE: Duration = Duration::from_secs(5 * 60);

/// An answer about a token.
struct Said<'a> {
    token_id: &'a str,
    customer_id: &'a str,
    tier: Tier,
    verified: Verified,
    freshness: Freshness,
    age: Duration,
}

impl<'a> Said<'a> {
    fn of<T>(answer: &Answer<T>, token_id: &'a str, customer_id: &'a str, tier: Tier) -> Said<'a> {
        let (verified, freshness, age) = (answer.verified(), answer.freshness(), answer.age());
        Said { token_id, customer_id, tier, verified, freshness, age }
    }
}

impl Running {
    pub(super) async fn validate(&self, person: &Person) {
        let began = self.world.now();
        let answer = self.sdk.validate_user(person.pair.access_token.expose()).await;
        self.took("validate_user", began, self.settings.deadline);
        match &answer {
            Ok(user) => {
                let said = Said::of(user, &user.token_id, &user.customer_id, user.tier);
                self.judge_answer("validate_user", began, person, said);
            }
            Err(error) => self.judge_error("validate_user", person, error),
        }
    }

    pub(super) async fn ask_for_context(&self, person: &Person) {
        let began = self.world.now();
        let answer = self.sdk.get_user_context(person.pair.access_token.expose()).await;
        self.took("get_user_context", began, self.settings.deadline);
        match &answer {
            Ok(context) => {
                let (token, customer) = (&context.token_id, &context.customer_id);
                let said = Said::of(context, token, customer, context.tier);
                self.judge_answer("get_user_context", began, person, said);
            }
            Err(error) => self.judge_error("get_user_context", person, error),
        }
    }

    /// Whether an answer says no more than its age lets it know.
    fn judge_answer(&self, call: &str, began: Duration, person: &Person, said: Said<'_>) {
        let Said { token_id, customer_id, tier, verified, freshness, age } = said;
        let world = &self.world;
        let name = &self.link.name;
        world.note(name, format_args!("{call}: {token_id} {tier:?} {freshness:?} {age:?}"));
        if self.settings.validation == ValidationMode::Local {
            return;
        }
        if customer_id != person.customer_id {
            world
                .violated(format!("{name}: {call} takes {} for {customer_id}", person.customer_id));
        }
        let oldest = if freshness == Freshness::Fresh { FRESH } else { OFFLINE };
        let most = oldest + oldest / 1_000;
        if age > most && !(verified == Verified::Local && world.oracle().clocks_moved) {
            world.violated(format!("{name}: {call} is {freshness:?} and {age:?} old"));
        }
        // Where nobody was asked, the age is by a clock that is right to a second or two.
        let slack = match verified {
            Verified::Online => Duration::from_millis(2) + age / 1_000,
            _ => Duration::from_secs(3),
        };
        let (revoked, clocks_moved) = {
            let oracle = world.oracle();
            (oracle.revoked(token_id), oracle.clocks_moved)
        };
        if verified == Verified::Local && clocks_moved {
            return;
        }
        let known_at = world.now().saturating_sub(age);
        if let Some(revoked) = revoked {
            let ago = began.saturating_sub(revoked);
            let too_late = match (self.settings.validation, freshness) {
                (ValidationMode::Online, _) => !ago.is_zero(),
                (_, Freshness::Offline) => ago > OFFLINE + slack,
                _ => ago > FRESH + slack,
            };
            if known_at > revoked + slack || too_late {
                world.violated(format!(
                    "{name}: {call} lets {token_id} in as of {age:?} ago, {freshness:?}; it was revoked \
                     {:?} ago",
                    world.now().saturating_sub(revoked)
                ));
            }
        }
        let since = known_at.saturating_sub(slack);
        if !world.oracle().had_tier(customer_id, &person.solution_id, tier, since) {
            world.violated(format!(
                "{name}: {call} says {tier:?} of {age:?} ago, which is not true"
            ));
        }
    }

    /// Whether an error is one that something in the story explains.
    pub(super) fn judge_error(&self, call: &str, person: &Person, error: &Error) {
        let name = &self.link.name;
        let oracle = self.world.oracle();
        let token_id = token_id(person.pair.access_token.expose());
        let revoked = token_id.as_deref().and_then(|id| oracle.revoked(id)).is_some();
        let moved = oracle.clocks_moved;
        let full = oracle.disk_failed(self.life, Fault::DiskFull);
        let unsynced = oracle.disk_failed(self.life, Fault::SyncFails);
        drop(oracle);
        let explained = match error.code() {
            Code::TokenRevoked | Code::TokenRefused => revoked,
            Code::TokenExpired | Code::TokenNotYetValid => moved,
            Code::Closed => self.link.is_closing.load(Ordering::Relaxed),
            Code::SpoolFull => full,
            Code::SpoolFailed => unsynced,
            Code::Forked | Code::UsageLost => false,
            Code::Internal | Code::Unknown => true, // of somebody on the way
            _ => !error.refuses_user(),
        };
        if !explained {
            self.world.violated(format!("{name}: {call} fails for no reason: {error}"));
        }
    }
}
