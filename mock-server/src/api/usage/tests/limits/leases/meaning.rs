//! What leases mean, as a model that knows little else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cloudnestle_marketplace::model::{EventRef, Tier, Timestamp, TrackUsage};

use super::super::model::{limits_of, periods};
use super::steps::Export;
use super::{CUSTOMERS, PRODUCERS};

/// A counter: a customer in a period.
pub(super) type Place = (usize, String);

pub(super) struct Block {
    pub(super) id: String,
    pub(super) producer: String,
    pub(super) customer: usize,
    pub(super) places: Vec<Place>,
    pub(super) granted: Option<i64>,
    pub(super) used: i64,
    pub(super) epoch: u64,
    pub(super) ends_at: Timestamp,
    pub(super) is_held: bool,
}

impl Block {
    pub(super) fn left(&self) -> i64 {
        self.granted.map_or(0, |granted| granted - self.used)
    }
}

/// An event that counts.
pub(super) struct Counted {
    pub(super) reference: EventRef,
    pub(super) customer: usize,
    pub(super) quantity: i64,
    pub(super) occurred_at: Timestamp,
    pub(super) charged: Vec<Place>,
    pub(super) forgiven: BTreeSet<Place>,
    pub(super) is_void: bool,
}

pub(super) struct Log {
    pub(super) name: String,
    pub(super) epoch: u64,
    pub(super) next: u64,
    pub(super) last_range: Option<(TrackUsage, Vec<bool>)>,
}

/// What leases mean, in as few words as possible.
pub(super) struct Model {
    pub(super) tiers: [Tier; CUSTOMERS],
    pub(super) used: BTreeMap<Place, i64>,
    pub(super) leased: BTreeMap<Place, i64>,
    pub(super) history: BTreeMap<Place, i64>,
    pub(super) blocks: Vec<Block>,
    pub(super) counted: Vec<Counted>,
    pub(super) logs: Vec<Log>,
    /// Logs that have ended, with their epochs and last numbers.
    pub(super) ended: Vec<(String, u64, u64)>,
}

pub(super) fn places(customer: usize, at: Timestamp) -> Vec<Place> {
    periods(at).map(|period| (customer, period)).into()
}

impl Model {
    pub(super) fn new() -> Model {
        let mut model = Model {
            tiers: [Tier::Pro; CUSTOMERS],
            used: BTreeMap::new(),
            leased: BTreeMap::new(),
            history: BTreeMap::new(),
            blocks: Vec::new(),
            counted: Vec::new(),
            logs: Vec::new(),
            ended: Vec::new(),
        };
        (0..PRODUCERS).for_each(|n| {
            let log = model.new_log(n);
            model.logs.push(log);
        });
        model
    }

    pub(super) fn new_log(&self, n: usize) -> Log {
        let name = format!("prd_{n}_{}", self.ended.len());
        Log { name, epoch: 0, next: 1, last_range: None }
    }

    pub(super) fn spent(&self, place: &Place) -> i64 {
        let of = |counts: &BTreeMap<Place, i64>| counts.get(place).copied().unwrap_or(0);
        of(&self.used) + of(&self.leased)
    }

    /// What is left under each limit that there is.
    pub(super) fn left(&self, customer: usize, places: &[Place]) -> Option<i64> {
        let limits = places.iter().zip(limits_of(self.tiers[customer]));
        limits.filter_map(|(place, limit)| Some(limit? - self.spent(place))).min()
    }

    pub(super) fn take(
        &mut self,
        producer: usize,
        customer: usize,
        least: u64,
        wanted: u64,
        now: Timestamp,
    ) -> Option<Option<u64>> {
        let places = places(customer, now);
        let (least, wanted) = (least as i64, wanted as i64);
        let granted = match self.left(customer, &places) {
            None => None,
            Some(left) if left < least => return None,
            Some(left) => Some(wanted.min(left / 8).max(least)),
        };
        for place in &places {
            *self.leased.entry(place.clone()).or_default() += granted.unwrap_or(0);
        }
        let log = &self.logs[producer];
        self.blocks.push(Block {
            id: format!("lse_{}", self.blocks.len()),
            producer: log.name.clone(),
            customer,
            places,
            granted,
            used: 0,
            epoch: log.epoch,
            ends_at: (now + Duration::from_secs(300)).min(day_ends(now)),
            is_held: true,
        });
        Some(granted.map(|granted| granted as u64))
    }

