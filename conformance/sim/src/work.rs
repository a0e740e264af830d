//! What programs do all day: ask who somebody is, and note what they did. Each answer is held against what
//! the watcher knows.

mod answers;
mod launches;
mod pairs;
mod usage;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudnestle_marketplace::host::Host;

use crate::people::{Person, Rush};
use crate::program::Running;

/// An action that no solution declares at first.
pub(crate) const UNDECLARED: &str = "thumbnail";

/// One thing after the other.
pub(crate) struct Worker(pub(crate) Arc<Running>);

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
                None => match running.appointed() {
                    Some((place, person)) => running.keep_appointment(place, &person).await,
                    None => running.do_something().await,
                },
            }
        }
    }
}

impl Running {
    async fn do_something(&self) {
        let Some((place, person)) = self.somebody() else { return };
        let quantity = self.world.between(1, 4);
        match self.world.between(0, 100) {
            0..34 => self.track(&person, self.action(), quantity).await,
            34 if self.world.one_in(3) => self.replay().await,
            35..50 => self.consume(&person, self.limited_action(), quantity).await,
            50..68 => self.validate(&person).await,
            68..70 => self.launch().await,
            70..78 => self.ask_for_context(&person).await,
            78..87 if !self.world.people().is_awaited(&person) => {
                self.refresh(place, &person).await;
            }
            87..90 => self.flush().await,
            90..92 => self.welcome().await,
            92..94 if !self.world.people().is_awaited(&person) => self.revoke(&person).await,
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

    /// Who is to renew their pair by now.
    fn appointed(&self) -> Option<(usize, Person)> {
        let mut people = self.world.people();
        let place = people.appointed(&self.settings.solution_id, self.world.now())?;
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

    /// What has a hard limit, if anything of the solution has one.
    fn limited_action(&self) -> &'static str {
        match self.settings.solution_id.as_str() {
            "sol_invoice_ocr" => "translation",
            "sol_faiss_search" => "export",
            _ => self.action(),
        }
    }

    async fn ask_for_quotas(&self, person: &Person) {
        let began = self.world.now();
        // Whatever it is: that it comes in time is what counts.
        let _ = self.sdk.quotas(&person.customer_id).await;
        self.took("quotas", began, self.settings.deadline);
    }

    fn action(&self) -> &'static str {
        if self.world.one_in(12) {
            return UNDECLARED;
        }
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

pub(crate) fn token_id(token: &str) -> Option<String> {
    claim(token, "jti")
}

pub(crate) fn customer_id(token: &str) -> Option<String> {
    claim(token, "sub")
}

pub(crate) fn solution_id(token: &str) -> Option<String> {
    claim(token, "aud")
}
