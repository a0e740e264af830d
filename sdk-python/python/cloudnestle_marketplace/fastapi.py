"""A FastAPI application whose routes know their user and what they may do.

.. code-block:: python

    sdk = AsyncMarketplaceSDK()
    guard = Guard(sdk)
    app = FastAPI(lifespan=guard.lifespan)
    guard.answer_errors_of(app)

    @app.get("/search")
    async def search(user: Annotated[User, Depends(guard)]) -> dict[str, str]:
        return {"searched_by": user.customer_id}

    @app.post("/export", dependencies=[Depends(guard.consuming("export"))])
    async def export(request: Request) -> dict[str, str]:
        return {"exported_for": request.state.marketplace_user.customer_id}

Whoever must not be let in is answered with 401, who has used a limit up with 402, and who comes too often with 429, as
``application/problem+json`` (RFC 9457).
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, AsyncGenerator, Awaitable, Callable

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from . import _native
from ._native import User
from .errors import (
    MarketplaceError,
    QuotaExceededError,
    RateLimitedError,
    UnavailableError,
    UserRefusedError,
)

if TYPE_CHECKING:
    from ._async_sdk import AsyncMarketplaceSDK

__all__ = ["Guard"]


class Guard:
    """Lets in whom the marketplace knows. As a dependency it is the user, who is on ``request.state.marketplace_user``,
    too.
    """

    def __init__(self, sdk: AsyncMarketplaceSDK) -> None:
        self.sdk = sdk

    async def __call__(self, request: Request) -> User:
        """The user whom the bearer token speaks for.

        Raises:
            MarketplaceError: there is no token (``credential_missing``), or it does not say who they are.
        """
        user = await self.sdk.validate_user(_bearer(request))
        request.state.marketplace_user = user
        return user

    def consuming(self, action: str, quantity: int = 1) -> Callable[[Request], Awaitable[User]]:
        """The guard of a route that costs so much of a limit, which is spent before the route runs."""

        async def consume(request: Request) -> User:
            user = await self(request)
            await self.sdk.consume(_bearer(request), action, quantity)
            return user

        return consume

    def answer_errors_of(self, app: FastAPI) -> None:
        """Answers what the SDK's calls raise within routes."""
        app.add_exception_handler(MarketplaceError, _answer)

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncGenerator[None, None]:
        """Closes the SDK when the application ends."""
        yield
        await self.sdk.aclose()


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise _native.error_of("credential_missing")
    return token.strip()


def _status(error: MarketplaceError) -> int:
    if isinstance(error, QuotaExceededError):
        return 402
    if isinstance(error, RateLimitedError):
        return 429
    if isinstance(error, UserRefusedError) or error.code == "credential_missing":
        return 401
    # What the application has done wrong is no matter of its caller.
    return 503 if error.retryable or isinstance(error, UnavailableError) else 500


async def _answer(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, MarketplaceError)
    status = _status(error)
    problem: dict[str, Any] = {"type": error.docs_url, "title": str(error), "status": status, "code": error.code}
    headers: dict[str, str] = {}
    if status >= 500:
        # What lies between the application and the marketplace is no matter of its caller.
        problem = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    elif status == 401:
        headers["www-authenticate"] = "Bearer"
    if error.denial is not None:
        denial = error.denial
        problem["action"] = denial.action
        problem["limit"] = denial.limit
        problem["remaining"] = denial.remaining
        problem["resets_at"] = denial.resets_at.isoformat()
        problem["upgrade_url"] = denial.upgrade_url
        now = datetime.now(denial.resets_at.tzinfo)
        headers["retry-after"] = str(max(round((denial.resets_at - now).total_seconds()), 0))
    elif error.retry_after is not None:
        headers["retry-after"] = str(max(round(error.retry_after), 1))
    return JSONResponse(problem, status, headers, media_type="application/problem+json")
