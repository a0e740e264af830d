//! What must be true when all is over: the marketplace's books, read from end to end, against the list of
//! whoever watched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cloudnestle_marketplace::model::{EventStatus, LossReason};
use cloudnestle_marketplace::{Code, Tier};
use cloudnestle_mock_server::sim::AuditedLine;
use cloudnestle_mock_server::store::{Item, Value};

use crate::fault::Fault;
use crate::oracle::{Attempt, Oracle, Outcome, mark_of};
use crate::scene::Scene;
use crate::story::SOLUTIONS;
use crate::work::UNDECLARED;
use crate::world::World;

/// The most that an event which was acknowledged waits for the disk, in `Fast` mode.
const FAST: Duration = Duration::from_millis(500);

/// What one customer may do of the actions with a hard limit, in a window.
fn most(action: &str, tier: Tier) -> i64 {
    match (action, tier) {
        ("export", Tier::Registered) => 5,
        ("export", Tier::Pro) => 200,
        ("translation", Tier::Registered) => 20,
        ("translation", Tier::Pro) => 1_000,
        (_, Tier::Enterprise) => i64::MAX,
        _ => 0,
    }
}

pub(crate) async fn judge(world: &Arc<World>) {
    let Some(market) = world.server.market() else {
        return world.violated("the marketplace is gone");
    };
    let items = world.server.store.items().await;
    let audit = match market.audit(&items).await {
        Ok(audit) => audit,
        Err(error) => return world.violated(format!("the books can't be read: {error}")),
    };
    let mut wrong = audit.flaws.clone();
    let happened = replays(&audit.lines);
    let oracle = world.oracle();
    wrong.extend(over_granted(&oracle, &audit.hard));
    wrong.extend(miscounted(&oracle, &audit.lines));
    wrong.extend(missummed(&items, &audit.lines));
    wrong.extend(kept_leases(&oracle));
    drop(oracle);
    for (scene, what) in happened {
        world.happened(scene, format_args!("{what}"));
    }
    for wrong in wrong {
        world.violated(wrong);
    }
}

/// What was replayed, which is what has a key, and what became of it.
fn replays(lines: &[AuditedLine]) -> Vec<(Scene, &str)> {
    let replayed = lines.iter().filter_map(|line| line.event.as_ref().zip(Some(line.status)));
    let replayed = replayed.filter(|(event, _)| event.idempotency_key.is_some());
    let became = replayed.filter_map(|(event, status)| {
        let scene = match status {
            EventStatus::Accepted => Scene::ReplayCounts,
            EventStatus::Rejected => Scene::ReplayRejected,
            EventStatus::Duplicate => Scene::ReplayedTwice,
            _ => return None,
        };
        Some((scene, event.id.as_str()))
    });
    became.collect()
}

/// What is leased is given back when its producer is gone, unless the power or the disk took its log.
fn kept_leases(oracle: &Oracle) -> Option<String> {
    let kept: usize = SOLUTIONS.iter().map(|solution| oracle.leases(solution)).sum();
    (kept > 0 && oracle.power_losses.is_empty() && oracle.disks_failed.is_empty())
        .then(|| format!("{kept} leases are never given back"))
}

/// What customers have used by the month is what the ledger has, summed up here: the audit does so with the
/// server's own function.
fn missummed(items: &[Item], lines: &[AuditedLine]) -> Vec<String> {
    let mut sums: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.status == EventStatus::Accepted) {
        if let Some(event) = &line.event {
            let of = (event.customer_id.as_str(), event.action.as_str());
            *sums.entry(of).or_default() += event.quantity as i64;
        }
    }
    for Item { key, value, .. } in items {
        let customer = key.partition.strip_prefix("counters/").and_then(|of| of.split('/').next());
        let action = key.sort.split_once("/month/").map(|(action, _)| action);
        if let (Some(customer), Some(action), Value::Number(kept)) = (customer, action, value) {
            *sums.entry((customer, action)).or_default() -= kept;
        }
    }
    let wrong = sums.into_iter().filter(|(_, missing)| *missing != 0);
    let told = |((customer, action), missing)| {
        format!("{missing} {action} of {customer} are in the ledger and in no month")
    };
    wrong.map(told).collect()
}

type Named = (String, String, String, String);

fn over_granted(oracle: &Oracle, hard: &BTreeMap<Named, i64>) -> Vec<String> {
    let mut wrong = Vec::new();
    for ((customer, solution, action, period), used) in hard {
        let tiers = oracle.tiers_of(customer, solution);
        let most = tiers.into_iter().map(|tier| most(action, tier)).max().unwrap_or_default();
        if *used > most {
            wrong.push(format!("{customer} has {used} of {most} {action} in {period}"));
        }
    }
    wrong
}

