//! The record log on files: segments that only grow, and are removed whole.
//!
//! An append is one `write`; an fsync follows within half a second, or at once when somebody waits
//! for it, and serves everybody who appended before it (group commit).

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_listener::Event;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, select};

use super::frame::{self, FILE_HEADER, MAX_NUMBER, MAX_RECORD_BYTES};
use super::gone::{Gap, Gone, NOTE};
use super::reader::{Cursor, Damage, MAX_DAMAGE, MAX_JUMP, Reader};
use super::{Most, Record, RecordLog, Taken, Ticket};
use crate::error::{Error, Result};
use crate::host::{AppendFile, Files, Host};
use crate::model::{Code, LossReason};
use crate::usage::limits::{Overflow, SpoolLimits};

/// The most an acknowledged record waits for its fsync. Vector's disk buffer has the same bound.
const SYNC_WITHIN: Duration = Duration::from_millis(500);

/// A segment that has grown to this is followed by a new one. What was delivered is freed, and
/// after a crash sent again, in units of this: about 4,500 events.
pub(super) const SEGMENT_BYTES: u64 = 1024 * 1024;

/// So many segments make up what a log may hold: to drop the oldest of them is to lose an eighth.
const SEGMENTS: u64 = 8;

pub(crate) struct SegmentLog {
    host: Arc<dyn Host>,
    files: Arc<dyn Files>,
    dir: PathBuf,
    limits: SpoolLimits,
    state: Mutex<State>,
    cut_off: AtomicBool,
    /// Held by the task that syncs: an fsync that began later must not end earlier.
    syncing: futures_util::lock::Mutex<()>,
    /// Told after each fsync.
    synced: Event,
    /// Told when somebody waits for an fsync.
    hurry: Event,
}

struct State {
    /// The oldest first; the last one is written to.
    segments: VecDeque<Segment>,
    /// The file of the last segment; none after a failed write, which leaves its segment alone.
    open: Option<Arc<dyn AppendFile>>,
    /// Nothing may be appended to the log of a process that is gone.
    read_only: bool,
    /// What the segments hold together.
    bytes: u64,
    /// The next number to give out.
    next: u64,
    /// The last number that was acknowledged.
    last: u64,
    /// Up to which number everything is answered for.
    answered: u64,
    /// The numbers that have no record.
    gone: Gone,
    /// Those of them that the log itself does not tell yet.
    unnoted: Vec<Gap>,
    /// Where there was damage that is in quarantine.
    quarantined: BTreeSet<(u64, u64)>,
    /// Up to which number an fsync was made.
    synced_through: u64,
    /// The numbers whose fsync failed: nobody knows what became of those.
    failed: Vec<RangeInclusive<u64>>,
    /// Files written since their last fsync; not empty while a task is on its way to do it.
    unsynced: Vec<Arc<dyn AppendFile>>,
    /// Somebody waits for that fsync.
    hurried: bool,
    /// Where the next scan is likely to go on.
    cursor: Cursor,
    /// A frame while it is put together.
    buffer: Vec<u8>,
}

#[derive(Clone, Copy)]
pub(super) struct Segment {
    pub(super) first: u64,
    /// Whole frames of it; [`MOST_OF_A_SEGMENT`] where nobody counted.
    pub(super) bytes: u64,
}

/// More than a segment has: it is followed by another as soon as it is full. A file that is larger is
/// not ours, or not only.
const MOST_OF_A_SEGMENT: u64 = 4 * SEGMENT_BYTES;

/// Beside the folders of the producers: what was found damaged.
const QUARANTINE: &str = "quarantine";

/// How the names of segment files end.
pub(crate) const SEGMENT: &str = ".log";

impl SegmentLog {
    /// A new, empty log in a folder of its own.
    pub(crate) fn create(
        host: Arc<dyn Host>,
        files: Arc<dyn Files>,
        dir: &Path,
        limits: SpoolLimits,
    ) -> Result<Arc<Self>> {
        let log = SegmentLog::over(host, files, dir, limits, State::default());
        log.state().begin_segment(&*log.files, dir).map_err(failed)?;
        Ok(Arc::new(log))
    }

