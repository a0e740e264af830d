//! Runs futures on JavaScript's one thread.
//!
//! wasm-bindgen has an executor of its own, whose turns nobody can guard: a panic in one would end a Node
//! program. Here every turn is a call of [`Core::run`](crate::Core::run), made by the face.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::future::BoxFuture;

use crate::js::JsHost;

pub(crate) struct Tasks {
    js: Arc<JsHost>,
    queue: Mutex<VecDeque<Arc<Task>>>,
    /// Those that have begun and are not over, by their numbers: what they wait for holds them, and they hold that.
    open: Mutex<HashMap<u32, Weak<Task>>>,
    last: AtomicU32,
    /// A turn is on its way.
    soon: AtomicBool,
    /// There are no more turns.
    ended: AtomicBool,
}

/// A future that is run to its end, or until it is cancelled.
pub(crate) struct Task {
    tasks: Arc<Tasks>,
    number: u32,
    /// `None` while it is being polled, and when it is over.
    future: Mutex<Option<BoxFuture<'static, ()>>>,
    queued: AtomicBool,
    cancelled: AtomicBool,
}

impl Tasks {
    pub(crate) fn new(js: Arc<JsHost>) -> Arc<Self> {
        Arc::new(Tasks {
            js,
            queue: Mutex::default(),
            open: Mutex::default(),
            last: AtomicU32::new(0),
            soon: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        })
    }

    /// Runs a future from the next turn on.
    pub(crate) fn spawn(self: &Arc<Self>, future: BoxFuture<'static, ()>) {
        self.task(future).wake();
    }

    /// Runs a future, and its first part at once: what need not wait is done when this returns.
    pub(crate) fn start(self: &Arc<Self>, future: BoxFuture<'static, ()>) -> Arc<Task> {
        let task = self.task(future);
        task.clone().poll();
        task
    }

    fn task(self: &Arc<Self>, future: BoxFuture<'static, ()>) -> Arc<Task> {
        let (queued, cancelled) = (AtomicBool::new(false), AtomicBool::new(false));
        let (tasks, number) = (self.clone(), self.last.fetch_add(1, Ordering::Relaxed));
        Arc::new(Task { tasks, number, future: Mutex::new(Some(future)), queued, cancelled })
    }

    /// A turn: whoever was woken by now gets one. JavaScript has its own before the next.
    pub(crate) fn run(&self) {
        self.soon.store(false, Ordering::Relaxed);
        let woken = std::mem::take(&mut *self.queue());
        woken.into_iter().for_each(Task::poll);
    }

    /// Drops every task: nobody gives them turns any more.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        let open = std::mem::take(&mut *self.open());
        let queued = std::mem::take(&mut *self.queue());
        open.into_values().filter_map(|task| task.upgrade()).for_each(|task| task.cancel());
        queued.into_iter().for_each(|task| task.cancel());
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u32, Weak<Task>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Arc<Task>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Task {
    /// Whether it needs no more turns.
    pub(crate) fn is_over(&self) -> bool {
        self.future().is_none()
    }

    /// Drops the future. What it has given to others to finish goes on.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
        let future = self.future().take();
        drop(future);
    }

    fn poll(self: Arc<Self>) {
        self.queued.store(false, Ordering::Relaxed);
        let Some(mut future) = self.future().take() else { return };
        let waker = Waker::from(self.clone());
        let is_over = future.as_mut().poll(&mut Context::from_waker(&waker)) == Poll::Ready(());
        if !is_over && !self.cancelled.load(Ordering::Relaxed) {
            *self.future() = Some(future);
            self.tasks.open().insert(self.number, Arc::downgrade(&self));
        }
    }

    fn future(&self) -> MutexGuard<'_, Option<BoxFuture<'static, ()>>> {
        self.future.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.tasks.open().remove(&self.number);
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let is_over = self.tasks.ended.load(Ordering::Relaxed);
        if is_over || self.queued.swap(true, Ordering::Relaxed) {
            return;
        }
        let tasks = self.tasks.clone();
        tasks.queue().push_back(self);
        if !tasks.soon.swap(true, Ordering::Relaxed) {
            tasks.js.soon();
        }
    }
}
