"""A marketplace for tests: who is in it, what its clock shows, what goes wrong, what it has counted.

With pytest, the fixture ``marketplace`` is one of the test's own:

.. code-block:: python

    def test_a_user_is_known(marketplace):
        with MarketplaceSDK(**marketplace.options()) as sdk:
            pair = marketplace.token_pair("cus_ravi")
            assert sdk.validate_user(pair.access_token).customer_id == "cus_ravi"

The fixture ``marketplace_world`` costs a test less than a millisecond: a world of its own in a server that all tests share,
with its own keys, clock, faults and journal.

Elsewhere, ``start_marketplace()`` is a context manager. The server is the package ``cloudnestle-mock-server``, or the
binary that ``CLOUDNESTLE_MOCK_SERVER`` names.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sysconfig
import tempfile
import time
import urllib.parse
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Iterator

from ._native import TokenPair

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["MarketplaceCallError", "Solution", "TestMarketplace", "start_marketplace"]

_PAGE_SIZE = 100
"""How many events are asked for at a time: the most that a page has."""


class MarketplaceCallError(Exception):
    """The marketplace has refused a call that a test made."""

    def __init__(self, operation: str, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{operation}: {status} {problem.get('code', '')} {problem.get('detail', '')}")
        self.status = status
        """The answer's status."""
        self.code: str | None = problem.get("code")
        """The catalogue's name for what went wrong, where the answer had one."""


