"""Tests the server against the OpenAPI document it gives out: `fuzz.py [SECONDS [SEED]]`.

Requests are drawn from the document, broken on purpose, and chained by its links. No answer may be one the
document does not name, none a 5xx, and every call must have been answered with a 2xx at least once. Calls
of /mock come last, for they change the world the others are played in. Without a seed the requests are the
same ones each time, as far as time allows: whoever looks for new ones brings another.
"""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
URL = os.environ["CLOUDNESTLE_URL"]
CONTROL = os.environ["CLOUDNESTLE_CONTROL_TOKEN"]
SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 90
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else 8


def control(path: str, body: dict) -> dict:
    headers = {"Authorization": f"Bearer {CONTROL}", "Content-Type": "application/json"}
    request = urllib.request.Request(URL + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def fuzz(seconds: int, *which: str) -> dict[str, dict[str, int]]:
    """Runs schemathesis for so long, and returns how often each call was answered with each status."""
    with tempfile.TemporaryDirectory() as folder:
        reached = Path(folder, "reached.json")
        environment = {
            **os.environ,
            "CLOUDNESTLE_REACHED": str(reached),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(HERE),
            "SCHEMATHESIS_HOOKS": "hooks",
        }
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml")]
        command += ["run", f"{URL}/openapi.json", "--no-color", f"--max-time={seconds}", f"--seed={SEED}"]
        command += which
        if subprocess.run(command, cwd=folder, env=environment).returncode != 0:
            sys.exit("the server and its document disagree, as told above")
        return json.loads(reached.read_text())


def snapshots() -> dict[str, dict[str, int]]:
    """Calls that take what only another call can give: a snapshot that is there, a file that is one."""
    reached = {}

    def call(method: str, path: str, body: bytes | None = None) -> bytes:
        headers = {"Authorization": f"Bearer {CONTROL}", "Content-Type": "application/json"}
        request = urllib.request.Request(URL + path.format(snapshot_id="snp_kept"), body, headers, method=method)
        with urllib.request.urlopen(request) as answer:
            reached[f"{method} {path}"] = {str(answer.status): 1}
            return answer.read()

    call("POST", "/mock/snapshots", b'{"id": "snp_kept"}')
    file = call("GET", "/mock/snapshots/{snapshot_id}")
    call("POST", "/mock/snapshots/{snapshot_id}/restore")
    call("DELETE", "/mock/snapshots/{snapshot_id}")
    call("PUT", "/mock/snapshots/{snapshot_id}", file)
    return reached


for callers in ["key", "token", "open", "sign_in"]:
    control("/mock/rate-limits", {"callers": callers, "per_second": 1_000_000, "burst": 1_000_000})
reached = fuzz(SECONDS * 2 // 3, "--exclude-path-regex=^/mock")
# schemathesis leaves the document itself alone, having read it.
reached |= {"GET /openapi.json": {"200": 1}}
reached |= snapshots()
# What was reached on purpose stays, where schemathesis has not been as lucky.
reached = fuzz(SECONDS // 3, "--include-path-regex=^/mock", "--phases=examples,coverage,fuzzing") | reached

with urllib.request.urlopen(f"{URL}/openapi.json") as answer:
    paths = json.load(answer)["paths"]
calls = [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]
unreached = [call for call in calls if not any(status.startswith("2") for status in reached.get(call, {}))]
statuses = sum((Counter(found) for found in reached.values()), Counter())
print(f"{sum(statuses.values())} requests of {len(calls)} calls: {dict(sorted(statuses.items()))}")
if unreached:
    sys.exit(f"never answered with a 2xx: {', '.join(unreached)}")
