//! A machine with threads, one of which goes on at a time: its clock, its disk and its network.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use serde::Deserialize;
use shuttle::future::{JoinHandle, block_on, spawn, yield_now};
use shuttle::rand::{Rng, thread_rng};

use crate::host::{
    Algorithm, AppendFile, Files, Host, Lock, MemoryFiles, Request, Response, SendError, SendStage,
};
use crate::model::{EventResult, EventStatus, Timestamp, TrackUsageResult, UsageEvent};
use crate::sync::others_may_go_on;

/// Nothing in a story takes longer, however often time passes while a thread is stopped. Who still waits
/// then waits for ever.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// Time passes at one of so many turns that it has.
const SELDOM: u32 = 16;

/// How long a request is on its way, there or back.
const WAY: Duration = Duration::from_millis(10);

/// What outlives its processes.
#[derive(Clone)]
pub(super) struct Machine {
    clock: Arc<Mutex<Clock>>,
    pub(super) disk: Disk,
    pub(super) market: Market,
}

#[derive(Default)]
struct Clock {
    now: Duration,
    timers: BTreeMap<Timer, Waker>,
    names: u64,
}

/// When it ends, and its name.
type Timer = (Duration, u64);

impl Machine {
    /// A machine, and a task that lets its time pass: whenever it is its turn, which is at any moment.
    pub(super) fn new(mishaps: u32) -> Machine {
        let market = Market { mishaps: Arc::new(Mutex::new(mishaps)), ..Market::default() };
        let machine = Machine { clock: Arc::default(), disk: Disk::default(), market };
        let time = machine.clock.clone();
        drop(spawn(async move {
            loop {
                yield_now().await;
                if thread_rng().gen_range(0..SELDOM) == 0 {
                    pass(&time);
                }
            }
        }));
        machine
    }

    /// A process on it.
    pub(super) fn process(&self, id: u32) -> Arc<Process> {
        Arc::new(Process { machine: self.clone(), id, tasks: Mutex::default() })
    }

    pub(super) fn sleep(&self, duration: Duration) -> Sleep {
        let until = clock(&self.clock).now.saturating_add(duration);
        Sleep { clock: self.clock.clone(), until, timer: None }
    }

    async fn send(self, request: Request) -> Result<Response, SendError> {
        self.sleep(WAY).await;
        let mishap = self.market.mishap();
        if mishap == Some(Mishap::Refused) {
            return Err(SendError::new(SendStage::Connect, "nobody answers"));
        }
        let answer = self.market.answer(&request);
        self.sleep(WAY).await;
        match mishap {
            Some(_) => Err(SendError::new(SendStage::Answer, "the connection broke")),
            None => Ok(answer),
        }
    }
}

fn clock(clock: &Mutex<Clock>) -> MutexGuard<'_, Clock> {
    clock.lock().unwrap()
}

/// Goes to when the next sleeper wakes up.
fn pass(time: &Mutex<Clock>) {
    let awake = {
        let mut clock = clock(time);
        let Some((timer, waker)) = clock.timers.pop_first() else { return };
        clock.now = clock.now.max(timer.0);
        assert!(clock.now < PATIENCE, "somebody waits for ever");
        waker
    };
    awake.wake();
}

pub(super) struct Sleep {
    clock: Arc<Mutex<Clock>>,
    until: Duration,
    timer: Option<Timer>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let time = self.clock.clone();
        let mut clock = clock(&time);
        match self.timer {
            Some(timer) if !clock.timers.contains_key(&timer) => return Poll::Ready(()),
            Some(timer) => drop(clock.timers.insert(timer, context.waker().clone())),
            None if self.until >= PATIENCE => {} // whoever sleeps for ever needs no timer
            None => {
                clock.names += 1;
                let timer = (self.until, clock.names);
                clock.timers.insert(timer, context.waker().clone());
                self.timer = Some(timer);
            }
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            clock(&self.clock).timers.remove(&timer);
        }
    }
}

/// A process, whose tasks are shuttle's.
pub(super) struct Process {
    machine: Machine,
    id: u32,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Process {
    /// Ends it, and its tasks wherever they are.
    pub(super) fn end(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap());
        tasks.iter().for_each(JoinHandle::abort);
        // It may have ended by itself.
        tasks.into_iter().for_each(|task| drop(block_on(task)));
    }
}

impl Host for Process {
    fn wall(&self) -> Timestamp {
        Timestamp::from_secs(1_800_000_000) + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        clock(&self.machine.clock).now
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.machine.sleep(duration).boxed()
    }

    fn random(&self, bytes: &mut [u8]) {
        thread_rng().fill(bytes);
    }

    fn send(&self, request: Request) -> BoxFuture<'static, Result<Response, SendError>> {
        self.machine.clone().send(request).boxed()
    }

    fn verify<'a>(
        &'a self,
        _: Algorithm,
        _: &'a [u8],
        _: &'a [u8],
        _: &'a [u8],
    ) -> BoxFuture<'a, Option<bool>> {
        ready(Some(false)).boxed()
    }

    fn files(&self) -> Option<Arc<dyn Files>> {
        Some(Arc::new(self.machine.disk.clone()))
    }

    fn state_dir(&self) -> Option<PathBuf> {
        None
    }

    fn process_id(&self) -> u32 {
        self.id
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.tasks.lock().unwrap().push(spawn(task));
    }
}

/// A disk on which a write is done in two parts, and which knows what of it was synced.
#[derive(Clone, Default)]
pub(super) struct Disk {
    files: MemoryFiles,
    synced: Arc<Mutex<BTreeMap<PathBuf, Vec<u8>>>>,
}

