//! The other end of the spool: a marketplace with a fence, and the list of what was acknowledged that
//! it is compared with.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::model::LossReason;

/// What is known of all events of a story, whoever tracked them.
#[derive(Default)]
pub(super) struct Ledger {
    events: Vec<Event>,
    producers: BTreeMap<String, Producer>,
}

/// An event, by its place in the ledger.
pub(super) type EventId = usize;

#[derive(Default)]
struct Event {
    text: String,
    /// Once it was acknowledged.
    acknowledged: Option<Acknowledged>,
    counted: bool,
}

#[derive(Debug)]
pub(super) struct Acknowledged {
    pub(super) producer: String,
    pub(super) number: u64,
    pub(super) at: Duration,
    /// In which of the processes, one after another.
    pub(super) life: usize,
    /// As one that survives the loss of power.
    pub(super) persisted: bool,
}

#[derive(Default)]
struct Producer {
    epoch: u64,
    fence: u64,
    /// Up to which number the oldest were dropped.
    dropped: u64,
    numbers: BTreeMap<u64, Result<EventId, LossReason>>,
}

/// What came of an event that was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Counted,
    /// There was no room, and the program had chosen to lose the oldest. The log's note of that goes with
    /// the power where it was not synced: then the marketplace is told that something is missing, and
    /// not why.
    Dropped,
    Declared(LossReason),
    /// Nobody has told the marketplace that it ever was.
    Forgotten,
}

#[derive(Deserialize)]
struct Sent {
    producer: String,
    epoch: u64,
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    number: u64,
    through: Option<u64>,
    event: Option<Tracked>,
    lost: Option<LossReason>,
}

#[derive(Deserialize)]
struct Tracked {
    id: EventId,
    pad: String,
}

impl Ledger {
    /// A new event of about so many bytes.
    pub(super) fn begin(&mut self, bytes: usize) -> (EventId, String) {
        let id = self.events.len();
        let text = format!(r#"{{"id":{id},"pad":"{}"}}"#, pad(id, bytes));
        self.events.push(Event { text: text.clone(), ..Event::default() });
        (id, text)
    }

    pub(super) fn acknowledge(&mut self, event: EventId, acknowledged: Acknowledged) {
        self.events[event].acknowledged = Some(acknowledged);
    }

    pub(super) fn persisted(&mut self, event: EventId) {
        self.events[event].acknowledged.as_mut().expect("that comes first").persisted = true;
    }

    /// The numbers up to `through` were dropped, unless they were answered for.
    pub(super) fn dropped(&mut self, producer: &str, through: u64) {
        let producer = self.producers.entry(producer.to_owned()).or_default();
        producer.dropped = producer.dropped.max(through);
    }

    pub(super) fn fence(&self, producer: &str) -> u64 {
        self.producers.get(producer).map_or(0, |producer| producer.fence)
    }

    /// Takes a range as the marketplace does, and answers with the fence. What was never tracked, or
    /// comes under another number than the one it was acknowledged with, or twice, is an error.
    pub(super) fn take(&mut self, wire: &[u8]) -> u64 {
        let Sent { producer: name, epoch, items } =
            serde_json::from_slice(wire).expect("a range is JSON");
        let producer = self.producers.entry(name.clone()).or_default();
        assert!(epoch >= producer.epoch, "a log that was taken over is sent by its old owner");
        producer.epoch = epoch;
        for Item { number, through, event, lost } in items {
            let through = through.unwrap_or(number);
            assert!(number <= producer.fence + 1, "a gap that is not declared");
            if through <= producer.fence {
                continue;
            }
            let new = producer.fence + 1..=through;
            producer.fence = through;
            let Some(tracked) = event else {
                let reason = lost.expect("an event, or why there is none");
                producer.numbers.extend(new.map(|number| (number, Err(reason))));
                continue;
            };
            let event = self.events.get_mut(tracked.id).expect("an event that was never tracked");
            assert_eq!(tracked.pad, pad(tracked.id, tracked.pad.len()), "another event");
            assert_eq!(event.text.len(), text_len(tracked.id, tracked.pad.len()), "a part of one");
            assert!(!event.counted, "event {} is counted twice", tracked.id);
            event.counted = true;
            if let Some(acknowledged) = &event.acknowledged {
                let known = (&*acknowledged.producer, acknowledged.number);
                assert_eq!(known, (&*name, number), "an event under another's number");
            }
            producer.numbers.insert(number, Ok(tracked.id));
        }
        producer.fence
    }

    /// Every event that was acknowledged, and what came of it.
    pub(super) fn fates(&self) -> impl Iterator<Item = (&Acknowledged, Fate)> {
        self.events.iter().filter_map(|event| {
            let acknowledged = event.acknowledged.as_ref()?;
            let producer = self.producers.get(&acknowledged.producer);
            let number = acknowledged.number;
            let known = producer.and_then(|producer| producer.numbers.get(&number));
            let dropped = producer.is_some_and(|producer| number <= producer.dropped);
            let fate = match known {
                Some(Ok(_)) if event.counted => Fate::Counted,
                Some(Ok(_)) => panic!("number {number} stands for another event"),
                _ if dropped => Fate::Dropped,
                Some(Err(reason)) => Fate::Declared(*reason),
                None => Fate::Forgotten,
            };
            Some((acknowledged, fate))
        })
    }
}

fn pad(id: EventId, bytes: usize) -> String {
    (0..bytes).map(|at| char::from(b'a' + ((id + at * 7) % 26) as u8)).collect()
}

fn text_len(id: EventId, pad: usize) -> usize {
    format!(r#"{{"id":{id},"pad":""}}"#).len() + pad
}
