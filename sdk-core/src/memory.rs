//! What the marketplace has said about tokens, how long it may be believed, and whom to ask when it
//! may not. One rule for users and for contexts.
//!
//! Three things end the belief: time, the token's own end, and the revocation feed. What is remembered
//! carries the feed's *epoch* at which it was last found true, so that looking it up again costs a
//! comparison as long as the feed has nothing new.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::answer::{Answer, Freshness, Verified};
use crate::auth::{Identity, Revocations, Subject, Verdict};
use crate::error::{Error, Result};
use crate::flights::Flights;
use crate::host::cache::{TOKENS, TokenCache};
use crate::host::{Host, timeout};
use crate::http::{Clock, Now};
use crate::model::{Code, Tier, Timestamp};
use crate::planted::{Bug, planted};
use crate::reach::Reach;

/// How long what the marketplace said is as good as asking again: the bound on how late a revocation
/// is noticed.
pub(crate) const FRESH_FOR: Duration = Duration::from_secs(5);

/// How old an answer may be when the marketplace can't be reached. A token's life is 15 minutes;
/// this is how long a revocation may go unnoticed in an outage.
const OFFLINE_FOR: Duration = Duration::from_secs(5 * 60);

/// How old a context may be that is given while a newer one is fetched: nobody waits who asks at
/// least twice a minute, and a quota is never shown as it was longer ago.
const STALE_FOR: Duration = Duration::from_secs(30);

/// What can be remembered of a token.
pub(crate) trait Remembered: Sized + Send + Sync + 'static {
    /// Whether it stays true until the feed says otherwise. If not, it is asked for again.
    const LASTS: bool;

    /// Whose token it was said of.
    fn customer_id(&self) -> &str;

    /// The token.
    fn token_id(&self) -> &str;

    /// The same for a user with another tier; `None` if more than the tier changes by that.
    fn in_tier(&self, tier: Tier) -> Option<Self>;
}

pub(crate) struct Memory<T: Remembered> {
    host: Arc<dyn Host>,
    clock: Arc<Clock>,
    reach: Arc<Reach>,
    /// `None` where nobody wants to know of revocations, or each time anew.
    feed: Option<Arc<Revocations>>,
    known: Arc<Shelf<T>>,
    flights: Flights<Arc<Known<T>>>,
}

/// What is known, by token.
struct Shelf<T: Send + Sync + 'static> {
    cache: TokenCache<Arc<Known<T>>>,
    /// How often a token was refused: what is held outside may have been said before.
    refusals: AtomicU64,
}

/// A good answer that is held by somebody with a map of their own, who asks whether it still holds without
/// the token.
pub(crate) struct Held<T> {
    known: Arc<Known<T>>,
    /// When nothing had been refused since.
    refusals: u64,
}

/// Something that was said about a token.
pub(crate) struct Known<T> {
    said: Said<T>,
    /// When the marketplace was asked, by the monotonic clock: the request was sent then, and the
    /// answer may have been true only then.
    asked: Duration,
    /// When the token ends, by the marketplace's clock: the monotonic one stands still while a
    /// machine sleeps.
    ends_at: Timestamp,
    /// The token's `iat`.
    issued_at: u64,
    /// Up to where in the feed it was found true.
    epoch: AtomicU64,
}

enum Said<T> {
    Yes(Arc<T>, Verified),
    No(Code),
}

/// When something was found out: what the marketplace says later may contradict it.
#[derive(Clone, Copy)]
struct Moment {
    asked: Duration,
    epoch: u64,
}

impl<T: Remembered> Memory<T> {
    pub(crate) fn new(
        host: Arc<dyn Host>,
        clock: Arc<Clock>,
        reach: Arc<Reach>,
        feed: Option<Arc<Revocations>>,
    ) -> Self {
        let known = Shelf { cache: TokenCache::new(TOKENS), refusals: AtomicU64::new(0) };
        let (known, flights) = (Arc::new(known), Flights::new(host.clone()));
        Memory { host, clock, reach, feed, known, flights }
    }

    /// What was said of the token within the last 5 s. Waits for nobody.
    pub(crate) fn fresh(&self, token: &str) -> Option<Result<Answer<T>>> {
        let known = self.known.get(token)?;
        let now = self.now();
        // Asked first in any case: it has the feed read when that is due.
        let told = self.feed.as_ref().is_some_and(|feed| feed.is_fresh(now.here)) && T::LASTS;
        if !known.is_fresh(told, now.here, now.there) {
            return None;
        }
        let known = self.judged(token, known)?;
        Some(self.answer(&known, now, Freshness::Fresh))
    }

