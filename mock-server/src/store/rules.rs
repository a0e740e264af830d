//! What every implementation does alike: the bounds of a commit, and what a write makes of the item
//! it finds. Implementations differ in where items lie, never in what a commit means.

use std::collections::BTreeSet;

use super::{Expect, MAX_COMMIT_BYTES, MAX_ITEM_BYTES, MAX_WRITES, StoreError, Write};

/// As much of an item as judging a write takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) version: u64,
    /// The count, if the item is a counter.
    pub(super) number: Option<i64>,
}

/// What becomes of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change<'w> {
    Nothing,
    Removed,
    Document { version: u64, bytes: &'w [u8] },
    Counter { version: u64, number: i64 },
}

impl Change<'_> {
    /// As much of the item as it leaves; of what is not changed, nothing is known here.
    pub(super) fn leaves(self) -> Option<Found> {
        match self {
            Change::Nothing | Change::Removed => None,
            Change::Document { version, .. } => Some(Found { version, number: None }),
            Change::Counter { version, number } => Some(Found { version, number: Some(number) }),
        }
    }
}

/// Refuses a commit that not every store could take, whatever is in the store.
pub(super) fn check_bounds(writes: &[Write]) -> Result<(), StoreError> {
    if writes.len() > MAX_WRITES {
        return Err(StoreError::Refused("it has too many writes"));
    }
    let mut named = BTreeSet::new();
    let mut bytes = 0;
    for write in writes {
        if !named.insert(write.key()) {
            return Err(StoreError::Refused("it names an item twice"));
        }
        if let Write::Put { value, .. } = write {
            if value.len() > MAX_ITEM_BYTES {
                return Err(StoreError::Refused("an item is too large"));
            }
            bytes += value.len();
        }
    }
    if bytes > MAX_COMMIT_BYTES {
        return Err(StoreError::Refused("its items are too large together"));
    }
    Ok(())
}

/// What `write` makes of the item it found. The condition is judged before the kind of item, so that
/// who comes late loads again rather than being told of a mistake.
pub(super) fn judge(write: &Write, found: Option<Found>) -> Result<Change<'_>, StoreError> {
    let version = found.map_or(1, |item| item.version + 1);
    match write {
        Write::Put { value, expect, .. } => {
            check(*expect, found)?;
            match found {
                Some(Found { number: Some(_), .. }) => {
                    Err(StoreError::Refused("it puts a document where a counter is"))
                }
                _ => Ok(Change::Document { version, bytes: value }),
            }
        }
        Write::Delete { expect, .. } => {
            check(*expect, found)?;
            Ok(if found.is_some() { Change::Removed } else { Change::Nothing })
        }
        Write::Add { amount, within, .. } => {
            let number = match found {
                None => 0,
                Some(Found { number: Some(number), .. }) => number,
                Some(Found { number: None, .. }) => {
                    return Err(StoreError::Refused("it adds to a document"));
                }
            };
            // A sum beyond 64 bits lies outside of every range.
            match number.checked_add(*amount) {
                Some(number) if within.contains(&number) => Ok(Change::Counter { version, number }),
                _ => Err(StoreError::Conflict),
            }
        }
        Write::Check { expect, .. } => {
            check(*expect, found)?;
            Ok(Change::Nothing)
        }
    }
}

fn check(expect: Expect, found: Option<Found>) -> Result<(), StoreError> {
    let holds = match expect {
        Expect::Any => true,
        Expect::Absent => found.is_none(),
        Expect::Version(version) => found.is_some_and(|item| item.version == version),
    };
    if holds { Ok(()) } else { Err(StoreError::Conflict) }
}
