//! What programs do all day: ask who somebody is, and note what they did. Each answer is held against what
//! the watcher knows.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudnestle_marketplace::host::Host;
use cloudnestle_marketplace::{
    Answer, Code, Durability, Error, Freshness, Receipt, Tier, Usage, ValidationMode, Verified,
};
use futures_util::FutureExt;
use futures_util::future::{Either, select};

use crate::fault::Fault;
use crate::oracle::{Attempt, Outcome};
use crate::people::{Person, Rush};
use crate::program::Running;

/// What an answer that is fresh is at most old, and one that is not.
const FRESH: Duration = Duration::from_secs(5);
const OFFLINE: Duration = Duration::from_secs(5 * 60);

/// How long `flush` waits.
const FLUSH: Duration = Duration::from_secs(10);

/// One thing after the other.
pub(crate) struct Worker(pub(crate) Arc<Running>);

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

impl Worker {
    pub(crate) async fn work(self) {
        let Worker(running) = self;
        let mut rushed = Duration::ZERO;
        loop {
            let pause = match running.world.one_in(3) {
                true => running.world.between(0, 20),
                false => running.world.between(50, 1_500),
            };
            running.host.sleep(Duration::from_millis(pause)).await;
            if running.link.is_closing.load(Ordering::Relaxed) {
                return;
            }
            match running.next_rush(rushed) {
                Some(rush) => {
                    rushed = rush.at;
                    running.join_rush(rush).await;
                }
                None => running.do_something().await,
            }
        }
    }
}

impl Running {
    async fn do_something(&self) {
        let Some((place, person)) = self.somebody() else { return };
        let quantity = self.world.between(1, 4);
        match self.world.between(0, 100) {
            0..35 => self.track(&person, self.action(), quantity).await,
            35..50 => self.consume(&person, self.limited_action(), quantity).await,
            50..70 => self.validate(&person).await,
            70..78 => self.ask_for_context(&person).await,
            78..87 => self.refresh(place, &person).await,
            87..90 => self.flush().await,
            90..92 => self.welcome().await,
            92..94 => self.revoke(&person).await,
            94..96 => self.ask_for_quotas(&person).await,
            _ => self.check(self.sdk.stats().usage, "in between"),
        }
    }

    /// Somebody who uses the solution.
    fn somebody(&self) -> Option<(usize, Person)> {
        let people = self.world.people();
        let places = people.of(&self.settings.solution_id);
        let which = self.world.between(0, places.len().max(1) as u64);
        let place = *places.get(which as usize)?;
        Some((place, people.all[place].clone()))
    }

    /// The next moment at which all programs do the same for the same customer, whose limit is near: one that
    /// was announced since `rushed`, or now and then one of Ravi's.
    fn next_rush(&self, rushed: Duration) -> Option<Rush> {
        let now = self.world.now();
        let people = self.world.people();
        let solution_id = &self.settings.solution_id;
        let announced = people.rush.as_ref().filter(|rush| {
            rush.person.solution_id == *solution_id && rush.at > now && rush.at > rushed
        });
        if announced.is_some() || !self.world.one_in(12) {
            return announced.cloned();
        }
        let of = people.of(solution_id);
        let ravi = of.iter().map(|place| &people.all[*place]);
        let person = ravi.into_iter().find(|person| person.customer_id == "cus_ravi")?.clone();
        let every = Duration::from_secs(3).as_nanos();
        let next = every - now.as_nanos() % every;
        Some(Rush { person, at: now + Duration::from_nanos(next as u64) })
    }

    async fn join_rush(&self, Rush { person, at }: Rush) {
        self.host.sleep(at.saturating_sub(self.world.now())).await;
        match self.world.one_in(2) {
            true => self.consume(&person, self.limited_action(), self.world.between(2, 4)).await,
            false => self.track(&person, self.limited_action(), self.world.between(2, 4)).await,
        }
        self.flush().await;
    }

    /// Something that is about to be noted.
    fn attempt(&self, action: &'static str) -> usize {
        let (life, outcome) = (self.life, Outcome::Unknown);
        let mut oracle = self.world.oracle();
        oracle.attempts.push(Attempt { life, action, allowed: false, outcome });
        oracle.attempts.len() - 1
    }

