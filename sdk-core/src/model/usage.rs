//! Usage on the wire: events, the ranges they are sent in, and what becomes of each.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Code, Quota, Timestamp};

/// One thing a customer did, as it is billed. Fields this release does not know are ignored, so
/// that an older server takes a newer SDK's spool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageEvent {
    /// `evt_…`, made by the client; counts once however often it arrives.
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 64, examples("evt_01KAPM6T9Z3X8N5V2QJ7R4W1BC"))
    )]
    pub id: String,
    /// Who did it: the token's `sub`.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 64, examples("cus_ravi")))]
    pub customer_id: String,
    /// The token it was done with: its `jti`, never the token itself.
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 64, examples("tok_01KAPM5C1D9Q8Y3H6ZK2T7V4EF"))
    )]
    pub token_id: String,
    /// What was done, by the name the solution gave.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 64, examples("search")))]
    pub action: String,
    /// How much of it, in the action's unit; at least 1.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1_000_000_000, examples(1)))]
    pub quantity: u64,
    /// When, by the client's corrected clock.
    pub occurred_at: Timestamp,
    /// The caller's own name for this event: a second event with the same key is a duplicate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 255))]
    pub idempotency_key: Option<String>,
    /// A few bounded facts about it; no free text.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::json::facts"
    )]
    #[cfg_attr(feature = "openapi", schema(schema_with = super::openapi::metadata))]
    pub metadata: Option<Map<String, Value>>,
    /// An earlier event of this customer and action, whose quantity was wrong: this event's is the
    /// right one. What counts is the difference, in the window in which that event occurred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amends: Option<Box<EventRef>>,
    /// An earlier event of this customer and action that should not have been sent: nothing of it
    /// counts any more. This event's quantity says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voids: Option<Box<EventRef>>,
    /// The lease it was allowed by, `lse_…`, of the producer that sends it: it was charged when the lease
    /// was granted. A lease that is unknown or has too little left is passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 64))]
    pub lease: Option<String>,
    /// It was allowed while the marketplace could not be reached and no lease was left. It counts beyond
    /// the limit, too, if the solution allows that.
    #[serde(default, skip_serializing_if = "is_false")]
    pub overage: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl UsageEvent {
    /// How much one event may stand for: what fits a counter nine billion times.
    pub const QUANTITY: RangeInclusive<u64> = 1..=1_000_000_000;
    /// The longest id or action, in bytes. The marketplace's own ids have 30.
    pub const MAX_ID_BYTES: usize = 64;
    /// The longest idempotency key, in bytes: Stripe's bound.
    pub const MAX_KEY_BYTES: usize = 255;
    /// The most entries of `metadata`.
    pub const MAX_METADATA: usize = 20;
    /// The longest name of an entry of `metadata`, in bytes: Stripe's bound.
    pub const MAX_METADATA_NAME_BYTES: usize = 40;
    /// The longest text of an entry of `metadata`, in bytes: Stripe's bound.
    pub const MAX_METADATA_TEXT_BYTES: usize = 500;

    /// Why the event can't be kept, whatever it says: something of it is empty or too large. The
    /// SDK asks before it takes an event, and the marketplace before it judges one.
    pub fn malformed(&self) -> Option<(Code, &'static str)> {
        let fits = |text: &str, most: usize| (1..=most).contains(&text.len());
        let ids = [&self.id, &self.customer_id, &self.token_id, &self.action];
        if !ids.into_iter().chain(&self.lease).all(|id| fits(id, Self::MAX_ID_BYTES)) {
            return Some((Code::RequestInvalid, "Ids and actions have 1 to 64 bytes."));
        }
        if self.idempotency_key.as_ref().is_some_and(|key| !fits(key, Self::MAX_KEY_BYTES)) {
            return Some((Code::RequestInvalid, "An idempotency key has 1 to 255 bytes."));
        }
        if self.amends.is_some() && self.voids.is_some() {
            return Some((Code::RequestInvalid, "An event amends another or voids it, not both."));
        }
        let named = self.amends.iter().chain(&self.voids);
        if !named.map(|named| named.id()).all(|id| fits(id, Self::MAX_ID_BYTES)) {
            return Some((Code::RequestInvalid, "Ids and producers have 1 to 64 bytes."));
        }
        let entries = self.metadata.as_ref().map_or(0, Map::len);
        if entries > Self::MAX_METADATA {
            return Some((Code::MetadataInvalid, "Metadata has at most 20 entries."));
        }
        let is_short = |(name, value): (&String, &Value)| {
            let value_fits = match value {
                Value::String(text) => text.len() <= Self::MAX_METADATA_TEXT_BYTES,
                Value::Array(_) | Value::Object(_) => false,
                Value::Null | Value::Bool(_) | Value::Number(_) => true,
            };
            value_fits && fits(name, Self::MAX_METADATA_NAME_BYTES)
        };
        let short = self.metadata.iter().flatten().all(is_short);
        let words = "Metadata has names of 1 to 40 bytes, and texts of at most 500, numbers or truth \
                     values.";
        (!short).then_some((Code::MetadataInvalid, words))
    }
}

