//! Slows down before the marketplace has to refuse: `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10)
//! says how much is left of a limit, and when it begins anew.
//!
//! Which limits a kind of call counts against is known from its last answer. What is remembered of
//! a limit is only that nothing is left of it, for at most [`LONGEST_WAIT`]: then the marketplace is
//! asked again, whatever it said.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::call::Call;
use super::retry::LONGEST_WAIT;
use crate::error::{Error, Result};
use crate::events::{Announcer, Event};
use crate::host::{Host, Response};
use crate::model::Code;

/// The most limits an answer is believed to have. The marketplace has one or two for a call.
const MOST_OF_AN_ANSWER: usize = 8;

/// The most used-up limits that are remembered, of all callers; beyond it none is.
const MOST: usize = 10_000;

pub(super) struct RateLimits {
    host: Arc<dyn Host>,
    announcer: Arc<Announcer>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The limits a kind of call counts against, by name.
    of: Vec<(String, Vec<String>)>,
    used_up: HashMap<(Caller, String), UsedUp>,
}

/// Whose limit it is: each credential has its own. A hash, so that none is kept here.
type Caller = u64;

struct UsedUp {
    /// When it begins anew, by the monotonic clock.
    until: Duration,
    announced: bool,
}

impl RateLimits {
    pub(super) fn new(host: Arc<dyn Host>, announcer: Arc<Announcer>) -> Self {
        RateLimits { host, announcer, state: Mutex::default() }
    }

    /// Waits until there is room for the call.
    ///
    /// # Errors
    /// [`Code::RateLimited`] at once when that is not within `limit`.
    pub(super) async fn pass(&self, call: &Call<'_>, limit: Duration) -> Result<()> {
        let started = self.host.monotonic();
        loop {
            let now = self.host.monotonic();
            let Some((wait, is_new)) = self.wait(call, now) else { return Ok(()) };
            if is_new {
                self.announcer.announce(Event::RateLimited { wait });
            }
            if wait >= limit.saturating_sub(now.saturating_sub(started)) {
                let words = "The marketplace has asked to slow down: the limit is used up.";
                return Err(Error::because(Code::RateLimited, words).after(Some(wait)));
            }
            self.host.sleep(wait).await;
        }
    }

    /// How long there is no room for the call, and whether nobody has been told yet.
    fn wait(&self, call: &Call<'_>, now: Duration) -> Option<(Duration, bool)> {
        let mut state = self.state();
        let State { of, used_up } = &mut *state;
        if used_up.is_empty() {
            return None;
        }
        let operation = call.operation();
        let (_, names) = of.iter().find(|(known, _)| *known == operation)?;
        let caller = caller(call);
        let key = names
            .iter()
            .map(|name| (caller, name.clone()))
            .filter(|key| used_up.get(key).is_some_and(|limit| now < limit.until))
            .max_by_key(|key| used_up.get(key).map(|limit| limit.until))?;
        let limit = used_up.get_mut(&key)?;
        let is_new = !std::mem::replace(&mut limit.announced, true);
        Some((limit.until - now, is_new))
    }

    /// Reads what an answer says of the limits of its call.
    pub(super) fn observe(&self, call: &Call<'_>, response: &Response) {
        let headers = response.headers.iter().filter(|(name, _)| name == "ratelimit");
        let limits = headers.flat_map(|(_, value)| items(value)).take(MOST_OF_AN_ANSWER);
        let limits: Vec<Left> = limits.collect();
        if limits.is_empty() {
            return;
        }
        let (now, caller) = (self.host.monotonic(), caller(call));
        let mut state = self.state();
        let names = limits.iter().map(|limit| limit.name.clone()).collect();
        let operation = call.operation();
        state.of.retain(|(known, _)| *known != operation);
        state.of.push((operation, names));
        for Left { name, remaining, seconds } in limits {
            let key = (caller, name);
            match seconds {
                Some(seconds) if remaining == 0 && seconds > 0 => {
                    let until = now + Duration::from_secs(seconds).min(LONGEST_WAIT);
                    state.used_up.retain(|_, limit| now < limit.until);
                    if state.used_up.len() < MOST {
                        let announced =
                            state.used_up.get(&key).is_some_and(|known| known.announced);
                        state.used_up.insert(key, UsedUp { until, announced });
                    }
                }
                _ => drop(state.used_up.remove(&key)),
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn caller(call: &Call<'_>) -> Caller {
    let mut hasher = DefaultHasher::new();
    call.credential().as_ref().map(|credential| credential.expose()).hash(&mut hasher);
    hasher.finish()
}

/// What is left of a limit.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    name: String,
    remaining: u64,
    /// Until it begins anew.
    seconds: Option<u64>,
}

/// `"default";r=50;t=30, "daily";r=999;t=3600`: a list of structured fields (RFC 9651). What does
/// not have this form, such as that of earlier drafts, says nothing.
fn items(value: &str) -> Vec<Left> {
    let mut is_quoted = false;
    let list = value.split(|c| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    });
    list.filter_map(item).collect()
}

fn item(text: &str) -> Option<Left> {
    let (name, parameters) = text.trim().strip_prefix('"')?.split_once('"')?;
    let parameter = |wanted: &str| {
        let mut pairs = parameters.split(';').filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == wanted)?.1.parse().ok()
    };
    Some(Left { name: name.to_owned(), remaining: parameter("r")?, seconds: parameter("t") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(name: &str, remaining: u64, seconds: Option<u64>) -> Left {
        Left { name: name.to_owned(), remaining, seconds }
    }

    #[test]
    fn the_header_is_a_list_of_limits_with_parameters() {
        assert_eq!(items(r#""default";r=50;t=30"#), [left("default", 50, Some(30))]);
        assert_eq!(
            items(r#" "a,b" ; r=0 ; t=1;pk=:x=:,"c";r=7 "#),
            [left("a,b", 0, Some(1)), left("c", 7, None)]
        );
    }

    #[test]
    fn what_is_no_such_list_says_nothing() {
        for text in ["", "limit=100, remaining=0, reset=5", r#""default""#, r#""a;r=0;t=1"#] {
            assert_eq!(items(text), [], "{text}");
        }
        assert_eq!(items(r#""a";r=-1;t=5, "b";r=x, "c";r=0.5"#), []);
    }
}
