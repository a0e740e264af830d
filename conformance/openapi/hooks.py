"""Credentials and the built-in world, for requests that would never guess them; and what was reached."""

import atexit
import itertools
import json
import os
import urllib.request
import zlib
from collections import Counter, defaultdict
from datetime import datetime, timezone

import schemathesis
from schemathesis import GenerationMode

URL = os.environ["CLOUDNESTLE_URL"]
CONTROL = os.environ["CLOUDNESTLE_CONTROL_TOKEN"]
CUSTOMER, SOLUTION = "cus_ravi", "sol_faiss_search"
reached: dict[str, Counter[int]] = defaultdict(Counter)
numbers = itertools.count(1)
turns: dict[str, itertools.count] = defaultdict(itertools.count)


def call(method: str, path: str, bearer: str, body: dict | None = None) -> dict:
    headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


WORLD = {it["id"]: it for it in call("GET", "/mock/world", CONTROL)["solutions"]}
SECRET_KEY = WORLD[SOLUTION]["secret_key"]


def session() -> str:
    # Each its own: some calls end it.
    return call("POST", "/mock/sessions", CONTROL, {"customer_id": CUSTOMER})["access_token"]


def pair(bearer: str | None = None) -> dict:
    return call("POST", "/api/generate-token", bearer or session(), {"solution_id": SOLUTION})


def jti() -> str:
    user = call("POST", "/api/validate-token", SECRET_KEY, {"token": pair()["access_token"]})["user"]
    return user["token_id"]


def launch_code() -> str:
    launch = call("POST", "/api/launches", session(), {"solution_id": SOLUTION})
    return launch["redirect_url"].split("code=")[1].split("&")[0]


def registration() -> dict:
    email = f"kavya{next(numbers)}.{os.getpid()}@example.com"
    return {"email": email, "password": "correct horse", "name": "Kavya Rao"}


def event() -> dict:
    now = datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
    names = {"id": f"evt_{next(numbers)}.{os.getpid()}", "customer_id": CUSTOMER, "token_id": jti()}
    return names | {"action": "search", "quantity": 1, "occurred_at": now}


# Bodies about something there is. The others are drawn from the schemas.
BODIES = {
    "POST /api/generate-token": lambda: {"solution_id": SOLUTION},
    "POST /api/launches": lambda: {"solution_id": SOLUTION},
    "POST /api/user-solutions": lambda: {"solution_id": "sol_invoice_ocr"},
    "POST /api/validate-token": lambda: {"token": pair()["access_token"]},
    "DELETE /api/revoke-token": lambda: {"token": pair()["access_token"]},
    "POST /api/refresh-token": lambda: {"refresh_token": pair()["refresh_token"]},
    "POST /api/exchange-code": lambda: {"code": launch_code()},
    "POST /api/users": registration,
    "POST /api/users/convert": registration,
    "POST /api/sessions": lambda: {"email": "ravi@example.com", "password": "cloudnestle-test"},
    "POST /api/secret-keys/rotate": lambda: {"overlap_secs": 3_600},
    "DELETE /api/revoke-user": lambda: {"customer_id": "cus_visitor"},
    "PUT /api/user-tier": lambda: {"customer_id": "cus_ravi", "solution_id": SOLUTION, "tier": "pro"},
    "POST /api/reset-quota": lambda: {"customer_id": "cus_ravi", "solution_id": SOLUTION, "action": "search"},
    "POST /api/quotas/{customer_id}/{solution_id}/consume": lambda: {
        "id": f"evt_{next(numbers)}.{os.getpid()}", "token_id": jti(), "action": "search", "quantity": 1,
    },
    "POST /api/track-usage": lambda: {"event": event()},
    "POST /mock/faults": lambda: {"on": "POST /api/track-usage", "delay_ms": 1},
    "POST /mock/sessions": lambda: {"customer_id": CUSTOMER},
    "POST /mock/tokens": lambda: {"flaw": "expired", "customer_id": CUSTOMER, "solution_id": SOLUTION},
}
IN_PATHS = {"customer_id": CUSTOMER, "solution_id": SOLUTION}


def secret_key(operation: str) -> str:
    # A key may be ended at once, and that one's solution has no other part in this.
    return WORLD["sol_chat_notes"]["secret_key"] if operation.endswith("/rotate") else SECRET_KEY


def token(operation: str) -> str:
    visitor = operation == "POST /api/users/convert"
    return pair(SECRET_KEY if visitor else None)["access_token"]


CREDENTIALS = {
    "secretKey": secret_key,
    "publishableKey": lambda _: WORLD[SOLUTION]["publishable_key"],
    "adminKey": lambda _: os.environ["CLOUDNESTLE_ADMIN_KEY"],
    "controlToken": lambda _: CONTROL,
    "customerSession": lambda _: session(),
    "solutionToken": token,
}


