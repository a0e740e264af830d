//! The one thread that writes. Commits that wait while the disk is busy are made one transaction, so
//! that they share the wait for the next sync, and the work on items that several of them change: the
//! more at once, the less each costs.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, mpsc},
    thread,
};

use prometheus_client::metrics::histogram::Histogram;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use tokio::sync::oneshot;

#[cfg(feature = "control")]
use super::{super::Item, replace::replace};
use super::{
    super::{
        Key, StoreError, Write,
        rules::{Change, Found, judge},
    },
    cache::Cache,
};

/// The most commits of one transaction: bounds how long the first of them waits for the others.
const MAX_GROUP: usize = 128;

/// A handle on the thread. Dropping it waits until the thread has written what it accepted.
#[derive(Debug)]
pub(super) struct Writer {
    /// Both are there until the drop.
    queue: Option<mpsc::Sender<Job>>,
    thread: Option<thread::JoinHandle<()>>,
}

struct Commit {
    writes: Vec<Write>,
    answer: Answer,
}

type Answer = oneshot::Sender<Result<(), StoreError>>;

/// What the thread is asked to do.
enum Job {
    Commit(Commit),
    #[cfg(feature = "control")]
    Replace(Arc<[Item]>, Answer),
}

impl Writer {
    /// Starts the thread; `groups` is told how many commits each transaction has.
    pub(super) fn start(
        connection: Connection,
        cache: Arc<Cache>,
        groups: Histogram,
    ) -> io::Result<Self> {
        let (queue, jobs) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || write_all(connection, &jobs, &cache, &groups))?;
        Ok(Writer { queue: Some(queue), thread: Some(thread) })
    }

    pub(super) async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.ask(|answer| Job::Commit(Commit { writes, answer })).await
    }

    /// Lets there be these items and no others, after the commits that came before.
    #[cfg(feature = "control")]
    pub(super) async fn replace(&self, items: Arc<[Item]>) -> Result<(), StoreError> {
        self.ask(|answer| Job::Replace(items, answer)).await
    }

    async fn ask(&self, job: impl FnOnce(Answer) -> Job) -> Result<(), StoreError> {
        let gone = || StoreError::Failed("the thread that writes is gone".to_owned());
        let (answer, answered) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue.send(job(answer)).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes the store panicked");
        }
    }
}

/// Ends when the queue is empty and its sender dropped.
fn write_all(
    mut connection: Connection,
    jobs: &mpsc::Receiver<Job>,
    cache: &Cache,
    groups: &Histogram,
) {
    let mut next = None;
    while let Some(job) = next.take().or_else(|| jobs.recv().ok()) {
        let mut group = Vec::new();
        let mut taken = Some(job);
        while let Some(Job::Commit(commit)) = taken {
            group.push(commit);
            taken = if group.len() < MAX_GROUP { jobs.try_recv().ok() } else { None };
        }
        next = taken;
        #[cfg(feature = "control")]
        if group.is_empty()
            && let Some(Job::Replace(items, answer)) = next.take()
        {
            let outcome = replace(&mut connection, &items);
            cache.clear();
            let _ = answer.send(outcome.map_err(StoreError::from));
            continue;
        }
        groups.observe(group.len() as f64);
        let outcome = write_group(&mut connection, &group, cache);
        if outcome.is_err() {
            cache.clear();
        }
        answer(outcome, group);
    }
}

fn answer(outcome: Result<Vec<Result<(), StoreError>>, StoreError>, group: Vec<Commit>) {
    let mut answers: Vec<_> = match outcome {
        Ok(verdicts) => verdicts.into_iter().zip(group).collect(),
        Err(error) => {
            tracing::error!(%error, commits = group.len(), "a group of commits failed");
            group.into_iter().map(|commit| (Err(error.clone()), commit)).collect()
        }
    };
    // Those who lost hear first, so that they are first in the next group. In the order of the group
    // the winner of a busy item would be ahead again, and win again.
    answers.sort_by_key(|(verdict, _)| verdict.is_ok());
    for (verdict, commit) in answers {
        // Who doesn't listen any more doesn't want to know.
        let _ = commit.answer.send(verdict);
    }
}

