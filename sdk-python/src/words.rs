//! What the core says of its work, as records of Python's logger `cloudnestle_marketplace`.
//!
//! The core speaks from threads of its own and with locks held, where nobody may wait for the interpreter. So its words
//! wait here until the next call of the SDK, which hands them over before it begins, or for the program's end. A forked
//! child does not say what its parent's core has said. Of secrets the core says nothing.

use std::collections::VecDeque;
use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::thread;

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// The logger, and the crate that is listened to.
const NAME: &str = "cloudnestle_marketplace";

/// So often is tried to get at the queue.
const TRIES: usize = 100;

/// So many wait at most; of more, the latest.
const BUFFER: usize = 256;

static WAITING: AtomicBool = AtomicBool::new(false);
static QUEUE: Mutex<VecDeque<Words>> = Mutex::new(VecDeque::new());

struct Words {
    level: Level,
    text: String,
}

/// Has the core listened to, from the first SDK on.
pub(crate) fn listen() {
    let _ = tracing::subscriber::set_global_default(Listener); // it is, already
}

/// Says what has waited. To be called with no lock held.
///
/// # Errors
/// Who interrupts the program while it is said.
pub(crate) fn hand_over(py: Python<'_>) -> PyResult<()> {
    if !WAITING.load(Ordering::Relaxed) {
        return Ok(());
    }
    WAITING.store(false, Ordering::Release);
    let words = queue().map(|mut queue| std::mem::take(&mut *queue)).unwrap_or_default();
    match say(py, &words) {
        Err(error) if error.is_instance_of::<PyException>(py) => {
            error.write_unraisable(py, None);
            Ok(())
        }
        said => said,
    }
}

/// In a forked child: what waits is its parent's to say.
pub(crate) fn forget() {
    if let Some(mut queue) = queue() {
        queue.clear();
    }
}

/// Nobody has it for long, unless a thread had it that is not in this forked child: then nothing is said here.
fn queue() -> Option<MutexGuard<'static, VecDeque<Words>>> {
    (0..TRIES).find_map(|_| match QUEUE.try_lock() {
        Ok(queue) => Some(queue),
        Err(TryLockError::Poisoned(queue)) => Some(queue.into_inner()),
        Err(TryLockError::WouldBlock) => {
            thread::yield_now();
            None
        }
    })
}

fn say(py: Python<'_>, words: &VecDeque<Words>) -> PyResult<()> {
    // Who has not imported it does not look for what is of no consequence.
    let is_of_no_consequence = words.iter().all(|words| words.level > Level::WARN);
    if is_of_no_consequence && !py.import("sys")?.getattr("modules")?.contains("logging")? {
        return Ok(());
    }
    let logger = py.import("logging")?.call_method1("getLogger", (NAME,))?;
    for Words { level, text } in words {
        logger.call_method1("log", (number_of(*level), "%s", text))?;
    }
    Ok(())
}

/// As Python counts levels.
fn number_of(level: Level) -> u8 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        _ => 10,
    }
}

struct Listener;

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let of_ours = metadata.target().strip_prefix(NAME);
        let is_of_ours = of_ours.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
        is_of_ours && metadata.is_event()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = String::new();
        event.record(&mut Sentence(&mut text));
        let words = Words { level: *event.metadata().level(), text };
        if let Some(mut queue) = queue() {
            if queue.len() >= BUFFER {
                queue.pop_front();
            }
            queue.push_back(words);
        }
        WAITING.store(true, Ordering::Release);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1) // the core has none
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The message, and then the fields by their names.
struct Sentence<'a>(&'a mut String);

impl Visit for Sentence<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let Sentence(text) = self;
        let _ = match field.name() {
            "message" => write!(text, "{value:?}"),
            name => write!(text, " {name}={value:?}"),
        }; // a String takes all
    }
}
