"""What a test can do with a marketplace: worlds, the clock, snapshots, faults, the journal."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from cloudnestle_marketplace import MarketplaceError, MarketplaceSDK
from cloudnestle_marketplace.testing import MarketplaceCallError

NOON = datetime(2031, 5, 6, 12, tzinfo=timezone.utc)


def test_a_world_shares_nothing_with_its_server(marketplace_server, marketplace_world):
    token = marketplace_world.token_pair("cus_ravi").access_token
    with MarketplaceSDK(**marketplace_world.options()) as sdk:
        assert sdk.validate_user(token).customer_id == "cus_ravi"
        sdk.track_usage(token, "search")
        sdk.flush()
    assert marketplace_world.used("cus_ravi", "search") == 1
    assert marketplace_server.used("cus_ravi", "search") == 0
    with pytest.raises(RuntimeError, match="in memory"):
        marketplace_world.restart()


def test_a_world_is_forgotten_when_it_is_stopped_and_says_the_same_when_it_is_made_again(marketplace_server):
    def tells():
        with marketplace_server.create_world("wld_again", seed=7, now=NOON, frozen=True) as world:
            return world.now(), world.solution().secret_key, world.token_pair("cus_asha").access_token

    assert tells() == tells()
    assert tells()[0] == NOON
    founding = {"solutions": [], "surplus": 1}
    with pytest.raises(MarketplaceCallError) as refused:
        marketplace_server.create_world(founding=founding)
    assert refused.value.code == "request_invalid"


def test_the_clock_says_what_happened_on_the_way(marketplace_world):
    marketplace_world.freeze_clock()
    marketplace_world.set_clock(NOON)
    marketplace_world.token_pair("cus_ravi")
    first = marketplace_world.advance_to_next_event()
    assert [told["task"] for told in first] == ["token_expires", "token_expires"]
    assert marketplace_world.now() == NOON + timedelta(minutes=15)
    assert marketplace_world.advance_clock(timedelta(hours=1)) == []
    assert marketplace_world.set_clock(NOON) == []
    assert marketplace_world.now() == NOON
    marketplace_world.scale_clock(100_000.0)
    while marketplace_world.now() < NOON + timedelta(hours=1):
        pass


def test_a_snapshot_is_gone_back_to_branched_and_a_reset_leaves_the_keys(marketplace_world, marketplace_server):
    before = marketplace_world.snapshot("snp_unused")
    assert before == "snp_unused"
    with MarketplaceSDK(**marketplace_world.options()) as sdk:
        token = marketplace_world.token_pair("cus_ravi").access_token
        sdk.track_usage(token, "search")
        sdk.flush()
        marketplace_world.restore(before)
        assert marketplace_world.used("cus_ravi", "search") == 0
    key = marketplace_world.solution().secret_key
    marketplace_world.reset()
    assert marketplace_world.solution().secret_key == key
    assert marketplace_world.journal() == []

    kept = marketplace_server.snapshot()
    with marketplace_server.create_world(snapshot=kept) as branch:
        assert branch.solution().secret_key == marketplace_server.solution().secret_key


def test_a_fault_is_for_the_calls_it_names_and_one_that_was_not_met_is_told(marketplace_world):
    known = marketplace_world.solution().id
    met = marketplace_world.inject("GET /api/user-context", status=404, times=2, solution=known)
    left = marketplace_world.inject(delay_ms=1, test="another")
    with MarketplaceSDK(**marketplace_world.options()) as sdk:
        token = marketplace_world.token_pair("cus_ravi").access_token
        for _ in range(2):
            with pytest.raises(MarketplaceError):
                sdk.get_user_context(token)
    with pytest.raises(AssertionError, match=left):
        marketplace_world.verify_faults()
    marketplace_world.remove_fault(left)
    marketplace_world.verify_faults()
    faults = [entry["fault"] for entry in marketplace_world.journal(status=404)]
    assert [fault.split(":")[0] for fault in faults] == [met, met]
    marketplace_world.clear_faults()


def test_the_journal_is_searched_and_shows_no_secret(marketplace_world):
    token = marketplace_world.token_pair("cus_ravi").access_token
    with MarketplaceSDK(**marketplace_world.options()) as sdk:
        sdk.validate_user(token)
    found = marketplace_world.journal(operation="POST /api/generate-token", bodies=True)
    assert len(found) == 1
    assert "access_token" in found[0]["answer"]["body"]
    assert token not in repr(found)
    assert marketplace_world.journal(customer="cus_asha") == []
    marketplace_world.clear_journal()
    assert marketplace_world.journal() == []


def test_what_was_expected_and_not_asked_is_told_with_what_came_near(marketplace_world):
    marketplace_world.token_pair("cus_ravi")
    generate = "POST /api/generate-token"
    first = marketplace_world.verify(generate, times=1, status=200, body={"solution_id": {"$contains": "faiss"}})
    assert len(first) == 1
    marketplace_world.verify(generate, times=0, after=first[0])
    near = f'once; found 0, and these come near:\ncall {first[0]}: body.solution_id is "sol_f'
    with pytest.raises(AssertionError, match=near):
        marketplace_world.verify(generate, times=1, body={"solution_id": "sol_invoice_ocr"})
    with pytest.raises(MarketplaceCallError, match="request_invalid"):
        marketplace_world.verify("POST /api/generate-tokens", times=0)
