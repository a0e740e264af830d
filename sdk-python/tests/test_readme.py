"""The programs of the README, as they stand there."""

import os
import pathlib
import subprocess
import sys

import pytest

README = pathlib.Path(__file__).parent.parent / "README.md"
PROGRAMS = [block.split("```")[0] for block in README.read_text().split("```python\n")[1:]]


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_program(marketplace, tmp_path, program):
    is_test = "def test_" in program
    file = tmp_path / ("test_program.py" if is_test else "program.py")
    file.write_text(program)
    run = ["-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist"] if is_test else []
    environment = {**os.environ, **marketplace.environment(), "CLOUDNESTLE_SPOOL_DIR": str(tmp_path / "spool")}
    token = [] if is_test else [marketplace.token_pair("cus_ravi").access_token]
    done = subprocess.run(
        [sys.executable, *run, str(file), *token],
        cwd=tmp_path, env=environment, timeout=60, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    if is_test:
        assert "1 passed" in done.stdout
    searched = marketplace.used("cus_ravi", "search")
    assert searched == (1 if "track_usage" in program and not is_test else 0)