/// Every event that was acknowledged is in the ledger once, every other one not at all. What was rejected may be there
/// again, by the name under which it is replayed, and counts once.
fn miscounted(oracle: &Oracle, lines: &[AuditedLine]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut found: BTreeMap<u64, Vec<&AuditedLine>> = BTreeMap::new();
    let mut numbers = BTreeSet::new();
    for line in lines {
        if let Some(numbered) = &line.numbered
            && !numbers.insert(numbered)
        {
            wrong.push(format!("{numbered:?} is in the ledger twice"));
        }
        let Some(event) = &line.event else {
            if !line.lost.is_some_and(|lost| {
                lost == LossReason::Damaged || lost == LossReason::Unacknowledged
            }) {
                wrong.push(format!("{:?} is lost for no reason: {:?}", line.numbered, line.lost));
            }
            continue;
        };
        let Some(mark) = mark_of(event) else {
            wrong.push(format!("{} was never tracked", event.id));
            continue;
        };
        found.entry(mark).or_default().push(line);
        if let Some(reason) = unjust(oracle, line, mark) {
            wrong.push(reason);
        }
    }
    wrong.extend(found.values().flat_map(|lines| is_there_twice(lines)));
    wrong.extend(not_replayed(oracle, &found));
    for (mark, attempt) in oracle.attempts.iter().enumerate() {
        let lines = found.get(&(mark as u64));
        match (&attempt.outcome, lines) {
            (Outcome::Refused, Some(_)) => wrong.push(format!("{mark} was refused, and is there")),
            (Outcome::Acknowledged { event_id, .. }, None) => {
                if let Some(why_not) = must_be_there(oracle, attempt) {
                    wrong.push(format!("{mark} ({event_id}) is gone: {why_not}"));
                }
            }
            _ => {}
        }
    }
    wrong
}

/// What is wrong with the lines of one event.
fn is_there_twice(lines: &[&AuditedLine]) -> Option<String> {
    let as_tracked = |line: &&&AuditedLine| !is_replay(line);
    let first = lines.iter().find(as_tracked);
    let id = &lines.first()?.event.as_ref()?.id;
    let places: Vec<_> = lines.iter().map(|line| &line.numbered).collect();
    if lines.iter().filter(as_tracked).count() > 1 {
        return Some(format!("{id} is in the ledger twice: {places:?}"));
    }
    if lines.iter().filter(|line| line.status == EventStatus::Accepted).count() > 1 {
        return Some(format!("{id} counts twice: {places:?}"));
    }
    let was_rejected = first.is_some_and(|line| line.status == EventStatus::Rejected);
    (lines.len() > 1 && !was_rejected).then(|| format!("{id} is replayed, and was not rejected"))
}

fn is_replay(line: &AuditedLine) -> bool {
    line.event.as_ref().is_some_and(|event| event.idempotency_key.is_some())
}

/// What was replayed, and is not there again; or has not counted though nothing was in the way any more.
fn not_replayed(oracle: &Oracle, found: &BTreeMap<u64, Vec<&AuditedLine>>) -> Vec<String> {
    let mut wrong = Vec::new();
    let lines = |mark| found.get(mark).into_iter().flatten();
    for mark in &oracle.replayed {
        if !lines(mark).any(|line| is_replay(line)) {
            wrong.push(format!("{mark} was rejected and replayed, and that is gone"));
        }
    }
    for mark in &oracle.replayed_at_last {
        let is_declared = oracle.attempts[*mark as usize].action == UNDECLARED;
        let counts = lines(mark).any(|line| line.status == EventStatus::Accepted);
        if is_declared && !counts && !oracle.clocks_moved {
            wrong.push(format!(
                "{mark} was replayed when its action was declared: it does not count"
            ));
        }
    }
    wrong
}

/// What is wrong with what became of an event, if anything is.
fn unjust(oracle: &Oracle, line: &AuditedLine, mark: u64) -> Option<String> {
    let attempt = oracle.attempts.get(mark as usize);
    let Some(Attempt { action, allowed, .. }) = attempt else {
        return Some(format!("{mark} was never tracked"));
    };
    let explained = match (line.status, line.code) {
        (EventStatus::Accepted, _) => true,
        // What was allowed, and was rejected for another reason, is no more allowed.
        (EventStatus::Rejected, Some(Code::QuotaExceeded)) => {
            ["export", "translation"].contains(action) && (!allowed || is_replay(line))
        }
        (EventStatus::Rejected, Some(Code::ActionUnknown)) => *action == UNDECLARED,
        (EventStatus::Duplicate, _) => is_replay(line),
        (EventStatus::Rejected, Some(Code::TokenNotForCustomer | Code::OccurredOutOfRange)) => {
            oracle.clocks_moved
        }
        _ => false,
    };
    (!explained).then(|| format!("{mark} is {:?}: {:?}", line.status, line.code))
}

/// Why an event that was acknowledged can't just be gone; `None` if the power can have taken it, or a disk
/// that failed to sync it.
fn must_be_there(oracle: &Oracle, attempt: &Attempt) -> Option<&'static str> {
    let Outcome::Acknowledged { at, persisted, .. } = attempt.outcome else { return None };
    if persisted {
        return Some("it was persisted");
    }
    if oracle.disk_failed(attempt.life, Fault::SyncFails) {
        return None;
    }
    let life = &oracle.lives[attempt.life];
    let Some(ended) = life.ended else { return Some("its process is alive") };
    if ended.saturating_sub(at) > FAST + Duration::from_millis(1) {
        return Some("it was old enough to be on the disk");
    }
    let lost =
        oracle.power_losses.iter().any(|(machine, when)| *machine == life.machine && *when >= at);
    (!lost).then_some("the power was never lost")
}
