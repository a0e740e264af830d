//! What the marketplace has said about tokens, how long it may be believed, and whom to ask when it
//! may not. One rule for users and for contexts.

use std::sync::Arc;
use std::time::Duration;

use crate::answer::{Answer, Freshness, Verified};
use crate::error::{Error, Result};
use crate::flights::Flights;
use crate::host::Host;
use crate::host::cache::TokenCache;
use crate::http::Clock;
use crate::model::{Code, Timestamp};
use crate::reach::Reach;

/// How long an answer may be given again without asking. Without the revocation feed this is the
/// bound on how late a revocation is noticed.
const FRESH_FOR: Duration = Duration::from_secs(5);

/// How old an answer may be when the marketplace can't be reached. A token's life is 15 minutes;
/// this is how long a revocation may go unnoticed in an outage.
const OFFLINE_FOR: Duration = Duration::from_secs(5 * 60);

pub(crate) struct Memory<T: Send + Sync + 'static> {
    host: Arc<dyn Host>,
    clock: Arc<Clock>,
    reach: Arc<Reach>,
    known: Arc<TokenCache<Arc<Known<T>>>>,
    flights: Flights<Arc<Known<T>>>,
}

/// Something that was said about a token.
pub(crate) struct Known<T> {
    said: Said<T>,
    /// When the marketplace was asked, by the monotonic clock: the request was sent then, and the
    /// answer may have been true only then.
    asked: Duration,
    /// Until when it is given without asking, by the monotonic clock.
    fresh_until: Duration,
    /// When the token ends, by the marketplace's clock: the monotonic one stands still while a
    /// machine sleeps.
    ends_at: Timestamp,
}

enum Said<T> {
    Yes(Arc<T>, Verified),
    /// A token that was refused stays refused: what ends never begins again.
    No(Code),
}

impl<T: Send + Sync + 'static> Memory<T> {
    pub(crate) fn new(host: Arc<dyn Host>, clock: Arc<Clock>, reach: Arc<Reach>) -> Self {
        let flights = Flights::new(host.clone());
        Memory { host, clock, reach, known: Arc::new(TokenCache::new()), flights }
    }

    /// What was said of the token within the last 5 s. Waits for nobody.
    pub(crate) fn fresh(&self, token: &str) -> Option<Result<Answer<T>>> {
        let known = self.known.get(token)?;
        known.fresh(self.host.monotonic(), self.clock.now())
    }

    /// Remembers something that was found out without asking.
    pub(crate) fn remember(
        &self,
        token: &str,
        value: T,
        verified: Verified,
        ends_at: Timestamp,
    ) -> Answer<T> {
        let now = self.host.monotonic();
        let value = Arc::new(value);
        keep(&self.known, token, Known::yes(value.clone(), verified, now, ends_at));
        Answer { value, verified, freshness: Freshness::Fresh, age: Duration::ZERO }
    }

    /// Refuses the token from now on, without asking.
    pub(crate) fn refuse(&self, token: &str, code: Code) {
        let (asked, said) = (self.host.monotonic(), Said::No(code));
        let ends_at = Timestamp::from_millis(i64::MAX);
        keep(&self.known, token, Known { said, asked, fresh_until: Duration::MAX, ends_at });
    }

    /// Asks, and remembers what is said. Callers who ask about the same token at the same time ask
    /// once. When nobody answers, recalls what was said before, or else takes the token at its word
    /// (`as_issued`, and when that was) for as long as an answer would be believed.
    pub(crate) async fn ask_or_recall<F>(
        &self,
        token: &str,
        ends_at: Timestamp,
        as_issued: Option<(T, Timestamp)>,
        question: impl FnOnce() -> F,
    ) -> Result<Answer<T>>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        // Whoever asked while this caller looked at the signature may have been told.
        if let Some(answer) = self.fresh(token) {
            return answer;
        }
        let flight = self.flights.join(token, || self.flight(token, ends_at, question())).await;
        let (now, wall) = (self.host.monotonic(), self.clock.now());
        let error = match flight {
            Ok(known) => return known.answer(now, Freshness::Fresh),
            Err(error) => error,
        };
        // By its code: a server that asks not to be asked again has not refused the token.
        if !error.code().is_retryable() {
            return Err(error);
        }
        if let Some(recalled) = self.known.get(token).and_then(|known| known.offline(now, wall)) {
            return recalled;
        }
        let (value, issued_at) = as_issued.ok_or_else(|| error.clone())?;
        let age = wall.since(issued_at);
        if age > OFFLINE_FOR || wall >= ends_at {
            return Err(error);
        }
        let (verified, freshness) = (Verified::Local, Freshness::Offline);
        Ok(Answer { value: Arc::new(value), verified, freshness, age })
    }

    /// Asks, whatever is remembered and whoever else asks; an error when nobody answers.
    pub(crate) async fn ask(
        &self,
        token: &str,
        ends_at: Timestamp,
        question: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<Answer<T>> {
        let asked = self.host.monotonic();
        let known = learn(self.reach.note(question.await), asked, ends_at)?;
        let known = keep(&self.known, token, known);
        known.answer(self.host.monotonic(), Freshness::Fresh)
    }

    fn flight(
        &self,
        token: &str,
        ends_at: Timestamp,
        question: impl Future<Output = Result<T>> + Send + 'static,
    ) -> impl Future<Output = Result<Arc<Known<T>>>> + Send + 'static {
        let (host, reach) = (self.host.clone(), self.reach.clone());
        let (known, token) = (self.known.clone(), token.to_owned());
        async move {
            let asked = host.monotonic();
            let said = learn(reach.attempt(question).await, asked, ends_at)?;
            Ok(keep(&known, &token, said))
        }
    }
}

