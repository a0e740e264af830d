use std::io;
use std::path::Path;

use super::frame::{self, FILE_HEADER, HEADER_BYTES, MAX_RECORD_BYTES, Step};
use super::segments::{Segment, failed, segment_path};
use super::{Most, Record};
use crate::error::Result;
use crate::host::Files;

/// Read at once: whole frames fit, however large.
const READ_BYTES: usize = 2 * (MAX_RECORD_BYTES + HEADER_BYTES);

/// A place in a log: behind the record `after`, which is at `offset` of the segment that begins
/// with the number `segment`.
#[derive(Clone, Copy, Default)]
pub(super) struct Cursor {
    pub(super) after: u64,
    pub(super) segment: u64,
    pub(super) offset: u64,
}

/// Collects records until it has enough.
pub(super) struct Reader<'a> {
    pub(super) files: &'a dyn Files,
    pub(super) dir: &'a Path,
    pub(super) most: Most,
    pub(super) place: Cursor,
    pub(super) found: Vec<Record>,
    /// The highest number met, be its record readable or not.
    pub(super) highest: u64,
    bytes: usize,
    full: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(files: &'a dyn Files, dir: &'a Path, most: Most, place: Cursor) -> Self {
        let highest = place.after;
        Reader { files, dir, most, place, found: Vec::new(), highest, bytes: 0, full: false }
    }

    /// Reads the segments from the place on.
    pub(super) async fn read(&mut self, segments: impl Iterator<Item = Segment>) -> Result<()> {
        for segment in segments {
            if segment.first < self.place.segment || self.full {
                continue;
            }
            if segment.first > self.place.segment {
                self.place = Cursor { segment: segment.first, offset: 0, ..self.place };
            }
            self.read_segment(segment).await?;
        }
        Ok(())
    }

    async fn read_segment(&mut self, segment: Segment) -> Result<()> {
        let path = segment_path(self.dir, segment.first);
        while self.place.offset < segment.bytes && !self.full {
            let length = (segment.bytes - self.place.offset).min(READ_BYTES as u64) as usize;
            let chunk = match self.files.read_at(&path, self.place.offset, length).await {
                // A segment that somebody removed is a hole like any other.
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                chunk => chunk.map_err(failed)?,
            };
            let used = self.take_frames(&chunk);
            if used == 0 {
                break; // the end of the file, or a torn frame
            }
            self.place.offset += used as u64;
        }
        Ok(())
    }

    /// Takes the whole frames of a chunk that was read at the place, and says how much that was.
    fn take_frames(&mut self, chunk: &[u8]) -> usize {
        let at_start = self.place.offset == 0;
        let mut used = if at_start { FILE_HEADER.len().min(chunk.len()) } else { 0 };
        loop {
            match frame::decode(&chunk[used..]) {
                Step::Record(record, length) => {
                    if !self.take(record) {
                        return used;
                    }
                    used += length;
                }
                Step::Damaged(number, length) => {
                    self.highest = self.highest.max(number);
                    used += length;
                }
                Step::Skip(length) => used += length,
                Step::Incomplete(number) => {
                    self.highest = self.highest.max(number.unwrap_or(0));
                    return used;
                }
            }
        }
    }

    /// Whether there was room for the record.
    fn take(&mut self, record: Record) -> bool {
        if record.number <= self.place.after {
            return true; // before what was asked for
        }
        let over = self.bytes + record.bytes.len() > self.most.bytes;
        self.full = !self.found.is_empty() && (over || self.found.len() >= self.most.records);
        if !self.full {
            self.place.after = record.number;
            self.highest = self.highest.max(record.number);
            self.bytes += record.bytes.len();
            self.found.push(record);
        }
        !self.full
    }
}
