"""The SDK of the CloudNestle marketplace: *who is this user, may they do this, and note that they did it*.

``MarketplaceSDK`` is for programs without asyncio, and ``AsyncMarketplaceSDK`` for those with it.
"""

from ._async_sdk import AsyncMarketplaceSDK
from ._native import (
    CloseReport,
    CountedEvent,
    Denial,
    Diagnosis,
    EventRef,
    Finding,
    LeaseStats,
    Losses,
    Quota,
    RejectedUsage,
    Stats,
    TokenPair,
    UsageBucket,
    UsageEvent,
    UsageStats,
    User,
    UserContext,
)
from ._receipt import AsyncReceipt, Receipt
from ._sdk import MarketplaceSDK
from .errors import (
    ConfigError,
    DeadlineExceededError,
    MarketplaceError,
    QuotaExceededError,
    RateLimitedError,
    UnavailableError,
    UserRefusedError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import events


def __getattr__(name: str) -> object:
    # Who watches nothing need not wait for what it is made of.
    if name == "events":
        import importlib

        return importlib.import_module(".events", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "AsyncMarketplaceSDK",
    "AsyncReceipt",
    "CloseReport",
    "ConfigError",
    "CountedEvent",
    "DeadlineExceededError",
    "Denial",
    "Diagnosis",
    "EventRef",
    "Finding",
    "LeaseStats",
    "Losses",
    "MarketplaceError",
    "MarketplaceSDK",
    "Quota",
    "QuotaExceededError",
    "RateLimitedError",
    "Receipt",
    "RejectedUsage",
    "Stats",
    "TokenPair",
    "UnavailableError",
    "UsageBucket",
    "UsageEvent",
    "UsageStats",
    "User",
    "UserContext",
    "UserRefusedError",
    "events",
]