/// A verdict is an answer, good or bad; an error is that there is none.
fn learn<T>(result: Result<T>, asked: Duration, ends_at: Timestamp) -> Result<Known<T>> {
    match result {
        Ok(value) => Ok(Known::yes(Arc::new(value), Verified::Online, asked, ends_at)),
        Err(error) if error.refuses_user() => {
            let said = Said::No(error.code());
            Ok(Known { said, asked, fresh_until: asked + FRESH_FOR, ends_at })
        }
        Err(error) => Err(error),
    }
}

/// Keeps what was said, unless something newer is known, and returns the newer.
fn keep<T: Send + Sync + 'static>(
    memory: &TokenCache<Arc<Known<T>>>,
    token: &str,
    known: Known<T>,
) -> Arc<Known<T>> {
    if let Some(newer) = memory.get(token).filter(|other| other.asked > known.asked) {
        return newer;
    }
    let known = Arc::new(known);
    memory.insert(token, known.clone());
    known
}

impl<T> Known<T> {
    fn yes(value: Arc<T>, verified: Verified, asked: Duration, ends_at: Timestamp) -> Self {
        let said = Said::Yes(value, verified);
        Known { said, asked, fresh_until: asked + FRESH_FOR, ends_at }
    }

    /// The answer, while nobody needs to be asked.
    fn fresh(&self, now: Duration, wall: Timestamp) -> Option<Result<Answer<T>>> {
        let fresh = now < self.fresh_until && wall < self.ends_at;
        fresh.then(|| self.answer(now, Freshness::Fresh))
    }

    /// The answer, while it is still better than none.
    fn offline(&self, now: Duration, wall: Timestamp) -> Option<Result<Answer<T>>> {
        let believable = match self.said {
            Said::Yes(..) => now <= self.asked + OFFLINE_FOR && wall < self.ends_at,
            Said::No(_) => true,
        };
        believable.then(|| self.answer(now, Freshness::Offline))
    }

    fn answer(&self, now: Duration, freshness: Freshness) -> Result<Answer<T>> {
        match &self.said {
            Said::Yes(value, verified) => Ok(Answer {
                value: value.clone(),
                verified: *verified,
                freshness,
                age: now.saturating_sub(self.asked),
            }),
            Said::No(code) => Err(Error::new(*code)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const MILLISECOND: Duration = Duration::from_millis(1);
    const START: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn yes(lives: Duration) -> Known<()> {
        Known::yes(Arc::new(()), Verified::Online, MINUTE, START + lives)
    }

    #[test]
    fn an_answer_is_fresh_for_five_seconds_from_the_asking() {
        let known = yes(15 * MINUTE);
        assert!(known.fresh(MINUTE + FRESH_FOR - MILLISECOND, START).is_some());
        assert!(known.fresh(MINUTE + FRESH_FOR, START).is_none());
    }

    #[test]
    fn an_answer_never_outlives_its_token_even_while_the_machine_slept() {
        let known = yes(MINUTE);
        let woken = START + MINUTE; // the monotonic clock has not moved
        assert!(known.fresh(MINUTE, woken - MILLISECOND).is_some());
        assert!(known.fresh(MINUTE, woken).is_none());
        assert!(known.offline(MINUTE, woken).is_none());
    }

    #[test]
    fn offline_an_answer_lasts_five_minutes_and_says_its_age() {
        let known = yes(15 * MINUTE);
        let answer = known.offline(6 * MINUTE, START).unwrap().unwrap();
        assert_eq!((answer.freshness(), answer.age()), (Freshness::Offline, 5 * MINUTE));
        assert!(known.offline(6 * MINUTE + MILLISECOND, START).is_none());
    }

    #[test]
    fn a_refusal_is_believed_for_ever() {
        let revoked = Err::<(), _>(Error::new(Code::TokenRevoked));
        let known = learn(revoked, MINUTE, START).unwrap_or_else(|_| panic!("a verdict"));
        let recalled = known.offline(600 * MINUTE, START + 600 * MINUTE).unwrap();
        assert_eq!(recalled.unwrap_err().code(), Code::TokenRevoked);
    }

    #[cfg(feature = "native")]
    #[test]
    fn a_token_that_the_program_revoked_is_refused_for_good_even_without_asking() {
        let host = crate::host::native("http://localhost").unwrap();
        let clock = Arc::new(Clock::new(host.clone(), None));
        let reach = Arc::new(Reach::new(host.clone(), Arc::default()));
        let memory = Memory::<()>::new(host, clock, reach);
        memory.refuse("token", Code::TokenRevoked);
        let known = memory.known.get("token").unwrap();
        let said = known.fresh(600 * MINUTE, START + 600 * MINUTE).unwrap();
        assert_eq!(said.unwrap_err().code(), Code::TokenRevoked);
    }

    #[test]
    fn an_older_answer_does_not_replace_a_newer_one() {
        let memory = TokenCache::new();
        let revoked = Err::<(), _>(Error::new(Code::TokenRevoked));
        let newer = learn(revoked, 2 * MINUTE, START).unwrap_or_else(|_| panic!("a verdict"));
        keep(&memory, "token", newer);
        let kept = keep(&memory, "token", yes(15 * MINUTE));
        assert!(kept.answer(MINUTE, Freshness::Fresh).is_err());
    }
}
