//! The tracker on a host that is whatever a test needs, with nobody at the other end.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::log::tests::Disk;
use super::*;
use crate::events::{Event, Events};
use crate::host::{Algorithm, Files, Host, MemoryFiles, Request, Response, SendError, native};
use crate::model::{Code, Timestamp};

const NOBODY: &str = "http://127.0.0.1:9"; // discard

/// The native host, but for the process it says it is.
struct Forking {
    native: Arc<dyn Host>,
    process: AtomicU32,
}

impl Host for Forking {
    fn wall(&self) -> Timestamp {
        self.native.wall()
    }
    fn monotonic(&self) -> Duration {
        self.native.monotonic()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.native.sleep(duration)
    }
    fn random(&self, bytes: &mut [u8]) {
        self.native.random(bytes);
    }
    fn send(&self, request: Request) -> BoxFuture<'static, Result<Response, SendError>> {
        self.native.send(request)
    }
    fn verify<'a>(
        &'a self,
        algorithm: Algorithm,
        key: &'a [u8],
        data: &'a [u8],
        signature: &'a [u8],
    ) -> BoxFuture<'a, Option<bool>> {
        self.native.verify(algorithm, key, data, signature)
    }
    fn files(&self) -> Option<Arc<dyn Files>> {
        None
    }
    fn state_dir(&self) -> Option<PathBuf> {
        None
    }
    fn process_id(&self) -> u32 {
        self.process.load(Ordering::Relaxed)
    }
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.native.spawn(task);
    }
}

struct Stage {
    host: Arc<Forking>,
    events: Events,
    tracker: UsageTracker,
}

impl Stage {
    fn set(files: Arc<dyn Files>, durability: Durability) -> Stage {
        Stage::with(files, durability, SpoolLimits::default())
    }

    fn with(files: Arc<dyn Files>, durability: Durability, limits: SpoolLimits) -> Stage {
        let native = native(NOBODY).unwrap();
        let forking = Arc::new(Forking { native, process: AtomicU32::new(1) });
        let host: Arc<dyn Host> = forking.clone();
        let (tracker, events) = alone::tracker(host, files, NOBODY, durability, limits);
        Stage { host: forking, events, tracker }
    }

    async fn track(&self) -> crate::Result<Receipt> {
        alone::track(&self.tracker, &*self.host).await
    }
}

#[tokio::test]
async fn a_forked_child_notes_nothing_and_gives_nothing_of_its_parents_up() {
    let files = Arc::new(MemoryFiles::default());
    let stage = Stage::set(files.clone(), Durability::Fast);
    stage.track().await.unwrap();
    let folder = |files: &MemoryFiles| files.list(&PathBuf::from("spool")).unwrap();
    let before = folder(&files);

    stage.host.process.store(2, Ordering::Relaxed);
    assert_eq!(stage.track().await.unwrap_err().code(), Code::Forked);
    assert_eq!(stage.tracker.flush().await.unwrap_err().code(), Code::Forked);
    let report = stage.tracker.close(Duration::from_millis(10)).await;
    assert_eq!(report.usage.pending, 1, "the parent's");
    assert_eq!(folder(&files), before);
}

#[tokio::test]
async fn a_disk_that_cant_be_written_is_replaced_by_memory_and_that_is_said() {
    let disk = Disk::default();
    disk.read_only.store(true, Ordering::Relaxed);
    let mut stage = Stage::set(Arc::new(disk), Durability::Fast);
    stage.track().await.unwrap();
    let usage = stage.tracker.stats();
    assert_eq!((usage.pending, usage.in_memory), (1, 1));
    let told = loop {
        match stage.events.next().await {
            Some(Event::SpoolInMemory { error }) => break error,
            Some(_) => {}
            None => panic!("nothing was said"),
        }
    };
    assert_eq!(told.code(), Code::SpoolFailed);
}

#[tokio::test]
async fn what_fills_a_disk_is_taken_over_without_room_on_it() {
    let disk = Disk::default();
    let stage = Stage::set(Arc::new(disk.clone()), Durability::Fast);
    stage.track().await.unwrap();
    drop(stage);
    disk.full.store(true, Ordering::Relaxed);
    let stage = Stage::set(Arc::new(disk), Durability::Fast);
    assert_eq!(stage.track().await.unwrap_err().code(), Code::SpoolFull);
    stage.tracker.flush_within(Duration::from_millis(50)).await;
    while stage.tracker.stats().pending == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await; // it is found in the background
    }
}

#[tokio::test]
async fn a_log_that_was_being_taken_over_is_free_when_the_sdk_is_closed() {
    let disk = Disk::default();
    let stage = Stage::set(Arc::new(disk.clone()), Durability::Fast);
    stage.track().await.unwrap();
    drop(stage);
    let left = PathBuf::from("spool").join(disk.list(&PathBuf::from("spool")).unwrap().remove(0));
    let is_free = || disk.lock(&left.join("lock")).unwrap().is_some();

    disk.stuck.store(true, Ordering::Relaxed);
    let stage = Stage::set(Arc::new(disk.clone()), Durability::Fast);
    while is_free() {
        tokio::task::yield_now().await;
    }
    stage.tracker.close(Duration::from_secs(5)).await;
    assert!(is_free());
}

#[tokio::test]
async fn on_a_full_disk_memory_takes_what_a_program_would_rather_drop() {
    let disk = Disk::default();
    disk.full.store(true, Ordering::Relaxed);
    let limits = SpoolLimits::default().overflow(Overflow::DropNewest);
    let stage = Stage::with(Arc::new(disk), Durability::Fast, limits);
    stage.track().await.unwrap();
    assert_eq!(stage.tracker.stats().in_memory, 1);
}

#[tokio::test]
async fn memory_is_no_place_for_what_must_survive_the_loss_of_power() {
    let disk = Disk::default();
    disk.read_only.store(true, Ordering::Relaxed);
    let stage = Stage::set(Arc::new(disk), Durability::Durable);
    assert_eq!(stage.track().await.unwrap_err().code(), Code::SpoolFailed);
}

#[tokio::test]
async fn a_durable_event_is_not_acknowledged_before_the_disk_has_it() {
    let disk = Disk::default();
    let stage = Stage::set(Arc::new(disk.clone()), Durability::Durable);
    stage.track().await.unwrap();
    disk.cannot_sync.store(true, Ordering::Relaxed);
    assert_eq!(stage.track().await.unwrap_err().code(), Code::SpoolFailed);
    disk.cannot_sync.store(false, Ordering::Relaxed);
    stage.track().await.unwrap();
}
