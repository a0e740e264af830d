//! A numbered range of a producer's log.
//!
//! One commit: the fence, the range as pages of the ledger, the callers' idempotency keys, what it
//! takes of hard quotas, what it adds to the counters, and its index by customer. So a range that is
//! sent again, because its answer was lost or because it was cut differently, finds its fence and
//! counts nothing twice. For the same reason a range that takes of more hard quotas and leases than a
//! commit has room for is taken in parts.

use std::collections::{BTreeMap, BTreeSet};

use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{Entry, EventResult, EventStatus, UsageEvent, UsageRange};

use super::Taken;
use super::admission::{Admission, Earlier, Rules, Verdict};
use super::index::{Index, NewPage, Written, index};
use super::projection::{self, Projection};
use crate::api::problem::Failure;
use crate::api::quotas::time_zone;
use crate::domain::catalogue::Solution;
use crate::domain::fence::{Fence, Refusal, numbered};
use crate::domain::principal::Principal;
use crate::domain::quota::period;
use crate::domain::usage::additions;
use crate::facts::{self, LedgerLine, LedgerPage, PageName};
use crate::market::Market;
use crate::planted::{Bug, planted};
use crate::store::{MAX_ITEM_BYTES, StoreError, Transaction, transact};

const MAX_ITEMS: usize = UsageRange::MAX_ITEMS;
const MAX_KEYS: usize = UsageRange::MAX_KEYS;
/// Room for what surrounds the lines of a page.
const PAGE_BYTES: usize = MAX_ITEM_BYTES - 1_000;
/// How many idempotency keys, hard quotas, leases and corrections one commit takes, of its 100 writes. A
/// body has a megabyte and so at most four pages; beside them there is the fence, the number of leases
/// that are held, and at least a few notes of what there is no room to count.
const MAX_BESIDE: usize = 90;

/// Takes what is new of a range. What is not new is answered as it was the first time, except that
/// what was counted is a duplicate: a client that lost the answer still learns what was rejected.
pub(super) async fn take(
    market: &Market,
    principal: &Principal,
    solution: &Solution,
    range: &UsageRange,
) -> Result<Taken, Failure> {
    check(range)?;
    let zone = time_zone(solution)?;
    let rules = Rules { principal, solution, zone: &zone, now: market.world.now() };
    let mut taken = Taken { fence: None, results: Vec::with_capacity(range.items.len()) };
    let mut rest = range.items.as_slice();
    while !rest.is_empty() {
        let (part, later) = rest.split_at(room_for(rest, rules)?);
        let Taken { fence, results } = take_part(market, rules, range, part).await?;
        let is_whole =
            results.last().and_then(EventResult::last) == part.last().map(Entry::through);
        taken.fence = fence;
        taken.results.extend(results);
        if !is_whole {
            break; // who sent it sends the rest again
        }
        rest = later;
    }
    Ok(taken)
}

/// How many of the entries one commit can take: all, unless they take of many hard quotas or leases, or
/// are corrections, each of which has an item of its own.
fn room_for(entries: &[Entry], rules: Rules<'_>) -> Result<usize, Failure> {
    let Rules { solution, zone, .. } = rules;
    let (mut counters, mut leases, mut keys) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let (mut of_leases, mut corrections) = (0, 0);
    for (place, entry) in entries.iter().enumerate() {
        let Entry::Event { event, .. } = entry else { continue };
        if event.amends.is_some() || event.voids.is_some() {
            // The windows are those of the original, which is not known yet. Each has a counter, and
            // a reset that must not come in between.
            let limited = solution.limited().filter(|(action, _)| *action == event.action);
            corrections += 1 + 2 * limited.count();
        }
        keys.extend(&event.idempotency_key);
        if event.lease.as_ref().is_some_and(|lease| leases.insert(lease)) {
            // It, and its end on the agenda; beside the quotas of now, which the event comes under if the
            // lease does not pay for it.
            of_leases += 2 + solution.hard_windows(&event.action).count();
        }
        for window in solution.hard_windows(&event.action) {
            // What lies outside of the calendar is rejected and takes of nothing.
            if let Ok(period) = period(window, zone, event.occurred_at) {
                counters.insert((&event.customer_id, &event.action, period.name));
            }
        }
        if keys.len() + counters.len() + of_leases + corrections > MAX_BESIDE {
            return Ok(place);
        }
    }
    Ok(entries.len())
}

