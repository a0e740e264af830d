//! Events by customer: what of the ledger counted, where whoever looks for a customer's usage finds it.
//!
//! The ledger is kept in the order in which producers number it, a few items a range; a customer's
//! events lie all over it. So that a page of them costs no more than it is long, what a commit takes is
//! kept once more, by customer, action and hour: one item for each that the commit touches, not one for
//! each event. The index is made of the ledger alone, so it can be made again.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;

use cloudnestle_marketplace::model::Timestamp;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::domain::principal::Principal;
use crate::domain::usage::Effect;
use crate::facts::{self, CountedEvents, LedgerLine};
use crate::store::{Key, Query, Store, StoreError, transact};

/// How many items are read at once, of each action. Most have a few events; the largest, 400 KB.
const BATCH: usize = 8;

const HOUR_MILLIS: i64 = 60 * 60 * 1000;

/// A line of the ledger, written out: its page and the index hold the same text.
pub(super) struct Written {
    pub line: LedgerLine,
    pub text: Box<RawValue>,
}

impl Written {
    pub(super) fn of(line: LedgerLine) -> Result<Written, StoreError> {
        let text = to_raw_value(&line);
        let text = text.map_err(|_| StoreError::Refused("a line can't be written as JSON"))?;
        Ok(Written { line, text })
    }
}

/// A [`LedgerPage`](facts::LedgerPage) to be written.
#[derive(Serialize)]
pub(super) struct NewPage<'l> {
    received_at: Timestamp,
    lines: Vec<&'l RawValue>,
}

impl<'l> NewPage<'l> {
    pub(super) fn of(lines: &'l [Written], received_at: Timestamp) -> NewPage<'l> {
        NewPage { received_at, lines: lines.iter().map(|line| &*line.text).collect() }
    }
}

/// [`CountedEvents`] to be written.
#[derive(Serialize)]
pub(super) struct NewEvents<'l> {
    #[serde(skip_serializing_if = "Option::is_none")]
    producer: Option<&'l str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    from_customer: bool,
    #[serde(flatten)]
    page: NewPage<'l>,
}

pub(super) type Index<'l> = BTreeMap<Key, NewEvents<'l>>;

/// What there is to find of a page of the ledger, which lies at `source`. An event that was sent alone
/// is a page of its own, without a producer.
pub(super) fn index<'l>(
    principal: &Principal,
    producer: Option<&'l str>,
    source: &Key,
    received_at: Timestamp,
    lines: &'l [Written],
) -> Index<'l> {
    let mut alike: BTreeMap<_, (Effect<'l>, Vec<&RawValue>)> = BTreeMap::new();
    for Written { line, text } in lines {
        let Some(effect) = line.effect() else { continue };
        // The hours of UTC, which begin where a millisecond can be divided by so many.
        let hour = effect.occurred_at.as_millis().div_euclid(HOUR_MILLIS);
        let (_, lines) = alike
            .entry((effect.customer_id, effect.action, hour))
            .or_insert_with(|| (effect, Vec::new()));
        lines.push(text);
    }
    let from_customer = matches!(principal, Principal::SolutionToken { .. });
    let events = |(effect, lines): (Effect<'_>, _)| {
        let key = facts::counted_events(principal.solution_id(), &effect, received_at, source);
        (key, NewEvents { producer, from_customer, page: NewPage { received_at, lines } })
    };
    alike.into_values().map(events).collect()
}

/// Reads what there is of some actions, from the newest item to the oldest.
pub(super) struct Newest<'s> {
    store: &'s dyn Store,
    actions: Vec<OfAction>,
}

/// An item of the index.
pub(super) struct Item {
    /// Its hour, and what follows it in its name.
    pub tail: String,
    pub action: String,
    pub events: CountedEvents,
}

/// What is left to read of one action.
struct OfAction {
    action: String,
    query: Query,
    /// Where the last read ended. The next finds that item once more.
    before: Option<String>,
    read: VecDeque<Item>,
    is_at_the_end: bool,
}

impl<'s> Newest<'s> {
    /// The items of a customer whose tails lie between two (both included).
    pub(super) fn of<'a>(
        store: &'s dyn Store,
        customer_id: &str,
        solution_id: &str,
        actions: impl IntoIterator<Item = &'a str>,
        tails: &RangeInclusive<String>,
    ) -> Newest<'s> {
        let of_action = |action: &str| OfAction {
            action: action.to_owned(),
            query: facts::events_counted(customer_id, solution_id, action, tails, BATCH),
            before: None,
            read: VecDeque::new(),
            is_at_the_end: false,
        };
        Newest { store, actions: actions.into_iter().map(of_action).collect() }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Item>, StoreError> {
        for action in &mut self.actions {
            action.read_on(self.store).await?;
        }
        let newest = self.actions.iter_mut().max_by(|a, b| a.next_place().cmp(&b.next_place()));
        Ok(newest.and_then(|action| action.read.pop_front()))
    }
}

impl OfAction {
    /// The place of the next item; nothing sorts before every place.
    fn next_place(&self) -> Option<(&str, &str)> {
        self.read.front().map(|item| (&*item.tail, &*item.action))
    }

    /// Has an item at hand, if there is one.
    async fn read_on(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        if !self.read.is_empty() || self.is_at_the_end {
            return Ok(());
        }
        let query = &self.query;
        let found =
            transact(store, async |tx| tx.query::<CountedEvents>(query.clone()).await).await?;
        self.is_at_the_end = found.len() < BATCH;
        let before = self.before.take();
        self.before = found.last().map(|(key, _)| key.sort.clone());
        if let Some(last) = &self.before {
            self.query.sort = self.query.sort.start().clone()..=last.clone();
        }
        let new = found.into_iter().filter(|(key, _)| Some(&key.sort) != before.as_ref());
        self.read.extend(new.map(|(key, events)| Item {
            // The name was made of the action and the tail.
            tail: key.sort[self.action.len() + 1..].to_owned(),
            action: self.action.clone(),
            events,
        }));
        Ok(())
    }
}