    /// The log another process has left, to be drained: nothing can be appended.
    pub(crate) async fn left_behind(
        host: Arc<dyn Host>,
        files: Arc<dyn Files>,
        dir: &Path,
    ) -> Result<Arc<Self>> {
        let names = files.list(dir).map_err(failed)?;
        let mut firsts: Vec<u64> =
            names.iter().filter_map(|name| name.strip_suffix(SEGMENT)?.parse().ok()).collect();
        // Others may put files here, but no record of ours is in them.
        firsts.retain(|first| (1..=MAX_NUMBER).contains(first));
        firsts.sort_unstable();
        firsts.dedup();
        let in_a_row = firsts.windows(2).take_while(|pair| pair[1] - pair[0] <= MAX_JUMP).count();
        firsts.truncate(in_a_row + 1);
        let begun = firsts.last().map_or(0, |first| first - 1);
        let segments = firsts.into_iter().map(|first| Segment { first, bytes: MOST_OF_A_SEGMENT });
        let state = State { segments: segments.collect(), read_only: true, ..State::default() };
        let log = SegmentLog::over(host, files, dir, SpoolLimits::default(), state);
        let survey = log.read(0, None).await?;
        // A record that can't be read counts as well: it has to be declared lost.
        let last = survey.last().max(begun);
        let mut state = log.state();
        (state.next, state.last) = (last + 1, last);
        survey.gone.iter().for_each(|gap| state.gone.add(*gap));
        drop(state);
        drop(survey);
        Ok(Arc::new(log))
    }

    fn over(
        host: Arc<dyn Host>,
        files: Arc<dyn Files>,
        dir: &Path,
        limits: SpoolLimits,
        state: State,
    ) -> Self {
        SegmentLog {
            host,
            files,
            dir: dir.to_owned(),
            limits,
            state: Mutex::new(state),
            cut_off: AtomicBool::new(false),
            syncing: futures_util::lock::Mutex::new(()),
            synced: Event::new(),
            hurry: Event::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the log holds, in bytes, as far as this process has written it.
    pub(crate) fn bytes(&self) -> u64 {
        self.state().bytes
    }

    /// The number before the oldest record that is kept.
    pub(crate) fn trimmed(&self) -> u64 {
        self.state().segments.front().map_or(0, |segment| segment.first - 1)
    }

    /// Takes no more records, and says which is the last. An event that is acknowledged while the
    /// log is being given up must not go down with it.
    pub(crate) fn seal(&self) -> u64 {
        let mut state = self.state();
        state.read_only = true;
        state.last
    }

    /// Stands for everything that was appended.
    pub(crate) fn everything(&self) -> Ticket {
        Ticket(self.state().last)
    }

    /// Makes what was appended survive the loss of power, soon.
    async fn sync_soon(self: Arc<Self>) {
        let hurry = self.hurry.listen();
        if !self.state().hurried {
            select(hurry, self.host.sleep(SYNC_WITHIN)).await;
        }
        let _in_order = self.syncing.lock().await;
        let (files, through) = {
            let mut state = self.state();
            state.hurried = false;
            (std::mem::take(&mut state.unsynced), state.next - 1)
        };
        let mut outcome = Ok(());
        for file in files {
            outcome = outcome.and(file.sync().await);
        }
        let outcome = outcome.and_then(|()| self.look_for_the_last_segment());
        let mut state = self.state();
        match outcome {
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%error, "the usage spool could not be synced");
                let failed = state.synced_through + 1..=through;
                state.failed.push(failed);
                // Whether a failed fsync wrote anything can't be found out by trying again.
                state.open = None;
            }
        }
        state.synced_through = through;
        drop(state);
        self.synced.notify(usize::MAX);
    }

