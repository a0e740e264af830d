//! What a new database begins with, and whether it makes sense.

use std::collections::BTreeSet;

use cloudnestle_marketplace::model::is_id;
use jiff::tz::TimeZone;

use super::account::{Account, Email};
use super::catalogue::{Customer, Solution, Subscription};

/// Everything a new database begins with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Founding {
    pub solutions: Vec<Solution>,
    pub customers: Vec<Customer>,
    pub accounts: Vec<(Email, Account)>,
    pub subscriptions: Vec<Subscription>,
}

/// The longest URL that is handed on to customers: what every browser takes.
const MAX_URL_BYTES: usize = 2_000;
/// The most of each. The lists of solutions and customers are kept in one item.
const MAX_ENTRIES: usize = 2_000;
/// The most subscriptions.
const MAX_SUBSCRIPTIONS: usize = 10 * MAX_ENTRIES;

impl Founding {
    /// What is wrong with it, if anything is.
    pub(crate) fn flaw(&self) -> Option<String> {
        if self.solutions.len() > MAX_ENTRIES || self.customers.len() > MAX_ENTRIES {
            return Some(format!("a world has at most {MAX_ENTRIES} solutions and customers"));
        }
        if self.subscriptions.len() > MAX_SUBSCRIPTIONS {
            return Some(format!("a world has at most {MAX_SUBSCRIPTIONS} subscriptions"));
        }
        let solutions = self.solutions.iter().map(|solution| ("sol_", solution.id.as_str()));
        let customers = self.customers.iter().map(|customer| ("cus_", customer.id.as_str()));
        let mut ids = BTreeSet::new();
        for (prefix, id) in solutions.chain(customers) {
            if !is_id(id, prefix) {
                return Some(format!("an id looks like {prefix}name, not {id:?}"));
            }
            if !ids.insert(id) {
                return Some(format!("{id} is there twice"));
            }
        }
        let mut addresses = BTreeSet::new();
        for (email, _) in &self.accounts {
            if !addresses.insert(email.as_str()) {
                return Some(format!("{} belongs to two customers", email.as_str()));
            }
        }
        let solutions = self.solutions.iter().find_map(flaw_of_solution);
        solutions.or_else(|| self.subscriptions.iter().find_map(|it| self.flaw_of(it)))
    }

    fn flaw_of(&self, subscription: &Subscription) -> Option<String> {
        let Subscription { customer_id, solution_id, tier, .. } = subscription;
        if !self.customers.iter().any(|customer| customer.id == *customer_id) {
            return Some(format!("{customer_id} has a subscription and is no customer"));
        }
        let Some(solution) = self.solutions.iter().find(|solution| solution.id == *solution_id)
        else {
            return Some(format!("{customer_id} has subscribed to {solution_id}, which is none"));
        };
        let has_plan = solution.plan(*tier).is_some();
        (!has_plan).then(|| format!("{solution_id} has no plan for {customer_id}'s tier {tier:?}"))
    }
}

fn flaw_of_solution(solution: &Solution) -> Option<String> {
    let id = &solution.id;
    if TimeZone::get(&solution.time_zone).is_err() {
        return Some(format!("{id}: there is no time zone {:?}", solution.time_zone));
    }
    if !solution.launch_url.iter().all(|url| after_scheme(url).is_some()) {
        return Some(format!("{id}: launch_url begins with http(s)://"));
    }
    if !solution.upgrade_url.iter().all(|url| is_upgrade_url(url)) {
        return Some(format!(
            "{id}: upgrade_url is https://…, or http:// on this machine, of at most {MAX_URL_BYTES} bytes"
        ));
    }
    if let Some(origin) = solution.allowed_origins.iter().find(|origin| !is_origin(origin)) {
        return Some(format!(
            "{id}: an origin is http(s)://host[:port], no slash at the end, not {origin:?}"
        ));
    }
    solution.flaw().map(|flaw| format!("{id}: {flaw}"))
}

fn after_scheme(url: &str) -> Option<&str> {
    url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))
}

/// A page that customers are sent to: it must be what the solution meant when it arrives.
fn is_upgrade_url(text: &str) -> bool {
    let host = |rest: &str| rest.split(['/', '?', '#', ':']).next().unwrap_or_default().to_owned();
    let is_sound = text.len() <= MAX_URL_BYTES
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>'));
    let leads_there = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => !host(rest).is_empty() && !host(rest).contains('@'),
        (_, Some(rest)) => matches!(host(rest).as_str(), "localhost" | "127.0.0.1"),
        _ => false,
    };
    is_sound && leads_there
}

/// As browsers spell it: with a path, or only a slash, it would never be equal to any.
fn is_origin(text: &str) -> bool {
    after_scheme(text).is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@']))
}