/// One commit.
async fn take_part(
    market: &Market,
    rules: Rules<'_>,
    range: &UsageRange,
    entries: &[Entry],
) -> Result<Taken, Failure> {
    let Rules { principal, solution, zone, now } = rules;
    let first = entries.first().map_or(0, Entry::number);
    let last = entries.last().map_or(0, Entry::through);
    let fence_key = facts::fence(principal, &range.producer);

    let (taken, fence) = transact(&*market.store, async |tx| {
        let fence: Fence = tx.get(&fence_key).await?.unwrap_or_default();
        let behind =
            fence.admit(range.epoch, first, last).map_err(|refusal| refused(refusal, fence))?;
        let parts = fence.part(entries);

        let mut results = told_again(tx, principal, &range.producer, parts.seen()).await?;
        let told = results.last().and_then(EventResult::last);
        if told != parts.seen().last().map(Entry::through) {
            return Ok((Taken { fence: Some(fence.number), results }, fence));
        }
        let lines = judge_all(tx, rules, &range.producer, parts.unseen()).await?;
        results.extend(lines.iter().map(|line| line.result.clone()));

        if behind != fence && !planted(Bug::FenceApart) {
            tx.put(&fence_key, &behind)?;
        }
        let effects = lines.iter().filter_map(LedgerLine::effect);
        let additions = additions(effects, solution, zone).map_err(|_| Code::Internal)?;
        let pages = pages(lines)?;
        let mut projection = Projection { additions, index: Index::new(), pages: Vec::new() };
        for page in &pages {
            let Some(last) = page.last().and_then(|it| it.line.result.last()) else { continue };
            let key = facts::ledger_page(principal, &range.producer, last);
            tx.create(&key, &NewPage::of(page, now))?;
            projection.index.extend(index(principal, Some(&range.producer), &key, now, page));
            let (principal, producer) = (principal.clone(), range.producer.clone());
            projection.pages.push(PageName { principal, producer, last });
        }
        projection::project(tx, projection, || market.world.id("pnd"))?;
        let taken = Taken { fence: Some(behind.number), results };
        Ok::<_, Failure>((taken, behind))
    })
    .await?;
    if planted(Bug::FenceApart) {
        transact(&*market.store, async |tx| tx.put(&fence_key, &fence)).await?;
    }
    Ok(taken)
}

/// The events of a range.
pub(super) fn events(range: &UsageRange) -> impl Iterator<Item = &UsageEvent> {
    events_of(range.items.iter())
}

fn events_of<'e>(entries: impl Iterator<Item = &'e Entry>) -> impl Iterator<Item = &'e UsageEvent> {
    entries.filter_map(|entry| match entry {
        Entry::Event { event, .. } => Some(event),
        Entry::Lost { .. } => None,
    })
}

/// Whether a range has the form of one.
fn check(range: &UsageRange) -> Result<(), Failure> {
    if range.producer.is_empty() || range.producer.len() > UsageEvent::MAX_ID_BYTES {
        return Err(Failure::field("producer", "A producer's id has 1 to 64 bytes."));
    }
    if range.items.is_empty() {
        return Err(Failure::field("items", "A range has at least one entry."));
    }
    if range.items.len() > MAX_ITEMS {
        let detail = format!("A range has at most {MAX_ITEMS} entries.");
        return Err(Failure::new(Code::RequestTooLarge, detail));
    }
    let keys = events(range).filter_map(|event| event.idempotency_key.as_ref());
    if keys.collect::<BTreeSet<_>>().len() > MAX_KEYS {
        let detail = format!("A range has at most {MAX_KEYS} idempotency keys.");
        return Err(Failure::new(Code::RequestTooLarge, detail));
    }
    numbered(&range.items).map_err(|place| {
        let detail = "Numbers begin at 1 and are consecutive.";
        Failure::field(format!("items[{place}].number"), detail)
    })
}

fn refused(refusal: Refusal, fence: Fence) -> Failure {
    let Fence { epoch, number, .. } = fence;
    match refusal {
        Refusal::Gap => {
            let next = number.saturating_add(1);
            let detail =
                format!("The fence is at {number}; expected the range to begin at {next}.");
            Failure::gap(number, detail)
        }
        Refusal::Superseded => {
            Failure::new(Code::EpochSuperseded, format!("The producer is at epoch {epoch}."))
        }
    }
}

