//! The books of whoever watches: what was promised to whom, written down by those it was promised to, and
//! what the marketplace has committed, seen at its store. No sum that the SDK or the server keeps is in it.

mod pairs;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cloudnestle_marketplace::Tier;
use cloudnestle_marketplace::host::{Request, Response};
use cloudnestle_marketplace::model::{Timestamp, UsageEvent};
use cloudnestle_mock_server::store::{Key, Table, Write};
use serde::Deserialize;

use crate::fault::Fault;
use crate::network::{Link, retry_after};
use pairs::Pairs;

/// A wait is honoured to the millisecond, by a clock that drifts.
const TOLERANCE: Duration = Duration::from_millis(5);

#[derive(Default)]
pub(crate) struct Oracle {
    pub(crate) violations: Vec<String>,
    /// Every call of `track_usage` that was ever begun; its place is its mark.
    pub(crate) attempts: Vec<Attempt>,
    /// The marks of what was rejected, and was found when that was replayed.
    pub(crate) replayed: BTreeSet<u64>,
    /// Those of what was replayed when nothing failed any more.
    pub(crate) replayed_at_last: BTreeSet<u64>,
    /// Every process there was.
    pub(crate) lives: Vec<Life>,
    /// When the power went, on which machine.
    pub(crate) power_losses: Vec<(usize, Duration)>,
    /// What has befallen the disks of which machines.
    pub(crate) disks_failed: BTreeSet<(usize, Fault)>,
    /// Somebody's clock was set: what occurred then is judged by a wrong clock.
    pub(crate) clocks_moved: bool,
    /// Events in the ledger that count, and all that are in it.
    pub(crate) counted: BTreeSet<String>,
    pub(crate) answered: BTreeSet<String>,
    /// What is leased and neither used nor given back.
    leases: BTreeSet<Key>,
    tokens: BTreeMap<String, Issued>,
    /// When families ended.
    families: BTreeMap<String, Duration>,
    users_revoked: Vec<Revoked>,
    /// How many commits there were.
    commits: u64,
    times_revoked: BTreeMap<String, u64>,
    /// Who had which tier from when on.
    tiers: BTreeMap<(String, String), Vec<(Duration, Tier)>>,
    /// Which program sends for which producer and epoch.
    producers: BTreeMap<(String, u64), String>,
    /// Until when whoever is called so was asked to wait.
    waits: BTreeMap<String, Duration>,
    pairs: Pairs,
    /// The idempotency keys of calls, and how many customers came of each.
    keys: BTreeMap<u64, String>,
    made: BTreeMap<String, u32>,
}

/// A call of `track_usage`.
pub(crate) struct Attempt {
    /// Its place in [`Oracle::lives`].
    pub(crate) life: usize,
    pub(crate) action: &'static str,
    /// That it was allowed, and not as overage: it counts, whatever else is used.
    pub(crate) allowed: bool,
    pub(crate) outcome: Outcome,
}

pub(crate) enum Outcome {
    /// Its process died over it, or it is not over.
    Unknown,
    Refused,
    Acknowledged {
        event_id: String,
        at: Duration,
        persisted: bool,
    },
}

/// A process, from its start to its end.
pub(crate) struct Life {
    pub(crate) machine: usize,
    pub(crate) ended: Option<Duration>,
}

struct Issued {
    family: String,
    of_user: String,
    commit: u64,
}

/// That all tokens of a user were revoked.
struct Revoked {
    user: String,
    commit: u64,
    at: Duration,
}

#[derive(Deserialize)]
struct Range {
    producer: String,
    epoch: u64,
}

#[derive(Deserialize)]
struct TokenFact {
    customer_id: String,
    solution_id: String,
    family_id: String,
}

#[derive(Deserialize)]
struct Ending {
    #[serde(default)]
    revoked_at: Option<Timestamp>,
    #[serde(default)]
    times: u64,
}

#[derive(Deserialize)]
struct Tiered {
    tier: Tier,
}

#[derive(Deserialize)]
struct Page {
    lines: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    status: String,
    #[serde(default)]
    event: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

impl Oracle {
    /// What is wrong with a request that is being sent.
    pub(crate) fn saw_request(
        &mut self,
        now: Duration,
        link: &Link,
        operation: &str,
        request: &Request,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        let range = range_of(operation, request);
        if let Some(Range { producer, epoch }) = &range {
            let owner = self.producers.entry((producer.clone(), *epoch));
            let owner = owner.or_insert_with(|| link.name.clone());
            // Where there is no room to write the next epoch, a log is taken over and drained all the same.
            let is_full = |(_, fault): &(usize, Fault)| *fault == Fault::DiskFull;
            let may_be_kept = *epoch > 0 && self.disks_failed.iter().any(is_full);
            if *owner != link.name && !may_be_kept {
                wrong.push(format!("{producer} at epoch {epoch} is {owner}'s"));
            }
        }
        if let Some(name) = name_of_wait(link, &range, request)
            && let Some(until) = self.waits.remove(&name)
            && now + TOLERANCE < until
        {
            let early = until - now;
            wrong.push(format!("{operation} comes {early:?} before the end of a Retry-After"));
        }
        wrong
    }

    pub(crate) fn saw_answer(
        &mut self,
        now: Duration,
        link: &Link,
        operation: &str,
        request: &Request,
        response: &Response,
    ) {
        let Some(wait) = retry_after(response).filter(|_| response.status == 429) else { return };
        let range = range_of(operation, request);
        if let Some(name) = name_of_wait(link, &range, request) {
            self.waits.insert(name, now + wait);
        }
    }

    /// A call carries that key.
    pub(crate) fn keyed(&mut self, call: u64, request: &Request) {
        self.keys.extend(key_of(request).map(|key| (call, key.to_owned())));
    }

