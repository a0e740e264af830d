//! Bytes that somebody made up, read as a log is: what comes of them must be what was written, or nothing.

use std::collections::{BTreeMap, VecDeque};

use super::Gap;
use super::Record;
use super::frame::{self, FILE_HEADER, MARKER, MAX_NUMBER, MAX_RECORD_BYTES, Step};
use super::gone::NOTE;
use super::reader::{MAX_JUMP, READ_BYTES};
use crate::model::LossReason;

/// Reads bytes as the frames of a segment: every step goes on, and a record is one whose frame is there.
pub(crate) fn frames(bytes: &[u8]) {
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        let length = match frame::decode(rest) {
            Step::Record(Record { number, bytes }, length) => {
                let mut written = Vec::new();
                frame::encode(number, &bytes, &mut written);
                assert_eq!(written, rest[..length], "a record that was never written");
                length
            }
            Step::Damaged(number, length) => {
                assert!(number <= MAX_NUMBER, "a number that JavaScript can't hold");
                length
            }
            // Of nothing, nothing is left.
            Step::Skip(0) => panic!("a step that does not go on"),
            Step::Skip(length) => length,
            Step::Incomplete => return,
        };
        at += length;
        assert!(at <= bytes.len(), "a step beyond the end");
    }
}

/// Segments as they lie in a folder, and what a reader has to make of them.
#[derive(Default)]
pub(crate) struct Segments {
    /// By the number in the file's name.
    pub(crate) files: BTreeMap<u64, Vec<u8>>,
    written: BTreeMap<u64, Vec<Written>>,
    /// All that was written is whole frames, or frames whose record alone is damaged: then it is known which
    /// records must be found.
    is_known: bool,
    /// The segment that is written to, and the next number.
    open: u64,
    next: u64,
}

/// What was written to a segment.
enum Written {
    Whole(Record),
    Damaged(u64),
    Noted(Gap),
}

impl Segments {
    /// Writes what a recipe says: each step is a byte and what it takes.
    pub(crate) fn of(recipe: &[u8]) -> Segments {
        let mut recipe = Recipe(recipe.iter().copied().collect());
        let mut segments = Segments { is_known: true, next: 1, ..Segments::default() };
        segments.begin(1);
        while let Some(step) = recipe.byte() {
            match step % 10 {
                0 => segments.put_raw(&recipe.piece()),
                1 => segments.put(Record { number: recipe.number(), bytes: recipe.piece() }),
                2 => segments.put_note(&mut recipe),
                3 => segments.put_damaged(recipe.number(), &recipe.piece()),
                4 => segments.put_headless(recipe.number(), &recipe.piece()),
                5 => segments.begin(recipe.number().clamp(1, MAX_NUMBER)),
                6 => segments.cut(recipe.byte().unwrap_or(0)),
                7 => {
                    let number = segments.next;
                    let bytes: usize = segments.files.values().map(Vec::len).sum();
                    let is_large = bytes > 2 * READ_BYTES;
                    let most = if is_large { 1 } else { MAX_RECORD_BYTES / 255 };
                    let bytes = vec![b' '; most * usize::from(recipe.byte().unwrap_or(0))];
                    segments.put(Record { number, bytes });
                }
                _ => {
                    let number = segments.next;
                    segments.put(Record { number, bytes: recipe.piece() });
                }
            }
        }
        segments
    }

    fn begin(&mut self, first: u64) {
        self.open = first;
        self.files.entry(first).or_insert_with(|| FILE_HEADER.to_vec());
        self.written.entry(first).or_default();
    }

    fn bytes(&mut self) -> &mut Vec<u8> {
        self.files.entry(self.open).or_default()
    }

    fn tell(&mut self, written: Written) {
        self.written.entry(self.open).or_default().push(written);
    }

    fn put(&mut self, record: Record) {
        frame::encode(record.number, &record.bytes, self.bytes());
        self.next = record.number.saturating_add(1).min(MAX_NUMBER);
        let written = match Gap::noted(&record) {
            Some(gap) => Written::Noted(gap),
            None => Written::Whole(record),
        };
        self.tell(written);
    }