    /// The good answer that is remembered of the token.
    pub(crate) fn hold(&self, token: &str) -> Option<Held<T>> {
        let refusals = self.known.refusals.load(Ordering::Relaxed);
        let known = self.known.get(token)?;
        matches!(known.said, Said::Yes(..)).then_some(Held { known, refusals })
    }

    /// As [`fresh`](Self::fresh), of an answer that is held. `None` if only a look at the token can tell.
    pub(crate) fn still(&self, held: &Held<T>) -> Option<Result<Answer<T>>> {
        let (known, now) = (&held.known, self.now());
        let told = self.feed.as_ref().is_some_and(|feed| feed.is_fresh(now.here)) && T::LASTS;
        let refusals = self.known.refusals.load(Ordering::Relaxed);
        let has_news = self
            .feed
            .as_ref()
            .is_some_and(|feed| known.epoch.load(Ordering::Relaxed) != feed.epoch());
        if !known.is_fresh(told, now.here, now.there) || has_news || refusals != held.refusals {
            return None;
        }
        Some(self.answer(known, now, Freshness::Fresh))
    }

    /// What was said of the token a little earlier, while it is asked for again in the background.
    /// For tokens that are known to be good.
    pub(crate) fn stale<F>(
        &self,
        token: &str,
        identity: &Identity,
        question: impl FnOnce() -> F,
    ) -> Option<Result<Answer<T>>>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let known = self.known.get(token)?;
        let now = self.now();
        let is_good = matches!(known.said, Said::Yes(..)) && now.there < known.ends_at;
        if !is_good || now.here >= known.asked + STALE_FOR {
            return None;
        }
        let known = self.judged(token, known)?;
        self.flights.launch(token, || self.flight(token, identity, question()));
        Some(self.answer(&known, now, Freshness::Stale))
    }

    /// Remembers what a token says of itself.
    pub(crate) fn remember(&self, token: &str, value: Arc<T>, identity: &Identity) -> Answer<T> {
        let asked = self.host.monotonic();
        let moment = Moment { asked, epoch: identity.epoch };
        self.known.keep(token, Known::yes(value.clone(), Verified::Local, moment, identity));
        let (verified, freshness) = (Verified::Local, Freshness::Fresh);
        Answer { value, verified, freshness, age: self.clock.now().since(identity.issued()) }
    }

    /// Remembers what a token says of itself, and that the feed, which is fresh, has nothing against
    /// it. `None` if it can't tell, or the marketplace itself has refused the token: ask.
    pub(crate) fn remember_by_feed(
        &self,
        token: &str,
        value: &Arc<T>,
        identity: &Identity,
    ) -> Option<Result<Answer<T>>> {
        let feed = self.feed.as_ref()?;
        let asked = feed.sent()?;
        let said_no = self.known.get(token).is_some_and(|known| {
            matches!(known.said, Said::No(_)) && feed.counts(known.epoch.load(Ordering::Relaxed))
        });
        if said_no || !feed.tells_of(identity.issued_at) {
            return None;
        }
        let subject = subject(&**value, identity.issued_at);
        let (verdict, epoch) = feed.judge(subject, None);
        let moment = Moment { asked, epoch };
        let known = match verdict {
            Verdict::Good => Known::yes(value.clone(), Verified::Online, moment, identity),
            Verdict::Retiered(tier) => {
                Known::yes(Arc::new(value.in_tier(tier)?), Verified::Online, moment, identity)
            }
            Verdict::Revoked => Known::no(Code::TokenRevoked, moment, identity),
            Verdict::Void => return None,
        };
        let known = self.known.keep(token, known);
        Some(self.answer(&known, self.now(), Freshness::Fresh))
    }

    /// Refuses the token from now on, without asking.
    pub(crate) fn refuse(&self, token: &str, code: Code) {
        let asked = self.host.monotonic();
        // Another database could not make it good again: it was signed to be refused here.
        let (ends_at, epoch) = (Timestamp::from_millis(i64::MAX), AtomicU64::new(u64::MAX));
        let said = Said::No(code);
        self.known.keep(token, Known { said, asked, ends_at, issued_at: 0, epoch });
    }

    /// Asks, and remembers what is said. Callers who ask about the same token at the same time ask
    /// once, and each waits no longer than its own `left`. When nobody answers, recalls what was said
    /// before, or else takes the token at its word (`as_issued`) for as long as an answer would be
    /// believed. `None` if the answer was out of date before it came: look at the token again.
    pub(crate) async fn ask_or_recall<F>(
        &self,
        token: &str,
        identity: &Identity,
        as_issued: Option<Arc<T>>,
        left: Duration,
        question: impl FnOnce() -> F,
    ) -> Option<Result<Answer<T>>>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let flight = pin!(self.flights.join(token, || self.flight(token, identity, question())));
        // Whoever has begun it may have more time than this caller.
        let flight = timeout(&*self.host, left, flight).await;
        let error = match flight.unwrap_or_else(|| Err(Error::new(Code::DeadlineExceeded))) {
            Ok(known) => {
                // The feed may have told more than the marketplace knew when it was asked.
                let known = match planted(Bug::OvertakenAnswer) {
                    true => known,
                    false => self.judged(token, known)?,
                };
                return Some(self.answer(&known, self.now(), Freshness::Fresh));
            }
            Err(error) => error,
        };
        // By its code: a server that asks not to be asked again has not refused the token.
        if !error.code().is_retryable() {
            return Some(Err(error));
        }
        if let Some(recalled) = self.recall(token) {
            return Some(recalled);
        }
        let at_its_word = as_issued.and_then(|value| self.at_its_word(value, identity));
        Some(at_its_word.unwrap_or(Err(error)))
    }

    /// Asks, whatever is remembered and whoever else asks; an error when nobody answers.
    pub(crate) async fn ask(
        &self,
        token: &str,
        identity: &Identity,
        question: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<Answer<T>> {
        let moment = self.moment();
        let known = learn(self.reach.note(question.await), moment, identity)?;
        let known = self.known.keep(token, known);
        self.answer(&known, self.now(), Freshness::Fresh)
    }

    fn flight(
        &self,
        token: &str,
        identity: &Identity,
        question: impl Future<Output = Result<T>> + Send + 'static,
    ) -> impl Future<Output = Result<Arc<Known<T>>>> + Send + 'static {
        let (reach, identity) = (self.reach.clone(), identity.clone());
        let (known, token) = (self.known.clone(), token.to_owned());
        let moment = self.moment();
        async move {
            let said = learn(reach.attempt(question).await, moment, &identity)?;
            Ok(known.keep(&token, said))
        }
    }

    /// Now, before asking.
    fn moment(&self) -> Moment {
        let epoch = self.feed.as_ref().map_or(0, |feed| feed.epoch());
        Moment { asked: self.host.monotonic(), epoch }
    }

    /// What is known, in the light of what the feed has told since; `None` if it has to be asked for
    /// again.
    fn judged(&self, token: &str, known: Arc<Known<T>>) -> Option<Arc<Known<T>>> {
        let Some(feed) = &self.feed else { return Some(known) };
        let epoch = known.epoch.load(Ordering::Relaxed);
        if epoch == feed.epoch() {
            return Some(known);
        }
        let Said::Yes(value, verified) = &known.said else {
            return feed.counts(epoch).then_some(known);
        };
        let (verdict, epoch) = feed.judge(subject(&**value, known.issued_at), Some(epoch));
        let said = match verdict {
            Verdict::Good => {
                known.epoch.fetch_max(epoch, Ordering::Relaxed);
                return Some(known);
            }
            Verdict::Void => return None,
            Verdict::Retiered(tier) => Said::Yes(Arc::new(value.in_tier(tier)?), *verified),
            Verdict::Revoked => Said::No(Code::TokenRevoked),
        };
        let Known { asked, ends_at, issued_at, .. } = *known;
        let epoch = AtomicU64::new(epoch);
        let judged = Arc::new(Known { said, asked, ends_at, issued_at, epoch });
        // Even in place of something newer, which nobody has judged.
        self.known.insert(token, judged.clone());
        Some(judged)
    }

    /// What was said before, while it is still better than no answer.
    fn recall(&self, token: &str) -> Option<Result<Answer<T>>> {
        let known = self.known.get(token)?;
        // A context whose user has another tier since is still better than none, and says its age.
        let known = self.judged(token, known.clone()).or_else(|| {
            let counts = |feed: &Arc<Revocations>| feed.counts(known.epoch.load(Ordering::Relaxed));
            self.feed.as_ref().is_none_or(counts).then_some(known)
        })?;
        let now = self.now();
        let is_believable = known.is_believable(self.age(&known, now), now.there);
        is_believable.then(|| self.answer(&known, now, Freshness::Offline))
    }

    /// What a token says of itself, and the feed says otherwise, while that is not older than an answer
    /// may be.
    fn at_its_word(&self, value: Arc<T>, identity: &Identity) -> Option<Result<Answer<T>>> {
        let (now, wall) = (self.host.monotonic(), self.clock.now());
        let issued = wall.since(identity.issued());
        let feed = self.feed.as_ref();
        // Of a token from before it began, a feed can't tell that nothing has happened to it.
        let told = feed.filter(|feed| feed.tells_of(identity.issued_at)).and_then(|it| it.sent());
        let age = told.map_or(issued, |sent| issued.min(now.saturating_sub(sent)));
        if age > OFFLINE_FOR || wall >= identity.user.expires_at {
            return None;
        }
        let judge =
            |feed: &Arc<Revocations>| feed.judge(subject(&*value, identity.issued_at), None).0;
        let value = match feed.map_or(Verdict::Good, judge) {
            Verdict::Good => value,
            Verdict::Retiered(tier) => Arc::new(value.in_tier(tier)?),
            Verdict::Revoked => return Some(Err(Error::new(Code::TokenRevoked))),
            Verdict::Void => return None,
        };
        let (verified, freshness) = (Verified::Local, Freshness::Offline);
        Some(Ok(Answer { value, verified, freshness, age }))
    }

    /// How long ago the marketplace was asked for what it takes to say this.
    fn age(&self, known: &Known<T>, now: Now) -> Duration {
        // Nobody was asked: the token itself said it, when it was issued.
        if let Said::Yes(_, Verified::Local) = known.said {
            return now.there.since(Timestamp::from_numeric_date(known.issued_at));
        }
        let told = self.feed.as_ref().filter(|_| T::LASTS).and_then(|feed| feed.sent());
        now.here.saturating_sub(told.map_or(known.asked, |sent| sent.max(known.asked)))
    }

    /// Read once for each answer: the clocks are a tenth of what a remembered one costs.
    fn now(&self) -> Now {
        self.clock.both()
    }

    fn answer(&self, known: &Known<T>, now: Now, freshness: Freshness) -> Result<Answer<T>> {
        match &known.said {
            Said::Yes(value, verified) => Ok(Answer {
                value: value.clone(),
                verified: *verified,
                freshness,
                age: self.age(known, now),
            }),
            Said::No(code) => Err(Error::new(*code)),
        }
    }
}

