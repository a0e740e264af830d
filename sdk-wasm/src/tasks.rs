//! Runs futures on JavaScript's one thread.
//!
//! wasm-bindgen has an executor of its own, whose turns nobody can guard: a panic in one would end a Node
//! program. Here every turn is a call of [`Core::run`](crate::Core::run), made by the face.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::future::BoxFuture;

use crate::js::JsHost;

pub(crate) struct Tasks {
    js: Arc<JsHost>,
    queue: Mutex<VecDeque<Arc<Task>>>,
    /// A turn is on its way.
    soon: AtomicBool,
}

/// A future that is run to its end, or until it is cancelled.
pub(crate) struct Task {
    tasks: Arc<Tasks>,
    /// `None` while it is being polled, and when it is over.
    future: Mutex<Option<BoxFuture<'static, ()>>>,
    queued: AtomicBool,
    cancelled: AtomicBool,
}

impl Tasks {
    pub(crate) fn new(js: Arc<JsHost>) -> Arc<Self> {
        Arc::new(Tasks { js, queue: Mutex::default(), soon: AtomicBool::new(false) })
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
        let future = Mutex::new(Some(future));
        Arc::new(Task { tasks: self.clone(), future, queued, cancelled })
    }

    /// A turn: whoever was woken by now gets one. JavaScript has its own before the next.
    pub(crate) fn run(&self) {
        self.soon.store(false, Ordering::Relaxed);
        let woken = std::mem::take(&mut *self.queue());
        woken.into_iter().for_each(Task::poll);
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
        }
    }

    fn future(&self) -> MutexGuard<'_, Option<BoxFuture<'static, ()>>> {
        self.future.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        if self.queued.swap(true, Ordering::Relaxed) {
            return;
        }
        let tasks = self.tasks.clone();
        tasks.queue().push_back(self);
        if !tasks.soon.swap(true, Ordering::Relaxed) {
            tasks.js.soon();
        }
    }
}
