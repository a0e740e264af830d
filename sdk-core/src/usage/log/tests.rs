//! The log on files that fail when they are told to.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::state::SEGMENT_BYTES;
use super::*;
use crate::host::{AppendFile, Files, Host, Lock, MemoryFiles, native};
use crate::model::{Code, LossReason};
use crate::usage::limits::{Overflow, SpoolLimits};

/// Files in memory, each of whose powers can be taken away.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    files: MemoryFiles,
    /// Half of what is appended is written, then there is no room.
    pub(crate) full: Arc<AtomicBool>,
    cannot_cut: Arc<AtomicBool>,
    pub(crate) cannot_sync: Arc<AtomicBool>,
    pub(crate) read_only: Arc<AtomicBool>,
    /// Nothing that is read ever comes, and who no longer wants it is held up.
    pub(crate) stuck: Arc<AtomicBool>,
}

/// A read that does not come to an end, and is slow to be given up.
struct Stuck;

impl Future for Stuck {
    type Output = io::Result<Vec<u8>>;

    fn poll(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Pending
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        std::thread::sleep(Duration::from_millis(20));
    }
}

struct DiskFile {
    file: Arc<dyn AppendFile>,
    disk: Disk,
}

fn refused(switch: &AtomicBool) -> io::Result<()> {
    if switch.load(Ordering::Relaxed) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
}

impl Files for Disk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        if self.read_only.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        self.files.create_dir(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.files.list(dir)
    }
    fn append_to(&self, file: &Path) -> io::Result<Arc<dyn AppendFile>> {
        let file = self.files.append_to(file)?;
        Ok(Arc::new(DiskFile { file, disk: self.clone() }))
    }
    fn read_at(&self, file: &Path, offset: u64, len: usize) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        if self.stuck.load(Ordering::Relaxed) {
            return Stuck.boxed();
        }
        self.files.read_at(file, offset, len)
    }
    fn truncate(&self, file: &Path, len: u64) -> io::Result<()> {
        refused(&self.cannot_cut)?;
        self.files.truncate(file, len)
    }
    fn replace(&self, file: &Path, content: &[u8]) -> io::Result<()> {
        refused(&self.full)?;
        self.files.replace(file, content)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files.remove(path)
    }
    fn lock(&self, file: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        self.files.lock(file)
    }
}

impl AppendFile for DiskFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = refused(&self.disk.full) {
            self.file.append(&bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.file.append(bytes)
    }
    fn sync(&self) -> BoxFuture<'static, io::Result<()>> {
        ready(refused(&self.disk.cannot_sync)).boxed()
    }
}

struct Stage {
    host: Arc<dyn Host>,
    disk: Disk,
    dir: PathBuf,
    log: Arc<SegmentLog>,
}

impl Stage {
    fn set() -> Stage {
        Stage::with(SpoolLimits::default())
    }

    fn with(limits: SpoolLimits) -> Stage {
        let (host, disk, dir) =
            (native("http://localhost").unwrap(), Disk::default(), PathBuf::from("log"));
        let log = SegmentLog::create(host.clone(), Arc::new(disk.clone()), &dir, limits).unwrap();
        Stage { host, disk, dir, log }
    }

    fn append(&self, record: &str) -> Result<Ticket> {
        self.take(record).map(|taken| taken.ticket)
    }

    fn take(&self, record: &str) -> Result<Taken> {
        self.log.append(record.as_bytes())
    }

    /// Overwrites a part of the last segment.
    async fn scribble(&self, at: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.disk.read_at(&self.file(), 0, 1 << 20).await.unwrap();
        at(&mut bytes);
        self.disk.replace(&self.file(), &bytes).unwrap();
    }

    /// As another process finds it.
    async fn left_behind(&self) -> Arc<SegmentLog> {
        let files = Arc::new(self.disk.clone());
        SegmentLog::left_behind(self.host.clone(), files, &self.dir).await.unwrap()
    }

    fn file(&self) -> PathBuf {
        let name = self.disk.list(&self.dir).unwrap().pop().unwrap();
        self.dir.join(name)
    }
}

