//! What is true of the file alone.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use prometheus_client::{encoding::text::encode, registry::Registry};
use rusqlite::Connection;
use tempfile::{TempDir, tempdir};

use super::{
    super::{Expect, Table, Value},
    *,
};

fn somewhere() -> (TempDir, PathBuf) {
    let folder = tempdir().unwrap();
    let path = folder.path().join("state.db");
    (folder, path)
}

fn key(sort: &str) -> Key {
    Key::new(Table::Users, "partition", sort)
}

fn put(sort: &str, expect: Expect) -> Vec<Write> {
    vec![Write::Put { key: key(sort), value: sort.as_bytes().to_vec(), expect }]
}

async fn version(store: &Sqlite, sort: &str) -> Option<u64> {
    store.get(key(sort)).await.unwrap().map(|item| item.version)
}

#[tokio::test]
async fn a_file_remembers() {
    let (_folder, path) = somewhere();
    let store = Sqlite::open(&path).unwrap();
    let count = Write::Add { key: key("count"), amount: -7, within: -9..=9 };
    store.commit(vec![count]).await.unwrap();
    store.commit(put("a", Expect::Absent)).await.unwrap();
    store.commit(put("a", Expect::Version(1))).await.unwrap();
    drop(store);

    let store = Sqlite::open(&path).unwrap();
    let item = store.get(key("a")).await.unwrap().unwrap();
    assert_eq!((item.version, item.value), (2, Value::Bytes(b"a".as_slice().into())));
    let item = store.get(key("count")).await.unwrap().unwrap();
    assert_eq!((item.version, item.value), (1, Value::Number(-7)));
}

/// How many groups the writer has begun.
fn groups(store: &Sqlite) -> u64 {
    let mut registry = Registry::default();
    registry.register("groups", "", store.meter.groups.clone());
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    text.lines().find_map(|line| line.strip_prefix("groups_count ")).unwrap().parse().unwrap()
}

/// Makes commits pile up until they are one group, by holding the file as another process may.
/// Returns which commit was answered what, in the order of the answers.
async fn as_one_group(
    store: &Sqlite,
    other: &Connection,
    commits: impl IntoIterator<Item = Vec<Write>>,
) -> Vec<(usize, Result<(), StoreError>)> {
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let before = groups(store);
    assert!(store.commit(put("ahead", Expect::Any)).now_or_never().is_none());
    while groups(store) == before {
        tokio::task::yield_now().await; // until the writer has taken it: what comes now is behind it
    }
    let mut answers: FuturesUnordered<_> = commits
        .into_iter()
        .enumerate()
        .map(|(n, writes)| store.commit(writes).map(move |answer| (n, answer)))
        .collect();
    assert!(answers.next().now_or_never().is_none());
    other.execute_batch("ROLLBACK").unwrap();
    answers.collect().await
}

#[tokio::test]
async fn a_failed_commit_does_no_harm_to_its_group() {
    let (_folder, path) = somewhere();
    let store = Sqlite::open(&path).unwrap();
    store.commit(put("taken", Expect::Absent)).await.unwrap();

    let commits = (0..30).map(|n| {
        let mut writes = put(&format!("{n}"), Expect::Absent);
        writes.extend(put("taken", if n % 3 == 1 { Expect::Absent } else { Expect::Any }));
        writes
    });
    let answers = as_one_group(&store, &Connection::open(&path).unwrap(), commits).await;

    assert_eq!(answers.len(), 30);
    for (n, answer) in answers {
        let fails = n % 3 == 1;
        assert_eq!(answer, if fails { Err(StoreError::Conflict) } else { Ok(()) });
        assert_eq!(version(&store, &format!("{n}")).await, (!fails).then_some(1), "{n}");
    }
    assert_eq!(version(&store, "taken").await, Some(21));
}

#[tokio::test]
async fn who_lost_hears_of_it_before_who_won() {
    let (_folder, path) = somewhere();
    let store = Sqlite::open(&path).unwrap();
    let commits = (0..4).map(|_| put("contended", Expect::Absent));
    let answers = as_one_group(&store, &Connection::open(&path).unwrap(), commits).await;

    let lost = Err(StoreError::Conflict);
    assert_eq!(answers, [(1, lost.clone()), (2, lost.clone()), (3, lost), (0, Ok(()))]);
}