    /// Whether the event counts.
    pub(super) fn export(
        &mut self,
        producer: usize,
        number: u64,
        export: &Export,
        at: Timestamp,
    ) -> bool {
        let Export { customer, quantity, overage, .. } = *export;
        let name = self.logs[producer].name.clone();
        let block = export.lease.and_then(|n| self.blocks.get_mut(n)).filter(|block| {
            let has_enough = block.granted.is_none() || quantity <= block.left();
            block.is_held && block.producer == name && block.customer == customer && has_enough
        });
        let charged = if let Some(block) = block {
            block.used += quantity;
            block.is_held = block.granted.is_none() || block.left() > 0;
            for place in block.places.iter().filter(|_| block.granted.is_some()) {
                *self.leased.entry(place.clone()).or_default() -= quantity;
            }
            block.places.clone()
        } else {
            let places = places(customer, at);
            if !overage && self.left(customer, &places).is_some_and(|left| quantity > left) {
                return false;
            }
            places
        };
        for place in &charged {
            *self.used.entry(place.clone()).or_default() += quantity;
        }
        self.count(customer, at, quantity);
        let reference = EventRef::Numbered { producer: name, number };
        let (forgiven, is_void) = (BTreeSet::new(), false);
        let occurred_at = at;
        self.counted.push(Counted {
            reference,
            customer,
            quantity,
            occurred_at,
            charged,
            forgiven,
            is_void,
        });
        true
    }

    pub(super) fn count(&mut self, customer: usize, at: Timestamp, amount: i64) {
        for place in places(customer, at) {
            *self.history.entry(place).or_default() += amount;
        }
    }

    pub(super) fn void(&mut self, event: usize) -> bool {
        let event = &mut self.counted[event];
        if std::mem::replace(&mut event.is_void, true) {
            return false;
        }
        for place in event.charged.iter().filter(|place| !event.forgiven.contains(place)) {
            *self.used.entry(place.clone()).or_default() -= event.quantity;
        }
        let (customer, at, quantity) = (event.customer, event.occurred_at, event.quantity);
        self.count(customer, at, -quantity);
        true
    }

    pub(super) fn give_back(&mut self, n: usize) {
        let block = &mut self.blocks[n];
        if std::mem::replace(&mut block.is_held, false) {
            for place in &block.places {
                *self.leased.entry(place.clone()).or_default() -= block.left();
            }
        }
    }

    /// Gives back what the producer holds, as far as nobody can be using it. Gives how many are left.
    pub(super) fn end(&mut self, name: &str, epoch: u64, now: Timestamp) -> usize {
        let of_it = |block: &Block| block.is_held && block.producer == name;
        for n in 0..self.blocks.len() {
            let block = &self.blocks[n];
            if of_it(block) && (block.epoch >= epoch || block.ends_at <= now) {
                self.give_back(n);
            }
        }
        self.blocks.iter().filter(|block| of_it(block)).count()
    }

    pub(super) fn reset(&mut self, customer: usize, now: Timestamp) {
        for place in places(customer, now) {
            if self.used.get(&place).is_some_and(|used| *used > 0) {
                self.used.insert(place.clone(), 0);
                for event in self.counted.iter_mut().filter(|it| it.charged.contains(&place)) {
                    event.forgiven.insert(place.clone());
                }
            }
        }
    }
}

/// In Berlin, in winter.
pub(super) fn day_ends(at: Timestamp) -> Timestamp {
    let day = (at.as_secs() + 3_600).div_euclid(86_400);
    Timestamp::from_secs((day + 1) * 86_400 - 3_600)
}