fn subject<T: Remembered>(value: &T, issued_at: u64) -> Subject<'_> {
    Subject { token_id: value.token_id(), customer_id: value.customer_id(), issued_at }
}

/// A verdict is an answer, good or bad; an error is that there is none.
fn learn<T>(result: Result<T>, moment: Moment, identity: &Identity) -> Result<Known<T>> {
    match result {
        Ok(value) => Ok(Known::yes(Arc::new(value), Verified::Online, moment, identity)),
        Err(error) if error.refuses_user() => Ok(Known::no(error.code(), moment, identity)),
        Err(error) => Err(error),
    }
}

impl<T: Send + Sync + 'static> Shelf<T> {
    fn get(&self, token: &str) -> Option<Arc<Known<T>>> {
        self.cache.get(token)
    }

    fn insert(&self, token: &str, known: Arc<Known<T>>) {
        if let Said::No(_) = known.said {
            self.refusals.fetch_add(1, Ordering::Relaxed);
        }
        self.cache.insert(token, known);
    }

    /// Keeps what was said, unless something newer is known, and returns the newer.
    fn keep(&self, token: &str, known: Known<T>) -> Arc<Known<T>> {
        if let Some(newer) = self.get(token).filter(|other| other.asked > known.asked) {
            return newer;
        }
        let known = Arc::new(known);
        self.insert(token, known.clone());
        known
    }
}

