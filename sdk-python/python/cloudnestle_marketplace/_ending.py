"""How a program ends: what is in the spool is sent if that takes no longer than a second, and the rest is safe."""

from __future__ import annotations

import atexit
import os
import sys
import time
import weakref

from . import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

    from ._native import Core
    from ._watching import Callbacks

WITHIN = 1.0
"""How long all SDKs of a program have together, in seconds."""

_cores: weakref.WeakSet[Core] = weakref.WeakSet()
_callbacks: weakref.WeakSet[Callbacks] = weakref.WeakSet()

_watching: int | None = None
"""The process that has said how it wants to be told of its end."""


def watch(core: Core) -> None:
    """Has an SDK closed when the program ends."""
    _watch_this_process()
    _cores.add(core)


def _watch_this_process() -> None:
    global _watching
    if _watching != os.getpid():
        _watching = os.getpid()
        atexit.unregister(_end)
        atexit.register(_end)  # before what was registered earlier
        _be_told_by_multiprocessing()


def watch_callbacks(callbacks: Callbacks) -> None:
    """Has a thread waited for that calls whoever watches, and begun again in a forked child."""
    _callbacks.add(callbacks)


def begun_in_child() -> None:
    """A forked child has begun to use an SDK."""
    _watch_this_process()
    for callbacks in list(_callbacks):
        callbacks.begin_again()


def on_signal(core: Core, deadline: float) -> None:
    """Has what this process has begun closed before it ends by SIGTERM."""
    import signal

    before = signal.getsignal(signal.SIGTERM)

    def handler(number: int, frame: FrameType | None) -> None:
        try:
            closing = core.leave(deadline)
            if closing is not None:
                closing.wait()
        finally:
            if callable(before):
                before(number, frame)
            elif before is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)

    signal.signal(signal.SIGTERM, handler)


def _be_told_by_multiprocessing() -> None:
    """Its children end without ``atexit``, and before the threads that they have begun."""
    process, util = (sys.modules.get(f"multiprocessing.{name}") for name in ("process", "util"))
    if process is not None and util is not None and process.parent_process() is not None:
        util.Finalize(None, _close_all, exitpriority=0)


def _close_all() -> None:
    until = time.monotonic() + WITHIN
    for core in list(_cores):
        closing = core.leave(max(until - time.monotonic(), 0.0))
        if closing is not None:
            closing.wait()
    for callbacks in list(_callbacks):
        callbacks.join(max(until - time.monotonic(), 0.0))


def _end() -> None:
    try:
        _close_all()
    finally:
        _native.stop_telling()


os.register_at_fork(after_in_child=_native.forked)
