"""The acknowledgement of an event."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import _native
    from ._native import EventRef


class Acknowledgement:
    """What is known of an event without waiting."""

    __slots__ = ("_receipt",)

    def __init__(self, receipt: _native.Receipt) -> None:
        self._receipt = receipt

    @property
    def event_id(self) -> str:
        """The event's id, ``evt_…``."""
        return self._receipt.event_id

    @property
    def is_overage(self) -> bool:
        """Whether ``consume`` allowed it beyond the limit, because the marketplace could not be reached."""
        return self._receipt.is_overage

    def __repr__(self) -> str:
        return f"{type(self).__name__}(event_id={self.event_id!r})"


class Receipt(Acknowledgement):
    """That an event is taken. It will count once.

    >>> receipt = sdk.track_usage(token, "search")
    >>> receipt.persisted()
    >>> receipt.delivered()
    """

    __slots__ = ()

    def persisted(self) -> None:
        """Returns when the event survives the loss of power."""
        self._receipt.persisted().wait()

    def delivered(self) -> None:
        """Returns when the marketplace has counted the event; raises why it will never be."""
        self._receipt.delivered().wait()

    def reference(self) -> EventRef:
        """What the event is called in a correction of it: ``amends`` and ``voids`` take it."""
        return self._receipt.reference().wait()


class AsyncReceipt(Acknowledgement):
    """That an event is taken. It will count once."""

    __slots__ = ()

    async def persisted(self) -> None:
        """Returns when the event survives the loss of power."""
        await self._receipt.persisted()

    async def delivered(self) -> None:
        """Returns when the marketplace has counted the event; raises why it will never be."""
        await self._receipt.delivered()

    async def reference(self) -> EventRef:
        """What the event is called in a correction of it: ``amends`` and ``voids`` take it."""
        return await self._receipt.reference()
