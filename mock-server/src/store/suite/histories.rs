//! Random histories: whatever is done to it, a store answers as the reference model does, and a process
//! that dies leaves what it has answered for, and of what it was asked for the beginning.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use futures_util::{FutureExt, future::join_all};
use proptest::{collection::vec, prelude::*, sample::select as one_of};
use tempfile::TempDir;

use super::{super::Item, *};

#[derive(Clone, Debug)]
enum Step {
    /// Commits that are made in this order, without waiting for each other.
    Commit(Vec<Vec<Write>>),
    Get(Key),
    Query(Query),
    /// The file is closed, and opened again.
    Reopen,
    /// The process dies while it makes these commits, and another opens what it left.
    Die(Vec<Vec<Write>>),
}

#[derive(Debug, PartialEq)]
enum Answer {
    Committed(Vec<Result<(), StoreError>>),
    Got(Result<Option<Item>, StoreError>),
    Found(Result<Vec<Item>, StoreError>),
}

async fn take(step: Step, store: &dyn Store) -> Answer {
    match step {
        Step::Commit(commits) => {
            let commits = commits.into_iter().map(|writes| store.commit(writes));
            Answer::Committed(join_all(commits).await)
        }
        Step::Get(key) => Answer::Got(store.get(key).await),
        Step::Query(query) => Answer::Found(store.query(query).await),
        Step::Reopen | Step::Die(_) => Answer::Committed(Vec::new()),
    }
}

/// What a process leaves that dies now: its files as they are.
fn left_behind(path: &Path) -> io::Result<(TempDir, PathBuf)> {
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("state.db");
    for suffix in ["", "-wal"] {
        let with = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
        fs::copy(with(path), with(&copy))?;
    }
    Ok((folder, copy))
}

/// Makes some commits, in their order, until the model is where the file is: whether it comes there.
async fn catches_up(model: &Memory, file: &Sqlite, commits: Vec<Vec<Write>>) -> bool {
    let there = everything(file).await;
    for writes in commits {
        if everything(model).await == there {
            return true;
        }
        let _ = model.commit(writes).await;
    }
    everything(model).await == there
}

// So few of everything that most writes meet an item that is there, and one in a few its version.

const TABLES: &[Table] = &[Table::Users, Table::UsageTracking];
const PARTITIONS: &[&str] = &["", "p"];
const SORTS: &[&str] = &["", "\0", "a", "b", "é"];

fn any_key() -> impl Strategy<Value = Key> {
    (one_of(TABLES), one_of(PARTITIONS), one_of(SORTS))
        .prop_map(|(table, partition, sort)| Key::new(table, partition, sort))
}

fn any_expectation() -> impl Strategy<Value = Expect> {
    prop_oneof![
        3 => Just(Expect::Any),
        2 => Just(Expect::Absent),
        3 => (1..4_u64).prop_map(Expect::Version),
    ]
}

fn any_write() -> impl Strategy<Value = Write> {
    let amount = prop_oneof![8 => -3..6_i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN)];
    let limit = prop_oneof![Just(4), Just(i64::MAX)];
    prop_oneof![
        4 => (any_key(), vec(any::<u8>(), 0..3), any_expectation())
            .prop_map(|(key, value, expect)| Write::Put { key, value, expect }),
        2 => (any_key(), any_expectation()).prop_map(|(key, expect)| Write::Delete { key, expect }),
        3 => (any_key(), amount, limit)
            .prop_map(|(key, amount, limit)| Write::Add { key, amount, within: -4..=limit }),
        1 => (any_key(), any_expectation()).prop_map(|(key, expect)| Write::Check { key, expect }),
    ]
}

fn any_query() -> impl Strategy<Value = Query> {
    let sort = (one_of(SORTS), one_of(SORTS));
    (one_of(TABLES), one_of(PARTITIONS), sort, 0..4_usize, any::<bool>()).prop_map(
        |(table, partition, (first, last), limit, descending)| Query {
            table,
            partition: partition.to_owned(),
            sort: first.to_owned()..=last.to_owned(),
            limit,
            descending,
        },
    )
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => vec(vec(any_write(), 1..4), 1..9).prop_map(Step::Commit),
        1 => any_key().prop_map(Step::Get),
        2 => any_query().prop_map(Step::Query),
        1 => Just(Step::Reopen),
        1 => vec(vec(any_write(), 1..4), 0..9).prop_map(Step::Die),
    ]
}

async fn everything(store: &dyn Store) -> Vec<Item> {
    let mut items = Vec::new();
    for table in TABLES {
        for partition in PARTITIONS {
            let partition = (*partition).to_owned();
            let query = Query { table: *table, partition, ..select("", "\u{10FFFF}") };
            items.extend(store.query(query).await.unwrap());
        }
    }
    items
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_file_answers_as_the_reference_model_does(steps in vec(any_step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(async {
            let mut folder = tempfile::tempdir()?;
            let mut path = folder.path().join("state.db");
            let model = Memory::new();
            let mut file = Sqlite::open(&path)?;
            for step in steps {
                match step {
                    Step::Reopen => {
                        drop(file);
                        file = Sqlite::open(&path)?;
                        prop_assert_eq!(everything(&file).await, everything(&model).await);
                    }
                    Step::Die(commits) => {
                        for writes in commits.clone() {
                            // Asked for; nobody waits for the answer.
                            let _ = file.commit(writes).now_or_never();
                        }
                        let (its_folder, copy) = left_behind(&path)?;
                        drop(file);
                        (folder, path) = (its_folder, copy);
                        file = Sqlite::open(&path)?;
                        prop_assert!(catches_up(&model, &file, commits).await, "half a commit");
                    }
                    step => {
                        let answer = take(step.clone(), &file).await;
                        prop_assert_eq!(answer, take(step, &model).await);
                    }
                }
            }
            drop(file);
            let file = Sqlite::open(&path)?;
            prop_assert_eq!(everything(&file).await, everything(&model).await);
            drop(folder);
            Ok(())
        })?;
    }
}
