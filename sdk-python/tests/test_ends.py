"""How programs end, and in which processes they go on: each event counts once, whatever becomes of whoever noted it."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

PRELUDE = """
import asyncio, multiprocessing, os, signal, sys, threading, time
from cloudnestle_marketplace import AsyncMarketplaceSDK, MarketplaceSDK
token = sys.argv[1]
acknowledged = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def note(sdk, times=1):
    for _ in range(times):
        receipt = sdk.track_usage(token, "search")
        os.write(acknowledged, receipt.event_id.encode() + b"\\n")
        os.fsync(acknowledged)
"""


class Programs:
    """Programs of one marketplace, with one spool, and what they were told is taken."""

    def __init__(self, marketplace, folder):
        self.marketplace = marketplace
        self.acknowledged = folder / "acknowledged"
        self.token = marketplace.token_pair("cus_ravi").access_token
        self.environment = {
            **os.environ,
            **marketplace.environment(),
            "CLOUDNESTLE_SPOOL_DIR": str(folder / "spool"),
        }

    def begin(self, program, **options):
        text = PRELUDE + textwrap.dedent(program)
        command = [sys.executable, "-c", text, self.token, str(self.acknowledged)]
        return subprocess.Popen(command, env=self.environment, **options)

    def run(self, program, **options):
        with self.begin(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as running:
            said, complained = running.communicate(timeout=60)
        assert complained == b"", complained.decode()
        return running.returncode, said.decode()

    def counted(self):
        return sorted(event["id"] for event in self.marketplace.counted_events("cus_ravi"))

    def each_counts_once(self, of=None):
        told = sorted(self.acknowledged.read_text().split())
        assert self.counted() == told
        assert of is None or len(told) == of


@pytest.fixture
def programs(marketplace, tmp_path):
    return Programs(marketplace, tmp_path)


def deliver(programs):
    """What programs have left, the next one delivers."""
    programs.run("MarketplaceSDK().flush()")


@pytest.mark.parametrize(
    "end",
    [
        "",
        "sys.exit(0)",
        "raise SystemExit",
        "threading.Thread(target=note, args=(sdk,)).start()",
    ],
)
def test_what_a_program_has_noted_is_delivered_when_it_ends(programs, end):
    program = f"sdk = MarketplaceSDK()\nnote(sdk, 10)\n{end}"
    assert programs.run(program) == (0, "")
    programs.each_counts_once()


def test_a_program_that_is_killed_loses_nothing(programs):
    program = "sdk = MarketplaceSDK()\nnote(sdk, 10)\nos.kill(os.getpid(), signal.SIGKILL)"
    assert programs.run(program)[0] == -signal.SIGKILL
    deliver(programs)
    programs.each_counts_once(10)


def test_a_program_that_is_asked_to_end_delivers_first(programs):
    program = """
        sdk = MarketplaceSDK().close_on_signal()
        note(sdk, 10)
        print("ready", flush=True)
        signal.pause()
    """
    with programs.begin(program, stdout=subprocess.PIPE) as running:
        assert running.stdout.readline() == b"ready\n"
        running.terminate()
    assert running.returncode == -signal.SIGTERM
    programs.each_counts_once(10)


def test_a_task_that_is_asked_to_end_delivers_first(programs):
    program = """
        async def main():
            sdk = AsyncMarketplaceSDK().close_on_signal()
            for _ in range(10):
                receipt = await sdk.track_usage(token, "search")
                os.write(acknowledged, receipt.event_id.encode() + b"\\n")
            print("ready", flush=True)
            await asyncio.sleep(60)
        asyncio.run(main())
    """
    with programs.begin(program, stdout=subprocess.PIPE) as running:
        assert running.stdout.readline() == b"ready\n"
        running.terminate()
    assert running.returncode == -signal.SIGTERM
    programs.each_counts_once(10)


def test_ctrl_c_interrupts_a_call_that_waits(programs):
    programs.marketplace.inject("GET /api/quotas/{customer_id}/{solution_id}", delay_ms=60_000)
    program = """
        signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever began us may ignore it
        sdk = MarketplaceSDK(deadline=60)
        print("ready", flush=True)
        try:
            sdk.quotas("cus_ravi")
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """
    with programs.begin(program, stdout=subprocess.PIPE) as running:
        assert running.stdout.readline() == b"ready\n"
        while not asked(programs.marketplace, "GET /api/quotas/{customer_id}/{solution_id}"):
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        assert running.stdout.readline() == b"interrupted\n"
    assert running.returncode == 0


def asked(marketplace, operation):
    """Whether a call is under way or was answered: its fault was met."""
    return not any(fault["on"] == operation for fault in marketplace.faults_left())


def test_a_program_that_ends_in_an_outage_keeps_what_it_has_noted(programs):
    programs.run("MarketplaceSDK().validate_user(token)")
    program = """
        sdk = MarketplaceSDK()
        sdk.validate_user(token)
        print("ready", flush=True)
        sys.stdin.readline()
        note(sdk, 10)
    """
    with programs.begin(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout.readline() == b"ready\n"
        programs.marketplace.set_outage(True)
        running.communicate(b"\n", timeout=30)
    assert running.returncode == 0
    programs.marketplace.set_outage(False)
    deliver(programs)
    programs.each_counts_once(10)


def test_a_forked_child_goes_on_with_an_sdk_of_its_own(programs):
    program = """
        sdk = MarketplaceSDK()
        note(sdk, 10)
        child = os.fork()
        note(sdk, 10)
        sdk.flush()
        if child:
            assert os.waitpid(child, 0)[1] == 0
            assert sdk.stats().usage.tracked == 20, sdk.stats()
        else:
            assert sdk.stats().usage.tracked == 10, sdk.stats()
    """
    assert programs.run(program) == (0, "")
    programs.each_counts_once(30)


def test_a_thread_may_fork_while_others_are_busy(programs):
    program = """
        sdk = MarketplaceSDK()
        note(sdk)
        stop = threading.Event()
        def busy():
            while not stop.is_set():
                sdk.validate_user(token)
                note(sdk)
        def fork():
            for _ in range(10):
                child = os.fork()
                if not child:
                    note(sdk, 5)
                    sdk.close()
                    os._exit(0)
                assert os.waitpid(child, 0)[1] == 0
        others = [threading.Thread(target=busy) for _ in range(3)]
        forking = threading.Thread(target=fork)
        for thread in [*others, forking]: thread.start()
        forking.join()
        stop.set()
        for thread in others: thread.join()
        sdk.flush()
    """
    assert programs.run(program) == (0, "")
    programs.each_counts_once()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_multiprocessing_deliver_what_they_have_noted(programs, tmp_path, method):
    module = tmp_path / "work.py"
    module.write_text(
        PRELUDE
        + textwrap.dedent(
            f"""
            sdk = MarketplaceSDK()
            def work(_):
                note(sdk, 5)
                return os.getpid()
            if __name__ == "__main__":
                note(sdk, 5)
                with multiprocessing.get_context({method!r}).Pool(4) as pool:
                    pool.map(work, range(8))
                    pool.close()
                    pool.join()
                note(sdk, 5)
            """
        )
    )
    command = [sys.executable, str(module), programs.token, str(programs.acknowledged)]
    done = subprocess.run(command, env=programs.environment, timeout=60, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    deliver(programs)
    programs.each_counts_once(50)


def test_what_was_made_before_a_fork_says_so_in_the_child(programs):
    program = """
        sdk = MarketplaceSDK()
        receipt = sdk.track_usage(token, "search")
        bucket = sdk.usage_history("cus_ravi")
        child = os.fork()
        if not child:
            told = []
            for call in (receipt.delivered, lambda: list(bucket)):
                try:
                    call()
                except Exception as error:
                    told.append(error.code)
            os._exit(0 if told == ["forked", "forked"] else 1)
        assert os.waitpid(child, 0)[1] == 0
        os.write(acknowledged, receipt.event_id.encode() + b"\\n")
    """
    assert programs.run(program) == (0, "")
    programs.each_counts_once(1)


def test_an_sdk_that_a_worker_of_multiprocessing_builds_is_closed_at_its_end(programs):
    program = """
        def work():
            global sdk
            sdk = MarketplaceSDK(spool="memory")
            note(sdk, 5)
            # One that goes on is waited for, and has an SDK until then.
            threading.Thread(target=lambda: time.sleep(0.2)).start()
        worker = multiprocessing.get_context("fork").Process(target=work)
        worker.start()
        worker.join(30)
        assert worker.exitcode == 0, worker.exitcode
    """
    assert programs.run(program) == (0, "")
    programs.each_counts_once(5)


NO_KEY = "the provided secret key has not the form of one for this environment"


def test_what_waits_to_be_logged_is_logged_at_the_end_and_by_the_parent_alone(programs):
    code, said = programs.run(
        """
        import logging
        from cloudnestle_marketplace import MarketplaceError
        logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, format="%(name)s %(message)s")
        unknown = "cnsk_test_thisIsNoKeyOfTheMarketplace00000000"
        sdk = MarketplaceSDK(secret_key=unknown, secret_key_provider=lambda: "no key")
        try:
            sdk.quotas("cus_ravi")
        except MarketplaceError as error:
            print(error.code, flush=True)
        if child := os.fork():
            os.waitpid(child, 0)
        """
    )
    assert (code, said) == (0, f"credential_invalid\ncloudnestle_marketplace {NO_KEY}\n")


def test_who_looks_for_a_key_holds_no_program_up_that_ends(programs):
    """Whose thread is in the midst of it when the interpreter ends."""
    code, said = programs.run(
        """
        def look():
            print("looking", flush=True)
            while True:
                time.sleep(0.001)
        sdk = MarketplaceSDK(secret_key="cnsk_test_thisIsNoKeyOfTheMarketplace00000000", secret_key_provider=look)
        threading.Thread(target=lambda: sdk.quotas("cus_ravi"), daemon=True).start()
        time.sleep(1)
        """
    )
    assert (code, said) == (0, "looking\n")


def test_callbacks_are_called_in_a_child_too(programs):
    program = """
        from cloudnestle_marketplace import events
        sdk = MarketplaceSDK()
        delivered = threading.Event()
        sdk.on(events.UsageDelivered, lambda event: delivered.set())
        child = os.fork()
        note(sdk)
        sdk.flush()
        assert delivered.wait(10)
        if child:
            assert os.waitpid(child, 0)[1] == 0
    """
    assert programs.run(program) == (0, "")
    programs.each_counts_once(2)


def test_a_child_of_a_closed_sdk_has_none(programs):
    program = """
        sdk = MarketplaceSDK()
        note(sdk)
        sdk.close()
        child = os.fork()
        if not child:
            try:
                note(sdk)
            except Exception as error:
                os._exit(0 if error.code == "closed" else 1)
            os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
    """
    assert programs.run(program) == (0, "")
    programs.each_counts_once(1)


def test_tasks_that_are_left_when_the_program_ends_do_no_harm(programs):
    program = """
        sdk = AsyncMarketplaceSDK()
        async def main():
            await sdk.track_usage(token, "search")
            asyncio.ensure_future(sdk.flush())
            asyncio.ensure_future(sdk.quotas("cus_ravi"))
            await asyncio.sleep(0)
        for _ in range(2):
            asyncio.run(main())
    """
    for _ in range(5):
        assert programs.run(program) == (0, "")
