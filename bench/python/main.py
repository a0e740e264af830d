"""The Python SDK beside its peers, in one run: the same events, delivered to a process of its own that counts them.
Prints tables in Markdown. ``cargo xtask bench --python`` installs and runs it; ``--quick`` is for trying the harness
itself.
"""

import json
import os
import pathlib
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from cloudnestle_marketplace.testing import start_marketplace
from peers import PEERS, is_ours

QUICK = "--quick" in sys.argv
ROUNDS = 8 if QUICK else 40
TOKENS = 900 if QUICK else 3_600
RUNS = 1 if QUICK else 3
IMPORTS = 3 if QUICK else 15

HERE = pathlib.Path(__file__).parent


class Bench:
    def __init__(self, marketplace, port, folder):
        self.marketplace = marketplace
        self.sink = f"http://127.0.0.1:{port}"
        self.folder = folder
        self.spools = 0
        tokens = [marketplace.token_pair("cus_ravi").access_token for _ in range(TOKENS)]
        (folder / "tokens.json").write_text(json.dumps(tokens))
        self.token = marketplace.token_pair("cus_ravi").access_token

    def environment(self):
        """What a process is told; each has a spool of its own."""
        self.spools += 1
        return {
            **os.environ,
            **self.marketplace.environment(),
            "CLOUDNESTLE_SPOOL_DIR": str(self.folder / f"spool-{self.spools}"),
            "PYTHONPATH": str(HERE),
            "TOKEN": self.token,
            "TOKENS": str(self.folder / "tokens.json"),
            "SINK": self.sink,
            "ROUNDS": str(ROUNDS),
        }

    def arrived(self, name):
        """How many events have arrived of all that this peer has ever sent."""
        if is_ours(name):
            return next(quota["used"] for quota in self.marketplace.quotas("cus_ravi") if quota["action"] == "search")
        with urllib.request.urlopen(f"{self.sink}/count") as answer:
            return int(answer.read())

    def best(self, what, *name):
        """The best of several runs, field by field: on a shared machine the others were disturbed."""
        runs = []
        for _ in range(RUNS):
            told = subprocess.run(
                [sys.executable, HERE / "measure.py", what, *name],
                env=self.environment(), stdout=subprocess.PIPE, check=True,
            )  # fmt: skip
            runs.append(json.loads(told.stdout))
        return {field: min(run[field] for run in runs) for field in runs[0]}

    def ends(self, program, name, *arguments):
        """Runs a program to its end; what became of its ten events, and how long the end took."""
        before, env = self.arrived(name), self.environment()
        begin = time.perf_counter()
        command = [sys.executable, HERE / "programs" / program, name, *arguments]
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE) as child:
            if program == "serves.py":
                child.stdout.readline()
                begin = time.perf_counter()
                child.send_signal(signal.SIGTERM)
            child.wait(120)
        took = time.perf_counter() - begin
        delivered = self.arrived(name) - before
        told = f"{delivered} in {took:.2f} s"
        if delivered < 10 and is_ours(name):
            # What is in the spool is for the next process.
            subprocess.run([sys.executable, HERE / "programs/ends.py", name], env=env, check=True)
            later = self.arrived(name) - before - delivered - 10
            told += f", and {later} by the next process" if later > 0 else ""
        return told


def table(title, head, rows):
    print(f"\n{title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


IMPORTED = [
    "from cloudnestle_marketplace import MarketplaceSDK",
    "from posthog import Posthog",
    "from segment.analytics.client import Client",
    "from jwt import decode",
    "from joserfc import jwt",
]


def imports():
    """Milliseconds until a program has imported each, above a bare interpreter, in turns."""
    taken = {statement: [] for statement in ["pass", *IMPORTED]}
    for _ in range(IMPORTS):
        for statement, took in taken.items():
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-c", statement], check=True)
            took.append((time.perf_counter() - begin) * 1000)
    bare = statistics.median(taken["pass"])
    rows = [[f"`{statement}`", f"{statistics.median(taken[statement]) - bare:.0f}"] for statement in IMPORTED]
    table(f"To import it takes so much more than a bare interpreter's {bare:.0f} ms", ["", "ms"], rows)


def users(bench):
    warm, cold = bench.best("warm"), bench.best("cold")

    def row(what, nanos, floor=None):
        return [what, f"{nanos / 1000:.2f}", "" if floor is None else f"{nanos / floor:.2f} ×"]

    table(
        "Who is this user?",
        ["µs a call", "measured", "of the floor"],
        [
            row("a `dict` and a look at the clock: the floor", warm["floor"]),
            row("`validate_user`, remembered", warm["ours"], warm["floor"]),
            row("`await validate_user`, remembered", warm["awaited"], warm["floor"]),
            row("`cryptography` verifies Ed25519, and `json.loads`: the floor", cold["floor"]),
            row("`validate_user`, never seen, local", cold["ours"], cold["floor"]),
            row("PyJWT `decode`, key held", cold["jwt"], cold["floor"]),
            row("joserfc `decode` and `validate`, key held", cold["rfc"], cold["floor"]),
        ],
    )


def events(bench):
    rows = []
    for name, (keeps, _) in PEERS.items():
        before = bench.arrived(name)
        best = bench.best("track", name)
        arrived = bench.arrived(name) - before
        call, cpu = best["call"] / 1000, best["cpu"] / 1000
        rows.append([name, keeps, f"{call:.2f}", f"{cpu:.2f}", f"{arrived} of {best['events'] * RUNS}"])
    head = ["", "where it is when the call has returned", "µs a call", "µs of the processor, delivery included", "delivered"]
    table("An event, in rounds of 500 that are delivered in between", head, rows)


def exits(bench):
    rows = []
    for name in PEERS:
        natural = bench.ends("ends.py", name)
        forked = bench.ends("forks.py", name)
        silent = bench.ends("serves.py", name)
        asked = bench.ends("serves.py", name, "listening") if is_ours(name) else "has none"
        rows.append([name, natural, forked, silent, asked])
    head = ["", "by itself", "half of it in a forked child", "by SIGTERM", "by SIGTERM, with the SDK’s help"]
    table("Ten events, and then the program ends", head, rows)


def main():
    print(f"Python {platform.python_version()}, of imports the median of {IMPORTS}, of ends one run, of the rest the best of {RUNS}.")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="cloudnestle-bench-"))
    with (
        start_marketplace() as marketplace,
        subprocess.Popen([sys.executable, HERE / "sink.py"], stdout=subprocess.PIPE) as sink,
    ):
        try:
            for callers in ("key", "token"):
                marketplace.set_rate_limit(callers, 1_000_000)
            bench = Bench(marketplace, int(sink.stdout.readline()), folder)
            imports()
            users(bench)
            events(bench)
            exits(bench)
        finally:
            sink.kill()
            shutil.rmtree(folder, ignore_errors=True)


main()
