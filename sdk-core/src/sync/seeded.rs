//! What is in `sync`, as shuttle has it: before each of these another thread may go on.

use std::sync::atomic::Ordering;

use event_listener::{Event, EventListener};

pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU64};
pub(crate) use shuttle::sync::{Mutex, MutexGuard, RwLock};

/// A signal. Within `listen` and `notify` nobody else goes on: those are event-listener's to prove.
pub(crate) struct Signal(Event);

impl Signal {
    pub(crate) fn new() -> Self {
        Signal(Event::new())
    }

    pub(crate) fn listen(&self) -> EventListener {
        others_may_go_on();
        self.0.listen()
    }

    pub(crate) fn notify(&self, listeners: usize) -> usize {
        others_may_go_on();
        self.0.notify(listeners)
    }
}

/// A place where the thread may be stopped, for as long as it takes others to do anything.
pub(crate) fn others_may_go_on() {
    AtomicBool::new(false).load(Ordering::SeqCst);
}
