"""The fixtures that pytest finds by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator

import pytest

if TYPE_CHECKING:
    from .testing import TestMarketplace


@pytest.fixture
def marketplace() -> Iterator[TestMarketplace]:
    """A marketplace of the test's own, which keeps nothing."""
    from .testing import start_marketplace

    with start_marketplace() as marketplace:
        yield marketplace
