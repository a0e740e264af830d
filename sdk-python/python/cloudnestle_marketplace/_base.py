"""What both classes have in common: how they are set up, and what needs no waiting."""

from __future__ import annotations

from . import _ending, _native
from ._settings import seconds, settings
from ._watching import Callbacks

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from typing import Callable, TypeVar

    from ._native import Stats
    from ._settings import Durability, Overflow, Validation

    Self = TypeVar("Self", bound="Base")
    Told = TypeVar("Told")

CLOSE_WITHIN = 3.0
"""How long leaving may take unless a program says so, in seconds."""


class Base:
    """The set-up of an SDK.

    What is not set comes from the environment: ``CLOUDNESTLE_SECRET_KEY``, ``CLOUDNESTLE_SOLUTION``,
    ``CLOUDNESTLE_URL``, ``CLOUDNESTLE_ISSUER`` and ``CLOUDNESTLE_SPOOL_DIR``. Building asks nobody.

    ``secret_key_provider`` is for programs that outlive a secret key: it is called, in a thread of its own, when the
    marketplace refuses the one in use, at most every 5 s while it has none, and returns the one that has replaced it, or
    ``None``. It has as long as the call that asks: 5 s. What it raises goes to ``threading.excepthook``.

    Raises:
        ConfigError: a setting is missing or wrong; the message names it.
    """

    def __init__(
        self,
        *,
        secret_key: str | None = None,
        secret_key_provider: Callable[[], str | None] | None = None,
        solution: str | None = None,
        url: str | None = None,
        issuer: str | None = None,
        validation: Validation | None = None,
        deadline: float | None = None,
        spool: str | os.PathLike[str] | None = None,
        max_events: int | None = None,
        max_bytes: int | None = None,
        max_age: float | None = None,
        overflow: Overflow | None = None,
        durability: Durability | None = None,
    ) -> None:
        self._core = _native.Core(
            settings(
                secret_key=secret_key,
                secret_key_provider=secret_key_provider,
                solution=solution,
                url=url,
                issuer=issuer,
                validation=validation,
                deadline=deadline,
                spool=spool,
                max_events=max_events,
                max_bytes=max_bytes,
                max_age=max_age,
                overflow=overflow,
                durability=durability,
            )
        )
        self._deadline: float | None = None
        self._callbacks = Callbacks(self._core)
        _ending.watch(self._core)

    def with_options(self: Self, *, deadline: float | None = None) -> Self:
        """The same SDK, whose calls each have so many seconds; lists, receipts and token sources that it gives out are not
        bound. What has noted usage may be late, too: who tries again names the event by an ``idempotency_key``.

        >>> sdk.with_options(deadline=0.8).validate_user(token).customer_id
        'cus_ravi'
        """
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        other._deadline = seconds("deadline", deadline)
        return other

    def stats(self) -> Stats:
        """What the SDK has done since it was built, in this process.

        >>> sdk.stats().usage
        UsageStats(tracked=0, delivered=0, pending=0, rejected=0, lost=0)
        """
        return self._core.stats()

    def on(self: Self, kind: type[Told], callback: Callable[[Told], object]) -> Self:
        """Has something called at each event of a kind, such as ``events.UsageRejected``, from a thread of its own. What
        it raises is logged by ``cloudnestle_marketplace``.

        >>> from cloudnestle_marketplace import events
        >>> sdk = sdk.on(events.UsageRejected, lambda rejected: print(rejected.code))
        """
        self._callbacks.add(self._core, kind, callback)
        return self

    def off(self: Self, kind: type[Told], callback: Callable[[Told], object]) -> Self:
        """Takes an ``on`` back.

        >>> from cloudnestle_marketplace import events
        >>> sdk = sdk.on(events.Offline, print).off(events.Offline, print)
        """
        self._callbacks.remove(kind, callback)
        return self

    def close_on_signal(self: Self, deadline: float = CLOSE_WITHIN) -> Self:
        """Closes the SDK when the process is asked to end (SIGTERM), and then lets whoever was asked before decide;
        if that is nobody, the process ends. To be called in the main thread, which waits for the end, and an event loop
        in it as well.

        >>> sdk = sdk.close_on_signal(deadline=1)
        """
        _ending.on_signal(self._core, deadline)
        return self