async fn numbers(log: &Arc<SegmentLog>) -> Vec<u64> {
    let most = Most { records: usize::MAX, bytes: usize::MAX };
    log.scan(0, most).await.unwrap().into_iter().map(|record| record.number).collect()
}

#[tokio::test]
async fn a_write_that_failed_takes_no_number_and_spoils_nothing() {
    let stage = Stage::set();
    stage.append("one").unwrap();
    stage.disk.full.store(true, Ordering::Relaxed);
    assert_eq!(stage.append("no room").unwrap_err().code(), Code::SpoolFull);
    assert_eq!(stage.log.last(), 1);
    stage.disk.full.store(false, Ordering::Relaxed);
    stage.append("two").unwrap();
    assert_eq!(numbers(&stage.log).await, [1, 2]);
    assert_eq!(numbers(&stage.left_behind().await).await, [1, 2]);
}

#[tokio::test]
async fn a_full_disk_gets_its_room_back_when_all_is_delivered() {
    let stage = Stage::set();
    let record = "x".repeat(100_000);
    for _ in 0..5 {
        stage.append(&record).unwrap();
    }
    stage.disk.full.store(true, Ordering::Relaxed);
    stage.append(&record).unwrap_err();
    stage.log.trim(5).unwrap();
    assert_eq!(stage.disk.list(&stage.dir).unwrap(), Vec::<String>::new());
    stage.disk.full.store(false, Ordering::Relaxed);
    assert_eq!(stage.append(&record).unwrap(), Ticket(6));
    assert_eq!(numbers(&stage.left_behind().await).await, [6]);
}

#[tokio::test]
async fn a_torn_write_that_cannot_be_cut_off_keeps_its_number_to_itself() {
    let stage = Stage::set();
    stage.append("one").unwrap();
    stage.disk.full.store(true, Ordering::Relaxed);
    stage.disk.cannot_cut.store(true, Ordering::Relaxed);
    stage.append("perhaps").unwrap_err();
    assert_eq!(stage.log.last(), 1, "nothing to wait for was acknowledged");
    stage.disk.full.store(false, Ordering::Relaxed);
    stage.append("three").unwrap();
    assert_eq!(numbers(&stage.log).await, [1, 3]);
    let left_behind = stage.left_behind().await;
    assert_eq!(numbers(&left_behind).await, [1, 3]);
    for log in [&stage.log, &left_behind] {
        assert_eq!(log.loss(2), LossReason::Unacknowledged, "no loss: the caller was told");
    }
}

#[tokio::test]
async fn what_a_failed_sync_left_open_is_never_called_persisted() {
    let stage = Stage::set();
    let first = stage.append("one").unwrap();
    stage.disk.cannot_sync.store(true, Ordering::Relaxed);
    assert_eq!(stage.log.persisted(first).await.unwrap_err().code(), Code::SpoolFailed);
    stage.disk.cannot_sync.store(false, Ordering::Relaxed);
    let second = stage.append("two").unwrap();
    assert_eq!(stage.log.persisted(second).await.unwrap(), 2);
    assert_eq!(stage.log.persisted(first).await.unwrap_err().code(), Code::SpoolFailed);
    assert_eq!(numbers(&stage.log).await, [1, 2], "it is delivered all the same");
}

