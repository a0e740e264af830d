"""Who watches what the SDK does by itself."""

from __future__ import annotations

import weakref

from . import _ending

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from typing import Any, Callable

    from . import _native, events

    Callback = Callable[[Any], object]


class Watching:
    """The events from now on, for a thread; it ends when the SDK is closed."""

    def __init__(self, watched: _native.Events) -> None:
        self._watched = watched

    def __iter__(self) -> Watching:
        return self

    def __next__(self) -> events.Event:
        from .events import of

        while (told := self._watched.next().wait()) is not None:
            event = of(*told)
            if event is not None:
                return event
        raise StopIteration


class AsyncWatching:
    """The events from now on, for a task; it ends when the SDK is closed."""

    def __init__(self, watched: _native.Events) -> None:
        self._watched = watched

    def __aiter__(self) -> AsyncWatching:
        return self

    async def __anext__(self) -> events.Event:
        from .events import of

        while (told := await self._watched.next()) is not None:
            event = of(*told)
            if event is not None:
                return event
        raise StopAsyncIteration


class Callbacks:
    """Who is called, from a thread that begins with the first of them. What one of them raises is logged."""

    def __init__(self, core: _native.Core) -> None:
        self._core = weakref.ref(core)
        self._callbacks: list[tuple[type, Callback]] = []
        self._thread: threading.Thread | None = None
        _ending.watch_callbacks(self)

    def add(self, core: _native.Core, kind: type, callback: Callback) -> None:
        self._callbacks.append((kind, callback))
        self._begin(core)

    def remove(self, kind: type, callback: Callback) -> None:
        self._callbacks.remove((kind, callback))

    def begin_again(self) -> None:
        """In a forked child, which has its parent's callbacks and not its thread, once the SDK is used there."""
        core = self._core()
        if core is not None and self._callbacks and core.has_begun():
            self._begin(core)

    def _begin(self, core: _native.Core) -> None:
        import threading

        if self._thread is None or not self._thread.is_alive():
            watching = Watching(core.events())
            self._thread = threading.Thread(
                target=self._call, args=(watching,), name="cloudnestle-events", daemon=True
            )
            self._thread.start()

    def join(self, timeout: float) -> None:
        """Waits for what is being called."""
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(timeout)

    def _call(self, watching: Watching) -> None:
        for event in watching:
            for kind, callback in list(self._callbacks):
                if isinstance(event, kind):
                    try:
                        callback(event)
                    except Exception:
                        import logging

                        logging.getLogger("cloudnestle_marketplace").exception("a callback has failed")