    /// What has a hard limit, if anything of the solution has one.
    fn limited_action(&self) -> &'static str {
        match self.settings.solution_id.as_str() {
            "sol_invoice_ocr" => "translation",
            "sol_faiss_search" => "export",
            _ => self.action(),
        }
    }

    async fn consume(&self, person: &Person, action: &'static str, quantity: u64) {
        let mark = self.attempt(action);
        let usage = Usage::of(action).quantity(quantity).metadata("mark", mark as u64);
        let began = self.world.now();
        let consumed = self.sdk.consume(person.pair.access_token.expose(), usage).await;
        self.took("consume", began, self.settings.deadline);
        let consumed = match consumed {
            Ok(consumed) => consumed,
            Err(error) => {
                self.refused(mark, &error);
                return self.judge_error("consume", person, &error);
            }
        };
        let id = consumed.receipt().event_id().to_owned();
        let overage = if consumed.is_overage() { "overage" } else { "allowed" };
        self.world.note(&self.link.name, format_args!("{mark} is {id}, {overage}"));
        self.acknowledged_as(mark, id);
        self.world.oracle().attempts[mark].allowed = !consumed.is_overage();
    }

    fn refused(&self, mark: usize, error: &Error) {
        self.world.note(&self.link.name, format_args!("{mark} is refused: {error}"));
        // Where a disk fails after the write, nobody knows.
        if error.code() != Code::SpoolFailed {
            self.world.oracle().attempts[mark].outcome = Outcome::Refused;
        }
    }

    fn acknowledged_as(&self, mark: usize, event_id: String) {
        let persisted = self.settings.durability == Durability::Durable;
        let outcome = Outcome::Acknowledged { event_id, at: self.world.now(), persisted };
        self.world.oracle().attempts[mark].outcome = outcome;
    }

    async fn track(&self, person: &Person, action: &'static str, quantity: u64) {
        let mark = self.attempt(action);
        let usage = Usage::of(action).quantity(quantity).metadata("mark", mark as u64);
        let began = self.world.now();
        let tracked = self.sdk.track_usage(person.pair.access_token.expose(), usage).await;
        self.took("track_usage", began, self.settings.deadline);
        let receipt = match tracked {
            Ok(receipt) => receipt,
            Err(error) => {
                self.refused(mark, &error);
                return self.judge_error("track_usage", person, &error);
            }
        };
        self.world.note(&self.link.name, format_args!("{mark} is {}", receipt.event_id()));
        self.acknowledged_as(mark, receipt.event_id().to_owned());
        match self.world.between(0, 16) {
            0..2 => self.persisted(mark, &receipt).await,
            2 => self.delivered(&receipt).await,
            _ => {}
        }
    }

    async fn persisted(&self, mark: usize, receipt: &Receipt) {
        match receipt.persisted().await {
            Ok(()) => {
                let mut oracle = self.world.oracle();
                if let Outcome::Acknowledged { persisted, .. } = &mut oracle.attempts[mark].outcome
                {
                    *persisted = true;
                }
            }
            Err(_) if self.world.oracle().disk_failed(self.life, Fault::SyncFails) => {}
            Err(error) => {
                self.world
                    .violated(format!("{}: {mark} is not persisted: {error}", self.link.name));
            }
        }
    }

    /// Waits for a while, and believes what it hears.
    async fn delivered(&self, receipt: &Receipt) {
        let patience = self.host.sleep(Duration::from_millis(self.world.between(1, 5_000)));
        let Either::Left((Ok(()), _)) = select(receipt.delivered().boxed(), patience).await else {
            return;
        };
        let id = receipt.event_id();
        if !self.world.oracle().counted.contains(id) {
            self.world.violated(format!("{}: {id} is delivered, and not counted", self.link.name));
        }
    }

    async fn validate(&self, person: &Person) {
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

    async fn ask_for_context(&self, person: &Person) {
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
    fn judge_error(&self, call: &str, person: &Person, error: &Error) {
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

    async fn refresh(&self, place: usize, person: &Person) {
        let began = self.world.now();
        if !self.world.people().begin_renewal(place, self.life, began) {
            return;
        }
        let renewal = self.sdk.refresh(&person.pair).boxed();
        let patience = match self.world.one_in(5) {
            true => self.world.between(0, 300),
            false => 60_000,
        };
        let patience = self.host.sleep(Duration::from_millis(patience));
        let renewed = match select(renewal, patience).await {
            Either::Left((renewed, _)) => renewed,
            Either::Right((_, renewal)) => {
                self.link.gives_up.store(true, Ordering::Relaxed);
                drop(renewal);
                self.link.gives_up.store(false, Ordering::Relaxed);
                return;
            }
        };
        self.took("refresh", began, self.settings.deadline);
        match renewed {
            Ok(pair) => {
                self.world.note(&self.link.name, format_args!("{} is renewed", person.customer_id));
                let now = self.world.now();
                let wrong = self.world.people().renewed(place, &person.pair, pair, now);
                if let Some(wrong) = wrong {
                    self.world.violated(wrong);
                }
            }
            Err(error) => {
                let ended =
                    matches!(error.code(), Code::RefreshTokenInvalid | Code::RefreshTokenReused);
                if ended {
                    self.logged_out(place, person, &error).await;
                }
            }
        }
    }

    /// Somebody has to sign in again: for a reason?
    async fn logged_out(&self, place: usize, person: &Person, error: &Error) {
        let token_id = token_id(person.pair.access_token.expose());
        let revoked = token_id.and_then(|id| self.world.oracle().revoked(&id)).is_some();
        if !revoked || error.code() == Code::RefreshTokenReused {
            let name = &self.link.name;
            let who = &person.customer_id;
            self.world.violated(format!("{name}: {who} is logged out for no reason: {error}"));
        }
        let Some(market) = self.world.server.market() else { return };
        let pair = market.token_pair(&person.customer_id, &person.solution_id).await;
        if let Ok(pair) = pair {
            let mut people = self.world.people();
            if people.all[place].pair == person.pair {
                people.all[place].pair = pair;
            }
        }
    }

    async fn flush(&self) {
        let acknowledged = self.acknowledged();
        let began = self.world.now();
        let flushed = self.sdk.flush().await;
        self.took("flush", began, FLUSH);
        self.world.note(&self.link.name, format_args!("flush: {:?}", flushed.as_ref().err()));
        if flushed.is_err() {
            return;
        }
        let oracle = self.world.oracle();
        if oracle.disk_failed(self.life, Fault::SyncFails) {
            return; // it may have forgotten what it acknowledged
        }
        let missing = acknowledged.into_iter().find(|id| !oracle.answered.contains(id));
        drop(oracle);
        if let Some(missing) = missing {
            self.world.violated(format!("{}: flushed, and {missing} is nowhere", self.link.name));
        }
    }

    /// What this process was told is noted.
    fn acknowledged(&self) -> Vec<String> {
        let oracle = self.world.oracle();
        let own = oracle.attempts.iter().filter(|attempt| attempt.life == self.life);
        let ids = own.filter_map(|attempt| match &attempt.outcome {
            Outcome::Acknowledged { event_id, .. } => Some(event_id.clone()),
            Outcome::Unknown | Outcome::Refused => None,
        });
        ids.collect()
    }

    async fn welcome(&self) {
        if self.settings.solution_id != "sol_faiss_search" {
            return; // the others are for registered customers
        }
        let began = self.world.now();
        let welcomed = self.sdk.create_visitor().await;
        self.took("create_visitor", began, self.settings.deadline);
        let Ok(pair) = welcomed else { return };
        let Some(customer_id) = customer_id(pair.access_token.expose()) else { return };
        let solution_id = self.settings.solution_id.clone();
        self.world.people().all.push(Person::new(customer_id, solution_id, pair));
    }

    async fn revoke(&self, person: &Person) {
        let token = person.pair.access_token.expose();
        let began = self.world.now();
        let revoked = self.sdk.revoke_token(token).await;
        self.took("revoke_token", began, self.settings.deadline);
        if revoked.is_err() {
            return;
        }
        let good = self.sdk.validate_user(token).now_or_never();
        let online = self.settings.validation == ValidationMode::Online;
        if !online && !matches!(good, Some(Err(_))) {
            self.world.violated(format!("{}: believes what it has revoked", self.link.name));
        }
    }

    async fn ask_for_quotas(&self, person: &Person) {
        let began = self.world.now();
        // Whatever it is: that it comes in time is what counts.
        let _ = self.sdk.quotas(&person.customer_id).await;
        self.took("quotas", began, self.settings.deadline);
    }

    fn action(&self) -> &'static str {
        match (self.settings.solution_id.as_str(), self.world.between(0, 4)) {
            ("sol_faiss_search", 0) => "export",
            ("sol_faiss_search", 1) => "index",
            ("sol_faiss_search", _) => "search",
            ("sol_chat_notes", 0) => "transcription",
            ("sol_invoice_ocr", 0) => "translation",
            ("sol_invoice_ocr", _) => "page",
            _ => "note",
        }
    }
}

/// A claim of a token, by its own words.
fn claim(token: &str, name: &str) -> Option<String> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    Some(claims.get(name)?.as_str()?.to_owned())
}

fn token_id(token: &str) -> Option<String> {
    claim(token, "jti")
}

pub(crate) fn customer_id(token: &str) -> Option<String> {
    claim(token, "sub")
}
