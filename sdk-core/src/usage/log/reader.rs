use std::io;
use std::path::Path;

use super::Gap;
use super::frame::{self, FILE_HEADER, HEADER_BYTES, MAX_RECORD_BYTES, Step};
use super::state::{Segment, failed, segment_path};
use super::{Most, Record};
use crate::error::Result;
use crate::host::Files;

/// Read at once: whole frames fit, however large.
pub(super) const READ_BYTES: usize = 2 * (MAX_RECORD_BYTES + HEADER_BYTES);

/// The most pieces of a log that are kept in quarantine, each half a megabyte or less.
pub(super) const MAX_DAMAGE: usize = 64;

/// Numbers that are further from those before them than this were never given out: a log would have to
/// lose as many records in a row, without a note of them.
pub(super) const MAX_JUMP: u64 = 1 << 24;

/// A place in a log: behind the record `after`, which is at `offset` of the segment that begins
/// with the number `segment`.
#[derive(Clone, Copy, Default)]
pub(super) struct Cursor {
    pub(super) after: u64,
    pub(super) segment: u64,
    pub(super) offset: u64,
    /// The highest number met by then, be its record readable or not: a note of many that are gone may lie
    /// before the place, and the record after them behind it.
    pub(super) highest: u64,
}

/// Bytes that can't be read as what was written, and where they lie.
pub(super) struct Damage {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
}

/// Collects records until it has enough, and tells of everything else it meets.
pub(super) struct Reader<'a> {
    files: &'a dyn Files,
    dir: &'a Path,
    /// None: the records are passed by.
    most: Option<Most>,
    pub(super) place: Cursor,
    pub(super) found: Vec<Record>,
    /// What the log itself says is gone.
    pub(super) gone: Vec<Gap>,
    pub(super) damage: Vec<Damage>,
    /// Something that has no number follows the highest.
    damaged_end: bool,
    bytes: usize,
    full: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        files: &'a dyn Files,
        dir: &'a Path,
        most: Option<Most>,
        mut place: Cursor,
    ) -> Self {
        place.highest = place.highest.max(place.after);
        Reader {
            files,
            dir,
            most,
            place,
            found: Vec::new(),
            gone: Vec::new(),
            damage: Vec::new(),
            damaged_end: false,
            bytes: 0,
            full: false,
        }
    }

    /// The last number that was acknowledged, as far as the log tells. A write that was torn at the
    /// end was not; whatever else lies there was at least one record, and has to be declared lost.
    pub(super) fn last(&self) -> u64 {
        self.place.highest + u64::from(self.damaged_end)
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
            self.place.highest = self.place.highest.max(segment.first - 1);
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
                break; // the end of the file, or a write that was torn
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
                Step::Record(Record { number, .. }, length)
                    if number > self.place.highest.max(self.place.after) + MAX_JUMP =>
                {
                    self.note_damage(used, &chunk[used..used + length]);
                    used += length;
                }
                Step::Record(record, length) => {
                    if !self.take(record) {
                        return used;
                    }
                    used += length;
                }
                Step::Damaged(number, length) => {
                    self.meet(number);
                    self.note_damage(used, &chunk[used..used + length]);
                    used += length;
                }
                Step::Skip(length) => {
                    let skipped = &chunk[used..used + length];
                    // A file may have grown before what was written to it reached the disk.
                    if skipped.iter().any(|byte| *byte != 0) {
                        self.damaged_end = true;
                        self.note_damage(used, skipped);
                    }
                    used += length;
                }
                Step::Incomplete => return used,
            }
        }
    }

    fn note_damage(&mut self, used: usize, bytes: &[u8]) {
        let Cursor { segment, offset, .. } = self.place;
        let offset = offset + used as u64;
        let is_full = self.damage.len() >= MAX_DAMAGE;
        match self.damage.last_mut() {
            Some(Damage { segment: same, offset: begin, bytes: earlier })
                if *same == segment
                    && *begin + earlier.len() as u64 == offset
                    && earlier.len() < READ_BYTES =>
            {
                earlier.extend_from_slice(bytes);
            }
            _ if is_full => {}
            _ => self.damage.push(Damage { segment, offset, bytes: bytes.to_vec() }),
        }
    }

    fn meet(&mut self, number: u64) {
        // A note has no number of its own, and one that is damaged or of a later release tells none.
        if number > self.place.highest {
            self.place.highest = number;
            self.damaged_end = false;
        }
    }

    /// Whether there was room for the record.
    fn take(&mut self, record: Record) -> bool {
        if let Some(gap) = Gap::noted(&record) {
            self.meet(gap.last);
            self.gone.push(gap);
            return true;
        }
        if record.number <= self.place.after {
            return true; // before what was asked for
        }
        let Some(most) = self.most else {
            self.meet(record.number);
            return true;
        };
        let over = self.bytes + record.bytes.len() > most.bytes;
        self.full = !self.found.is_empty() && (over || self.found.len() >= most.records);
        if !self.full {
            self.place.after = record.number;
            self.meet(record.number);
            self.bytes += record.bytes.len();
            self.found.push(record);
        }
        !self.full
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::super::state::MOST_OF_A_SEGMENT;
    use super::*;
    use crate::host::MemoryFiles;

    const DIR: &str = "log";

    fn note(first: u64, last: u64) -> Vec<u8> {
        format!(r#"{{"first":{first},"last":{last},"lost":"overflow"}}"#).into_bytes()
    }

    fn segment(bytes: &[u8]) -> MemoryFiles {
        let files = MemoryFiles::default();
        let whole = [FILE_HEADER.as_slice(), bytes].concat();
        files.replace(&segment_path(Path::new(DIR), 1), &whole).unwrap();
        files
    }

    fn read(files: &MemoryFiles, most: Option<Most>, place: Cursor) -> Reader<'_> {
        let mut reader = Reader::new(files, Path::new(DIR), most, place);
        let segments = [Segment { first: 1, bytes: MOST_OF_A_SEGMENT }];
        reader.read(segments.into_iter()).now_or_never().expect("memory").unwrap();
        reader
    }

    #[test]
    fn the_record_behind_many_that_are_gone_is_read_where_a_batch_ends_between_them() {
        let mut bytes = Vec::new();
        frame::encode(1, b"one", &mut bytes);
        frame::encode(0, &note(2, 2 * MAX_JUMP), &mut bytes);
        frame::encode(2 * MAX_JUMP + 1, b"next", &mut bytes);
        let files = segment(&bytes);
        let one = Some(Most { records: 1, bytes: usize::MAX });
        let first = read(&files, one, Cursor { segment: 1, ..Cursor::default() });
        let next = read(&files, one, first.place);
        assert_eq!(next.found, [Record { number: 2 * MAX_JUMP + 1, bytes: b"next".to_vec() }]);
    }

    #[test]
    fn what_is_damaged_at_the_end_is_one_record_though_a_note_follows_that_tells_nothing() {
        let mut whole = Vec::new();
        frame::encode(1, b"one", &mut whole);
        let end = whole.len();
        frame::encode(2, b"two", &mut whole);
        whole[end + 8] ^= 1; // its header can't be read
        for tells_nothing in [b"{}".as_slice(), note(2, 2).as_slice()] {
            let mut bytes = whole.clone();
            frame::encode(0, tells_nothing, &mut bytes);
            if tells_nothing != b"{}" {
                *bytes.last_mut().unwrap() ^= 1;
            }
            let files = segment(&bytes);
            assert_eq!(read(&files, None, Cursor::default()).last(), 2);
        }
    }
}