class Solution:
    """A solution of a world, with its keys, which are not printed."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.id: str = told["id"]
        """``sol_…``"""
        self.secret_key: str = told["secret_key"]
        """What a backend calls with."""
        self.publishable_key: str = told["publishable_key"]
        """What a page calls with."""

    def __repr__(self) -> str:
        return f"Solution(id={self.id!r})"


class TestMarketplace:
    """A server in the hands of a test. Where a solution can be named, it is the world's first unless it is."""

    __test__ = False  # pytest: no test, in spite of its name

    def __init__(self, server: _Server | _Hosted) -> None:
        self._server = server
        self._world: dict[str, Any] = server.ready

    @property
    def url(self) -> str:
        """Where it is, ``http://127.0.0.1:…``; of a world, with its path."""
        url: str = self._world["url"]
        return url

    @property
    def solutions(self) -> list[Solution]:
        """Those of this world."""
        return [Solution(told) for told in self._world["solutions"]]

    def solution(self, name: str | None = None) -> Solution:
        """One of them, by its id."""
        for solution in self.solutions:
            if name is None or solution.id == name:
                return solution
        known = ", ".join(solution.id for solution in self.solutions)
        raise LookupError(f"This world has no solution {name}, but {known}.")

    def options(self, solution: str | None = None, **options: Any) -> dict[str, Any]:
        """What an SDK is set up with: as a backend of a solution, with usage in memory unless set."""
        named = self.solution(solution)
        given = {"url": self.url, "secret_key": named.secret_key, "solution": named.id}
        return {**given, "spool": "memory", **options}

    def environment(self, solution: str | None = None) -> dict[str, str]:
        """The variables by which the SDK of another process finds it."""
        named = self.solution(solution)
        return {
            "CLOUDNESTLE_URL": self.url,
            "CLOUDNESTLE_SOLUTION": named.id,
            "CLOUDNESTLE_SECRET_KEY": named.secret_key,
            "CLOUDNESTLE_PUBLISHABLE_KEY": named.publishable_key,
        }

    def token_pair(self, customer: str, solution: str | None = None) -> TokenPair:
        """What a customer hands to a solution: they are signed in, and have opened it."""
        body = {"solution_id": self.solution(solution).id}
        told = self.call("POST", "/api/generate-token", self._session(customer), body)
        at = datetime.fromisoformat(told["expires_at"].replace("Z", "+00:00"))
        return TokenPair(told["access_token"], told["refresh_token"], at)

    def launch_code(self, customer: str, solution: str | None = None) -> str:
        """The code that a customer's browser brings to the solution when they open it from the marketplace."""
        body = {"solution_id": self.solution(solution).id}
        launch = self.call("POST", "/api/launches", self._session(customer), body)
        redirect: str = launch["redirect_url"]
        query = urllib.parse.urlsplit(redirect).query
        return urllib.parse.parse_qs(query)["code"][0]

    def revoke_token(self, token: str, solution: str | None = None) -> None:
        """The marketplace ends a token."""
        self.call("DELETE", "/api/revoke-token", self._backend(solution), {"token": token})

    def revoke_user(self, customer: str, solution: str | None = None) -> None:
        """The marketplace ends every token of a customer for a solution."""
        body = {"customer_id": customer}
        self.call("DELETE", "/api/revoke-user", self._backend(solution), body)

    def set_tier(self, customer: str, tier: str, solution: str | None = None) -> None:
        """The customer has subscribed to another tier."""
        named = self.solution(solution).id
        body = {"customer_id": customer, "solution_id": named, "tier": tier}
        self.call("PUT", "/api/user-tier", self._world["admin_key"], body)

    def reset_quota(self, customer: str, action: str, solution: str | None = None) -> None:
        """The customer gets the quota of an action back."""
        named = self.solution(solution).id
        body = {"customer_id": customer, "solution_id": named, "action": action}
        self.call("POST", "/api/reset-quota", self._world["admin_key"], body)

    def now(self) -> datetime:
        """What the marketplace's clock shows."""
        told: str = self.control("GET", "/mock/clock")["now"]
        return datetime.fromisoformat(told.replace("Z", "+00:00"))

    def advance_clock(self, by: timedelta) -> list[dict[str, Any]]:
        """Moves the clock on, and answers what was due on the way and has happened, in order: tokens that expired
        (``{"task": "token_expires", "at": …}``), leases that ended. Of more than 1,000 it tells the first 1,000.
        """
        return self._clock({"advance_ms": round(by.total_seconds() * 1000)})

    def set_clock(self, now: datetime) -> list[dict[str, Any]]:
        """Sets the clock, and answers what was due on the way and has happened. Set back, it does nothing but show it."""
        return self._clock({"set": _moment(now)})

    def advance_to_next_event(self) -> list[dict[str, Any]]:
        """Moves the clock on to the next moment at which something happens; nowhere, if nothing is planned."""
        return self._clock({"advance_to_next_event": True})

    def freeze_clock(self, frozen: bool = True) -> None:
        """Lets the clock stand still until it is moved, or go on."""
        self._clock({"freeze": frozen})

    def scale_clock(self, scale: float) -> None:
        """Lets the clock run, so many times as fast as real time: more than 0, and at most 1,000,000."""
        self._clock({"scale": scale})

    def create_world(
        self,
        name: str | None = None,
        *,
        seed: int | None = None,
        now: datetime | None = None,
        frozen: bool = False,
        founding: dict[str, Any] | None = None,
        snapshot: str | None = None,
    ) -> TestMarketplace:
        """Makes a marketplace beside this one, in the same server, that shares nothing with any other: customers, keys,
        ids, clock, faults, journal. It is forgotten when it is stopped, or at the end of ``with``.

        ``name`` is its id, ``wld_…``; ``seed`` makes the same ids and keys again. ``founding`` is who is in it, in the
        form of a seed file; ``snapshot`` the id of one of this marketplace, which it begins with instead.
        """
        wanted = {
            "id": name,
            "seed": seed,
            "now": None if now is None else _moment(now),
            "frozen": frozen,
            "founding": founding,
            "from": None if snapshot is None else {"snapshot": snapshot},
        }
        told = self.control("POST", "/mock/worlds", {key: value for key, value in wanted.items() if value is not None})
        return TestMarketplace(_Hosted(self, told))

    def snapshot(self, name: str | None = None) -> str:
        """Keeps all that the marketplace holds now, and what its clock shows. Answers the id, ``snp_…``, which is ``name``
        if that is given.
        """
        told: str = self.control("POST", "/mock/snapshots", {} if name is None else {"id": name})["id"]
        return told

    def restore(self, snapshot: str) -> None:
        """Puts a snapshot in the place of what there is. Faults, limits and the journal stay."""
        self.control("POST", f"/mock/snapshots/{snapshot}/restore")

    def reset(self) -> None:
        """Lets everything be as it was when the marketplace began, with the keys it has: no usage, no tokens, no faults,
        no journal, and the clock it had.
        """
        self.control("POST", "/mock/reset")

    def inject(self, on: str = "*", **fault: Any) -> str:
        """Lets calls go wrong, and answers the fault's id: calls of an operation, such as ``POST /api/track-usage``, or of any.

        What goes wrong: ``status`` with ``code``, ``headers`` and ``body``; ``reset``, ``empty`` and ``rotate_key``, which are
        ``before_commit`` or ``after_commit``; ``truncated``, ``malformed``, ``drip``, ``stall_ms``, ``duplicate``; and with
        any of them or alone, ``delay_ms`` and ``date_offset_ms``. For which calls: of a ``solution``, of a ``test`` (what they have in ``CloudNestle-Test``); for
        how many: ``times``, ``after``, ``probability``, ``expires_ms``. The guide to faults tells the rest.
        """
        planned: str = self.control("POST", "/mock/faults", {"on": on, **fault})["ids"][0]
        return planned

    def faults_left(self) -> list[dict[str, Any]]:
        """The faults that no call has met yet."""
        left: list[dict[str, Any]] = self.control("GET", "/mock/faults")["left"]
        return left

    def verify_faults(self) -> None:
        """For the end of a test: a fault that no call has met has shown nothing.

        Raises:
            AssertionError: when some are left, with what they are.
        """
        left = self.faults_left()
        if left:
            raise AssertionError(f"no call met what was planned: {json.dumps(left)}")

    def remove_fault(self, fault: str) -> None:
        """Lets no more calls meet a fault."""
        self.control("DELETE", f"/mock/faults/{fault}")

    def clear_faults(self) -> None:
        """Forgets the fault plan."""
        self.control("DELETE", "/mock/faults")

    def set_outage(self, on: bool) -> None:
        """Takes the API out of reach, every connection being reset; or brings it back."""
        self.control("POST", "/mock/outage", {"on": on})

    def set_rate_limit(self, callers: str, per_second: float, burst: int | None = None) -> None:
        """Lets each of some callers call so often."""
        limit = {"callers": callers, "per_second": per_second}
        self.control("POST", "/mock/rate-limits", {**limit, **({} if burst is None else {"burst": burst})})

    def rotate_signing_key(self) -> None:
        """Lets the next of the published keys sign tokens from now on. Those of the last one stay good."""
        self.control("POST", "/mock/keys")

    def journal(self, **search: Any) -> list[dict[str, Any]]:
        """What the API was asked, and how it answered: of the last 10,000 calls those that are searched for, oldest first.

        ``operation``, ``status``, ``code``, ``request_id``, ``test``, ``customer``, ``after`` (a ``seq``) and ``limit`` say
        which; ``body`` is a text that is in a body; ``bodies=True`` tells headers and bodies, too, without secrets.
        """
        renamed = {"body": "body~"}
        asked = {
            renamed.get(name, name): str(value).lower() if isinstance(value, bool) else value
            for name, value in search.items()
        }
        query = f"?{urllib.parse.urlencode(asked)}" if asked else ""
        entries: list[dict[str, Any]] = self.control("GET", f"/mock/journal{query}")["entries"]
        return entries

    def verify(self, operation: str, **expected: Any) -> list[int]:
        """Whether the API was asked what a test expects. Answers the numbers of those calls, for the ``after`` of the next.

        How often: ``times``, or ``at_least`` and ``at_most``; once or more unless said. Of which calls: ``status``, ``code``,
        ``test``, ``after`` (a ``seq``); and ``headers``, ``query`` and ``body`` as they were sent, of which what is named
        matters alone, and which may be conditions, ``{"$gte": 1}``. See the guide to the journal.

        Raises:
            AssertionError: when there were fewer such calls, or more, with those that came near and in what they were other.
        """
        verdict = self.control("POST", "/mock/verify", {"operation": operation, **expected})
        if not verdict["verified"]:
            raise AssertionError(verdict["report"])
        matched: list[int] = verdict["matched"]
        return matched

    def clear_journal(self) -> None:
        """Forgets the journal."""
        self.control("DELETE", "/mock/journal")

    def counted_events(self, customer: str, solution: str | None = None) -> Iterator[dict[str, Any]]:
        """The ledger: every event of a customer that was counted, newest first."""
        query = {"page_size": str(_PAGE_SIZE)}
        while True:
            where = f"/api/usage/{customer}/events?{urllib.parse.urlencode(query)}"
            page = self.call("GET", where, self._backend(solution))
            yield from page["items"]
            if page.get("next_cursor") is None:
                return
            query["cursor"] = page["next_cursor"]

    def used(self, customer: str, action: str, solution: str | None = None) -> int:
        """How much of an action a customer has used, by the ledger."""
        events = self.counted_events(customer, solution)
        return sum(event["counts"] for event in events if event["action"] == action)

    def quotas(self, customer: str, solution: str | None = None) -> list[dict[str, Any]]:
        """What a customer may use, has used in this window, and when the next begins."""
        where = f"/api/quotas/{customer}/{self.solution(solution).id}"
        quotas: list[dict[str, Any]] = self.call("GET", where, self._backend(solution))["quotas"]
        return quotas

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """A call of ``/mock/…``, with JSON, and JSON in reply."""
        return self.call(method, path, self._world["control_token"], body)

    def call(self, method: str, path: str, bearer: str, body: Any = None) -> Any:
        """Any other call, in the words of the API page.

        Raises:
            MarketplaceCallError: when it is refused.
        """
        place = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPConnection(place.netloc, timeout=30)
        try:
            headers = {"authorization": f"Bearer {bearer}", "content-type": "application/json"}
            content = None if body is None else json.dumps(body)
            connection.request(method, place.path + path, content, headers)
            answer = connection.getresponse()
            told = answer.read()
        finally:
            connection.close()
        value = json.loads(told) if told else None
        if answer.status >= 400:
            raise MarketplaceCallError(f"{method} {path}", answer.status, value or {})
        return value

    def restart(self) -> None:
        """Ends the server and begins it again at the same place, with what its file has kept.

        Raises:
            RuntimeError: of a world, which is in memory.
        """
        if isinstance(self._server, _Hosted):
            raise RuntimeError("A world is kept in memory: it would be forgotten.")
        port = urllib.parse.urlsplit(self.url).port
        self._server.stop()
        self._world = self._server.start(port or 0)

    def stop(self) -> None:
        """Ends the server, and waits for its end; of a world, forgets it."""
        self._server.stop()

    def __enter__(self) -> TestMarketplace:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"TestMarketplace(url={self.url!r})"

    def _clock(self, change: dict[str, Any]) -> list[dict[str, Any]]:
        fired: list[dict[str, Any]] = self.control("POST", "/mock/clock", change)["fired"]
        return fired

    def _backend(self, solution: str | None) -> str:
        return self.solution(solution).secret_key

    def _session(self, customer: str) -> str:
        told = self.control("POST", "/mock/sessions", {"customer_id": customer})
        session: str = told["access_token"]
        return session


