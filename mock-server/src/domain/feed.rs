//! The revocation feed: what has changed about a solution's tokens, in order, for programs that judge
//! tokens by themselves.
//!
//! Each solution has one. A change gets its version in the commit that makes it true, on condition
//! that nobody else has taken that version: there are no gaps, and whoever has read up to a version
//! has missed nothing before it. A change is dropped when the last token it concerns has ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a solution's feed stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FeedHead {
    /// The version of the newest change; 0 before the first.
    pub version: u64,
    /// The version up to which changes have been dropped.
    pub dropped: u64,
}

/// How far a reader has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FeedCursor<'a> {
    pub generation: &'a str,
    pub version: u64,
}

/// From where on a reader is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadOn {
    /// What came after this version.
    After(u64),
    /// Everything that is kept.
    Snapshot,
}

impl FeedHead {
    /// The version of one more change.
    pub(crate) fn next(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// From where on somebody is told who has a cursor. One of another generation may name versions
    /// that were never reached here, or that meant something else.
    pub(crate) fn read_on(&self, generation: &str, cursor: Option<FeedCursor<'_>>) -> ReadOn {
        match cursor {
            Some(cursor)
                if cursor.generation == generation
                    && (self.dropped..=self.version).contains(&cursor.version) =>
            {
                ReadOn::After(cursor.version)
            }
            _ => ReadOn::Snapshot,
        }
    }
}

impl<'a> FeedCursor<'a> {
    /// `None` for what is no cursor.
    pub(crate) fn parse(text: &'a str) -> Option<FeedCursor<'a>> {
        let (generation, version) = text.rsplit_once('.')?;
        Some(FeedCursor { generation, version: version.parse().ok()? })
    }
}

impl fmt::Display for FeedCursor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.generation, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_as_it_is_written() {
        let cursor = FeedCursor { generation: "gen_a", version: 7 };
        assert_eq!(FeedCursor::parse(&cursor.to_string()), Some(cursor));
        for text in ["", "gen_a", "gen_a.", "gen_a.x", "gen_a.-1"] {
            assert_eq!(FeedCursor::parse(text), None, "{text}");
        }
    }

    #[test]
    fn who_can_not_be_told_the_difference_is_told_everything() {
        let head = FeedHead { version: 9, dropped: 4 };
        let read_on = |text| head.read_on("gen_b", FeedCursor::parse(text));
        assert_eq!(read_on("gen_b.9"), ReadOn::After(9), "up to date");
        assert_eq!(read_on("gen_b.4"), ReadOn::After(4), "the first that is kept comes next");
        assert_eq!(read_on("gen_b.3"), ReadOn::Snapshot, "too old");
        assert_eq!(read_on("gen_b.10"), ReadOn::Snapshot, "of the future");
        assert_eq!(read_on("gen_a.9"), ReadOn::Snapshot, "of another generation");
        assert_eq!(read_on("garbage"), ReadOn::Snapshot);
    }
}
