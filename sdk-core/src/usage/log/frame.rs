//! How a record lies in a segment file. Version 1:
//!
//! ```text
//! file    "CNSPOOL" version=1                        8 bytes
//! frame   marker  length  number  crc of the record  crc of this header   24 bytes, then the record
//!         u32     u32     u64     u32                u32                  little endian, CRC-32C
//! ```
//!
//! The marker and the header's own checksum let a reader find the next whole frame behind a
//! damaged one.

use super::Record;

pub(super) const FILE_HEADER: [u8; 8] = *b"CNSPOOL\x01";
pub(super) const HEADER_BYTES: usize = 24;

/// The largest record. The largest usage event has 20 texts of 500 bytes, each of which JSON may
/// write as six, and fits.
pub(super) const MAX_RECORD_BYTES: usize = 128 * 1024;

/// The largest number: what JavaScript's numbers hold exactly, as the wire has them.
pub(super) const MAX_NUMBER: u64 = (1 << 53) - 1;

pub(super) const MARKER: [u8; 4] = [0xC1, 0x0D, 0x4E, 0x57];

pub(super) fn encode(number: u64, record: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&MARKER);
    out.extend_from_slice(&(record.len() as u32).to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(record).to_le_bytes());
    let header_crc = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(&header_crc.to_le_bytes());
    out.extend_from_slice(record);
}

/// One step of reading.
pub(super) enum Step {
    /// A whole record; the next frame begins after so many bytes.
    Record(Record, usize),
    /// The record of that number is damaged; the next frame begins after so many bytes.
    Damaged(u64, usize),
    /// So many bytes are no frame; try behind them.
    Skip(usize),
    /// The bytes begin as a frame does, which goes on behind their end. Behind the end of a file,
    /// that is a write that was torn.
    Incomplete,
}

pub(super) fn decode(bytes: &[u8]) -> Step {
    if !may_begin_here(bytes) {
        return Step::Skip(next_beginning(bytes));
    }
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return Step::Incomplete };
    let word = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let length = word(4) as usize;
    let number = u64::from(word(8)) | u64::from(word(12)) << 32;
    let sound = crc32c::crc32c(&header[..20]) == word(20);
    if !sound || length > MAX_RECORD_BYTES || number > MAX_NUMBER {
        return Step::Skip(next_beginning(bytes));
    }
    let Some(record) = bytes.get(HEADER_BYTES..HEADER_BYTES + length) else {
        return Step::Incomplete;
    };
    if crc32c::crc32c(record) != word(16) {
        return Step::Damaged(number, HEADER_BYTES + length);
    }
    Step::Record(Record { number, bytes: record.to_vec() }, HEADER_BYTES + length)
}

/// Where the next frame may begin, not counting the one at 0.
fn next_beginning(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(found) = bytes.get(at..).and_then(first_of_marker) {
        at += found;
        if may_begin_here(&bytes[at..]) {
            return at;
        }
        at += 1;
    }
    bytes.len()
}

fn first_of_marker(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == MARKER[0])
}

/// Whether bytes begin with the marker, or with as much of it as they are long.
fn may_begin_here(bytes: &[u8]) -> bool {
    let seen = bytes.len().min(MARKER.len());
    bytes[..seen] == MARKER[..seen]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads everything, as a log does that nothing is appended to any more.
    fn read(mut bytes: &[u8]) -> Vec<Record> {
        let mut records = Vec::new();
        loop {
            match decode(bytes) {
                Step::Record(record, length) => {
                    records.push(record);
                    bytes = &bytes[length..];
                }
                Step::Damaged(_, length) | Step::Skip(length) => bytes = &bytes[length..],
                Step::Incomplete => return records,
            }
        }
    }

    fn three_frames() -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, record) in [(1, "one"), (2, "two"), (3, "three")] {
            encode(number, record.as_bytes(), &mut bytes);
        }
        bytes
    }

    #[test]
    fn what_was_written_is_read() {
        let numbers: Vec<u64> = read(&three_frames()).iter().map(|record| record.number).collect();
        assert_eq!(numbers, [1, 2, 3]);
    }

    #[test]
    fn a_flipped_bit_costs_its_own_record_and_invents_none() {
        let whole = three_frames();
        let written = read(&whole);
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                let left = read(&damaged);
                assert!(left.iter().all(|record| written.contains(record)), "byte {at} bit {bit}");
                assert_eq!(left.len(), 2, "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn a_torn_end_costs_the_torn_record_alone() {
        let whole = three_frames();
        for length in 0..whole.len() {
            let left = read(&whole[..length]);
            assert_eq!(left, read(&whole)[..left.len()]);
        }
        assert_eq!(read(&whole[..whole.len() - 1]).len(), 2);
    }
}