/// Names an event that was sent before, to correct it. Only who sent it can name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "EventRefWire", into = "EventRefWire")]
pub enum EventRef {
    /// `{"producer": "prd_…", "number": 7}`: an event of a producer's log.
    Numbered {
        /// The producer.
        producer: String,
        /// Its number there.
        number: u64,
    },
    /// `{"id": "evt_…"}`: an event that was sent alone, or consumed.
    Single {
        /// Its id.
        id: String,
    },
}

impl EventRef {
    /// What it is found by: the producer, or the event's id.
    fn id(&self) -> &str {
        match self {
            EventRef::Numbered { producer, .. } => producer,
            EventRef::Single { id } => id,
        }
    }
}

/// `POST /api/track-usage`: a numbered range from a producer, or a single event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "TrackUsageWire", into = "TrackUsageWire")]
pub enum TrackUsage {
    /// `{"producer": …, "epoch": …, "items": […]}`: what the SDKs send.
    Range(UsageRange),
    /// `{"event": …}`: what a shell script sends. Its `id` is its idempotency key.
    Event(UsageEvent),
}

/// Consecutive entries of a producer's log. The server keeps the last number it accepted (the
/// *fence*): what is at or below it is skipped, so a range may be resent or split freely.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageRange {
    /// The producer, `prd_…`: one log, written by one process.
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 64, examples("prd_01KAPM4A7B2C5D8E1F3G6H9J0K"))
    )]
    pub producer: String,
    /// How often the log has been taken over by another process; lower epochs are refused.
    #[cfg_attr(feature = "openapi", schema(examples(0)))]
    pub epoch: u64,
    /// The entries, their numbers consecutive.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 500))]
    pub items: Vec<Entry>,
}

impl UsageRange {
    /// The most entries of a range: half a megabyte of ordinary events.
    pub const MAX_ITEMS: usize = 500;
    /// The most different idempotency keys in a range. Each is an item of the server's commit, which
    /// has room for 100 with all else.
    pub const MAX_KEYS: usize = 50;
}

/// A number of a producer's log and the event it stands for, or word that the events of one number or
/// more are lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "EntryWire", into = "EntryWire")]
#[expect(clippy::large_enum_variant, reason = "nearly all entries are events")]
pub enum Entry {
    /// `{"number": 7, "event": {…}}`
    Event {
        /// Its number; a producer's first is 1.
        number: u64,
        /// The event.
        event: UsageEvent,
    },
    /// `{"number": 7, "lost": "damaged"}`, or `{"number": 7, "through": 900, "lost": "overflow"}`: the
    /// loss report.
    Lost {
        /// The first number that is lost.
        number: u64,
        /// The last one, absent on the wire if it is the same.
        through: u64,
        /// What became of it.
        reason: LossReason,
    },
}

impl Entry {
    /// The entry's number, or the first of several.
    pub fn number(&self) -> u64 {
        match self {
            Entry::Event { number, .. } | Entry::Lost { number, .. } => *number,
        }
    }

    /// The last of its numbers, which is the first unless many are lost.
    pub fn through(&self) -> u64 {
        match self {
            Entry::Event { number, .. } => *number,
            Entry::Lost { through, .. } => *through,
        }
    }
}

/// Why an event that was given a number can't be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LossReason {
    /// Its record in the spool is damaged.
    Damaged,
    /// It was dropped because the spool was full and the program chose to drop.
    Overflow,
    /// It grew older than the program wanted it sent.
    Expired,
    /// It was never acknowledged: writing it failed, the program was told so, and only its number was
    /// used up.
    Unacknowledged,
    /// A reason this release does not know.
    #[serde(other)]
    Unknown,
}

/// The answer of `POST /api/track-usage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TrackUsageResult {
    /// The last number the server has accepted from this producer; absent for a single event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<u64>,
    /// What became of each entry, in the order sent. Of numbers that are sent again as lost, each may
    /// have become something else; of many of those, the last may be left out and have to be sent again.
    pub results: Vec<EventResult>,
    /// The quotas that were touched, after it.
    #[serde(default)]
    pub quotas: Vec<CustomerQuota>,
}

