//! Calls: a thread waits for one, or a task awaits it.

use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread, ThreadId};
use std::time::{Duration, Instant};

use cloudnestle_marketplace::{Code, Error, Result};
use futures_util::FutureExt;
use futures_util::future::{AbortHandle, BoxFuture, abortable};
use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::prelude::*;

use crate::errors::raised;
use crate::home::Background;
use crate::logging;
use crate::settings::duration;

/// How often a thread that waits looks whether it was interrupted, by Ctrl-C for example.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long the end of the program waits for those who are just telling it something.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// What came of a call, to be made Python's where there is an interpreter.
type Told = Result<Answer>;

type Answer = Box<dyn for<'py> FnOnce(Python<'py>) -> PyResult<Py<PyAny>> + Send>;

type Asking = BoxFuture<'static, Told>;

/// A call that was begun: [`wait`](Self::wait) for it or await it, once.
#[pyclass(frozen, module = "cloudnestle_marketplace._native")]
pub(crate) struct Call {
    background: Background,
    asking: Mutex<Option<Asking>>,
    /// How long it may take, in seconds.
    deadline: Mutex<Option<f64>>,
}

impl Call {
    /// `of` makes an answer Python's.
    pub(crate) fn of<T, F>(
        background: Background,
        asking: F,
        of: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> Self
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let told = |answer| -> Answer { Box::new(move |py| of(py, answer)) };
        let asking = asking.map(|answer| answer.map(told)).boxed();
        Call { background, asking: Mutex::new(Some(asking)), deadline: Mutex::default() }
    }

    fn deadline(&self) -> MutexGuard<'_, Option<f64>> {
        self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> PyResult<Asking> {
        self.background.check().map_err(|error| Python::attach(|py| raised(py, &error)))?;
        let asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner).take();
        asking.ok_or_else(|| PyRuntimeError::new_err("a call is waited for once"))
    }
}

#[pymethods]
impl Call {
    /// This call, which has so many seconds.
    fn within(slf: Bound<'_, Self>, deadline: Option<f64>) -> Bound<'_, Self> {
        *slf.get().deadline() = deadline;
        slf
    }

    /// What came of it, in so many seconds. Other threads run meanwhile, and signals are handled.
    #[pyo3(signature = (deadline=None))]
    fn wait(&self, py: Python<'_>, deadline: Option<f64>) -> PyResult<Py<PyAny>> {
        let mut asking = self.take()?;
        let until = deadline.and_then(|seconds| Instant::now().checked_add(duration(seconds)));
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            let left =
                until.map_or(LOOK_EVERY, |until| until.saturating_duration_since(Instant::now()));
            match py.detach(|| poll_for(&mut asking, &waker, left.min(LOOK_EVERY))) {
                Some(told) => return made(py, told),
                None if left.is_zero() => return Err(too_late(py)),
                None => py.check_signals()?,
            }
        }
    }

    /// What came of it, for a task of asyncio. What needs no waiting suspends nobody.
    fn __await__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let mut asking = self.take()?;
        if let Poll::Ready(told) = asking.poll_unpin(&mut Context::from_waker(Waker::noop())) {
            let answer = Mutex::new(Some(made(py, told)?));
            return Ok(Py::new(py, Answered(answer))?.into_any());
        }
        let event_loop = py.import("asyncio")?.call_method0("get_running_loop")?;
        let future = event_loop.call_method0("create_future")?;
        let timer = match *self.deadline() {
            Some(seconds) => {
                let expire = wrap_pyfunction!(expire, py)?;
                Some(event_loop.call_method1("call_later", (seconds, expire, &future))?.unbind())
            }
            None => None,
        };
        let (asking, abort) = abortable(asking);
        future.call_method1("add_done_callback", (Done { abort, timer },))?;
        let waiting = Waiting { event_loop: event_loop.unbind(), future: future.clone().unbind() };
        self.background.spawn(async move {
            if let Ok(told) = asking.await {
                waiting.tell(told);
            }
        });
        Ok(future.call_method0("__await__")?.unbind())
    }
}

