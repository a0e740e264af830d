"""What the SDK does or meets by itself, for programs that watch. None contains a secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

if TYPE_CHECKING:
    from ._native import UsageEvent
    from .errors import MarketplaceError


@dataclass(frozen=True)
class Offline:
    """The marketplace can't be reached; answers come from what is known, usage waits in the spool."""


@dataclass(frozen=True)
class Online:
    """The marketplace answers again."""


@dataclass(frozen=True)
class RateLimited:
    """A limit of the marketplace is used up: calls that count against it wait."""

    wait: float
    """Until it begins anew, in seconds."""


@dataclass(frozen=True)
class TokenRefreshed:
    """A pair was renewed."""


@dataclass(frozen=True)
class UsageDelivered:
    """Usage arrived."""

    count: int
    """How many events."""


@dataclass(frozen=True)
class UsageRejected:
    """The marketplace will not count this event. The newest of them are kept: see ``rejected_usage``."""

    event: UsageEvent
    """The event."""
    code: str
    """Why, by the catalogue."""
    kept: bool
    """Whether it could be kept."""


@dataclass(frozen=True)
class UsageWaiting:
    """An alarm: usage is kept and tried again, but does not arrive."""

    error: MarketplaceError
    """Why. If it is not retryable, usage waits until somebody mends what it names."""


@dataclass(frozen=True)
class UsageDropped:
    """Events were dropped, because the spool or the disk is full and the program chose to drop."""

    count: int
    """How many events."""
    reason: str
    """Why."""


@dataclass(frozen=True)
class SpoolInMemory:
    """An alarm: the spool's folder can't be written, so usage is kept in memory and ends with the process."""

    error: MarketplaceError
    """Why."""


@dataclass(frozen=True)
class QuotaWarning:
    """A customer comes near a hard limit: 80 % of it are used or set aside, or all of it."""

    customer_id: str
    """Who."""
    action: str
    """What is limited."""
    used: int
    """How much is used or set aside."""
    limit: int
    """The limit."""


@dataclass(frozen=True)
class Missed:
    """Whoever watched was too slow for this many events."""

    count: int
    """How many events."""


Event = Union[
    Offline,
    Online,
    RateLimited,
    TokenRefreshed,
    UsageDelivered,
    UsageRejected,
    UsageWaiting,
    UsageDropped,
    SpoolInMemory,
    QuotaWarning,
    Missed,
]

_BY_NAME: dict[str, Any] = {
    "offline": Offline,
    "online": Online,
    "rate_limited": RateLimited,
    "token_refreshed": TokenRefreshed,
    "usage_delivered": UsageDelivered,
    "usage_rejected": UsageRejected,
    "usage_waiting": UsageWaiting,
    "usage_dropped": UsageDropped,
    "spool_in_memory": SpoolInMemory,
    "quota_warning": QuotaWarning,
    "missed": Missed,
}


def of(name: str, particulars: dict[str, Any]) -> Event | None:
    """As the core tells it; ``None`` for what this face has no name for."""
    kind = _BY_NAME.get(name)
    return None if kind is None else kind(**particulars)
