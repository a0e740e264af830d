"""The fixtures that pytest finds by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator

import pytest

if TYPE_CHECKING:
    from .testing import TestMarketplace


@pytest.fixture(scope="session")
def marketplace_server() -> Iterator[TestMarketplace]:
    """A marketplace for all tests of the session, beside which each may have a world of its own."""
    from .testing import start_marketplace

    with start_marketplace() as marketplace:
        yield marketplace


@pytest.fixture
def marketplace_world(marketplace_server: TestMarketplace) -> Iterator[TestMarketplace]:
    """A world of the test's own in the server of the session."""
    with marketplace_server.create_world() as world:
        yield world


@pytest.fixture
def marketplace() -> Iterator[TestMarketplace]:
    """A marketplace of the test's own, which keeps nothing."""
    from .testing import start_marketplace

    with start_marketplace() as marketplace:
        yield marketplace