/// A verdict for each commit, once those that succeeded are on the disk; or one error for all.
fn write_group(
    connection: &mut Connection,
    group: &[Commit],
    cache: &Cache,
) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut draft = Draft::default();
    let mut verdicts = Vec::with_capacity(group.len());
    for commit in group {
        match draft.take(&transaction, &commit.writes) {
            // What is in the file is unknown, and so is whether any condition holds.
            Err(StoreError::Failed(reason)) => return Err(StoreError::Failed(reason)),
            verdict => verdicts.push(verdict),
        }
    }
    draft.write(&transaction)?;
    transaction.commit()?;
    cache.publish(draft.changes());
    Ok(verdicts)
}

/// Items as the commits of a group leave them: read once, however many of the commits name them, and
/// written once, in the order in which they lie in the file.
#[derive(Default)]
struct Draft<'g> {
    items: BTreeMap<&'g Key, Drafted<'g>>,
}

struct Drafted<'g> {
    /// The item, after the commits so far.
    found: Option<Found>,
    /// What they make of the item that is in the file.
    change: Change<'g>,
}

impl<'g> Draft<'g> {
    /// Takes a commit whose every condition holds after those that were taken before it; another
    /// leaves no trace.
    fn take(&mut self, file: &Connection, writes: &'g [Write]) -> Result<(), StoreError> {
        // No two writes name the same item, so none changes what another is judged by.
        let mut changes = Vec::with_capacity(writes.len());
        for write in writes {
            let found = self.found(file, write.key())?;
            changes.push((write.key(), judge(write, found)?));
        }
        for (key, change) in changes {
            if change != Change::Nothing {
                self.items.insert(key, Drafted { found: change.leaves(), change });
            }
        }
        Ok(())
    }

    fn found(&mut self, file: &Connection, key: &'g Key) -> rusqlite::Result<Option<Found>> {
        if let Some(item) = self.items.get(key) {
            return Ok(item.found);
        }
        let found = find(file, key)?;
        self.items.insert(key, Drafted { found, change: Change::Nothing });
        Ok(found)
    }

    fn write(&self, file: &Connection) -> rusqlite::Result<()> {
        self.changes().try_for_each(|(key, change)| apply(file, key, change))
    }

    fn changes(&self) -> impl Iterator<Item = (&'g Key, Change<'g>)> {
        self.items.iter().map(|(key, item)| (*key, item.change))
    }
}

fn find(connection: &Connection, key: &Key) -> rusqlite::Result<Option<Found>> {
    let sql = format!(
        "SELECT version, number FROM {} WHERE partition = ?1 AND sort = ?2",
        key.table.name()
    );
    connection
        .prepare_cached(&sql)?
        .query_row((&key.partition, &key.sort), |row| {
            Ok(Found { version: row.get(0).map(i64::cast_unsigned)?, number: row.get(1)? })
        })
        .optional()
}

pub(super) fn apply(
    connection: &Connection,
    key: &Key,
    change: Change<'_>,
) -> rusqlite::Result<()> {
    let (version, number, bytes) = match change {
        Change::Nothing => return Ok(()),
        Change::Removed => return remove(connection, key),
        Change::Document { version, bytes } => (version, None, Some(bytes)),
        Change::Counter { version, number } => (version, Some(number), None),
    };
    let sql = format!(
        "REPLACE INTO {} (partition, sort, version, number, bytes) VALUES (?1, ?2, ?3, ?4, ?5)",
        key.table.name()
    );
    connection.prepare_cached(&sql)?.execute((
        &key.partition,
        &key.sort,
        version.cast_signed(),
        number,
        bytes,
    ))?;
    Ok(())
}

fn remove(connection: &Connection, key: &Key) -> rusqlite::Result<()> {
    let sql = format!("DELETE FROM {} WHERE partition = ?1 AND sort = ?2", key.table.name());
    connection.prepare_cached(&sql)?.execute((&key.partition, &key.sort))?;
    Ok(())
}
