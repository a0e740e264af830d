"""The SDK for programs without asyncio."""

from __future__ import annotations

from ._base import CLOSE_WITHIN, Base
from ._reading import moment, read
from ._receipt import Receipt
from ._source import TokenSource
from ._usage import facts
from ._watching import Watching

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from types import TracebackType
    from typing import Any, Iterator

    from ._native import (
        Call,
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


class MarketplaceSDK(Base):
    """The SDK: who is this user, may they do this, and note that they did it. Build one for a program and keep it.

    It may be used from any thread, and in forked children, which begin one of their own.
    """

    def validate_user(self, token: str) -> User:
        """Who is this user? Checked on this machine, and by the marketplace's word that is at most 5 s old.

        Raises:
            UserRefusedError: the user must not be let in.
            UnavailableError: nobody knows, because the marketplace can't be reached and was not asked before.

        >>> sdk.validate_user(token).customer_id
        'cus_ravi'
        """
        return self._core.known_user(token) or self._wait(self._core.validate_user(token))

    def get_user_context(self, token: str) -> UserContext:
        """May they do this? The user's tier, entitlements and quotas. Raises what ``validate_user`` does.

        >>> "search" in sdk.get_user_context(token).entitlements
        True
        """
        return self._wait(self._core.get_user_context(token))

    def track_usage(
        self,
        token: str,
        action: str,
        quantity: int = 1,
        *,
        idempotency_key: str | None = None,
        metadata: Metadata | None = None,
        amends: EventRef | None = None,
        voids: EventRef | None = None,
    ) -> Receipt:
        """Note that they did it. When this returns, the event is taken, and will count once.

        ``idempotency_key`` is the program's own name for the event: a second one of that name counts once.
        ``amends`` puts the quantity of an earlier event right, and ``voids`` takes one back.

        Raises:
            UserRefusedError: the token does not say who did it.
            MarketplaceError: ``spool_full`` or ``spool_failed``; the event was not taken.

        >>> receipt = sdk.track_usage(token, "search", metadata={"query": "shoes"})
        >>> mistaken = sdk.track_usage(token, "search", 30)
        >>> corrected = sdk.track_usage(token, "search", 3, amends=mistaken.reference())
        """
        call = self._core.track_usage(
            token, action, quantity, idempotency_key, facts(metadata), amends, voids
        )
        return Receipt(self._wait(call))

    def consume(
        self,
        token: str,
        action: str,
        quantity: int = 1,
        *,
        idempotency_key: str | None = None,
        metadata: Metadata | None = None,
    ) -> Receipt:
        """May they do this, and if so note that they did it: for what has a hard limit.

        Raises:
            QuotaExceededError: the limit is used up; ``denial`` says until when.
            UserRefusedError: the token does not say who did it.
            UnavailableError: nobody knows whether they may.

        >>> sdk.consume(token, "export", 2).is_overage
        False
        >>> sdk.consume(token, "export", 100)
        Traceback (most recent call last):
        cloudnestle_marketplace.errors.QuotaExceededError: ...
        """
        call = self._core.consume(token, action, quantity, idempotency_key, facts(metadata))
        return Receipt(self._wait(call))

    def refresh_token(self, pair: TokenPair) -> TokenPair:
        """Renews a pair. However many ask with the same pair, one request is made.

        >>> sdk.refresh_token(pair) == pair
        False
        """
        return self._wait(self._core.refresh_token(pair))

    def keep_fresh(self, pair: TokenPair) -> TokenSource:
        """Keeps a pair good: the source gives out its access token, and renews it before it ends.

        >>> sdk.validate_user(sdk.keep_fresh(pair).access_token()).customer_id
        'cus_ravi'
        """
        return TokenSource(self._core.keep_fresh(pair))

    def exchange_code(self, code: str, verifier: str | None = None) -> TokenPair:
        """The token pair for a launch code; ``verifier`` is what its ``code_challenge`` was made of (PKCE).

        >>> pair = sdk.exchange_code(marketplace.launch_code("cus_ravi"))
        """
        return self._wait(self._core.exchange_code(code, verifier))

    def create_visitor(self) -> TokenPair:
        """A pair for somebody who comes by without an account.

        >>> sdk.validate_user(sdk.create_visitor().access_token).tier
        'anonymous'
        """
        return self._wait(self._core.create_visitor())

    def revoke_token(self, token: str) -> None:
        """Ends a token and everything it can be refreshed to.

        >>> sdk.revoke_token(pair.access_token)
        """
        self._wait(self._core.revoke_token(token))

    def quotas(self, customer_id: str) -> list[Quota]:
        """What a customer may use of the solution, has used, and when it begins anew.

        >>> [quota.limit for quota in sdk.quotas("cus_ravi") if quota.action == "search"]
        [100]
        """
        return self._wait(self._core.quotas(customer_id))

    def quota(self, customer_id: str, action: str) -> Quota | None:
        """That of one action; ``None`` where it has no limit.

        >>> sdk.quota("cus_ravi", "export").policy
        'hard'
        """
        return next((quota for quota in self.quotas(customer_id) if quota.action == action), None)

    def usage_history(
        self,
        customer_id: str,
        *,
        bucket: Bucket = "day",
        action: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        page_size: int | None = None,
    ) -> Iterator[UsageBucket]:
        """What a customer has used, by hour, day or month of the solution's time zone; to be iterated over.

        >>> sdk.track_usage(token, "search", 3).delivered()
        >>> sum(bucket.quantity for bucket in sdk.usage_history("cus_ravi", action="search"))
        3
        """
        filters = (action, moment(since), moment(until), page_size)
        return read(self._core.usage_history(customer_id, bucket, filters))

    def usage_events(
        self,
        customer_id: str,
        *,
        action: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        page_size: int | None = None,
    ) -> Iterator[CountedEvent]:
        """The events of which that is the sum, newest first; to be iterated over.

        >>> sdk.track_usage(token, "search", 3).delivered()
        >>> [event.counts for event in sdk.usage_events("cus_ravi")]
        [3]
        """
        filters = (action, moment(since), moment(until), page_size)
        return read(self._core.usage_events(customer_id, filters))

    def flush(self) -> None:
        """Sends what is in the spool now, and returns when the marketplace has answered for all of it.

        >>> receipt = sdk.track_usage(token, "search")
        >>> sdk.flush()
        >>> sdk.stats().usage.pending
        0
        """
        self._wait(self._core.flush())

    def flush_before_return(self, deadline: float) -> UsageStats:
        """Delivers what it can within so many seconds, and goes on: for functions that are frozen on return.

        >>> receipt = sdk.track_usage(token, "search")
        >>> sdk.flush_before_return(5).delivered
        1
        """
        return self._core.flush_before_return(deadline).wait()

    def rejected_usage(self) -> list[RejectedUsage]:
        """What the marketplace has refused for good, the event and the reason.

        >>> receipt = sdk.track_usage(token, "sing")
        >>> sdk.flush()
        >>> [(rejected.event.action, rejected.code) for rejected in sdk.rejected_usage()]
        [('sing', 'action_unknown')]
        """
        return self._wait(self._core.rejected_usage())

    def replay_rejected(self) -> int:
        """Sends what was rejected once more, after a fix; how many events.

        >>> sdk.replay_rejected()
        0
        """
        return self._wait(self._core.replay_rejected())

    def events(self) -> Watching:
        """What the SDK does by itself from now on, to be iterated over; it ends when the SDK is closed.

        >>> watched = sdk.events()
        >>> receipt = sdk.track_usage(token, "search")
        >>> next(watched)
        UsageDelivered(count=1)
        """
        return Watching(self._core.events())

    def close(self, deadline: float = CLOSE_WITHIN) -> CloseReport:
        """Takes no more usage, delivers what it can, and returns within so many seconds with a report.

        >>> receipt = sdk.track_usage(token, "search")
        >>> sdk.close().usage.pending
        0
        """
        return self._core.close(deadline).wait()

    def diagnose(self) -> Diagnosis:
        """What stands between this program and the marketplace; ``print`` it.

        >>> sdk.diagnose().severity
        'good'
        """
        return self._wait(self._core.diagnose())

    def __enter__(self) -> MarketplaceSDK:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _wait(self, call: Call) -> Any:
        return call.wait(self._deadline)
