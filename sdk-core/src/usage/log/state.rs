//! What a log on files holds and has given out: which record goes where, and which is lost when there
//! is no room.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frame::{self, FILE_HEADER, MAX_RECORD_BYTES};
use super::gone::{Gone, NOTE};
use super::reader::Cursor;
use super::segments::SegmentLog;
use super::{Gap, Taken, Ticket};
use crate::error::{Error, Result};
use crate::host::{AppendFile, Files};
use crate::json;
use crate::model::{Code, LossReason};
use crate::usage::limits::{Overflow, SpoolLimits};

/// A segment that has grown to this is followed by a new one. What was delivered is freed, and
/// after a crash sent again, in units of this: about 4,500 events.
pub(super) const SEGMENT_BYTES: u64 = 1024 * 1024;

/// So many segments make up what a log may hold: to drop the oldest of them is to lose an eighth.
const SEGMENTS: u64 = 8;

/// How the names of segment files end.
pub(crate) const SEGMENT: &str = ".log";

pub(super) struct State {
    /// The oldest first; the last one is written to.
    pub(super) segments: VecDeque<Segment>,
    /// The file of the last segment; none after a failed write, which leaves its segment alone.
    pub(super) open: Option<Arc<dyn AppendFile>>,
    /// Nothing may be appended to the log of a process that is gone.
    pub(super) read_only: bool,
    /// What the segments hold together.
    pub(super) bytes: u64,
    /// The next number to give out.
    pub(super) next: u64,
    /// The last number that was acknowledged.
    pub(super) last: u64,
    /// Up to which number everything is answered for.
    pub(super) answered: u64,
    /// The numbers that have no record.
    pub(super) gone: Gone,
    /// Those of them that the log itself does not tell yet.
    pub(super) unnoted: Vec<Gap>,
    /// Where there was damage that is in quarantine.
    pub(super) quarantined: BTreeSet<(u64, u64)>,
    /// Up to which number an fsync was made.
    pub(super) synced_through: u64,
    /// The numbers whose fsync failed: nobody knows what became of those.
    pub(super) failed: Vec<RangeInclusive<u64>>,
    /// Files written since their last fsync.
    pub(super) unsynced: Vec<Arc<dyn AppendFile>>,
    /// A task is on its way to do it; on a disk on which nothing can be written, to say that it is done.
    pub(super) sync_is_due: bool,
    /// Somebody waits for that fsync.
    pub(super) hurried: bool,
    /// Where the next scan is likely to go on.
    pub(super) cursor: Cursor,
    /// A frame while it is put together.
    pub(super) buffer: Vec<u8>,
}

#[derive(Clone, Copy)]
pub(super) struct Segment {
    pub(super) first: u64,
    /// Whole frames of it; [`MOST_OF_A_SEGMENT`] where nobody counted.
    pub(super) bytes: u64,
}

/// More than a segment has: it is followed by another as soon as it is full. A file that is larger is
/// not ours, or not only.
pub(super) const MOST_OF_A_SEGMENT: u64 = 4 * SEGMENT_BYTES;

impl State {
    /// Where the record after `after` is to be looked for.
    pub(super) fn place_after(&self, after: u64) -> Cursor {
        let exists = self.segments.iter().any(|segment| segment.first == self.cursor.segment);
        if self.cursor.after == after && exists {
            return self.cursor;
        }
        let holds = self.segments.iter().rev().find(|segment| segment.first <= after + 1);
        let segment = holds.or(self.segments.front()).map_or(0, |segment| segment.first);
        Cursor { after, segment, offset: 0, highest: after }
    }

    pub(super) fn begin_segment(&mut self, files: &dyn Files, dir: &Path) -> io::Result<()> {
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
    pub(super) fn append(&mut self, log: &SegmentLog, record: &[u8]) -> Result<Taken> {
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
            frame::encode(NOTE, json::write(gap).as_bytes(), &mut self.buffer);
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
            sync_is_due: false,
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
