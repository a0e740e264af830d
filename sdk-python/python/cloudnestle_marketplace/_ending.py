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
    import threading
    from types import FrameType
    from typing import Callable

    from ._native import Core

WITHIN = 1.0
"""How long all SDKs of a program have together, in seconds."""

_cores: weakref.WeakSet[Core] = weakref.WeakSet()
_threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def watch(core: Core) -> None:
    """Has an SDK closed when the program ends."""
    if not _cores:
        atexit.unregister(_close_all)
        atexit.register(_close_all)  # before what was registered earlier
    _cores.add(core)


def watch_thread(thread: threading.Thread) -> None:
    """Has a thread waited for that ends when its SDK is closed."""
    _threads.add(thread)


def begun_in_child() -> None:
    """A forked child has begun to use an SDK. One of multiprocessing's ends without ``atexit``."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, _close_all, exitpriority=0)


def on_signal(close: Callable[[], object]) -> None:
    """Has something closed before the process ends by SIGTERM."""
    import signal

    before = signal.getsignal(signal.SIGTERM)

    def handler(number: int, frame: FrameType | None) -> None:
        close()
        if callable(before):
            before(number, frame)
        elif before is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    signal.signal(signal.SIGTERM, handler)


def _close_all() -> None:
    until = time.monotonic() + WITHIN
    for core in list(_cores):
        call = core.leave(max(until - time.monotonic(), 0.0))
        if call is not None:
            call.wait()
    for thread in list(_threads):
        thread.join(max(until - time.monotonic(), 0.0))
    _native.stop_telling()


os.register_at_fork(after_in_child=_native.forked)
