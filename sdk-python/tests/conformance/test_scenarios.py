"""The scenarios of ``conformance/scenarios``, through both classes, against a server of its own for each. The format is
``conformance/src/lib.rs``; a runner is a loop.
"""

import asyncio
import concurrent.futures
import contextvars
import inspect
import os
import pathlib
import threading

import pytest
from program import Program
from ruamel.yaml import YAML
from server import Server

from cloudnestle_marketplace import AsyncMarketplaceSDK, MarketplaceSDK

FOLDER = pathlib.Path(os.environ["CLOUDNESTLE_CONFORMANCE"])

MISSING = {"client"}
"""What neither class offers."""


def scenarios():
    texts = {path.stem: path.read_text() for path in sorted((FOLDER / "scenarios").glob("*.yaml"))}
    readme = (FOLDER / "README.md").read_text()
    texts["the_example_of_the_readme"] = readme.split("```yaml\n")[1].split("```")[0]
    read = YAML(typ="safe", pure=True)
    return {name: read.load(text) for name, text in texts.items()}


TOGETHER = contextvars.ContextVar("TOGETHER", default=None)
"""Where the threads of several callers meet before they call."""


class AsyncFace:
    """The class for asyncio, as it is."""

    def __init__(self, options):
        self.sdk = AsyncMarketplaceSDK(**options)

    def __getattr__(self, name):
        return getattr(self.sdk, name)

    async def close(self, deadline):
        return await self.sdk.aclose(deadline)

    async def leave(self):
        """Lets go at once, as a program that ends."""
        del self.sdk

    async def together(self, call, times):
        return await asyncio.gather(*(call() for _ in range(times)), return_exceptions=True)

    async def all_of(self, items):
        return [item async for item in items]


class SyncFace:
    """The class for threads, each of whose calls waits in one."""

    def __init__(self, options):
        self.sdk = MarketplaceSDK(**options)

    def __getattr__(self, name):
        return in_thread(getattr(self.sdk, name))

    def stats(self):
        return self.sdk.stats()

    def keep_fresh(self, pair):
        return Waited(self.sdk.keep_fresh(pair))

    def usage_history(self, *arguments, **named):
        return self.sdk.usage_history(*arguments, **named)

    def usage_events(self, *arguments, **named):
        return self.sdk.usage_events(*arguments, **named)

    async def leave(self):
        del self.sdk

    async def together(self, call, times):
        TOGETHER.set(threading.Barrier(times) if times > 1 else None)
        try:
            return await asyncio.gather(*(call() for _ in range(times)), return_exceptions=True)
        finally:
            TOGETHER.set(None)

    async def all_of(self, items):
        return await asyncio.to_thread(list, items)


class Waited:
    """Something whose calls wait, in a thread."""

    def __init__(self, of):
        self.of = of

    def __getattr__(self, name):
        member = getattr(self.of, name)
        return in_thread(member) if inspect.ismethod(member) else member


def in_thread(method):
    def wait(*arguments, **named):
        together = TOGETHER.get()
        if together is not None:
            together.wait()
        return method(*arguments, **named)

    async def call(*arguments, **named):
        answer = await asyncio.to_thread(wait, *arguments, **named)
        return Waited(answer) if type(answer).__name__ == "Receipt" else answer

    return call


def pytest_generate_tests(metafunc):
    metafunc.parametrize("name", scenarios())
    metafunc.parametrize("face", [SyncFace, AsyncFace], ids=["sync", "asyncio"])


def test_scenario(name, face, tmp_path):
    scenario = scenarios()[name]
    missing = MISSING.intersection(scenario["needs"])
    if missing or scenario.get("given", {}).get("client"):
        pytest.skip(f"Python has no {', '.join(missing)}")
    asyncio.run(play(scenario, face, tmp_path))


async def play(scenario, face, folder):
    given, steps = scenario.get("given", {}), scenario["steps"]
    asyncio.get_running_loop().set_default_executor(concurrent.futures.ThreadPoolExecutor(64))
    server = Server(given, steps, folder)
    programs = {}
    try:
        programs[None] = Program(face, server, given)
        for index, step in enumerate(steps):
            which = step.get("program")
            if which not in programs:
                programs[which] = Program(face, server, given)
            try:
                await take(step, server, programs[which])
            except Exception as error:
                where = f"“{scenario['promise']}”, step {index + 1} ({step['do']})"
                raise AssertionError(f"{where}: {error}") from error
        server.must_have_seen(**scenario.get("server", {}))
    finally:
        for program in programs.values():
            await program.end()
        server.marketplace.stop()


async def take(step, server, program):
    if step["do"] == "wait":
        return await asyncio.sleep(step["millis"] / 1000)
    if server.do(step, program):
        return None
    before = program.requests()
    polls = server.polls()
    for _ in range(step.get("times", 1)):
        await program.call(step)
    if "requests" in step:
        requests = program.requests() - before
        # On a busy machine a reading of the feed may fall due in any step, and is not because of it.
        due = server.polls() - polls
        assert step["requests"] in (requests, requests - due), f"{requests} requests, {due} of the feed"
    return None