    pub(crate) fn saw_commit(&mut self, now: Duration, call: Option<u64>, writes: &[Write]) {
        self.commits += 1;
        for write in writes {
            if write.key().partition.starts_with("leases/") {
                match write {
                    Write::Put { key, .. } => drop(self.leases.insert(key.clone())),
                    Write::Delete { key, .. } => drop(self.leases.remove(key)),
                    Write::Add { .. } | Write::Check { .. } => {}
                }
            }
            let Write::Put { key, value, .. } = write else { continue };
            let partition = key.partition.as_str();
            match (key.table, key.sort.as_str()) {
                (Table::ApiTokens, "token") => {
                    let Ok(token) = serde_json::from_slice::<TokenFact>(value) else { continue };
                    let TokenFact { customer_id, solution_id, family_id: family } = token;
                    let of_user = format!("{customer_id}/{solution_id}");
                    self.tokens.entry(partition.to_owned()).or_insert(Issued {
                        family,
                        of_user,
                        commit: self.commits,
                    });
                }
                (Table::ApiTokens, "family") => {
                    let Ok(ending) = serde_json::from_slice::<Ending>(value) else { continue };
                    if let Some(at) = ending.revoked_at
                        && !self.families.contains_key(partition)
                    {
                        self.families.insert(partition.to_owned(), now);
                        call.into_iter().for_each(|call| self.saw_family_end(call, partition, at));
                    }
                }
                (Table::ApiTokens, "refresh") => self.saw_refresh_token(value),
                (Table::ApiTokens, "launch") => self.saw_code(call, value, writes),
                (Table::ApiTokens, "not_before") => {
                    let Ok(ending) = serde_json::from_slice::<Ending>(value) else { continue };
                    let times = self.times_revoked.entry(partition.to_owned()).or_default();
                    if ending.times > *times {
                        *times = ending.times;
                        let user = partition.trim_start_matches("user/").to_owned();
                        let commit = self.commits;
                        self.users_revoked.push(Revoked { user, commit, at: now });
                    }
                }
                (Table::Subscriptions, solution) => {
                    let Ok(Tiered { tier }) = serde_json::from_slice(value) else { continue };
                    let of = (partition.to_owned(), solution.to_owned());
                    self.tiers.entry(of).or_default().push((now, tier));
                }
                (Table::Users, "customer") => {
                    let Some(key) = call.and_then(|call| self.keys.get(&call)) else { continue };
                    let made = self.made.entry(key.clone()).or_default();
                    *made += 1;
                    if *made > 1 {
                        let words = format!("{made} customers come of one call, {key}");
                        self.violations.push(words);
                    }
                }
                (Table::UsageTracking, sort) if sort.starts_with("ledger/") => {
                    let Ok(page) = serde_json::from_slice::<Page>(value) else { continue };
                    for Line { status, event } in page.lines {
                        let Some(Named { id }) = event else { continue };
                        if status == "accepted" {
                            self.counted.insert(id.clone());
                        }
                        self.answered.insert(id);
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether that has befallen the disk of the machine on which a process ran.
    pub(crate) fn disk_failed(&self, life: usize, fault: Fault) -> bool {
        self.disks_failed.contains(&(self.lives[life].machine, fault))
    }

    /// When a token ended before its time, if it did.
    pub(crate) fn revoked(&self, token_id: &str) -> Option<Duration> {
        let token = self.tokens.get(token_id)?;
        let family = self.families.get(&token.family).copied();
        let of_user = |it: &&Revoked| it.user == token.of_user && it.commit > token.commit;
        let user = self.users_revoked.iter().find(of_user).map(|it| it.at);
        family.into_iter().chain(user).min()
    }

    /// Whether the customer had that tier at some time from `since` on.
    pub(crate) fn had_tier(
        &self,
        customer: &str,
        solution: &str,
        tier: Tier,
        since: Duration,
    ) -> bool {
        let Some(tiers) = self.tiers.get(&(customer.to_owned(), solution.to_owned())) else {
            return false;
        };
        let ends = tiers.iter().skip(1).map(|(from, _)| *from).chain([Duration::MAX]);
        tiers.iter().zip(ends).any(|((_, had), end)| *had == tier && end >= since)
    }

    /// How many leases of a solution are not used or given back.
    pub(crate) fn leases(&self, solution_id: &str) -> usize {
        let of_solution = |key: &&Key| key.partition.split('/').any(|part| part == solution_id);
        self.leases.iter().filter(of_solution).count()
    }

    /// Every tier the customer ever had.
    pub(crate) fn tiers_of(&self, customer: &str, solution: &str) -> Vec<Tier> {
        let tiers = self.tiers.get(&(customer.to_owned(), solution.to_owned()));
        tiers.into_iter().flatten().map(|(_, tier)| *tier).collect()
    }
}

/// Which attempt an event is of.
pub(crate) fn mark_of(event: &UsageEvent) -> Option<u64> {
    event.metadata.as_ref()?.get("mark")?.as_u64()
}

fn range_of(operation: &str, request: &Request) -> Option<Range> {
    (operation == "POST /api/track-usage").then(|| serde_json::from_slice(&request.body).ok())?
}

fn key_of(request: &Request) -> Option<&str> {
    let key = request.headers.iter().find(|(name, _)| *name == "idempotency-key");
    key.map(|(_, key)| key.as_str())
}

/// What is one call however often it is sent: a producer's next range, or what has a key.
fn name_of_wait(link: &Link, range: &Option<Range>, request: &Request) -> Option<String> {
    let producer = range.as_ref().map(|range| range.producer.as_str());
    Some(format!("{}/{}", link.name, producer.or(key_of(request))?))
}