    fn put_note(&mut self, recipe: &mut Recipe) {
        let first = recipe.number();
        let last = first.saturating_add(u64::from(recipe.byte().unwrap_or(0)));
        let reasons = [LossReason::Overflow, LossReason::Expired, LossReason::Unacknowledged];
        let lost = reasons[usize::from(recipe.byte().unwrap_or(0)) % reasons.len()];
        let gap = serde_json::to_vec(&Gap { first, last, lost }).expect("it has a form in JSON");
        let next = self.next;
        self.put(Record { number: NOTE, bytes: gap });
        self.next = next.max(last.saturating_add(1)).min(MAX_NUMBER);
    }

    /// A frame of which one bit of the record is another.
    fn put_damaged(&mut self, number: u64, record: &[u8]) {
        if record.is_empty() {
            return;
        }
        frame::encode(number, record, self.bytes());
        if let Some(last) = self.bytes().last_mut() {
            *last ^= 1;
        }
        self.tell(Written::Damaged(number));
    }

    /// A frame of which one bit of the header is another.
    fn put_headless(&mut self, number: u64, record: &[u8]) {
        let at = self.bytes().len();
        frame::encode(number, record, self.bytes());
        self.bytes()[at + 8] ^= 1;
        self.is_known = false; // what is behind it may be in the middle of a record
    }

    fn put_raw(&mut self, bytes: &[u8]) {
        self.bytes().extend_from_slice(bytes);
        self.is_known = false;
    }

    fn cut(&mut self, bytes: u8) {
        let left = self.bytes().len().saturating_sub(usize::from(bytes));
        self.bytes().truncate(left);
        self.is_known = false;
    }

    /// Whether each of these records was ever written.
    pub(crate) fn have(&self, records: &[Record]) -> bool {
        let begins = |file: &Vec<u8>, at| file[at..].starts_with(&MARKER);
        let begin = |file| (0..Vec::len(file)).filter(move |at| begins(file, *at));
        let frames = self.files.values().flat_map(|file| begin(file).map(move |at| &file[at..]));
        let frames: Vec<&[u8]> = frames.collect();
        records.iter().all(|record| {
            let mut frame = Vec::new();
            frame::encode(record.number, &record.bytes, &mut frame);
            frames.iter().any(|bytes| bytes.starts_with(&frame))
        })
    }

    /// The records that have to be found, in order, and the last number that has to be answered for; nothing
    /// where what was written may be read in more than one way.
    pub(crate) fn expected(&self) -> Option<(Vec<Record>, u64)> {
        let (mut found, mut after, mut highest) = (Vec::new(), 0, 0_u64);
        let mut before = None::<u64>;
        for (first, written) in self.written.iter().filter(|_| self.is_known) {
            if before.is_some_and(|before| first - before > MAX_JUMP) {
                break;
            }
            before = Some(*first);
            highest = highest.max(first - 1);
            for written in written {
                match written {
                    Written::Whole(record) if record.number > highest.max(after) + MAX_JUMP => {}
                    Written::Whole(record) => {
                        highest = highest.max(record.number);
                        if record.number > after {
                            after = record.number;
                            found.push(record.clone());
                        }
                    }
                    Written::Damaged(number) => highest = highest.max(*number),
                    Written::Noted(gap) => highest = highest.max(gap.last),
                }
            }
        }
        self.is_known.then_some((found, highest))
    }
}

/// Bytes that are taken from the front; there are none at the end.
struct Recipe(VecDeque<u8>);

impl Recipe {
    fn byte(&mut self) -> Option<u8> {
        self.0.pop_front()
    }

    /// Small ones, mostly, and every power of two.
    fn number(&mut self) -> u64 {
        let mut byte = || u64::from(self.byte().unwrap_or(0));
        let (mantissa, shift) = (byte() | byte() << 8, byte());
        let shift = if shift < 128 { 0 } else { shift % 40 };
        (mantissa << shift).min(MAX_NUMBER)
    }

    fn piece(&mut self) -> Vec<u8> {
        let length = usize::from(self.byte().unwrap_or(0)).min(self.0.len());
        self.0.drain(..length).collect()
    }
}
