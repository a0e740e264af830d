"""Lists that are asked for as they are read."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any, AsyncIterator, Iterator

    from . import _native


def read(items: _native.Items) -> Iterator[Any]:
    """The items, for a thread."""
    while (item := items.next().wait()) is not None:
        yield item


async def read_async(items: _native.Items) -> AsyncIterator[Any]:
    """The items, for a task."""
    while (item := await items.next()) is not None:
        yield item


def moment(at: datetime | None) -> float | None:
    """As the core is asked."""
    return None if at is None else at.timestamp()
