//! The one thread that writes. Commits that wait while the disk is busy are made one transaction, so
//! that they share the wait for the next sync: the more at once, the less each costs.

use std::{io, iter, sync::mpsc, thread};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use tokio::sync::oneshot;

use super::super::{
    Key, StoreError, Write,
    rules::{Change, Found, judge},
};

/// The most commits of one transaction: bounds how long the first of them waits for the others.
const MAX_GROUP: usize = 128;

/// A handle on the thread. Dropping it waits until the thread has written what it accepted.
#[derive(Debug)]
pub(super) struct Writer {
    /// Both are there until the drop.
    queue: Option<mpsc::Sender<Commit>>,
    thread: Option<thread::JoinHandle<()>>,
}

struct Commit {
    writes: Vec<Write>,
    answer: oneshot::Sender<Result<(), StoreError>>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> io::Result<Self> {
        let (queue, commits) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || write_all(connection, &commits))?;
        Ok(Writer { queue: Some(queue), thread: Some(thread) })
    }

    pub(super) async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let gone = || StoreError::Failed("the thread that writes is gone".to_owned());
        let (answer, answered) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue.send(Commit { writes, answer }).map_err(|_| gone())?;
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
fn write_all(mut connection: Connection, commits: &mpsc::Receiver<Commit>) {
    while let Ok(first) = commits.recv() {
        let group: Vec<_> = iter::once(first).chain(commits.try_iter()).take(MAX_GROUP).collect();
        answer(write_group(&mut connection, &group), group);
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
) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut verdicts = Vec::with_capacity(group.len());
    for commit in group {
        match write_commit(&mut transaction, &commit.writes) {
            // SQLite may have given up the whole transaction (it does when the disk is full), and
            // what would follow would not be part of any.
            Err(StoreError::Failed(reason)) => return Err(StoreError::Failed(reason)),
            verdict => verdicts.push(verdict),
        }
    }
    transaction.commit()?;
    Ok(verdicts)
}

fn write_commit(group: &mut rusqlite::Transaction<'_>, writes: &[Write]) -> Result<(), StoreError> {
    let savepoint = group.savepoint()?; // What returns before the end of this rolls back to here.
    for write in writes {
        let key = write.key();
        let change = judge(write, find(&savepoint, key)?)?;
        apply(&savepoint, key, change)?;
    }
    savepoint.commit()?;
    Ok(())
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

fn apply(connection: &Connection, key: &Key, change: Change<'_>) -> rusqlite::Result<()> {
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
