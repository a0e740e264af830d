"""What is told of an event."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping, Union

    Fact = Union[str, int, float, bool, None]

    # At most 20, of names of at most 40 bytes and texts of at most 500.
    Metadata = Mapping[str, Fact]


def facts(metadata: Metadata | None) -> dict[str, Fact] | None:
    """As the core takes them."""
    return None if metadata is None else dict(metadata)