#[tokio::test]
async fn a_transaction_that_cannot_be_committed_fails_for_all_and_the_next_succeeds() {
    let (_folder, path) = somewhere();
    let store = Sqlite::open(&path).unwrap();
    // A broken reference that SQLite finds only when it commits.
    let other = Connection::open(&path).unwrap();
    other
        .execute_batch(
            "CREATE TABLE parents (id INTEGER PRIMARY KEY);
             CREATE TABLE children (id REFERENCES parents DEFERRABLE INITIALLY DEFERRED);
             CREATE TRIGGER breaks AFTER INSERT ON users WHEN new.sort = 'poison'
             BEGIN INSERT INTO children VALUES (1); END;",
        )
        .unwrap();
    let sorts = ["first", "poison", "last"];
    let commits = sorts.map(|sort| put(sort, Expect::Any));
    let answers = as_one_group(&store, &other, commits).await;

    assert_eq!(answers.len(), 3);
    for (n, answer) in answers {
        assert!(matches!(answer, Err(StoreError::Failed(_))), "{answer:?}");
        assert_eq!(version(&store, sorts[n]).await, None);
    }
    store.commit(put("after", Expect::Absent)).await.unwrap();
    assert_eq!(version(&store, "after").await, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_was_answered_finds_what_was_written_however_many_read_it() {
    let (_folder, path) = somewhere();
    let store = Arc::new(Sqlite::open(&path).unwrap());
    let reading = |store: Arc<Sqlite>| async move {
        while version(&store, "over").await.is_none() {
            // What is found here, while it changes, must not be what is remembered afterwards.
            version(&store, "busy").await;
            tokio::task::yield_now().await;
        }
    };
    let readers: Vec<_> = (0..3).map(|_| tokio::spawn(reading(store.clone()))).collect();
    for _ in 0..300 {
        for made in 1..=3 {
            store.commit(put("busy", Expect::Any)).await.unwrap();
            assert_eq!(version(&store, "busy").await, Some(made));
        }
        let delete = Write::Delete { key: key("busy"), expect: Expect::Version(3) };
        store.commit(vec![delete]).await.unwrap();
        assert_eq!(version(&store, "busy").await, None);
    }
    store.commit(put("over", Expect::Any)).await.unwrap();
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test]
async fn a_commit_that_was_accepted_outlives_its_caller_and_the_store() {
    let (_folder, path) = somewhere();
    let store = Sqlite::open(&path).unwrap();
    for n in 0..20 {
        assert!(store.commit(put(&format!("{n}"), Expect::Absent)).now_or_never().is_none());
    }
    drop(store);

    let store = Sqlite::open(&path).unwrap();
    for n in 0..20 {
        assert_eq!(version(&store, &format!("{n}")).await, Some(1));
    }
}

#[test]
fn a_newer_file_is_left_alone() {
    let (_folder, path) = somewhere();
    drop(Sqlite::open(&path).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(&path).unwrap();

    let error = Sqlite::open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 99, known: 3, .. }), "{error:?}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn the_file_of_another_application_is_left_alone() {
    let somebody = |make: fn(&Path)| {
        let (_folder, path) = somewhere();
        make(&path);
        let before = fs::read(&path).unwrap();

        let error = Sqlite::open(&path).unwrap_err();
        assert!(matches!(error, OpenError::Foreign(_)), "{error:?}");
        assert_eq!(fs::read(&path).unwrap(), before);
    };
    somebody(|path| fs::write(path, "Dear diary, ".repeat(100)).unwrap());
    somebody(|path| {
        let connection = Connection::open(path).unwrap();
        connection.execute_batch("CREATE TABLE diary (entry TEXT)").unwrap();
    });
    somebody(|path| {
        let connection = Connection::open(path).unwrap();
        connection.execute_batch("PRAGMA application_id = 42; PRAGMA user_version = 1").unwrap();
    });
}

#[tokio::test]
async fn a_file_serves_one_store_at_a_time() {
    let (_folder, path) = somewhere();
    let first = Sqlite::open(&path).unwrap();
    let error = Sqlite::open(&path).unwrap_err();
    assert!(matches!(error, OpenError::InUse(_)), "{error:?}");
    first.commit(put("a", Expect::Absent)).await.unwrap();
    drop(first);

    let second = Sqlite::open(&path).unwrap();
    assert_eq!(version(&second, "a").await, Some(1));
}

#[test]
fn a_folder_that_is_missing_is_named() {
    let (folder, _) = somewhere();
    let path = folder.path().join("missing").join("state.db");
    let error = Sqlite::open(&path).unwrap_err().to_string();
    assert!(error.contains(path.to_str().unwrap()), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt;

    let (folder, path) = somewhere();
    let store = Sqlite::open(&path).unwrap();
    store.commit(put("secret", Expect::Any)).await.unwrap();
    let mut names = Vec::new();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["state.db", "state.db-shm", "state.db-wal", "state.db.lock"]);
}

#[tokio::test]
async fn what_was_answered_survives_a_process_that_is_killed() {
    const HELD_FILE: &str = "STORE_TEST_HELD_FILE";
    // This very test, run again by itself, is the process that is killed.
    if let Some(path) = std::env::var_os(HELD_FILE) {
        let store = Sqlite::open(Path::new(&path)).unwrap();
        store.commit(put("last words", Expect::Absent)).await.unwrap();
        println!("written");
        std::thread::sleep(Duration::from_secs(60));
    }
    let (_folder, path) = somewhere();
    let itself = "store::sqlite::tests::what_was_answered_survives_a_process_that_is_killed";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([itself, "--exact", "--nocapture"])
        .env(HELD_FILE, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line.contains("written")));
    let error = Sqlite::open(&path).unwrap_err();
    assert!(matches!(error, OpenError::InUse(_)), "{error:?}");
    child.kill().unwrap();
    child.wait().unwrap();

    let store = Sqlite::open(&path).unwrap();
    assert_eq!(version(&store, "last words").await, Some(1));
}