/// What became of one entry, or of a part of the numbers that an entry tells lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventResult {
    /// Its number in the producer's log; absent for a single event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// The last number of which this is told, if it is told of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<u64>,
    /// What became of it.
    pub status: EventStatus,
    /// Why, if it was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

impl EventResult {
    /// The last number of which this is told.
    pub fn last(&self) -> Option<u64> {
        self.through.or(self.number)
    }
}

/// What the server did with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventStatus {
    /// Counted now.
    Accepted,
    /// Counted before; not again.
    Duplicate,
    /// Not counted, and never will be; `code` says why.
    Rejected,
    /// Recorded as lost.
    Lost,
    /// A status this release does not know.
    #[serde(other)]
    Unknown,
}

/// A quota, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CustomerQuota {
    /// Whose.
    pub customer_id: String,
    /// The quota.
    #[serde(flatten)]
    pub quota: Quota,
}

// The shapes on the wire. serde's untagged enums would do, but they buffer the whole body and
// answer every mistake with "did not match any variant".

#[derive(Serialize, Deserialize)]
struct TrackUsageWire {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event: Option<UsageEvent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    producer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    items: Option<Vec<Entry>>,
}

impl TryFrom<TrackUsageWire> for TrackUsage {
    type Error = &'static str;
    fn try_from(wire: TrackUsageWire) -> Result<Self, Self::Error> {
        match (wire.event, wire.producer, wire.epoch, wire.items) {
            (Some(event), None, None, None) => Ok(TrackUsage::Event(event)),
            (None, Some(producer), Some(epoch), Some(items)) => {
                Ok(TrackUsage::Range(UsageRange { producer, epoch, items }))
            }
            _ => Err("expected either `event`, or `producer`, `epoch` and `items`"),
        }
    }
}

impl From<TrackUsage> for TrackUsageWire {
    fn from(track: TrackUsage) -> Self {
        match track {
            TrackUsage::Event(event) => {
                TrackUsageWire { event: Some(event), producer: None, epoch: None, items: None }
            }
            TrackUsage::Range(UsageRange { producer, epoch, items }) => TrackUsageWire {
                event: None,
                producer: Some(producer),
                epoch: Some(epoch),
                items: Some(items),
            },
        }
    }
}

#[derive(Serialize, Deserialize)]
struct EventRefWire {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    producer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

impl TryFrom<EventRefWire> for EventRef {
    type Error = &'static str;
    fn try_from(wire: EventRefWire) -> Result<Self, Self::Error> {
        match (wire.producer, wire.number, wire.id) {
            (Some(producer), Some(number), None) => Ok(EventRef::Numbered { producer, number }),
            (None, None, Some(id)) => Ok(EventRef::Single { id }),
            _ => Err("expected either `producer` and `number`, or `id`"),
        }
    }
}

impl From<EventRef> for EventRefWire {
    fn from(event: EventRef) -> Self {
        match event {
            EventRef::Numbered { producer, number } => {
                EventRefWire { producer: Some(producer), number: Some(number), id: None }
            }
            EventRef::Single { id } => EventRefWire { producer: None, number: None, id: Some(id) },
        }
    }
}

#[derive(Serialize, Deserialize)]
struct EntryWire {
    number: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    through: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event: Option<UsageEvent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lost: Option<LossReason>,
}

impl TryFrom<EntryWire> for Entry {
    type Error = &'static str;
    fn try_from(wire: EntryWire) -> Result<Self, Self::Error> {
        let EntryWire { number, through, event, lost } = wire;
        match (event, lost, through) {
            (Some(event), None, None) => Ok(Entry::Event { number, event }),
            (Some(_), None, Some(_)) => Err("`through` goes with `lost` alone"),
            (None, Some(reason), through) => match through.unwrap_or(number) {
                through if through < number => Err("`through` is not below `number`"),
                through => Ok(Entry::Lost { number, through, reason }),
            },
            _ => Err("expected either `event` or `lost` beside `number`"),
        }
    }
}

impl From<Entry> for EntryWire {
    fn from(entry: Entry) -> Self {
        match entry {
            Entry::Event { number, event } => {
                EntryWire { number, through: None, event: Some(event), lost: None }
            }
            Entry::Lost { number, through, reason } => {
                let through = Some(through).filter(|through| *through > number);
                EntryWire { number, through, event: None, lost: Some(reason) }
            }
        }
    }
}