impl<T> Known<T> {
    fn yes(value: Arc<T>, verified: Verified, moment: Moment, identity: &Identity) -> Self {
        Known::said(Said::Yes(value, verified), moment, identity)
    }

    fn no(code: Code, moment: Moment, identity: &Identity) -> Self {
        Known::said(Said::No(code), moment, identity)
    }

    fn said(said: Said<T>, Moment { asked, epoch }: Moment, identity: &Identity) -> Self {
        let (ends_at, issued_at) = (identity.user.expires_at, identity.issued_at);
        Known { said, asked, ends_at, issued_at, epoch: AtomicU64::new(epoch) }
    }

    /// Whether nobody needs to be asked; `told` if the feed is fresh and would have told otherwise.
    fn is_fresh(&self, told: bool, now: Duration, wall: Timestamp) -> bool {
        let was_asked = now < self.asked + FRESH_FOR;
        let is_fresh = match self.said {
            Said::Yes(..) => told || was_asked,
            // What has ended never begins again; other refusals may be lifted.
            Said::No(code) => was_asked || code == Code::TokenRevoked,
        };
        is_fresh && wall < self.ends_at
    }

    /// Whether it is still better than no answer.
    fn is_believable(&self, age: Duration, wall: Timestamp) -> bool {
        match self.said {
            Said::Yes(..) => age <= OFFLINE_FOR && wall < self.ends_at,
            Said::No(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::User;

    const MINUTE: Duration = Duration::from_secs(60);
    const MILLISECOND: Duration = Duration::from_millis(1);
    const START: Timestamp = Timestamp::from_secs(1_800_000_000);
    const THEN: Moment = Moment { asked: MINUTE, epoch: 0 };

    fn identity(lives: Duration) -> Identity {
        let user = User {
            customer_id: "cus_a".into(),
            tier: Tier::Pro,
            solution_id: "sol_a".into(),
            token_id: "tok_a".into(),
            expires_at: START + lives,
        };
        Identity { user: Arc::new(user), issued_at: 1_800_000_000, epoch: 0 }
    }

    fn yes(lives: Duration) -> Known<User> {
        let identity = identity(lives);
        Known::yes(identity.user.clone(), Verified::Online, THEN, &identity)
    }

    fn no(code: Code, asked: Duration) -> Known<User> {
        let moment = Moment { asked, epoch: 0 };
        learn(Err(Error::new(code)), moment, &identity(15 * MINUTE))
            .unwrap_or_else(|_| panic!("a verdict"))
    }

    #[test]
    fn an_answer_is_fresh_for_five_seconds_from_the_asking_or_as_long_as_the_feed_is() {
        let known = yes(15 * MINUTE);
        assert!(known.is_fresh(false, MINUTE + FRESH_FOR - MILLISECOND, START));
        assert!(!known.is_fresh(false, MINUTE + FRESH_FOR, START));
        assert!(known.is_fresh(true, 10 * MINUTE, START));
    }

    #[test]
    fn an_answer_never_outlives_its_token_even_while_the_machine_slept() {
        let known = yes(MINUTE);
        let woken = START + MINUTE; // the monotonic clock has not moved
        assert!(known.is_fresh(true, MINUTE, woken - MILLISECOND));
        assert!(!known.is_fresh(true, MINUTE, woken));
        assert!(!known.is_believable(Duration::ZERO, woken));
    }

    #[test]
    fn offline_an_answer_lasts_five_minutes() {
        let known = yes(15 * MINUTE);
        assert!(known.is_believable(5 * MINUTE, START));
        assert!(!known.is_believable(5 * MINUTE + MILLISECOND, START));
    }

    #[test]
    fn a_revocation_is_believed_for_ever_and_another_refusal_until_somebody_can_be_asked() {
        let revoked = no(Code::TokenRevoked, MINUTE);
        assert!(revoked.is_fresh(false, 10 * MINUTE, START));
        let refused = no(Code::TokenRefused, MINUTE);
        assert!(!refused.is_fresh(true, MINUTE + FRESH_FOR, START), "the feed has no say in it");
        assert!(refused.is_believable(600 * MINUTE, START + 600 * MINUTE));
    }

    #[cfg(feature = "native")]
    #[test]
    fn a_token_that_the_program_revoked_is_refused_for_good_even_without_asking() {
        let host = crate::host::native("http://localhost").unwrap();
        let clock = Arc::new(Clock::new(host.clone(), None));
        let reach = Arc::new(Reach::new(host.clone(), Arc::default()));
        let memory = Memory::<User>::new(host, clock, reach, None);
        memory.refuse("token", Code::TokenRevoked);
        let said = memory.fresh("token").unwrap();
        assert_eq!(said.unwrap_err().code(), Code::TokenRevoked);
        let known = memory.known.get("token").unwrap();
        assert!(known.is_fresh(false, 600 * MINUTE, START + 600 * MINUTE));
    }

    #[test]
    fn an_older_answer_does_not_replace_a_newer_one() {
        let shelf = Shelf { cache: TokenCache::new(TOKENS), refusals: AtomicU64::new(0) };
        shelf.keep("token", no(Code::TokenRevoked, 2 * MINUTE));
        let kept = shelf.keep("token", yes(15 * MINUTE));
        assert!(matches!(kept.said, Said::No(Code::TokenRevoked)));
    }
}
