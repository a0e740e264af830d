"""Applications on real servers."""

import concurrent.futures
import http.client
import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

APP = """
import os
from typing import Annotated
from fastapi import Depends, FastAPI, Request
from cloudnestle_marketplace import AsyncMarketplaceSDK, User
from cloudnestle_marketplace.fastapi import Guard

guard = Guard(AsyncMarketplaceSDK())
app = FastAPI(lifespan=guard.lifespan)
guard.answer_errors_of(app)

@app.get("/who")
async def who(user: Annotated[User, Depends(guard)]) -> dict[str, str]:
    return {"customer": user.customer_id, "process": str(os.getpid())}

@app.post("/search")
async def search(request: Request, user: Annotated[User, Depends(guard)]) -> dict[str, str]:
    token = request.headers["authorization"].partition(" ")[2]
    receipt = await guard.sdk.track_usage(token, "search")
    return {"event": receipt.event_id, "process": str(os.getpid())}

@app.post("/export", dependencies=[Depends(guard.consuming("export"))])
async def export(request: Request) -> dict[str, str]:
    return {"customer": request.state.marketplace_user.customer_id}
"""


class Application:
    def __init__(self, marketplace, folder, command, sources=None):
        (folder / "application.py").write_text(textwrap.dedent(APP))
        self.environment = {
            **os.environ,
            "PYTHONDONTWRITEBYTECODE": "1",
            **marketplace.environment(),
            "CLOUDNESTLE_SPOOL_DIR": str(folder / "spool"),
        }
        self.port = free_port()
        bind = [part.format(port=self.port) for part in command]
        self.process = subprocess.Popen(
            [sys.executable, "-m", *bind], cwd=sources or folder, env=self.environment, stderr=subprocess.PIPE
        )
        self.token = marketplace.token_pair("cus_ravi").access_token
        self.wait_until_it_answers()

    def wait_until_it_answers(self):
        until = time.monotonic() + 30
        while True:
            try:
                return self.ask("GET", "/openapi.json")
            except OSError:
                assert self.process.poll() is None, self.process.stderr.read().decode()
                assert time.monotonic() < until
                time.sleep(0.05)

    def ask(self, method, path, token=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"authorization": f"Bearer {self.token if token is None else token}"}
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        told = json.loads(answer.read())
        connection.close()
        return answer.status, told, answer.headers

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        said = self.process.communicate(timeout=30)[1].decode()
        assert "Traceback" not in said and "panicked" not in said, said


def free_port():
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


UVICORN = ["uvicorn", "application:app", "--port", "{port}", "--log-level", "warning"]
GUNICORN = [
    "gunicorn", "application:app", "--preload", "--workers", "4", "--worker-class", "uvicorn_worker.UvicornWorker",
    "--bind", "127.0.0.1:{port}", "--log-level", "warning",
]  # fmt: skip


def test_a_route_knows_its_user_and_what_they_may(marketplace, tmp_path):
    application = Application(marketplace, tmp_path, UVICORN)
    status, told, _ = application.ask("GET", "/who")
    assert (status, told["customer"]) == (200, "cus_ravi")

    status, problem, headers = application.ask("GET", "/who", token="nonsense")
    assert (status, problem["code"]) == (401, "token_malformed")
    assert headers["content-type"] == "application/problem+json"
    assert application.ask("GET", "/who", token="")[1]["code"] == "credential_missing"

    answers = [application.ask("POST", "/export") for _ in range(6)]
    assert [status for status, _, _ in answers] == [200] * 5 + [402]
    _, problem, headers = answers[-1]
    assert (problem["code"], problem["action"], problem["limit"]) == ("quota_exceeded", "export", 5)
    assert int(headers["retry-after"]) >= 0
    application.end()
    assert marketplace.used("cus_ravi", "export") == 5


@pytest.mark.parametrize("command", [UVICORN, GUNICORN], ids=["uvicorn", "gunicorn --preload"])
def test_every_event_of_every_worker_counts_once(marketplace, tmp_path, command):
    application = Application(marketplace, tmp_path, command)
    answers = [application.ask("POST", "/search")[1] for _ in range(100)]
    # On a busy machine one of them may be the only one for a while.
    several, until = (2 if command is GUNICORN else 1), time.monotonic() + 60
    while len({answer["process"] for answer in answers}) < several:
        assert time.monotonic() < until
        with concurrent.futures.ThreadPoolExecutor(8) as callers:
            asking = [callers.submit(application.ask, "POST", "/search") for _ in range(8)]
            answers += [asked.result()[1] for asked in asking]
    application.end()
    # What a worker left behind, whoever comes next delivers.
    flush = "from cloudnestle_marketplace import MarketplaceSDK\nMarketplaceSDK().flush()"
    subprocess.run([sys.executable, "-c", flush], env=application.environment, check=True)
    counted = sorted(event["id"] for event in marketplace.counted_events("cus_ravi"))
    assert counted == sorted(answer["event"] for answer in answers)