impl Disk {
    /// Whether the loss of power leaves this text in a file.
    pub(super) fn keeps(&self, text: &str) -> bool {
        let has = |file: &Vec<u8>| file.windows(text.len()).any(|part| part == text.as_bytes());
        self.synced.lock().unwrap().values().any(has)
    }

    /// Whether any process has left files.
    pub(super) fn has_files(&self) -> bool {
        !self.files.list(Path::new("spool")).unwrap_or_default().is_empty()
    }

    fn read(&self, file: &Path) -> Vec<u8> {
        let read = self.files.read_at(file, 0, usize::MAX).now_or_never();
        read.expect("memory does not wait").unwrap_or_default()
    }
}

impl Files for Disk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.files.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        others_may_go_on();
        self.files.list(dir)
    }

    fn append_to(&self, file: &Path) -> io::Result<Arc<dyn AppendFile>> {
        others_may_go_on();
        let open = self.files.append_to(file)?;
        Ok(Arc::new(DiskFile { disk: self.clone(), path: file.to_owned(), open }))
    }

    fn read_at(&self, file: &Path, offset: u64, len: usize) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        let file = file.to_owned();
        async move {
            yield_now().await;
            self.files.read_at(&file, offset, len).await
        }
        .boxed()
    }

    fn truncate(&self, file: &Path, len: u64) -> io::Result<()> {
        self.files.truncate(file, len)
    }

    fn replace(&self, file: &Path, content: &[u8]) -> io::Result<()> {
        others_may_go_on();
        self.files.replace(file, content)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        others_may_go_on();
        self.synced.lock().unwrap().retain(|file, _| !file.starts_with(path));
        self.files.remove(path)
    }

    fn lock(&self, file: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        others_may_go_on();
        self.files.lock(file)
    }
}

struct DiskFile {
    disk: Disk,
    path: PathBuf,
    open: Arc<dyn AppendFile>,
}

impl AppendFile for DiskFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let (begin, rest) = bytes.split_at(bytes.len() / 2);
        self.open.append(begin)?;
        others_may_go_on();
        self.open.append(rest)
    }

    fn sync(&self) -> BoxFuture<'static, io::Result<()>> {
        let (disk, path) = (self.disk.clone(), self.path.clone());
        async move {
            yield_now().await;
            let there = disk.read(&path);
            yield_now().await;
            if !disk.read(&path).is_empty() {
                disk.synced.lock().unwrap().insert(path, there);
            }
            Ok(())
        }
        .boxed()
    }
}

/// A marketplace that knows each event it has counted.
#[derive(Clone, Default)]
pub(super) struct Market {
    books: Arc<Mutex<Books>>,
    /// How many requests may still come to grief.
    mishaps: Arc<Mutex<u32>>,
}

#[derive(Default)]
struct Books {
    /// What became of each number, by producer: an event's id, or that it is lost.
    ledgers: BTreeMap<String, Vec<Option<String>>>,
    counted: BTreeSet<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Mishap {
    /// Nobody is reached.
    Refused,
    /// The answer is lost.
    Unanswered,
}

#[derive(Deserialize)]
struct Sent {
    producer: String,
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    number: u64,
    through: Option<u64>,
    event: Option<UsageEvent>,
}

impl Market {
    pub(super) fn has_counted(&self, event_id: &str) -> bool {
        self.books.lock().unwrap().counted.contains(event_id)
    }

    /// How many events are counted, and how many were declared lost.
    pub(super) fn totals(&self) -> (u64, u64) {
        let books = self.books.lock().unwrap();
        let (mut counted, mut lost) = (0, 0);
        for line in books.ledgers.values().flatten() {
            *if line.is_some() { &mut counted } else { &mut lost } += 1;
        }
        (counted, lost)
    }

    fn mishap(&self) -> Option<Mishap> {
        let mut left = self.mishaps.lock().unwrap();
        let mishap = match thread_rng().gen_range(0..4) {
            0 => Mishap::Refused,
            1 => Mishap::Unanswered,
            _ => return None,
        };
        *left = left.checked_sub(1)?;
        Some(mishap)
    }

    fn answer(&self, request: &Request) -> Response {
        let Sent { producer, items } = serde_json::from_slice(&request.body).expect("a range");
        let mut books = self.books.lock().unwrap();
        let Books { ledgers, counted } = &mut *books;
        let ledger = ledgers.entry(producer).or_default();
        let mut results = Vec::new();
        for Item { number, through, event } in items {
            let id = event.map(|event| event.id);
            for number in number..=through.unwrap_or(number) {
                let known = ledger.get(number as usize - 1);
                let status = match known.unwrap_or(&id) {
                    None => EventStatus::Lost,
                    Some(_) if known.is_some() => EventStatus::Duplicate,
                    Some(_) => EventStatus::Accepted,
                };
                if known.is_none() {
                    assert_eq!(number, ledger.len() as u64 + 1, "a gap that is not declared");
                    let is_new = id.iter().all(|id| counted.insert(id.clone()));
                    assert!(is_new, "it was counted twice");
                    ledger.push(id.clone());
                }
                results.push(EventResult {
                    number: Some(number),
                    through: None,
                    status,
                    code: None,
                });
            }
        }
        let fence = Some(ledger.len() as u64);
        let result = TrackUsageResult { fence, results, quotas: Vec::new() };
        let body = serde_json::to_vec(&result).expect("it has a form in JSON");
        Response { status: 200, headers: Vec::new(), body }
    }
}
