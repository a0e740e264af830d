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
use crate::oracle::{Attempt, Oracle, Outcome};
use crate::story::SOLUTIONS;
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
    let oracle = world.oracle();
    wrong.extend(over_granted(&oracle, &audit.hard));
    wrong.extend(miscounted(&oracle, &audit.lines));
    wrong.extend(missummed(&items, &audit.lines));
    wrong.extend(kept_leases(&oracle));
    drop(oracle);
    for wrong in wrong {
        world.violated(wrong);
    }
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

/// Every event that was acknowledged is in the ledger once, every other one not at all.
fn miscounted(oracle: &Oracle, lines: &[AuditedLine]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut found: BTreeMap<u64, &AuditedLine> = BTreeMap::new();
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
        let mark = event.metadata.as_ref().and_then(|facts| facts.get("mark")?.as_u64());
        let Some(mark) = mark else {
            wrong.push(format!("{} was never tracked", event.id));
            continue;
        };
        if let Some(before) = found.insert(mark, line) {
            let (first, second) = (&before.numbered, &line.numbered);
            wrong.push(format!("{} is in the ledger twice: {first:?}, {second:?}", event.id));
        }
        if let Some(reason) = unjust(oracle, line, mark) {
            wrong.push(reason);
        }
    }
    for (mark, attempt) in oracle.attempts.iter().enumerate() {
        let line = found.get(&(mark as u64));
        match (&attempt.outcome, line) {
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

/// What is wrong with what became of an event, if anything is.
fn unjust(oracle: &Oracle, line: &AuditedLine, mark: u64) -> Option<String> {
    let attempt = oracle.attempts.get(mark as usize);
    let Some(Attempt { action, allowed, .. }) = attempt else {
        return Some(format!("{mark} was never tracked"));
    };
    let explained = match (line.status, line.code) {
        (EventStatus::Accepted, _) => true,
        (EventStatus::Rejected, Some(Code::QuotaExceeded)) => {
            ["export", "translation"].contains(action) && !allowed
        }
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