    /// Somebody may have removed the folder: what is written to a file without a name is gone with the
    /// process. Then the log takes no more.
    fn look_for_the_last_segment(&self) -> io::Result<()> {
        // Held while it is looked for: a segment that is delivered in between is gone by right.
        let mut state = self.state();
        if state.read_only {
            return Ok(()); // given up, and perhaps removed by whoever did
        }
        let last = state.segments.back().map(|segment| segment_path(&self.dir, segment.first));
        let Some(name) = last.as_deref().and_then(Path::file_name) else { return Ok(()) };
        if self.files.list(&self.dir)?.iter().any(|there| **there == *name) {
            return Ok(());
        }
        state.read_only = true;
        self.cut_off.store(true, Ordering::Release);
        Err(io::Error::new(io::ErrorKind::NotFound, "the spool's folder was removed"))
    }

    /// Whether the log has lost its folder.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::Acquire)
    }

    /// Why there is no record of that number.
    pub(crate) fn loss(&self, number: u64) -> LossReason {
        self.state().gone.reason(number).unwrap_or(LossReason::Damaged)
    }

    /// How many of the numbers after `number` are known to have no record, and why.
    pub(crate) fn lost_after(&self, number: u64, reason: LossReason) -> u64 {
        let state = self.state();
        state.gone.count_after(number, state.last, reason)
    }

    /// Reads what is behind `after`: the records, or (without `most`) only what there is.
    async fn read(&self, after: u64, most: Option<Most>) -> Result<Reader<'_>> {
        let (place, segments) = {
            let state = self.state();
            (state.place_after(after), state.segments.clone())
        };
        let mut reader = Reader::new(&*self.files, &self.dir, most, place);
        reader.read(segments.into_iter()).await?;
        for damage in std::mem::take(&mut reader.damage) {
            self.quarantine(damage);
        }
        if most.is_some() {
            self.state().cursor = reader.place;
        }
        Ok(reader)
    }

    /// Keeps what can't be read: somebody may be able to make sense of it.
    fn quarantine(&self, Damage { segment, offset, bytes }: Damage) {
        {
            let mut state = self.state();
            let full = state.quarantined.len() >= MAX_DAMAGE;
            if full || !state.quarantined.insert((segment, offset)) {
                return;
            }
        }
        let producer = self.dir.file_name().unwrap_or_default().to_string_lossy();
        let quarantine = self.dir.with_file_name(QUARANTINE);
        let file = quarantine.join(format!("{producer}-{segment:020}-{offset}"));
        tracing::warn!(kept_in = %file.display(), "a part of the usage spool is damaged");
        let kept = self.files.create_dir(&quarantine);
        if let Err(error) = kept.and_then(|()| self.files.replace(&file, &bytes)) {
            tracing::warn!(%error, "the damaged part could not be kept");
        }
    }
}

impl State {
    /// Where the record after `after` is to be looked for.
    fn place_after(&self, after: u64) -> Cursor {
        let exists = self.segments.iter().any(|segment| segment.first == self.cursor.segment);
        if self.cursor.after == after && exists {
            return self.cursor;
        }
        let holds = self.segments.iter().rev().find(|segment| segment.first <= after + 1);
        let segment = holds.or(self.segments.front()).map_or(0, |segment| segment.first);
        Cursor { after, segment, offset: 0 }
    }

    fn begin_segment(&mut self, files: &dyn Files, dir: &Path) -> io::Result<()> {
        let path = segment_path(dir, self.next);
        let file = files.append_to(&path)?;
        if let Err(error) = file.append(&FILE_HEADER) {
            let _ = files.remove(&path); // half a header would spoil the next attempt
            return Err(error);
        }
        self.segments.push_back(Segment { first: self.next, bytes: FILE_HEADER.len() as u64 });
        self.bytes += FILE_HEADER.len() as u64;
        self.open = Some(file);
        Ok(())
    }

