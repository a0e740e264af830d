//! What the core says of its work, as records of Python's logger `cloudnestle_marketplace`.
//!
//! The core logs from threads of its own and with locks held, where nobody may wait for the interpreter. So its records
//! wait here until the next call of the SDK, which emits them before it begins, or for the program's end. A forked
//! child does not log what its parent's core has done. Of secrets the core logs nothing.

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
static QUEUE: Mutex<VecDeque<LogRecord>> = Mutex::new(VecDeque::new());

struct LogRecord {
    level: Level,
    message: String,
}

/// Has the core listened to, from the first SDK on.
pub(crate) fn listen() {
    let _ = tracing::subscriber::set_global_default(Listener); // it is, already
}

/// Logs what has waited. To be called with no lock held.
///
/// # Errors
/// Who interrupts the program meanwhile.
pub(crate) fn emit(py: Python<'_>) -> PyResult<()> {
    if !WAITING.load(Ordering::Relaxed) {
        return Ok(());
    }
    WAITING.store(false, Ordering::Release);
    let records = queue().map(|mut queue| std::mem::take(&mut *queue)).unwrap_or_default();
    match log(py, &records) {
        Err(error) if error.is_instance_of::<PyException>(py) => {
            error.write_unraisable(py, None);
            Ok(())
        }
        logged => logged,
    }
}

/// In a forked child: what waits is its parent's to log.
pub(crate) fn forget() {
    if let Some(mut queue) = queue() {
        queue.clear();
    }
}

/// Nobody has it for long, unless a thread had it that is not in this forked child: then nothing is logged here.
fn queue() -> Option<MutexGuard<'static, VecDeque<LogRecord>>> {
    (0..TRIES).find_map(|_| match QUEUE.try_lock() {
        Ok(queue) => Some(queue),
        Err(TryLockError::Poisoned(queue)) => Some(queue.into_inner()),
        Err(TryLockError::WouldBlock) => {
            thread::yield_now();
            None
        }
    })
}

fn log(py: Python<'_>, records: &VecDeque<LogRecord>) -> PyResult<()> {
    // Who has not imported `logging` looks for no details.
    let is_detail = records.iter().all(|record| record.level > Level::WARN);
    if is_detail && !py.import("sys")?.getattr("modules")?.contains("logging")? {
        return Ok(());
    }
    let logger = py.import("logging")?.call_method1("getLogger", (NAME,))?;
    for LogRecord { level, message } in records {
        logger.call_method1("log", (number_of(*level), "%s", message))?;
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
        let mut message = String::new();
        event.record(&mut Message(&mut message));
        let record = LogRecord { level: *event.metadata().level(), message };
        if let Some(mut queue) = queue() {
            if queue.len() >= BUFFER {
                queue.pop_front();
            }
            queue.push_back(record);
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
struct Message<'a>(&'a mut String);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let Message(text) = self;
        let _ = match field.name() {
            "message" => write!(text, "{value:?}"),
            name => write!(text, " {name}={value:?}"),
        }; // a String takes all
    }
}
