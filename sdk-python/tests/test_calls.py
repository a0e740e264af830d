"""The calls, as a program of either kind makes them."""

import asyncio
import pickle
import threading

import pytest

from cloudnestle_marketplace import (
    AsyncMarketplaceSDK,
    ConfigError,
    DeadlineExceededError,
    MarketplaceError,
    MarketplaceSDK,
    QuotaExceededError,
    TokenPair,
    UnavailableError,
    UserRefusedError,
    events,
)


@pytest.fixture
def token(marketplace):
    return marketplace.token_pair("cus_ravi").access_token


@pytest.fixture
def sdk(marketplace):
    with MarketplaceSDK(**marketplace.options()) as sdk:
        yield sdk


def test_a_user_is_known_and_what_they_do_counts_once(marketplace, sdk, token):
    user = sdk.validate_user(token)
    assert (user.customer_id, user.tier, user.verified, user.freshness) == (
        "cus_ravi",
        "registered",
        "online",
        "fresh",
    )
    assert user == sdk.validate_user(token) and hash(user) == hash(sdk.validate_user(token))
    assert "search" in sdk.get_user_context(token).entitlements
    named = {"idempotency_key": "first", "metadata": {"rows": 2, "ok": True}}
    receipt = sdk.track_usage(token, "search", 3, **named)
    sdk.track_usage(token, "search", 3, **named)
    receipt.delivered()
    sdk.flush()
    assert marketplace.used("cus_ravi", "search") == 3
    assert sdk.stats().usage.delivered == 2


def test_what_is_beyond_a_hard_limit_is_denied_with_particulars(marketplace, sdk, token):
    for _ in range(5):
        sdk.consume(token, "export")
    with pytest.raises(QuotaExceededError) as denied:
        sdk.consume(token, "export")
    denial = denied.value.denial
    assert (denial.action, denial.limit, denial.used + denial.leased, denial.remaining) == ("export", 5, 5, 0)
    assert denial.resets_at > marketplace.now()


def test_a_mistake_is_put_right(marketplace, sdk, token):
    wrong = sdk.track_usage(token, "search", 7)
    sdk.track_usage(token, "search", 2, amends=wrong.reference())
    sdk.flush()
    assert marketplace.used("cus_ravi", "search") == 2


def test_every_error_is_of_one_base_and_says_what_to_do(sdk):
    with pytest.raises(UserRefusedError) as refused:
        sdk.validate_user("nonsense")
    error = refused.value
    assert isinstance(error, MarketplaceError)
    assert (error.code, error.refuses_user, error.retryable) == ("token_malformed", True, False)
    assert error.advice and error.docs_url.endswith("#token_malformed")
    error.noted = "by the program"
    copied = pickle.loads(pickle.dumps(error))
    assert (type(copied), str(copied), vars(copied)) == (type(error), str(error), vars(error))


def test_built_in_bases_are_caught_too(marketplace, sdk, token):
    sdk.validate_user(token)
    marketplace.set_outage(True)
    with pytest.raises(ConnectionError) as nobody:
        sdk.quotas("cus_ravi")
    assert isinstance(nobody.value, UnavailableError)
    with pytest.raises(TimeoutError) as late:
        sdk.with_options(deadline=0.05).quotas("cus_ravi")
    assert isinstance(late.value, DeadlineExceededError)
    marketplace.set_outage(False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"validation": "sometimes"},
        {"durability": "Durable"},
        {"overflow": "drop"},
        {"deadline": -1},
        {"max_age": float("nan")},
        {"url": "http://marketplace.example"},
        {"secret_key": "cnak_test_x"},
        {"secret_key_provider": "cnsk_test_x"},
    ],
)
def test_a_setting_that_is_none_is_named(marketplace, wrong):
    with pytest.raises(ConfigError) as named:
        MarketplaceSDK(**{**marketplace.options(), **wrong})
    assert isinstance(named.value, ValueError)


UNKNOWN_KEY = "cnsk_test_thisIsNoKeyOfTheMarketplace00000000"