    /// Takes a record, or decides what to lose in a log that is full.
    fn append(&mut self, log: &SegmentLog, record: &[u8]) -> Result<Taken> {
        let mut dropped = 0;
        // No more than there are now: a write that fails may leave a segment behind, too, and on a disk
        // on which nothing helps that would go on for ever.
        let mut older = self.segments.len().saturating_sub(1);
        loop {
            let error = match self.write(log, record) {
                Ok(number) => {
                    return Ok(Taken { ticket: Ticket(number), lost: false, dropped });
                }
                Err(error) => error,
            };
            match log.limits.overflow {
                _ if error.code() != Code::SpoolFull => return Err(error),
                Overflow::Reject => return Err(error),
                Overflow::DropOldest if older > 0 => {
                    older -= 1;
                    dropped += self.drop_oldest(log);
                }
                Overflow::DropOldest | Overflow::DropNewest => {
                    self.last = self.lose_next(LossReason::Overflow);
                    let ticket = Ticket(self.last);
                    return Ok(Taken { ticket, lost: true, dropped: dropped + 1 });
                }
            }
        }
    }

    fn write(&mut self, log: &SegmentLog, record: &[u8]) -> Result<u64> {
        let (files, dir) = (&*log.files, &*log.dir);
        if self.read_only {
            return Err(Error::new(Code::Closed));
        }
        self.buffer.clear();
        for gap in &self.unnoted {
            let note = serde_json::to_vec(gap)
                .map_err(|error| Error::new(Code::SpoolFailed).caused_by(error))?;
            frame::encode(NOTE, &note, &mut self.buffer);
        }
        frame::encode(self.next, record, &mut self.buffer);
        if record.len() > MAX_RECORD_BYTES || self.is_full(log.limits) {
            return Err(Error::new(Code::SpoolFull));
        }
        if self.open.is_none() || self.segment_is_full(log.limits) {
            self.begin_segment(files, dir).map_err(failed)?;
        }
        let (Some(file), Some(segment)) = (&self.open, self.segments.back_mut()) else {
            return Err(Error::new(Code::SpoolFailed)); // begin_segment has just made both
        };
        if let Err(error) = file.append(&self.buffer) {
            let torn = segment_path(dir, segment.first);
            if files.truncate(&torn, segment.bytes).is_err() {
                // The frame may be there all the same. Its number is not given out again: of two
                // records with one number the marketplace would count one.
                self.lose_next(LossReason::Unacknowledged);
                self.open = None;
            }
            return Err(failed(error));
        }
        segment.bytes += self.buffer.len() as u64;
        self.bytes += self.buffer.len() as u64;
        self.unnoted.clear();
        self.last = self.next;
        self.next += 1;
        Ok(self.last)
    }

    /// Whether one more record is too much.
    fn is_full(&self, limits: SpoolLimits) -> bool {
        let numbers = (self.next - 1).saturating_sub(self.answered);
        let waiting = numbers.saturating_sub(self.gone.all_after(self.answered));
        self.bytes + self.buffer.len() as u64 > limits.bytes || waiting >= limits.events
    }

    fn segment_is_full(&self, limits: SpoolLimits) -> bool {
        let Some(segment) = self.segments.back() else { return true };
        let bytes = SEGMENT_BYTES.min(limits.bytes / SEGMENTS);
        segment.bytes >= bytes || self.next - segment.first >= (limits.events / SEGMENTS).max(1)
    }

    /// Uses the next number up without a record.
    fn lose_next(&mut self, lost: LossReason) -> u64 {
        let number = self.next;
        self.next += 1;
        self.lose(Gap { first: number, last: number, lost });
        number
    }

    fn lose(&mut self, gap: Gap) {
        self.gone.add(gap);
        match self.unnoted.last_mut() {
            Some(before) if before.last + 1 == gap.first && before.lost == gap.lost => {
                before.last = gap.last;
            }
            _ => self.unnoted.push(gap),
        }
    }

