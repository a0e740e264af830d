"""A pair that is kept good."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import _native
    from ._native import TokenPair


class TokenSource:
    """Gives out a pair's access token, and renews it before it ends.

    >>> source = sdk.keep_fresh(pair)
    >>> source.access_token() == source.replace("a token that was refused")
    True
    """

    def __init__(self, source: _native.TokenSource) -> None:
        self._source = source

    @property
    def pair(self) -> TokenPair:
        """The pair as it is now, to be kept."""
        return self._source.pair()

    def access_token(self) -> str:
        """An access token that is good now."""
        token: str = self._source.access_token().wait()
        return token

    def replace(self, refused: str) -> str:
        """Another token in the place of one that was refused."""
        token: str = self._source.replace(refused).wait()
        return token


class AsyncTokenSource:
    """Gives out a pair's access token, and renews it before it ends."""

    def __init__(self, source: _native.TokenSource) -> None:
        self._source = source

    @property
    def pair(self) -> TokenPair:
        """The pair as it is now, to be kept."""
        return self._source.pair()

    async def access_token(self) -> str:
        """An access token that is good now."""
        token: str = await self._source.access_token()
        return token

    async def replace(self, refused: str) -> str:
        """Another token in the place of one that was refused."""
        token: str = await self._source.replace(refused)
        return token
