//! What the server was asked, and how it answered: enough for a test to see what a client sent, and whether
//! it called once, or retried, or kept silent.
//!
//! A call is kept as it came, in memory alone, because taking secrets out of it costs time and most calls are
//! never looked at. Nobody is shown it so: whoever looks gets it through the [`Redactor`], and what is kept
//! has neither a `Debug` nor a JSON form that tells of it.

mod curl;
mod redaction;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::Timestamp;
use serde::Serialize;
use serde_json::Value;

pub(crate) use redaction::Redactor;

/// How many calls are kept; older ones are forgotten.
const CAPACITY: usize = 10_000;
/// What is kept may take so many bytes, or older calls are forgotten: 10,000 of ordinary size.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// How much of a body is kept: that of any call but long ranges of usage.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;

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
    /// The status it was answered with; `None` if it got no answer.
    pub status: Option<u16>,
    /// The code it was refused with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// The call's id.
    pub request_id: String,
    /// What was done to it on purpose: `flt_1: reset after_commit`, `outage`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Why it got no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unanswered: Option<Unanswered>,
    /// The test that made it, as its header `CloudNestle-Test` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<String>,
}

/// Why a call got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unanswered {
    /// The connection was reset on purpose.
    Reset,
    /// The connection was closed on purpose, and nothing was said.
    Closed,
    /// What was said was no HTTP, on purpose.
    Garbled,
    /// The client closed the connection before there was an answer.
    ClientLeft,
}

/// One call of the API, whole: with what was sent and what was answered. Secrets are replaced by what they
/// are and a fingerprint, `[secret key 3f9a1c]`, the same one for the same secret as long as the world is
/// the same; so are e-mail addresses, and the server's URL is `$CLOUDNESTLE_URL`.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[non_exhaustive]
pub struct JournalCall {
    /// When, what, and how it ended.
    #[serde(flatten)]
    pub entry: JournalEntry,
    /// What was sent.
    pub request: RecordedRequest,
    /// What was answered, unless it got no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<RecordedAnswer>,
}

/// What a client sent.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[non_exhaustive]
pub struct RecordedRequest {
    /// `POST`
    pub method: String,
    /// The path as it was asked for, decoded: `/api/quotas/cus_ravi/sol_faiss_search`.
    pub path: String,
    /// What came after the `?`, decoded.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// The headers, but for those that tell of the connection: `host`, `content-length`, forwarding.
    pub headers: BTreeMap<String, String>,
    /// The body, if it is JSON, or text without a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// That there is more of the body than is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_shown: Option<NotShown>,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[non_exhaustive]
pub struct RecordedAnswer {
    /// The headers, but for those that tell of the connection.
    pub headers: BTreeMap<String, String>,
    /// The body, if it is JSON, or text without a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// That there is more of the body than is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_shown: Option<NotShown>,
}

/// What is not shown of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[non_exhaustive]
pub struct NotShown {
    /// How long the whole body is, as it was sent.
    pub bytes: u64,
    /// Why not all of it is shown.
    pub because: Because,
}

/// Why a body is not shown, or not all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Because {
    /// Only its first 64 KiB are kept.
    TooLong,
    /// The call was over before all of it was read.
    Unread,
    /// It is neither JSON nor text without a secret.
    NotJson,
}

/// A call as it came, secrets and all.
pub(crate) struct Recorded {
    pub entry: JournalEntry,
    /// `POST`
    pub method: &'static str,
    /// Path and query.
    pub uri: String,
    pub request: Message,
    pub answer: Option<Message>,
}

/// What was sent, or answered.
#[derive(Default)]
pub(crate) struct Message {
    /// A line for each: `content-type: application/json`.
    pub headers: String,
    pub body: KeptBody,
}

/// What is kept of a body.
#[derive(Default)]
pub(crate) struct KeptBody {
    /// At most the first [`MAX_BODY_BYTES`].
    pub begin: Vec<u8>,
    /// How long it is, as far as that is known.
    pub bytes: u64,
    /// Whether it came to its end.
    pub has_ended: bool,
}

impl KeptBody {
    /// Adds what comes next.
    pub(crate) fn append(&mut self, data: &[u8]) {
        self.bytes += data.len() as u64;
        let room = MAX_BODY_BYTES - self.begin.len();
        self.begin.extend_from_slice(&data[..data.len().min(room)]);
    }
}

impl Recorded {
    /// About as much memory as it takes.
    fn bytes(&self) -> usize {
        let of = |message: &Message| message.headers.capacity() + message.body.begin.capacity();
        let own = size_of::<Self>() + self.uri.capacity() + self.entry.operation.capacity();
        own + of(&self.request) + self.answer.as_ref().map_or(0, of)
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recorded({:?})", self.entry)
    }
}

