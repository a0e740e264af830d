"""The SDK for programs with asyncio."""

from __future__ import annotations

from ._base import CLOSE_WITHIN, Base
from ._reading import moment, read_async
from ._receipt import AsyncReceipt
from ._source import AsyncTokenSource
from ._usage import facts
from ._watching import AsyncWatching

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from types import TracebackType
    from typing import AsyncIterator

    from ._native import (
        CloseReport,
        CountedEvent,
        Diagnosis,
        EventRef,
        Quota,
        RejectedUsage,
        TokenPair,
        UsageBucket,
        UsageStats,
        User,
        UserContext,
    )
    from ._settings import Bucket
    from ._usage import Metadata


class AsyncMarketplaceSDK(Base):
    """The SDK, as ``MarketplaceSDK``, whose calls are awaited.

    It is bound to no event loop: one may be used in any number of them, one after the other and at the same time.
    A task that is cancelled gives its request up, but for a renewal that is under way, which others may wait for.

    >>> import asyncio
    >>> async def who():
    ...     async with AsyncMarketplaceSDK() as sdk:
    ...         user = await sdk.validate_user(token)
    ...         await sdk.track_usage(token, "search")
    ...         return user.customer_id
    >>> asyncio.run(who())
    'cus_ravi'
    """

    async def validate_user(self, token: str) -> User:
        """Who is this user? As ``MarketplaceSDK.validate_user``; what is known already suspends nobody."""
        known = self._core.known_user(token)
        return known or await self._core.validate_user(token).within(self._deadline)

    async def get_user_context(self, token: str) -> UserContext:
        """May they do this? As ``MarketplaceSDK.get_user_context``."""
        return await self._core.get_user_context(token).within(self._deadline)

    async def track_usage(
        self,
        token: str,
        action: str,
        quantity: int = 1,
        *,
        idempotency_key: str | None = None,
        metadata: Metadata | None = None,
        amends: EventRef | None = None,
        voids: EventRef | None = None,
    ) -> AsyncReceipt:
        """Note that they did it. As ``MarketplaceSDK.track_usage``."""
        call = self._core.track_usage(
            token, action, quantity, idempotency_key, facts(metadata), amends, voids
        )
        return AsyncReceipt(await call.within(self._deadline))

    async def consume(
        self,
        token: str,
        action: str,
        quantity: int = 1,
        *,
        idempotency_key: str | None = None,
        metadata: Metadata | None = None,
    ) -> AsyncReceipt:
        """May they do this, and if so note that they did it. As ``MarketplaceSDK.consume``."""
        call = self._core.consume(token, action, quantity, idempotency_key, facts(metadata))
        return AsyncReceipt(await call.within(self._deadline))

    async def refresh_token(self, pair: TokenPair) -> TokenPair:
        """Renews a pair. However many ask with the same pair, one request is made."""
        return await self._core.refresh_token(pair).within(self._deadline)

    def keep_fresh(self, pair: TokenPair) -> AsyncTokenSource:
        """Keeps a pair good: the source gives out its access token, and renews it before it ends."""
        return AsyncTokenSource(self._core.keep_fresh(pair))

    async def exchange_code(self, code: str, verifier: str | None = None) -> TokenPair:
        """The token pair for a launch code; ``verifier`` is what its ``code_challenge`` was made of (PKCE)."""
        return await self._core.exchange_code(code, verifier).within(self._deadline)

    async def create_visitor(self) -> TokenPair:
        """A pair for somebody who comes by without an account."""
        return await self._core.create_visitor().within(self._deadline)

    async def revoke_token(self, token: str) -> None:
        """Ends a token and everything it can be refreshed to."""
        await self._core.revoke_token(token).within(self._deadline)

    async def quotas(self, customer_id: str) -> list[Quota]:
        """What a customer may use of the solution, has used, and when it begins anew."""
        return await self._core.quotas(customer_id).within(self._deadline)

    async def quota(self, customer_id: str, action: str) -> Quota | None:
        """That of one action; ``None`` where it has no limit."""
        quotas = await self.quotas(customer_id)
        return next((quota for quota in quotas if quota.action == action), None)

    def usage_history(
        self,
        customer_id: str,
        *,
        bucket: Bucket = "day",
        action: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[UsageBucket]:
        """What a customer has used, by hour, day or month of the solution's time zone; for ``async for``."""
        filters = (action, moment(since), moment(until), page_size)
        return read_async(self._core.usage_history(customer_id, bucket, filters))

    def usage_events(
        self,
        customer_id: str,
        *,
        action: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[CountedEvent]:
        """The events of which that is the sum, newest first; for ``async for``."""
        filters = (action, moment(since), moment(until), page_size)
        return read_async(self._core.usage_events(customer_id, filters))

    async def flush(self) -> None:
        """Sends what is in the spool now, and returns when the marketplace has answered for all of it."""
        await self._core.flush().within(self._deadline)

    async def flush_before_return(self, deadline: float) -> UsageStats:
        """Delivers what it can within so many seconds, and goes on: for functions that are frozen on return."""
        return await self._core.flush_before_return(deadline)

    async def rejected_usage(self) -> list[RejectedUsage]:
        """What the marketplace has refused for good, the event and the reason."""
        return await self._core.rejected_usage().within(self._deadline)

    async def replay_rejected(self) -> int:
        """Sends what was rejected once more, after a fix; how many events."""
        return await self._core.replay_rejected().within(self._deadline)

    def events(self) -> AsyncWatching:
        """What the SDK does by itself from now on, for ``async for``; it ends when the SDK is closed."""
        return AsyncWatching(self._core.events())

    async def aclose(self, deadline: float = CLOSE_WITHIN) -> CloseReport:
        """Takes no more usage, delivers what it can, and returns within so many seconds with a report."""
        return await self._core.close(deadline)

    async def diagnose(self) -> Diagnosis:
        """What stands between this program and the marketplace; ``print`` it."""
        return await self._core.diagnose().within(self._deadline)

    async def __aenter__(self) -> AsyncMarketplaceSDK:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