def test_a_key_that_was_replaced_while_the_program_runs_is_asked_for_and_used(marketplace):
    asked = []

    def replaced():
        asked.append(threading.current_thread() is threading.main_thread())
        return marketplace.solution().secret_key

    options = marketplace.options(secret_key=UNKNOWN_KEY, secret_key_provider=replaced)
    with MarketplaceSDK(**options) as sdk:
        assert sdk.quotas("cus_ravi")
        assert sdk.quotas("cus_ravi")
    assert asked == [False]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_who_does_not_find_the_key_leaves_the_error_as_it_was(marketplace):
    def missing():
        raise FileNotFoundError("no such secret")

    for provider in (missing, lambda: None, lambda: 7):
        with MarketplaceSDK(**marketplace.options(secret_key=UNKNOWN_KEY, secret_key_provider=provider)) as sdk:
            with pytest.raises(MarketplaceError) as refused:
                sdk.quotas("cus_ravi")
            assert refused.value.code == "credential_invalid"


def test_an_error_has_what_caused_it(marketplace, tmp_path):
    folder = tmp_path / "spool"
    folder.write_text("no folder")
    sdk = MarketplaceSDK(**marketplace.options(spool=folder, durability="durable"))
    with pytest.raises(MarketplaceError) as failed:
        sdk.track_usage(marketplace.token_pair("cus_ravi").access_token, "search")
    assert failed.value.code == "spool_failed"
    assert "directory" in str(failed.value.__cause__)


def test_what_the_sdk_does_by_itself_is_told(sdk, token):
    told, delivered = [], threading.Event()
    sdk.on(events.UsageRejected, told.append)
    sdk.on(events.UsageDelivered, lambda event: (told.append(event), delivered.set()))
    watching = sdk.events()
    sdk.track_usage(token, "serach")
    sdk.track_usage(token, "search")
    sdk.flush()
    assert delivered.wait(10)
    rejected = next(event for event in watching if isinstance(event, events.UsageRejected))
    assert (rejected.code, rejected.event.action) == ("action_unknown", "serach")
    assert sorted(type(event).__name__ for event in told) == ["UsageDelivered", "UsageRejected"]
    sdk.close()
    assert [type(event) for event in watching] in ([], [events.UsageDelivered])  # and it ends


def records_of(caplog, text):
    return [record for record in caplog.records if text in record.getMessage()]


def test_what_the_sdk_does_by_itself_is_logged_under_one_name(marketplace, sdk, token, caplog):
    caplog.set_level("DEBUG", logger="cloudnestle_marketplace")
    sdk.validate_user(token)
    marketplace.set_outage(True)
    sdk.track_usage(token, "search")
    sdk.flush_before_return(2)
    marketplace.set_outage(False)
    sdk.flush()
    sdk.stats()
    offline, online = records_of(caplog, "Offline"), records_of(caplog, "Online")
    assert [(record.name, record.levelname) for record in offline + online] == [
        ("cloudnestle_marketplace", "DEBUG")
    ] * 2
    assert token not in caplog.text


def test_what_is_wrong_is_a_warning_without_the_secret(marketplace, caplog):
    options = marketplace.options(secret_key=UNKNOWN_KEY, secret_key_provider=lambda: "cnxx_secret")
    with MarketplaceSDK(**options) as sdk:
        for _ in range(2):
            with pytest.raises(MarketplaceError):
                sdk.quotas("cus_ravi")
    (warning,) = records_of(caplog, "secret key")
    assert (warning.name, warning.levelname) == ("cloudnestle_marketplace", "WARNING")
    assert "cnxx_secret" not in caplog.text and UNKNOWN_KEY not in caplog.text


def test_a_callback_that_fails_keeps_no_other_from_being_called(sdk, token, caplog):
    told, delivered = [], threading.Event()
    sdk.on(events.UsageDelivered, lambda event: 1 / 0)
    sdk.on(events.UsageDelivered, lambda event: (told.append(event.count), delivered.set()))
    for _ in range(2):
        delivered.clear()
        sdk.track_usage(token, "search")
        sdk.flush()
        assert delivered.wait(10)
    assert told == [1, 1]
    assert "ZeroDivisionError" in caplog.text


def test_a_task_may_watch(marketplace, token):
    async def main():
        async with AsyncMarketplaceSDK(**marketplace.options()) as sdk:
            watching = sdk.events()
            await sdk.track_usage(token, "search")
            async for event in watching:
                if isinstance(event, events.UsageDelivered):
                    return event.count

    assert asyncio.run(main()) == 1