/// What became of entries that were taken before. Where numbers that are sent as lost now had been sent
/// as events, that is a long story: it is told as far as a few pages of the ledger go.
async fn told_again(
    tx: &mut Transaction<'_>,
    principal: &Principal,
    producer: &str,
    entries: impl Iterator<Item = &Entry> + Clone,
) -> Result<Vec<EventResult>, StoreError> {
    let mut results = Vec::new();
    let first = entries.clone().next().map_or(0, Entry::number);
    let Some(last) = entries.clone().last().map(Entry::through) else { return Ok(results) };
    let query = facts::ledger_pages(principal, producer, first, last);
    let most = query.limit;
    let mut pages = tx.query::<LedgerPage>(query).await?;
    let is_all = pages.len() < most;
    if is_all {
        pages.extend(tx.query(facts::ledger_page_with(principal, producer, last)).await?);
    }
    let lines = pages.into_iter().flat_map(|(_, page)| page.lines);
    let lines: BTreeMap<_, _> = lines.map(|line| (line.result.number, line.result)).collect();
    let known = lines.last_key_value().and_then(|(_, line)| line.last());
    let end = known.filter(|_| !is_all).unwrap_or(last);
    for entry in entries {
        let mut next = entry.number();
        while next <= entry.through().min(end) {
            let line = lines.range(..=Some(next)).next_back().map(|(_, line)| line);
            let line = line.filter(|line| line.last() >= Some(next));
            let after = || lines.range(Some(next)..).next()?.1.number?.checked_sub(1);
            let through = line.map_or_else(after, EventResult::last).unwrap_or(u64::MAX);
            let through = through.min(entry.through());
            let (status, code) = match line {
                Some(first) if first.status != EventStatus::Accepted => (first.status, first.code),
                _ => (EventStatus::Duplicate, None),
            };
            match results.last_mut() {
                Some(before)
                    if before.last() >= Some(entry.number())
                        && (before.status, before.code) == (status, code) =>
                {
                    before.through = Some(through);
                }
                _ => results.push(told(next, through, status, code)),
            }
            next = through + 1;
        }
    }
    Ok(results)
}

/// What became of the numbers from `number` to `through`.
fn told(number: u64, through: u64, status: EventStatus, code: Option<Code>) -> EventResult {
    let through = Some(through).filter(|through| *through > number);
    EventResult { number: Some(number), through, status, code }
}

/// Judges entries in their order, keeping the idempotency keys of those that count.
async fn judge_all<'e>(
    tx: &mut Transaction<'_>,
    rules: Rules<'e>,
    producer: &str,
    entries: impl Iterator<Item = &'e Entry> + Clone,
) -> Result<Vec<LedgerLine>, Failure> {
    let well_formed = events_of(entries.clone()).filter(|event| event.malformed().is_none());
    let mut admission = Admission::of(tx, rules, well_formed).await?;
    let mut lines = Vec::new();
    for entry in entries {
        lines.push(match entry {
            Entry::Lost { reason, .. } => LedgerLine {
                result: told(entry.number(), entry.through(), EventStatus::Lost, None),
                event: None,
                lost: Some(*reason),
                late: false,
                difference: None,
                charged_at: None,
            },
            Entry::Event { event, .. } => {
                let earlier = Earlier { producer, lines: &lines };
                let verdict = admission.admit(tx, event, Some(earlier)).await?;
                let Verdict { status, code, difference, charged_at } = verdict;
                let is_kept = event.malformed().is_none();
                LedgerLine {
                    result: told(entry.number(), entry.through(), status, code),
                    event: is_kept.then(|| event.clone()),
                    lost: None,
                    late: admission.is_late(event),
                    difference,
                    charged_at,
                }
            }
        });
    }
    Ok(lines)
}

/// Lines as pages that a store takes.
fn pages(lines: Vec<LedgerLine>) -> Result<Vec<Vec<Written>>, StoreError> {
    let mut pages: Vec<Vec<Written>> = Vec::new();
    let mut room = 0;
    for line in lines {
        let line = Written::of(line)?;
        let bytes = line.text.get().len() + 1;
        match pages.last_mut() {
            Some(page) if bytes <= room => {
                page.push(line);
                room -= bytes;
            }
            _ => {
                pages.push(vec![line]);
                room = PAGE_BYTES.saturating_sub(bytes);
            }
        }
    }
    Ok(pages)
}