def is_odd(case) -> bool:
    """Half of the cases, the same ones in each run."""
    return zlib.crc32(repr((case.path_parameters, case.body, case.headers)).encode()) % 2 == 1


@schemathesis.auth(refresh_interval=None)
class Credentials:
    def get(self, case, context) -> tuple[str, str] | None:
        schemes = [scheme for one in case.operation.definition.raw.get("security", []) for scheme in one]
        if not schemes:
            return None
        label = case.operation.label
        scheme = schemes[next(turns[label]) % len(schemes)]
        return scheme, CREDENTIALS[scheme](label)

    def set(self, case, data, context) -> None:
        if data:
            scheme, secret = data
            case.headers["Authorization"] = f"Bearer {secret}"
            if scheme == "publishableKey":
                # One that the solution has registered.
                case.headers["Origin"] = "http://localhost:3000"


@schemathesis.serializer("application/x-ndjson")
def lines(context, value) -> bytes:
    return str(value).encode(errors="replace")


@schemathesis.hook
def before_call(context, case, kwargs) -> None:
    """Plants the built-in world in half of what the schemas allow, and in all of it until a call has succeeded;
    the other half stays as it was drawn."""
    is_allowed = case.meta and case.meta.generation.mode == GenerationMode.POSITIVE
    label = case.operation.label
    # Of a chain, the first call alone: the others go on with what they were handed.
    is_handed = is_allowed and case.meta.phase.name == "stateful" and label != "POST /api/generate-token"
    has_succeeded = any(200 <= status < 300 for status in reached[label])
    if is_allowed and not is_handed and (is_odd(case) or not has_succeeded):
        if label in BODIES:
            case.body = BODIES[label]()
        for name in case.path_parameters or {}:
            case.path_parameters[name] = IN_PATHS.get(name, case.path_parameters[name])


@schemathesis.hook
def after_call(context, case, response) -> None:
    reached[case.operation.label][response.status_code] += 1


# What no schema can say: which calls may take a body or a query for malformed that fits theirs, and why.
BEYOND_SCHEMAS = {
    "DELETE /api/revoke-token": "the token is one of the marketplace",
    "POST /api/track-usage": "numbers are consecutive; lengths are counted in bytes",
    "POST /api/quotas/{customer_id}/{solution_id}/consume": "either `id` or an Idempotency-Key",
    "POST /api/quotas/{customer_id}/{solution_id}/leases": "`wanted` is at least `least`; ids say what they are of",
    "DELETE /api/quotas/{customer_id}/{solution_id}/leases/{lease_id}": "ids say what they are of",
    "POST /api/producers/{producer_id}/end": "ids say what they are of",
    "GET /api/usage/{customer_id}": "a range begins before it ends, and has a bounded number of buckets",
    "GET /api/usage/{customer_id}/events": "a range begins before it ends",
    "POST /api/users": "lengths are counted in bytes; no control characters in an address",
    "POST /api/users/convert": "as for users",
    "POST /api/launches": "a publishable key is a solution's, and takes a challenge",
    "POST /mock/clock": "either `set` or `advance_ms`, in the years 2000 to 2199",
    "POST /mock/faults": "a fault is of an operation there is, and does one thing",
    "POST /mock/snapshots": "ids say what they are of",
    "PUT /mock/snapshots/{snapshot_id}": "a file is one that a snapshot was written to",
    "POST /mock/verify": "an operation there is; conditions have names of their own",
    "POST /mock/worlds": "a founding has a form of its own",
}


@schemathesis.check
def what_the_schemas_allow_is_not_malformed(context, response, case) -> None:
    """A request that fits the document may be refused for what it is about, not for its form."""
    is_allowed = case.meta and case.meta.generation.mode == GenerationMode.POSITIVE
    if is_allowed and response.status_code == 422 and case.operation.label not in BEYOND_SCHEMAS:
        problem = response.json()
        # To JSON Schema 1.0 is an integer; here it is a slip.
        if "invalid type: floating" not in problem.get("detail", ""):
            assert problem["code"] != "request_invalid", response.text


@schemathesis.check
def what_is_malformed_is_not_counted(context, response, case) -> None:
    """The schema of an event is kept, too: what breaks it is refused as a whole, or event by event; or not
    looked at, because its number was taken before, or is lost, be it for a reason that only a newer SDK knows."""
    is_usage = case.operation.label == "POST /api/track-usage" and case.method == "POST"
    is_negative = case.meta and case.meta.generation.mode == GenerationMode.NEGATIVE
    if is_usage and is_negative and response.status_code == 200:
        statuses = {result["status"] for result in response.json()["results"]}
        assert statuses != {"accepted"}, f"{case.body}: {statuses}"


@atexit.register
def report() -> None:
    with open(os.environ["CLOUDNESTLE_REACHED"], "w") as file:
        json.dump(reached, file)
