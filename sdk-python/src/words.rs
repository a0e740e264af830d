//! What the core says of its work, as records of Python's logger `cloudnestle_marketplace`.
//!
//! The core speaks from threads of its own and with locks held, where nobody may wait for the interpreter. So its words
//! wait here until the next call of the SDK, which hands them over before it begins, or for the program's end. A forked
//! child does not say what its parent's core has said. Of secrets the core says nothing.

use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{LazyLock, Mutex, PoisonError};

use pyo3::prelude::*;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// The logger, and the crate that is listened to.
const NAME: &str = "cloudnestle_marketplace";

/// So many wait at most.
const BUFFER: usize = 256;

/// Takes no lock where nobody blocks on it.
struct Queue {
    say: SyncSender<Words>,
    /// Locked with the interpreter held, and nothing of Python's within: nobody forks meanwhile.
    said: Mutex<Receiver<Words>>,
}

static QUEUE: LazyLock<Queue> = LazyLock::new(|| {
    let (say, said) = sync_channel(BUFFER);
    Queue { say, said: Mutex::new(said) }
});
static WAITING: AtomicBool = AtomicBool::new(false);
/// How many there was no room for.
static UNSAID: AtomicU64 = AtomicU64::new(0);

struct Words {
    level: Level,
    text: String,
}

/// Has the core listened to, from the first SDK on.
pub(crate) fn listen() {
    LazyLock::force(&QUEUE);
    let _ = tracing::subscriber::set_global_default(Listener); // it is, already
}

/// Says what has waited. To be called with no lock held.
pub(crate) fn hand_over(py: Python<'_>) {
    if WAITING.load(Ordering::Relaxed)
        && let Err(error) = say(py, &taken())
    {
        error.write_unraisable(py, None);
    }
}

/// In a forked child: what waits is its parent's to say.
pub(crate) fn forget() {
    taken();
}

fn taken() -> Vec<Words> {
    WAITING.store(false, Ordering::Release);
    let said = QUEUE.said.lock().unwrap_or_else(PoisonError::into_inner);
    let mut words: Vec<_> = said.try_iter().collect();
    let unsaid = UNSAID.swap(0, Ordering::Relaxed);
    if unsaid > 0 {
        words.push(Words { level: Level::WARN, text: format!("{unsaid} more were not said") });
    }
    words
}

fn say(py: Python<'_>, words: &[Words]) -> PyResult<()> {
    // Who has not imported it does not look for what is of no consequence.
    let may_wait = words.iter().all(|words| words.level > Level::WARN);
    if may_wait && !py.import("sys")?.getattr("modules")?.contains("logging")? {
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
        if QUEUE.say.try_send(words).is_err() {
            UNSAID.fetch_add(1, Ordering::Relaxed);
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