@pytest.mark.parametrize("fact", [object(), [1], float("nan"), 2**64])
def test_metadata_that_is_no_fact_is_refused(sdk, token, fact):
    with pytest.raises(MarketplaceError) as refused:
        sdk.track_usage(token, "search", metadata={"fact": fact})
    assert refused.value.code == "metadata_invalid"
    assert sdk.stats().usage.tracked == 0


@pytest.mark.parametrize("quantity", [0, -1, 2**70])
def test_a_quantity_out_of_bounds_is_refused(sdk, token, quantity):
    with pytest.raises(MarketplaceError) as refused:
        sdk.track_usage(token, "search", quantity)
    assert refused.value.code == "quantity_invalid"


def test_no_secret_is_printed(marketplace, sdk, token):
    pair = marketplace.token_pair("cus_ravi")
    key = marketplace.solution().secret_key
    printed = " ".join(
        map(repr, [sdk, pair, sdk.validate_user(token), sdk.diagnose(), marketplace, marketplace.solution()])
    )
    for secret in (pair.access_token, pair.refresh_token, token, key):
        assert secret not in printed


def test_a_pair_can_be_kept_and_renewed(marketplace, sdk):
    pair = marketplace.token_pair("cus_ravi")
    kept = TokenPair(pair.access_token, pair.refresh_token, pair.expires_at)
    assert kept == pair
    renewed = sdk.refresh_token(kept)
    assert renewed != pair
    assert sdk.validate_user(renewed.access_token).customer_id == "cus_ravi"


def test_many_threads_may_use_one(marketplace, sdk, token):
    def work():
        for _ in range(100):
            sdk.track_usage(token, "search")

    threads = [threading.Thread(target=work) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sdk.flush()
    assert marketplace.used("cus_ravi", "search") == 5000


def test_other_threads_run_while_one_waits(marketplace, sdk):
    marketplace.set_outage(True)
    ran = []
    stop = threading.Event()

    def count():
        while not stop.wait(0.005):
            ran.append(None)

    counting = threading.Thread(target=count)
    counting.start()
    with pytest.raises(MarketplaceError):
        sdk.with_options(deadline=0.5).flush() if sdk.stats().usage.pending else sdk.with_options(
            deadline=0.5
        ).quotas("cus_ravi")
    stop.set()
    counting.join()
    marketplace.set_outage(False)
    assert len(ran) > 10


def test_one_sdk_serves_loop_after_loop(marketplace, token):
    sdk = AsyncMarketplaceSDK(**marketplace.options())

    async def use():
        user = await sdk.validate_user(token)
        receipt = await sdk.track_usage(token, "search")
        await receipt.delivered()
        return user.customer_id

    assert [asyncio.run(use()) for _ in range(3)] == ["cus_ravi"] * 3
    assert asyncio.run(sdk.aclose()).usage.delivered == 3
    assert marketplace.used("cus_ravi", "search") == 3


def test_a_task_that_is_cancelled_gives_its_request_up(marketplace):
    async def main():
        async with AsyncMarketplaceSDK(**marketplace.options()) as sdk:
            marketplace.inject("GET /api/quotas/{customer_id}/{solution_id}", delay_ms=20_000)
            asking = asyncio.create_task(sdk.quotas("cus_ravi"))
            await asyncio.sleep(0.2)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            return await sdk.quotas("cus_ravi")

    assert asyncio.run(main())


def test_a_renewal_outlives_the_task_that_asked_for_it(marketplace):
    async def main():
        async with AsyncMarketplaceSDK(**marketplace.options()) as sdk:
            pair = marketplace.token_pair("cus_ravi")
            marketplace.inject("POST /api/refresh-token", delay_ms=500)
            asking = asyncio.create_task(sdk.refresh_token(pair))
            await asyncio.sleep(0.1)
            asking.cancel()
            renewed = await sdk.refresh_token(pair)
            return (await sdk.validate_user(renewed.access_token)).customer_id

    assert asyncio.run(main()) == "cus_ravi"
    renewals = [entry for entry in marketplace.journal() if entry["operation"] == "POST /api/refresh-token"]
    assert len(renewals) == 1


def test_a_closed_sdk_says_so(marketplace, token):
    sdk = MarketplaceSDK(**marketplace.options())
    sdk.close()
    with pytest.raises(MarketplaceError) as closed:
        sdk.track_usage(token, "search")
    assert closed.value.code == "closed"
