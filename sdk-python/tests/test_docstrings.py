"""The examples of the docstrings, each with a marketplace of its own."""

import contextlib
import doctest
import importlib
import signal

import pytest

from cloudnestle_marketplace import MarketplaceSDK

MODULES = ["_async_sdk", "_base", "_receipt", "_sdk", "_source"]
FLAGS = doctest.IGNORE_EXCEPTION_DETAIL | doctest.ELLIPSIS


def examples():
    for name in MODULES:
        module = importlib.import_module(f"cloudnestle_marketplace.{name}")
        for test in doctest.DocTestFinder(exclude_empty=True).find(module):
            if test.examples:
                yield test


@contextlib.contextmanager
def handlers_restored():
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def test_every_call_has_an_example():
    shown = {test.name.split(".", 2)[2] for test in examples()}
    for name in dir(MarketplaceSDK):
        if not name.startswith("_"):
            assert f"MarketplaceSDK.{name}" in shown or f"Base.{name}" in shown, name
    assert {"AsyncMarketplaceSDK", "Receipt", "TokenSource"} <= shown


@pytest.mark.parametrize("example", list(examples()), ids=lambda example: example.name.partition(".")[2])
def test_an_example_is_true(example, marketplace, monkeypatch, tmp_path):
    for name, value in marketplace.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CLOUDNESTLE_SPOOL_DIR", str(tmp_path))
    pair = marketplace.token_pair("cus_ravi")
    with MarketplaceSDK() as sdk, handlers_restored():
        example.globs.update(marketplace=marketplace, pair=pair, sdk=sdk, token=pair.access_token)
        report = []
        ran = doctest.DocTestRunner(optionflags=FLAGS).run(example, out=report.append)
    assert ran.failed == 0, "".join(report)
