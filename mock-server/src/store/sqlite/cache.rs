//! Items that were read lately: keys, solutions, tokens and counters are asked for in every call, and
//! reading one from the file costs more than all else that is done with it.
//!
//! Every commit goes through the one writer of this process, which tells the cache what it has changed:
//! after it is on the disk, and before anybody hears of it. So whoever was answered finds what was
//! written. What a read found is kept only if nothing was committed since the read began.

use std::{
    collections::HashMap,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::super::{Item, Key, Query, Value, rules::Change};

/// The most bytes of the items of one generation. Two of them, with their overhead, leave the server
/// below its 15 MB.
const GENERATION_BYTES: usize = 1024 * 1024;
/// What an item takes beside its strings: the map's entry and three allocations.
const OVERHEAD_BYTES: usize = 160;
/// The most bytes of the queries that are remembered to have found nothing: a thousand of them, unless
/// a caller asks for names of kilobytes.
const EMPTY_BYTES: usize = 512 * 1024;

#[derive(Debug, Default)]
pub(super) struct Cache {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    groups: u64,
    /// Items that were asked for since the last generation ended.
    young: HashMap<Key, Kept>,
    /// Those that were asked for in the one before. What nobody asks for during two is forgotten.
    old: HashMap<Key, Kept>,
    young_bytes: usize,
    /// The last query of a partition that found nothing.
    empty: HashMap<String, Query>,
    empty_bytes: usize,
}

/// Version and value of an item, or that there is no such item.
type Kept = Option<(u64, Value)>;

/// When a read began, in groups of commits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment(u64);

impl Cache {
    /// What is known of the item; if nothing is, the moment to [`keep`](Self::keep) what is read from
    /// now on.
    pub(super) fn get(&self, key: &Key) -> Result<Kept, Moment> {
        let mut state = self.state();
        if let Some(kept) = state.young.get(key) {
            return Ok(kept.clone());
        }
        match state.old.remove_entry(key) {
            Some((key, kept)) => {
                state.insert(key, kept.clone());
                Ok(kept)
            }
            None => Err(Moment(state.groups)),
        }
    }

    /// Keeps what a read found that began at `since`.
    pub(super) fn keep(&self, since: Moment, key: Key, found: Option<&Item>) {
        let mut state = self.state();
        if since.0 == state.groups {
            state.insert(key, found.map(|item| (item.version, item.value.clone())));
        }
    }

    /// Whether the query is known to find nothing; if not, the moment to
    /// [`keep_empty`](Self::keep_empty) that it does.
    pub(super) fn is_empty(&self, query: &Query) -> Result<(), Moment> {
        let state = self.state();
        match state.empty.get(&query.partition) {
            Some(empty) if empty == query => Ok(()),
            _ => Err(Moment(state.groups)),
        }
    }

    /// Keeps that a query found nothing that began at `since`.
    pub(super) fn keep_empty(&self, since: Moment, query: Query) {
        let mut state = self.state();
        if since.0 == state.groups {
            state.insert_empty(query);
        }
    }

    /// Takes note of what a group of commits has made of items.
    pub(super) fn publish<'a>(&self, changes: impl Iterator<Item = (&'a Key, Change<'a>)>) {
        let mut state = self.state();
        state.groups += 1;
        for (key, change) in changes {
            state.change(key, change);
        }
    }

    /// Forgets everything: whether a group of commits happened is unknown.
    pub(super) fn clear(&self) {
        let mut state = self.state();
        *state = State { groups: state.groups + 1, ..State::default() };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing can panic between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn insert(&mut self, key: Key, kept: Kept) {
        self.take(&key); // two may have read it at the same time
        let bytes = size(&key, &kept);
        if self.young_bytes + bytes > GENERATION_BYTES {
            self.old = mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        self.young.insert(key, kept);
    }

    /// Takes an item out of the young generation.
    fn take(&mut self, key: &Key) -> Option<(Key, Kept)> {
        let (key, kept) = self.young.remove_entry(key)?;
        self.young_bytes -= size(&key, &kept);
        Some((key, kept))
    }

    fn insert_empty(&mut self, query: Query) {
        self.forget_empty(&query.partition);
        let bytes = size_of_query(&query);
        if self.empty_bytes + bytes > EMPTY_BYTES {
            self.empty.clear();
            self.empty_bytes = 0;
        }
        self.empty_bytes += bytes;
        self.empty.insert(query.partition.clone(), query);
    }

    fn forget_empty(&mut self, partition: &str) {
        if let Some(query) = self.empty.remove(partition) {
            self.empty_bytes -= size_of_query(&query);
        }
    }

    /// Changes an item that is kept.
    fn change(&mut self, key: &Key, change: Change<'_>) {
        if change == Change::Nothing {
            return;
        }
        let fills = |empty: &Query| empty.table == key.table && empty.sort.contains(&key.sort);
        if self.empty.get(&key.partition).is_some_and(fills) {
            self.forget_empty(&key.partition);
        }
        self.old.remove(key);
        let Some((key, kept)) = self.take(key) else { return };
        // What was looked for in vain, and made then, is mostly made for good: an event, a key.
        if kept.is_none() {
            return;
        }
        match change {
            Change::Nothing | Change::Removed => {}
            Change::Document { version, bytes } => {
                self.insert(key, Some((version, Value::Bytes(bytes.into()))));
            }
            Change::Counter { version, number } => {
                self.insert(key, Some((version, Value::Number(number))));
            }
        }
    }
}

fn size(key: &Key, kept: &Kept) -> usize {
    let value = match kept {
        Some((_, Value::Bytes(bytes))) => bytes.len(),
        Some((_, Value::Number(_))) | None => 0,
    };
    key.partition.len() + key.sort.len() + value + OVERHEAD_BYTES
}

/// With the name of the partition twice: the map has it, too.
fn size_of_query(query: &Query) -> usize {
    let sort = query.sort.start().len() + query.sort.end().len();
    2 * query.partition.len() + sort + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::{super::super::Table, *};

    fn item(sort: &str, bytes: usize) -> Item {
        let key = Key::new(Table::Users, "partition", sort);
        Item { key, version: 1, value: Value::Bytes(vec![0; bytes].into()) }
    }

    fn read(cache: &Cache, item: &Item) {
        if let Err(began) = cache.get(&item.key) {
            cache.keep(began, item.key.clone(), Some(item));
        }
    }

    #[test]
    fn a_read_that_a_commit_overtook_is_not_kept() {
        let cache = Cache::default();
        let item = item("a", 1);
        let began = cache.get(&item.key).expect_err("nothing is kept yet");
        cache.publish([(&item.key, Change::Document { version: 2, bytes: b"new" })].into_iter());
        cache.keep(began, item.key.clone(), Some(&item));
        assert!(cache.get(&item.key).is_err());
        read(&cache, &item);
        assert_eq!(cache.get(&item.key).ok(), Some(Some((1, item.value))));
    }

    #[test]
    fn what_is_kept_changes_with_the_file() {
        let cache = Cache::default();
        let item = item("a", 1);
        read(&cache, &item);
        cache.publish([(&item.key, Change::Counter { version: 2, number: 7 })].into_iter());
        assert_eq!(cache.get(&item.key).ok(), Some(Some((2, Value::Number(7)))));
        cache.publish([(&item.key, Change::Removed)].into_iter());
        assert!(cache.get(&item.key).is_err());
        read(&cache, &item);
        cache.clear();
        let began = cache.get(&item.key).expect_err("everything was forgotten");
        cache.keep(began, item.key.clone(), None);
        assert_eq!(cache.get(&item.key).ok(), Some(None), "that it is not there is known, too");
        cache.publish([(&item.key, Change::Counter { version: 1, number: 7 })].into_iter());
        assert!(cache.get(&item.key).is_err());
    }

    #[test]
    fn a_part_of_a_partition_is_empty_until_something_is_written_there() {
        let cache = Cache::default();
        let query = Query {
            table: Table::Users,
            partition: "partition".to_owned(),
            sort: "b".to_owned()..="c".to_owned(),
            limit: 1,
            descending: false,
        };
        let began = cache.is_empty(&query).expect_err("nobody has looked");
        cache.keep_empty(began, query.clone());
        let write = |sort| {
            let key = item(sort, 0).key;
            cache.publish([(&key, Change::Document { version: 1, bytes: b"" })].into_iter());
        };
        write("a");
        assert!(cache.is_empty(&query).is_ok());
        let wider = Query { sort: "a".to_owned()..="c".to_owned(), ..query.clone() };
        assert!(cache.is_empty(&wider).is_err());
        write("b");
        let late = cache.is_empty(&query).expect_err("it has one");
        write("d");
        cache.keep_empty(late, query.clone());
        assert!(cache.is_empty(&query).is_err(), "the read may have been overtaken");
    }

    #[test]
    fn what_two_read_at_the_same_time_takes_room_once() {
        let cache = Cache::default();
        let item = item("a", 1_000);
        for began in [cache.get(&item.key), cache.get(&item.key)].map(Result::unwrap_err) {
            cache.keep(began, item.key.clone(), Some(&item));
        }
        let kept = Some((item.version, item.value));
        assert_eq!(cache.state().young_bytes, size(&item.key, &kept));
        cache.publish([(&item.key, Change::Removed)].into_iter());
        assert_eq!(cache.state().young_bytes, 0);
    }

    #[test]
    fn queries_that_found_nothing_take_a_bounded_room_however_long_they_are() {
        let cache = Cache::default();
        for n in 0..1_000 {
            let query = Query {
                table: Table::Users,
                partition: n.to_string(),
                sort: "b".repeat(8 * 1024)..="c".repeat(8 * 1024),
                limit: 1,
                descending: false,
            };
            let began = cache.is_empty(&query).expect_err("nobody has looked");
            cache.keep_empty(began, query.clone());
            assert!(cache.is_empty(&query).is_ok());
            let state = cache.state();
            let bytes: usize = state.empty.values().map(size_of_query).sum();
            assert_eq!(bytes, state.empty_bytes);
            assert!(bytes <= EMPTY_BYTES, "{bytes}");
        }
    }

    #[test]
    fn what_is_asked_for_stays_and_what_is_not_makes_room() {
        let cache = Cache::default();
        let (wanted, unwanted) = (item("wanted", 10), item("unwanted", 10));
        read(&cache, &wanted);
        read(&cache, &unwanted);
        for n in 0..100 {
            read(&cache, &item(&n.to_string(), GENERATION_BYTES / 10));
            assert!(cache.get(&wanted.key).is_ok(), "{n}");
        }
        assert!(cache.get(&unwanted.key).is_err());
        let state = cache.state();
        assert!(state.young.len() + state.old.len() < 25);
    }
}
