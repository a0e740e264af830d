"""The programs of ``examples``, with what is installed."""

import os
import pathlib
import subprocess
import sys

from test_web import Application

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


def test_a_script_exports_while_the_limit_allows(marketplace, tmp_path):
    environment = {**os.environ, **marketplace.environment(), "CLOUDNESTLE_SPOOL_DIR": str(tmp_path)}
    token = marketplace.token_pair("cus_ravi").access_token
    command = [sys.executable, str(EXAMPLES / "python-script/report.py"), token]
    runs = [
        subprocess.run(command, env=environment, timeout=60, capture_output=True, text=True)
        for _ in range(6)
    ]
    assert [run.returncode for run in runs] == [0] * 5 + [1]
    assert runs[4].stdout == "Exported for cus_ravi.\n0 exports are left.\n"
    assert "no exports left until" in runs[5].stderr
    assert marketplace.used("cus_ravi", "export") == 5


def test_the_quickstart_tells_what_it_does(marketplace, tmp_path):
    token = marketplace.token_pair("cus_ravi").access_token
    environment = {**os.environ, **marketplace.environment(), "CLOUDNESTLE_TOKEN": token}
    environment["CLOUDNESTLE_SPOOL_DIR"] = str(tmp_path)
    command = [sys.executable, str(EXAMPLES / "quickstart-python/quickstart.py")]
    ran = subprocess.run(command, env=environment, timeout=60, capture_output=True, text=True, check=True)
    first, second, forged, *quotas, denied = ran.stdout.splitlines()
    assert first.startswith("first: cus_ravi, registered, online, fresh, after ")
    assert first.rpartition("after ")[2] == second.rpartition("after ")[2], "the second is from memory"
    assert forged == "forged: token_signature_invalid"
    assert "search: 3 of 100 used" in quotas
    assert denied.startswith("export: 5 left until ")
    assert marketplace.used("cus_ravi", "search") == 4


def test_an_application_counts_what_is_asked(marketplace, tmp_path):
    command = ["uvicorn", "app:app", "--port", "{port}", "--log-level", "warning"]
    application = Application(marketplace, tmp_path, command, EXAMPLES / "python-fastapi")
    status, told, _ = application.ask("GET", "/search?query=shoes")
    assert (status, told["for"]) == (200, "cus_ravi")
    assert [application.ask("POST", "/export")[0] for _ in range(6)] == [200] * 5 + [402]
    application.end()
    assert (marketplace.used("cus_ravi", "search"), marketplace.used("cus_ravi", "export")) == (1, 5)
