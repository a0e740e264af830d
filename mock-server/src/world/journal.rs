//! What the server was asked, and how it answered: enough for a test to see that a client called
//! once, or retried, or kept silent. No bodies and no credentials.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::Timestamp;
use serde::Serialize;

/// How many entries are kept; older ones are forgotten.
const CAPACITY: usize = 10_000;

/// One call of the API. Calls of `/mock`, of the API page and of `/healthz` are not in the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[non_exhaustive]
pub struct JournalEntry {
    /// Counts the calls, from 1.
    pub seq: u64,
    /// When it was answered, by the server's clock.
    pub at: Timestamp,
    /// Method and path, with the path's parameters in braces: `POST /api/track-usage`.
    pub operation: String,
    /// The status it was answered with; `None` if the connection was reset instead.
    pub status: Option<u16>,
    /// The code it was refused with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// The call's id.
    pub request_id: String,
    /// What was done to it on purpose: `reset after_commit`, `outage`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// A ring of entries.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<JournalEntry>,
    last_seq: u64,
}

impl Journal {
    /// Appends an entry, giving it its number.
    pub(crate) fn push(&self, entry: JournalEntry) {
        let mut state = self.state();
        state.last_seq += 1;
        let seq = state.last_seq;
        if state.entries.len() == CAPACITY {
            state.entries.pop_front();
        }
        state.entries.push_back(JournalEntry { seq, ..entry });
    }

    /// All that is kept, oldest first.
    pub(crate) fn entries(&self) -> Vec<JournalEntry> {
        self.state().entries.iter().cloned().collect()
    }

    /// How many are kept.
    pub(crate) fn len(&self) -> usize {
        self.state().entries.len()
    }

    /// Forgets everything but how many calls there were.
    pub(crate) fn clear(&self) {
        self.state().entries.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_journal_forgets_its_oldest_entry() {
        let journal = Journal::default();
        for n in 0..CAPACITY + 3 {
            journal.push(JournalEntry {
                seq: 0,
                at: Timestamp::from_millis(0),
                operation: "GET /a".to_owned(),
                status: Some(200),
                code: None,
                request_id: n.to_string(),
                fault: None,
            });
        }
        let entries = journal.entries();
        assert_eq!((entries.len(), journal.len()), (CAPACITY, CAPACITY));
        assert_eq!((entries[0].seq, entries[0].request_id.as_str()), (4, "3"));
        journal.clear();
        assert!(journal.entries().is_empty());
    }
}
