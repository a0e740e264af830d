"""What an SDK is set up with, by the names of both classes."""

from __future__ import annotations

import os

from . import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Literal

    Validation = Literal["connected", "online", "local"]
    Durability = Literal["fast", "durable"]
    Overflow = Literal["reject", "drop_oldest", "drop_newest"]
    Bucket = Literal["hour", "day", "month"]

_WORDS: dict[str, tuple[str, ...]] = {
    "validation": ("connected", "online", "local"),
    "durability": ("fast", "durable"),
    "overflow": ("reject", "drop_oldest", "drop_newest"),
}


def settings(*, spool: str | os.PathLike[str] | None, **given: Any) -> dict[str, Any]:
    """As the core takes them."""
    for setting, words in _WORDS.items():
        if given[setting] is not None and given[setting] not in words:
            raise errors.invalid(setting, " or ".join(map(repr, words)))
    for setting in ("deadline", "max_age"):
        seconds(setting, given[setting])
    provider = given["secret_key_provider"]
    if provider is not None:
        if not callable(provider):
            raise errors.invalid("secret_key_provider", "a function")
        given["secret_key_provider"] = _asking(provider)
    in_memory = spool == "memory"
    folder = None if spool is None or in_memory else os.fspath(spool)
    return {"spool_dir": folder, "spool_in_memory": in_memory, **given}


def _asking(provider: Callable[[], Any]) -> Callable[[Callable[[str | None], None]], None]:
    """Has it called in a thread of its own: it may wait for a file, or for a vault."""

    def ask(tell: Callable[[str | None], None]) -> None:
        import threading

        threading.Thread(target=lambda: tell(provider()), name="cloudnestle-key", daemon=True).start()

    return ask


def seconds(setting: str, given: float | None) -> float | None:
    """A time, if there is one."""
    if given is not None and not given > 0:
        raise errors.invalid(setting, "a number of seconds above 0")
    return given