    /// Gives up the oldest segment of several, and says how many records that cost.
    fn drop_oldest(&mut self, log: &SegmentLog) -> u64 {
        let Some(oldest) = self.segments.pop_front() else { return 0 };
        let next = self.segments.front().map_or(self.next, |segment| segment.first);
        self.bytes = self.bytes.saturating_sub(oldest.bytes);
        if let Err(error) = log.files.remove(&segment_path(&log.dir, oldest.first)) {
            tracing::warn!(%error, "a full spool could not be emptied");
        }
        let (first, lost) = (self.answered + 1, LossReason::Overflow);
        let mut dropped = 0;
        for number in first.max(oldest.first)..next {
            // Some of it may have been gone before.
            if self.gone.reason(number).is_none() {
                self.gone.add(Gap { first: number, last: number, lost });
                dropped += 1;
            }
        }
        // Whatever the segment told of what was gone has to be told again, and as what it was.
        self.unnoted.retain(|gap| gap.last >= next);
        self.unnoted.iter_mut().for_each(|gap| gap.first = gap.first.max(next));
        self.unnoted.splice(0..0, self.gone.within(first, next - 1));
        dropped
    }
}

impl Default for State {
    fn default() -> Self {
        State {
            segments: VecDeque::new(),
            open: None,
            read_only: false,
            bytes: 0,
            next: 1,
            last: 0,
            answered: 0,
            gone: Gone::default(),
            unnoted: Vec::new(),
            quarantined: BTreeSet::new(),
            synced_through: 0,
            failed: Vec::new(),
            unsynced: Vec::new(),
            hurried: false,
            cursor: Cursor::default(),
            buffer: Vec::new(),
        }
    }
}

pub(super) fn segment_path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}{SEGMENT}"))
}

pub(super) fn failed(error: io::Error) -> Error {
    Error::new(code_of(&error)).caused_by(error)
}

/// Whether a failure means that there is no room, or something worse.
pub(crate) fn code_of(error: &io::Error) -> Code {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};

    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => Code::SpoolFull,
        _ => Code::SpoolFailed,
    }
}

impl RecordLog for Arc<SegmentLog> {
    fn append(&self, record: &[u8]) -> Result<Taken> {
        let mut state = self.state();
        let taken = state.append(self, record)?;
        let first = state.unsynced.is_empty();
        if let Some(file) = &state.open
            && !state.unsynced.last().is_some_and(|last| Arc::ptr_eq(last, file))
        {
            let file = file.clone();
            state.unsynced.push(file);
        }
        drop(state);
        if first {
            self.host.spawn(self.clone().sync_soon().boxed());
        }
        Ok(taken)
    }

    fn persisted(&self, Ticket(number): Ticket) -> BoxFuture<'_, Result<u64>> {
        async move {
            loop {
                let synced = self.synced.listen();
                {
                    let mut state = self.state();
                    if state.failed.iter().any(|failed| failed.contains(&number)) {
                        return Err(Error::new(Code::SpoolFailed));
                    }
                    if state.synced_through >= number {
                        return Ok(number);
                    }
                    state.hurried = true;
                }
                self.hurry.notify(usize::MAX);
                synced.await;
            }
        }
        .boxed()
    }

    fn scan(&self, after: u64, most: Most) -> BoxFuture<'_, Result<Vec<Record>>> {
        async move { Ok(self.read(after, Some(most)).await?.found) }.boxed()
    }

    fn trim(&self, through: u64) -> Result<()> {
        let mut state = self.state();
        state.answered = through;
        state.gone.forget_through(through);
        let all_delivered = state.last == through;
        // A log that is drained all the time must not keep, and resend, a whole segment for it. The next
        // record begins another one: on a disk that is full there is no room for it yet.
        let grown = state.segments.back().is_some_and(|segment| segment.bytes > SEGMENT_BYTES / 4);
        let all_of_it = all_delivered && grown && !state.read_only;
        if all_of_it {
            state.open = None;
        }
        while all_of_it || state.segments.get(1).is_some_and(|second| second.first <= through + 1) {
            let Some(segment) = state.segments.pop_front() else { break };
            state.bytes = state.bytes.saturating_sub(segment.bytes);
            self.files.remove(&segment_path(&self.dir, segment.first)).map_err(failed)?;
        }
        Ok(())
    }

    fn last(&self) -> u64 {
        self.state().last
    }
}
