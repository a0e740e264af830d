"""A search behind the marketplace: who asks is known, and what they ask is counted.

    uvicorn app:app
"""

from typing import Annotated

from fastapi import Depends, FastAPI, Request

from cloudnestle_marketplace import AsyncMarketplaceSDK, User
from cloudnestle_marketplace.fastapi import Guard

guard = Guard(AsyncMarketplaceSDK())
app = FastAPI(title="Search", lifespan=guard.lifespan)
guard.answer_errors_of(app)


@app.get("/search")
async def search(query: str, request: Request, user: Annotated[User, Depends(guard)]) -> dict[str, str]:
    """Counts, and is never refused: searches have a soft limit."""
    token = request.headers["authorization"].partition(" ")[2]
    await guard.sdk.track_usage(token, "search")
    return {"found": f"nothing for {query}", "for": user.customer_id}


@app.post("/export")
async def export(user: Annotated[User, Depends(guard.consuming("export"))]) -> dict[str, str]:
    """Has a hard limit: 402 when it is used up."""
    return {"exported_for": user.customer_id}