fn made(py: Python<'_>, told: Told) -> PyResult<Py<PyAny>> {
    told.map_err(|error| raised(py, &error))?(py)
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits on this thread, for at most so long.
fn poll_for(asking: &mut Asking, waker: &Waker, limit: Duration) -> Option<Told> {
    let until = Instant::now() + limit;
    loop {
        while ENDED_BY.get().is_some_and(|ending| *ending != thread::current().id()) {
            thread::park(); // there is no interpreter to go back to
        }
        let polled = Pin::new(&mut *asking).poll(&mut Context::from_waker(waker));
        if let Poll::Ready(told) = polled {
            return Some(told);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(left);
    }
}

/// An answer that is there already, as an iterator that `await` takes.
#[pyclass(frozen, module = "cloudnestle_marketplace._native")]
struct Answered(Mutex<Option<Py<PyAny>>>);

#[pymethods]
impl Answered {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self) -> PyResult<Py<PyAny>> {
        let answer = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Err(PyStopIteration::new_err((answer,)))
    }
}

/// What a task's future does when it is settled: gives the request up, if that is what settled it, and its timer.
#[pyclass(frozen, module = "cloudnestle_marketplace._native")]
struct Done {
    abort: AbortHandle,
    timer: Option<Py<PyAny>>,
}

#[pymethods]
impl Done {
    fn __call__(&self, py: Python<'_>, _future: &Bound<'_, PyAny>) -> PyResult<()> {
        self.abort.abort(); // of one that is done it does nothing
        if let Some(timer) = &self.timer {
            timer.call_method0(py, "cancel")?;
        }
        Ok(())
    }
}

/// A task's future, and the loop it is of.
struct Waiting {
    event_loop: Py<PyAny>,
    future: Py<PyAny>,
}

impl Waiting {
    fn tell(self, told: Told) {
        // Let go of with an interpreter, or never.
        let waiting = ManuallyDrop::new(self);
        Telling::while_possible(|| {
            Python::try_attach(move |py| {
                let Waiting { event_loop, future } = ManuallyDrop::into_inner(waiting);
                let (value, error) = match made(py, told) {
                    Ok(value) => (Some(value), None),
                    Err(error) => (None, Some(error.into_value(py))),
                };
                if let Ok(settle) = wrap_pyfunction!(settle, py) {
                    let arguments = (settle, future, value, error);
                    // A loop that is closed has nobody who waits.
                    let _ = event_loop.call_method1(py, "call_soon_threadsafe", arguments);
                }
            })
        });
    }
}

/// Settles a task's future, in its loop.
#[pyfunction]
pub(crate) fn settle(
    future: &Bound<'_, PyAny>,
    value: Option<Bound<'_, PyAny>>,
    error: Option<Bound<'_, PyAny>>,
) -> PyResult<()> {
    if future.call_method0("done")?.is_truthy()? {
        return Ok(()); // cancelled meanwhile
    }
    match error {
        Some(error) => future.call_method1("set_exception", (error,))?,
        None => future.call_method1("set_result", (value,))?,
    };
    Ok(())
}

/// Ends a task's future that has taken too long.
#[pyfunction]
fn expire(py: Python<'_>, future: Bound<'_, PyAny>) -> PyResult<()> {
    settle(&future, None, Some(too_late(py).into_value(py).into_bound(py).into_any()))
}

fn too_late(py: Python<'_>) -> PyErr {
    raised(py, &Error::from(Code::DeadlineExceeded))
}

/// Those who are telling Python something from the SDK's own thread. A thread that waits for an interpreter
/// which ends would end in the middle of Rust's frames, and the process with it.
pub(crate) struct Telling;

static TELLING: AtomicUsize = AtomicUsize::new(0);
/// The thread that ends the interpreter, once it does.
static ENDED_BY: OnceLock<ThreadId> = OnceLock::new();

impl Telling {
    pub(crate) fn while_possible(tell: impl FnOnce() -> Option<()>) {
        TELLING.fetch_add(1, Ordering::SeqCst);
        let _telling = Telling;
        if ENDED_BY.get().is_none() {
            tell();
        }
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        TELLING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// In a forked child nobody is telling anything: whoever was has stayed with the parent.
pub(crate) fn nobody_tells() {
    TELLING.store(0, Ordering::SeqCst);
}

/// The interpreter ends: nothing is told any more from other threads.
#[pyfunction]
pub(crate) fn stop_telling(py: Python<'_>) -> PyResult<()> {
    let _ = ENDED_BY.set(thread::current().id());
    py.detach(|| {
        let until = Instant::now() + STOP_WITHIN;
        while TELLING.load(Ordering::SeqCst) > 0 && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
    });
    logging::emit(py)
}