class _Hosted:
    """A world beside a server's own."""

    def __init__(self, beside: TestMarketplace, ready: dict[str, Any]) -> None:
        self.ready = ready
        self._beside = beside
        self._is_there = True

    def stop(self) -> None:
        if self._is_there:
            self._beside.control("DELETE", f"/mock/worlds/{self.ready['id']}")
            self._is_there = False


class _Server:
    """A process of the server."""

    def __init__(self, arguments: list[str], timeout: float) -> None:
        self._arguments = arguments
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self.ready = self.start(0)

    def start(self, port: int) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="cloudnestle-mock-server-") as folder:
            ready = os.path.join(folder, "ready.json")
            command = [_binary(), "--port", str(port), "--ready-file", ready, *self._arguments]
            said = open(os.path.join(folder, "said"), "w+b")
            with said:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said
                )
                until = time.monotonic() + self._timeout
                while True:
                    try:
                        with open(ready, "rb") as file:
                            told: dict[str, Any] = json.load(file)
                            return told
                    except FileNotFoundError:
                        pass
                    if self._process.poll() is not None or time.monotonic() > until:
                        self.stop()
                        said.seek(0)
                        words = said.read()[-4000:].decode(errors="replace")
                        raise RuntimeError(f"{command[0]} did not come up: {words}")
                    time.sleep(0.002)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None


def start_marketplace(
    *,
    db: str | os.PathLike[str] | None = None,
    seed: str | os.PathLike[str] | None = None,
    args: tuple[str, ...] = (),
    timeout: float = 10.0,
) -> TestMarketplace:
    """Starts a marketplace on a free port, in a process of its own.

    ``db`` is the file everything is kept in; with it, ``restart`` forgets nothing. ``seed`` is a YAML file with the
    world to found, the built-in one unless set; ``args`` are further arguments of the server.
    """
    kept = ["--memory"] if db is None else ["--db", os.fspath(db)]
    world = [] if seed is None else ["--seed", os.fspath(seed)]
    return TestMarketplace(_Server([*kept, *world, *args], timeout))


def _moment(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


def _binary() -> str:
    named = os.environ.get("CLOUDNESTLE_MOCK_SERVER")
    if named:
        return named
    name = "cloudnestle-mock-server"
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        raise RuntimeError(f"A marketplace needs its server: pip install {name}")
    return found
