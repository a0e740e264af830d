"""Every error of the SDK: what went wrong (``code``), whether trying again can help (``retryable``) and what to do
(``advice``). None contains a secret.

``MarketplaceError`` is the base of all; the others say what a program does about it.
"""

from __future__ import annotations

from . import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._native import Denial

__all__ = [
    "ConfigError",
    "DeadlineExceededError",
    "MarketplaceError",
    "QuotaExceededError",
    "RateLimitedError",
    "UnavailableError",
    "UserRefusedError",
]


class MarketplaceError(Exception):
    """An error of the SDK or the marketplace, by the catalogue (``docs/errors.md``)."""

    code: str
    """The catalogue's stable name for it; programs match on this."""
    retryable: bool
    """Whether the same call may succeed later."""
    refuses_user: bool
    """Whether it says that the user must not be let in, in contrast to errors that say that nobody knows."""
    retry_after: float | None
    """How long the marketplace asked to wait before trying again, in seconds."""
    request_id: str | None
    """The request that failed, as the marketplace knows it; for support."""
    docs_url: str
    """Where it is explained."""
    advice: str
    """What to do about it."""
    field: str | None
    """The field of the request that is wrong."""
    denial: Denial | None
    """Why somebody may not, in particulars; of ``QuotaExceededError`` alone."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        retryable: bool = False,
        refuses_user: bool = False,
        retry_after: float | None = None,
        request_id: str | None = None,
        docs_url: str = "",
        advice: str = "",
        field: str | None = None,
        denial: Denial | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable
        self.refuses_user = refuses_user
        self.retry_after = retry_after
        self.request_id = request_id
        self.docs_url = docs_url
        self.advice = advice
        self.field = field
        self.denial = denial

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors cross processes; what a denial says in particulars does not.
        return (_rebuilt, (type(self), str(self)), {**vars(self), "denial": None})


class UserRefusedError(MarketplaceError):
    """The user must not be let in."""


class QuotaExceededError(MarketplaceError):
    """A hard limit is used up; ``denial`` says of what, and until when."""


class RateLimitedError(MarketplaceError):
    """The marketplace asks to slow down; ``retry_after`` says for how long."""


class UnavailableError(MarketplaceError, ConnectionError):
    """Nobody knows: the marketplace can't be reached, or its answer is none."""


class DeadlineExceededError(MarketplaceError, TimeoutError):
    """The call did not finish within its time."""


class ConfigError(MarketplaceError, ValueError):
    """The SDK is set up wrongly; the message names the setting."""


_BY_CODE: dict[str, type[MarketplaceError]] = {
    "quota_exceeded": QuotaExceededError,
    "rate_limited": RateLimitedError,
    "unavailable": UnavailableError,
    "answer_invalid": UnavailableError,
    "internal": UnavailableError,
    "deadline_exceeded": DeadlineExceededError,
    "config_invalid": ConfigError,
}


def of(*, message: str, cause: str | None = None, **details: Any) -> MarketplaceError:
    """The exception that an error of the core is."""
    refused = UserRefusedError if details["refuses_user"] else MarketplaceError
    error = _BY_CODE.get(details["code"], refused)(message, **details)
    if cause is not None:
        error.__cause__ = Exception(cause)
    return error


def invalid(setting: str, words: str) -> MarketplaceError:
    """A setting that is none."""
    error = _native.error_of("config_invalid")
    error.args = (f"config_invalid: {setting} is {words}.",)
    return error


def _rebuilt(kind: type[MarketplaceError], message: str) -> MarketplaceError:
    return kind.__new__(kind, message)
