//! Who uses the solutions, and what they hold: tokens in their browsers, keys in the partners' vaults. It
//! outlives every program.

use std::collections::BTreeMap;
use std::time::Duration;

use cloudnestle_marketplace::{Secret, TokenPair};

/// How long after a renewal a pair is good for another at the earliest, in practice: it lasts for minutes.
/// The marketplace takes a refresh token that has been used for a stolen one when it comes ten seconds
/// after its renewal, and behind its successor; what is on its way then must not be renewed once more.
const RESTS: Duration = Duration::from_secs(8);

/// As long as one renewal may go on: a call's deadline, and what is on its way after that.
const RENEWED_WITHIN: Duration = Duration::from_millis(7_500);

/// Two who renew one pair begin together, as two tabs of a browser do.
const TOGETHER: Duration = Duration::from_millis(300);

/// Somebody who uses a solution.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) customer_id: String,
    pub(crate) solution_id: String,
    pub(crate) pair: TokenPair,
    /// They have a copy of somebody else's pair, and can't sign in.
    pub(crate) is_thief: bool,
    renewed: Option<Duration>,
    /// Who began to renew it last, and when.
    renewing: Option<(usize, Duration)>,
}

impl Person {
    pub(crate) fn new(customer_id: String, solution_id: String, pair: TokenPair) -> Person {
        let (renewed, renewing) = (None, None);
        Person { customer_id, solution_id, pair, is_thief: false, renewed, renewing }
    }

    /// Whoever copies their pair.
    pub(crate) fn thief(&self) -> Person {
        let Person { customer_id, solution_id, pair, .. } = self.clone();
        Person { is_thief: true, ..Person::new(customer_id, solution_id, pair) }
    }
}

/// A launch code in somebody's browser.
#[derive(Clone)]
pub(crate) struct LaunchCode {
    pub(crate) code: Secret,
    pub(crate) customer_id: String,
    pub(crate) solution_id: String,
    pub(crate) given: Duration,
    /// How often somebody began to exchange it.
    pub(crate) tries: u32,
}

/// A moment at which all programs do the same for the same customer, whose limit is near.
#[derive(Clone)]
pub(crate) struct Rush {
    pub(crate) person: Person,
    pub(crate) at: Duration,
}

#[derive(Default)]
pub(crate) struct People {
    pub(crate) all: Vec<Person>,
    /// The next one that was announced, or the last.
    pub(crate) rush: Option<Rush>,
    /// Who is to renew their pair, and when.
    renewals: Vec<(Duration, usize)>,
    /// Launch codes, the oldest first.
    pub(crate) codes: Vec<LaunchCode>,
    /// The newest secret key of each solution.
    pub(crate) secret_keys: BTreeMap<String, Secret>,
    pub(crate) admin_key: Option<Secret>,
    /// What each refresh token was renewed to.
    successors: BTreeMap<String, String>,
}

impl People {
    /// The places of those who use a solution.
    pub(crate) fn of(&self, solution_id: &str) -> Vec<usize> {
        let all = self.all.iter().enumerate();
        all.filter(|(_, person)| person.solution_id == solution_id)
            .map(|(place, _)| place)
            .collect()
    }

    /// The place of whoever holds that access token.
    pub(crate) fn who_holds(&self, access_token: &str) -> Option<usize> {
        self.all.iter().position(|person| person.pair.access_token.expose() == access_token)
    }

    /// Somebody is to renew their pair, at that time or as soon as they can after that.
    pub(crate) fn appoint(&mut self, place: usize, at: Duration) {
        self.renewals.push((at, place));
    }

    /// Who of those who use a solution is to renew their pair by now.
    pub(crate) fn appointed(&mut self, solution_id: &str, now: Duration) -> Option<usize> {
        let is_due = |(at, place): &(Duration, usize)| {
            *at <= now && self.all[*place].solution_id == solution_id
        };
        let which = self.renewals.iter().position(is_due)?;
        Some(self.renewals.remove(which).1)
    }

    /// Whether somebody, or whoever has copied their pair, waits for their time to renew it.
    pub(crate) fn is_awaited(&self, person: &Person) -> bool {
        self.renewals.iter().any(|(_, place)| {
            let Person { customer_id, solution_id, .. } = &self.all[*place];
            *customer_id == person.customer_id && *solution_id == person.solution_id
        })
    }

    /// Whether it makes sense that a process renews a pair now. Then it does.
    pub(crate) fn begin_renewal(&mut self, place: usize, life: usize, now: Duration) -> bool {
        let person = &mut self.all[place];
        let rests = person.renewed.is_some_and(|at| now < at + RESTS);
        let others = person.renewing.is_some_and(|(other, began)| {
            other != life && (now > began + TOGETHER && now < began + RENEWED_WITHIN)
        });
        if rests || others {
            return false;
        }
        if person.renewing.is_none_or(|(_, began)| now > began + TOGETHER) {
            person.renewing = Some((life, now));
        }
        true
    }

    /// Somebody has renewed their pair. What is wrong with that, if anything is.
    pub(crate) fn renewed(
        &mut self,
        place: usize,
        old: &TokenPair,
        new: TokenPair,
        now: Duration,
    ) -> Option<String> {
        let (from, to) = (old.refresh_token.expose(), new.refresh_token.expose());
        let known = self.successors.entry(from.to_owned()).or_insert_with(|| to.to_owned());
        let differs = *known != to;
        let person = &mut self.all[place];
        if person.pair.refresh_token == old.refresh_token {
            person.pair = new;
            person.renewed = Some(now);
        }
        differs.then(|| format!("{} has two successors of one refresh token", person.customer_id))
    }
}
