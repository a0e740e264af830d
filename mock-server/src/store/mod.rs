//! Where facts are kept, behind one narrow trait.
//!
//! The item model is what a single-file database and a distributed one both do natively: items in
//! tables, found by partition and sort key, and commits of conditional writes that happen all or not
//! at all. Anything larger (joins, secondary indexes, triggers) is the business of the code above.
//! The bounds hold in every implementation, so that what works on a laptop works elsewhere.
//!
//! [`transact`] is the way to use it: load, decide, commit, and try again when others were faster.

mod decoded;
mod memory;
mod meter;
mod rules;
mod sqlite;
#[cfg(test)]
mod suite;
mod transact;

use std::{ops::RangeInclusive, sync::Arc};

use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

pub(crate) use decoded::Decoded;
pub use memory::Memory;
pub(crate) use meter::Meter;
pub use sqlite::{Examined, OpenError, Sqlite};
pub use transact::{Transaction, transact};

/// The most writes of one commit (DynamoDB's `TransactWriteItems`).
pub const MAX_WRITES: usize = 100;
/// The most bytes of one item's value (DynamoDB: 400 KB an item).
pub const MAX_ITEM_BYTES: usize = 400_000;
/// The most bytes of all values of one commit (DynamoDB: 4 MB).
pub const MAX_COMMIT_BYTES: usize = 4_000_000;

/// The tables, by the names of the marketplace's plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// What the marketplace knows of itself: its keys, the world it was built from.
    Marketplace,
    /// Customers.
    Users,
    /// Solutions, their actions and tiers.
    Solutions,
    /// The hashes of keys partners hold.
    ApiKeys,
    /// Tokens handed to solutions, and the families they are refreshed in.
    ApiTokens,
    /// Which customer has which tier of which solution.
    Subscriptions,
    /// What was answered to calls with an idempotency key.
    IdempotencyKeys,
    /// Producers' fences, the ledger of events, and the counters projected from it.
    UsageTracking,
}

impl Table {
    /// All of them, in their order.
    pub const ALL: [Table; 8] = [
        Table::Marketplace,
        Table::Users,
        Table::Solutions,
        Table::ApiKeys,
        Table::ApiTokens,
        Table::Subscriptions,
        Table::IdempotencyKeys,
        Table::UsageTracking,
    ];

    /// The name the table has outside of this program: in files, in the cloud.
    pub fn name(self) -> &'static str {
        match self {
            Table::Marketplace => "marketplace",
            Table::Users => "users",
            Table::Solutions => "solutions",
            Table::ApiKeys => "api_keys",
            Table::ApiTokens => "api_tokens",
            Table::Subscriptions => "subscriptions",
            Table::IdempotencyKeys => "idempotency_keys",
            Table::UsageTracking => "usage_tracking",
        }
    }
}

/// Names one item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The table.
    pub table: Table,
    /// Items of one partition can be queried in order.
    pub partition: String,
    /// The item's place in its partition, in byte order.
    pub sort: String,
}

impl Key {
    /// Names the item at `sort` in `partition` of `table`.
    pub fn new(table: Table, partition: impl Into<String>, sort: impl Into<String>) -> Self {
        Key { table, partition: partition.into(), sort: sort.into() }
    }
}

/// What an item holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A document; JSON by convention.
    Bytes(Arc<[u8]>),
    /// A counter, changed by [`Write::Add`] alone.
    Number(i64),
}

/// An item as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its name.
    pub key: Key,
    /// Grows by one with each write of this item; 1 when it is created. An item that is deleted and
    /// made again starts at 1 again.
    pub version: u64,
    /// What it holds.
    pub value: Value,
}

/// Part of a partition, in the order of sort keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The table.
    pub table: Table,
    /// The partition.
    pub partition: String,
    /// The sort keys, both ends included.
    pub sort: RangeInclusive<String>,
    /// The most items to return.
    pub limit: usize,
    /// From the last to the first.
    pub descending: bool,
}

/// What must be true of an item for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Any,
    /// There is no such item.
    Absent,
    /// The item is at this version.
    Version(u64),
}

/// One write of a commit. A commit may name an item once.
#[allow(missing_docs, reason = "the variants say what their fields are")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Creates or replaces a document.
    Put { key: Key, value: Vec<u8>, expect: Expect },
    /// Removes an item; removing what is not there is no conflict under [`Expect::Any`].
    Delete { key: Key, expect: Expect },
    /// Adds to a counter, which starts at 0. A conflict if the sum leaves `within`.
    Add { key: Key, amount: i64, within: RangeInclusive<i64> },
    /// Writes nothing, and makes the commit depend on the item.
    Check { key: Key, expect: Expect },
}

impl Write {
    /// The item it is about.
    pub fn key(&self) -> &Key {
        match self {
            Write::Put { key, .. }
            | Write::Delete { key, .. }
            | Write::Add { key, .. }
            | Write::Check { key, .. } => key,
        }
    }
}

/// Why a store can't answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The commit is over a bound, or names an item twice: a mistake of the caller.
    #[error("the commit is not one the store takes: {0}")]
    Refused(&'static str),
    /// A condition did not hold; nothing was written. Load again and decide again.
    #[error("others changed the same items")]
    Conflict,
    /// The medium failed. Whether a commit happened is unknown.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// Where facts are kept. All methods may be called from many tasks at once.
pub trait Store: Send + Sync + 'static {
    /// The item of that name. Sees every commit that was answered before.
    fn get(&self, key: Key) -> BoxFuture<'_, Result<Option<Item>, StoreError>>;

    /// The items of a part of a partition, as of one moment.
    fn query(&self, query: Query) -> BoxFuture<'_, Result<Vec<Item>, StoreError>>;

    /// All of the writes, or none. Answers after they are as durable as the store promises.
    fn commit(&self, writes: Vec<Write>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Every item there is, as of one moment, in the order of their names.
    #[cfg(feature = "control")]
    fn dump(&self) -> BoxFuture<'_, Result<Vec<Item>, StoreError>> {
        Box::pin(async { Err(StoreError::Refused("this store can't be copied")) })
    }

    /// Lets there be these items, as they are, and no others: all at once, however many they are. They come
    /// in the order of their names, no name twice.
    #[cfg(feature = "control")]
    fn replace(&self, _items: Arc<[Item]>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Err(StoreError::Refused("this store can't be replaced")) })
    }

    /// Where those of this process wait who lost a race over an item: for [`transact`] alone.
    fn turn(&self) -> &Mutex<()>;
}