/// A ring of calls.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    calls: VecDeque<Arc<Recorded>>,
    bytes: usize,
    last_seq: u64,
}

impl State {
    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.calls.pop_front() {
            self.bytes -= oldest.bytes();
        }
    }
}

impl Journal {
    /// Appends a call, giving it its number.
    pub(crate) fn push(&self, mut call: Recorded) {
        let bytes = call.bytes();
        let mut state = self.state();
        state.last_seq += 1;
        call.entry.seq = state.last_seq;
        state.bytes += bytes;
        state.calls.push_back(Arc::new(call));
        while state.calls.len() > CAPACITY || state.bytes > MAX_BYTES {
            state.forget_oldest();
        }
    }

    /// All that is kept, oldest first.
    pub(crate) fn entries(&self) -> Vec<JournalEntry> {
        self.state().calls.iter().map(|call| call.entry.clone()).collect()
    }

    /// The calls that are kept of those after a number, oldest first.
    pub(crate) fn after(&self, seq: u64) -> Vec<Arc<Recorded>> {
        let state = self.state();
        let begin = state.calls.partition_point(|call| call.entry.seq <= seq);
        state.calls.range(begin..).cloned().collect()
    }

    /// The oldest call that is kept of those after a number.
    pub(crate) fn next_after(&self, seq: u64) -> Option<Arc<Recorded>> {
        let state = self.state();
        let begin = state.calls.partition_point(|call| call.entry.seq <= seq);
        state.calls.get(begin).cloned()
    }

    /// The call of that number, if it is still kept.
    pub(crate) fn get(&self, seq: u64) -> Option<Arc<Recorded>> {
        self.next_after(seq.checked_sub(1)?).filter(|call| call.entry.seq == seq)
    }

    /// How many are kept.
    pub(crate) fn len(&self) -> usize {
        self.state().calls.len()
    }

    /// Forgets everything but how many calls there were.
    pub(crate) fn clear(&self) {
        let mut state = self.state();
        state.calls.clear();
        state.bytes = 0;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(request_id: &str, body: &[u8]) -> Recorded {
        let entry = JournalEntry {
            seq: 0,
            at: Timestamp::from_millis(0),
            operation: "POST /a".to_owned(),
            status: Some(200),
            code: None,
            request_id: request_id.to_owned(),
            fault: None,
            unanswered: None,
            test: None,
        };
        let body = KeptBody { begin: body.to_vec(), bytes: body.len() as u64, has_ended: true };
        let request = Message { headers: String::new(), body };
        Recorded { entry, method: "POST", uri: "/a".to_owned(), request, answer: None }
    }

    #[test]
    fn a_full_journal_forgets_its_oldest_call() {
        let journal = Journal::default();
        for n in 0..CAPACITY + 3 {
            journal.push(call(&n.to_string(), b""));
        }
        let entries = journal.entries();
        assert_eq!((entries.len(), journal.len()), (CAPACITY, CAPACITY));
        assert_eq!((entries[0].seq, entries[0].request_id.as_str()), (4, "3"));
        journal.clear();
        assert!(journal.entries().is_empty());
        journal.push(call("next", b""));
        assert_eq!(journal.entries()[0].seq, CAPACITY as u64 + 4);
    }

    #[test]
    fn long_bodies_leave_room_for_fewer_calls_and_always_for_the_last() {
        let journal = Journal::default();
        let body = vec![b' '; MAX_BODY_BYTES];
        for n in 0..1000 {
            journal.push(call(&n.to_string(), &body));
            let bytes: usize = journal.after(0).iter().map(|call| call.bytes()).sum();
            assert_eq!(bytes, journal.state().bytes);
            assert!(bytes <= MAX_BYTES);
        }
        assert!((200..256).contains(&journal.len()), "{}", journal.len());
        assert_eq!(journal.entries().last().map(|entry| entry.seq), Some(1000));
    }

    #[test]
    fn a_call_is_found_by_its_number_until_it_is_forgotten() {
        let journal = Journal::default();
        for n in 1..=CAPACITY + 10 {
            journal.push(call(&n.to_string(), b""));
        }
        let found = |seq| journal.get(seq).map(|call| call.entry.request_id.clone());
        assert_eq!(found(11).as_deref(), Some("11"));
        assert_eq!([found(0), found(10), found(CAPACITY as u64 + 11)], [None, None, None]);
        assert_eq!(journal.next_after(3).map(|call| call.entry.seq), Some(11));
        assert_eq!(journal.after(CAPACITY as u64 + 8).len(), 2);
    }

    #[test]
    fn what_is_kept_prints_nothing_of_what_was_sent() {
        let journal = Journal::default();
        journal.push(call("req_1", b"cnsk_test_secret"));
        assert!(!format!("{journal:?}").contains("cnsk"));
    }
}