#[tokio::test]
async fn segments_follow_one_another_and_are_freed_when_they_are_delivered() {
    let stage = Stage::set();
    let record = "x".repeat(1000);
    let appended = 3 * SEGMENT_BYTES as usize / 1000;
    for _ in 0..appended {
        stage.append(&record).unwrap();
    }
    assert_eq!(stage.disk.list(&stage.dir).unwrap().len(), 4); // frames have headers

    let mut answered = 0;
    let most = Most { records: 500, bytes: 100_000 };
    loop {
        let batch = stage.log.scan(answered, most).await.unwrap();
        let Some(last) = batch.last() else { break };
        let in_a_row: Vec<u64> = (answered + 1..=last.number).collect();
        assert_eq!(batch.iter().map(|record| record.number).collect::<Vec<_>>(), in_a_row);
        assert!(batch.len() <= 100);
        answered = last.number;
        stage.log.trim(answered).unwrap();
    }
    assert_eq!(answered, appended as u64);
    assert_eq!(stage.disk.list(&stage.dir).unwrap().len(), 1);
    // Earlier records can be asked for again as long as they are kept.
    stage.append("again").unwrap();
    assert_eq!(stage.log.scan(answered, most).await.unwrap().len(), 1);
    assert_eq!(stage.log.scan(answered, most).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_write_that_was_torn_was_never_acknowledged() {
    for left_of_it in 0..24 + 5 {
        let stage = Stage::set();
        for record in ["one", "two", "three"] {
            stage.append(record).unwrap();
        }
        stage.scribble(|bytes| bytes.truncate(bytes.len() - (24 + 5) + left_of_it)).await;
        let log = stage.left_behind().await;
        assert_eq!((numbers(&log).await, log.last()), (vec![1, 2], 2));
    }
}

#[tokio::test]
async fn a_file_that_grew_and_was_not_written_holds_nothing() {
    let stage = Stage::set();
    stage.append("one").unwrap();
    stage.scribble(|bytes| bytes.resize(4096, 0)).await;
    let log = stage.left_behind().await;
    assert_eq!((numbers(&log).await, log.last()), (vec![1], 1));
}

#[tokio::test]
async fn damage_at_the_end_is_one_record_that_is_lost() {
    let stage = Stage::set();
    for record in ["one", "two", "three"] {
        stage.append(record).unwrap();
    }
    stage
        .scribble(|bytes| {
            let at = bytes.len() - (24 + 5) + 6;
            bytes[at] ^= 0x10;
        })
        .await;
    let log = stage.left_behind().await;
    assert_eq!((numbers(&log).await, log.last()), (vec![1, 2], 3));
    assert_eq!(log.loss(3), LossReason::Damaged);
}

#[tokio::test]
async fn a_number_that_was_never_given_out_is_damage_and_no_loss_of_all_before_it() {
    let stage = Stage::set();
    stage.append("one").unwrap();
    let mut far = Vec::new();
    frame::encode(1 << 40, b"far away", &mut far);
    stage.scribble(|bytes| bytes.extend(far)).await;
    let log = stage.left_behind().await;
    assert_eq!((numbers(&log).await, log.last()), (vec![1], 1));
}

#[tokio::test]
async fn files_that_are_not_ours_do_no_harm() {
    let stage = Stage::set();
    stage.append("one").unwrap();
    for name in ["00000000000000000000", "18446744073709551615", "-1", "x", ""] {
        stage.disk.replace(&stage.dir.join(format!("{name}.log")), b"whatever").unwrap();
    }
    let log = stage.left_behind().await;
    assert_eq!((numbers(&log).await, log.last(), log.trimmed()), (vec![1], 1, 0));
}

#[tokio::test]
async fn what_is_damaged_is_kept_in_quarantine() {
    let stage = Stage::set();
    for record in ["one", "two", "three"] {
        stage.append(record).unwrap();
    }
    stage.scribble(|bytes| bytes[8 + 24 + 3 + 24] ^= 0x20).await;
    let log = stage.left_behind().await;
    assert_eq!(numbers(&log).await, [1, 3]);

    let quarantine = Path::new("quarantine");
    let names = stage.disk.list(quarantine).unwrap();
    let [name] = names.as_slice() else { panic!("{names:?}") };
    let kept = stage.disk.read_at(&quarantine.join(name), 0, 4096).await.unwrap();
    assert_eq!(kept[24..], *b"Two");
}

#[tokio::test]
async fn a_full_log_refuses_and_has_room_again_when_events_are_answered_for() {
    let stage = Stage::with(SpoolLimits::default().events(20));
    for _ in 0..20 {
        stage.append("one").unwrap();
    }
    assert_eq!(stage.append("one more").unwrap_err().code(), Code::SpoolFull);
    stage.log.trim(1).unwrap();
    stage.append("one more").unwrap();
    assert_eq!(stage.append("too many").unwrap_err().code(), Code::SpoolFull);
    assert_eq!(numbers(&stage.left_behind().await).await.pop(), Some(21));
}

#[tokio::test]
async fn a_full_log_drops_what_is_new_if_it_is_told_to() {
    let limits = SpoolLimits::default().events(20).overflow(Overflow::DropNewest);
    let stage = Stage::with(limits);
    for n in 1..=50 {
        let taken = stage.take("one").unwrap();
        assert_eq!((taken.lost, taken.dropped), (n > 20, u64::from(n > 20)));
    }
    assert_eq!((stage.log.last(), stage.log.lost_after(0, LossReason::Overflow)), (50, 30));
    stage.log.trim(20).unwrap();
    for _ in 0..20 {
        assert!(!stage.take("room again").unwrap().lost);
    }
    // The next process knows what is gone, and why.
    let left_behind = stage.left_behind().await;
    assert_eq!(left_behind.last(), 70);
    assert!((21..=50).all(|number| left_behind.loss(number) == LossReason::Overflow));
    assert_eq!(numbers(&left_behind).await.into_iter().filter(|n| *n > 20).count(), 20);
}

#[tokio::test]
async fn a_full_log_drops_what_is_oldest_if_it_is_told_to() {
    let limits = SpoolLimits::default().events(80).overflow(Overflow::DropOldest);
    let stage = Stage::with(limits);
    let mut dropped = 0;
    for _ in 0..1_000 {
        let taken = stage.take("one").unwrap();
        assert!(!taken.lost);
        dropped += taken.dropped;
    }
    let held = numbers(&stage.log).await;
    assert!((70..=80).contains(&held.len()), "{}", held.len());
    assert_eq!(*held.last().unwrap(), 1_000);
    assert_eq!(dropped + held.len() as u64, 1_000);
    assert_eq!(stage.log.lost_after(0, LossReason::Overflow), dropped);

    let left_behind = stage.left_behind().await;
    assert_eq!(numbers(&left_behind).await, held);
    // What is noted with the record that was written first after it, at the latest.
    assert!((1..=900).all(|number| left_behind.loss(number) == LossReason::Overflow));
}

#[tokio::test]
async fn a_full_disk_drops_if_it_is_told_to_and_has_room_again() {
    let stage = Stage::with(SpoolLimits::default().overflow(Overflow::DropOldest));
    stage.append("one").unwrap();
    stage.disk.full.store(true, Ordering::Relaxed);
    assert!(stage.take("nothing is older that could go").unwrap().lost);
    stage.disk.full.store(false, Ordering::Relaxed);
    stage.append("three").unwrap();
    assert_eq!(numbers(&stage.left_behind().await).await, [1, 3]);
    assert_eq!(stage.left_behind().await.loss(2), LossReason::Overflow);
}

#[tokio::test]
async fn nothing_is_appended_to_a_log_that_was_given_up() {
    let stage = Stage::set();
    stage.append("one").unwrap();
    assert_eq!(stage.log.seal(), 1);
    assert_eq!(stage.append("two").unwrap_err().code(), Code::Closed);
    assert_eq!(stage.left_behind().await.append(b"two").unwrap_err().code(), Code::Closed);
}

/// A segment as the first release wrote it. It is read by every later one; a new format gets a new
/// file beside it.
#[tokio::test]
async fn a_segment_of_format_1_is_read() {
    const GOLDEN: &[u8] = include_bytes!("golden/segment-v1.log");
    let stage = Stage::set();
    for record in ["one", "two", "three"] {
        stage.append(record).unwrap();
    }
    let written = stage.disk.read_at(&stage.file(), 0, 4096).await.unwrap();
    assert_eq!(written, GOLDEN, "the format has changed, and its version has not");

    let dir = PathBuf::from("golden");
    stage.disk.replace(&dir.join("00000000000000000001.log"), GOLDEN).unwrap();
    let log = SegmentLog::left_behind(stage.host.clone(), Arc::new(stage.disk.clone()), &dir);
    let records = log.await.unwrap().scan(0, Most::A_BATCH).await.unwrap();
    let texts: Vec<_> = records.iter().map(|record| &record.bytes[..]).collect();
    assert_eq!(texts, [&b"one"[..], b"two", b"three"]);
}
