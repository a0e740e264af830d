"""
What the face is made over. Use `cloudnestle_marketplace`.
"""

from datetime import datetime
from typing import Any, SupportsFloat, SupportsIndex, final

__all__ = ["Call", "CloseReport", "Core", "CountedEvent", "Denial", "Diagnosis", "EventRef", "Events", "Finding", "Items", "LeaseStats", "Losses", "Quota", "Receipt", "RejectedUsage", "Stats", "TokenPair", "TokenSource", "UsageBucket", "UsageEvent", "UsageStats", "User", "UserContext", "error_of", "forked", "settle", "stop_telling"]

@final
class Call:
    """
    A call that was begun: [`wait`](Self::wait) for it or await it, once.
    """
    def __await__(self, /) -> Any:
        """
        What came of it, for a task of asyncio. What needs no waiting suspends nobody.
        """
    def wait(self, /, deadline: SupportsFloat | SupportsIndex | None = None) -> Any:
        """
        What came of it, in so many seconds. Other threads run meanwhile, and signals are handled.
        """
    def within(self, /, deadline: SupportsFloat | SupportsIndex | None) -> Call:
        """
        This call, which has so many seconds.
        """

@final
class CloseReport:
    """
    How the SDK was left.
    """
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __ne__(self, value: object, /) -> bool: ...
    @property
    def usage(self, /) -> UsageStats:
        """
        What became of usage; what is pending is safe in the spool.
        """

@final
class Core:
    """
    The SDK of a program, whichever process it is in.
    """
    def __new__(cls, /, settings: "dict[str, object]") -> Core: ...
    def close(self, /, deadline: SupportsFloat | SupportsIndex) -> Call: ...
    def consume(self, /, token: str, action: str, quantity: SupportsIndex, idempotency_key: str | None, metadata: "dict[str, str | int | float | bool | None] | None") -> Call: ...
    def create_visitor(self, /) -> Call: ...
    def diagnose(self, /) -> Call: ...
    def events(self, /) -> Events: ...
    def exchange_code(self, /, code: str, verifier: str | None) -> Call: ...
    def flush(self, /) -> Call: ...
    def flush_before_return(self, /, deadline: SupportsFloat | SupportsIndex) -> Call: ...
    def get_user_context(self, /, token: str) -> Call: ...
    def has_begun(self, /) -> bool:
        """
        Whether this process has an SDK that is not closed.
        """
    def keep_fresh(self, /, pair: TokenPair) -> TokenSource: ...
    def known_user(self, /, token: str) -> User | None:
        """
        Who is known to be this user, without waiting for anything; `None` if somebody has to be asked.
        """
    def leave(self, /, deadline: SupportsFloat | SupportsIndex) -> Call | None:
        """
        Closes what this process has begun; `None` if there is nothing.
        """
    def quotas(self, /, customer_id: str) -> Call: ...
    def refresh_token(self, /, pair: TokenPair) -> Call: ...
    def rejected_usage(self, /) -> Call: ...
    def replay_rejected(self, /) -> Call: ...
    def revoke_token(self, /, token: str) -> Call: ...
    def stats(self, /) -> Stats: ...
    def track_usage(self, /, token: str, action: str, quantity: SupportsIndex, idempotency_key: str | None, metadata: "dict[str, str | int | float | bool | None] | None", amends: EventRef | None, voids: EventRef | None) -> Call: ...
    def usage_events(self, /, customer_id: str, filters: tuple[str | None, SupportsFloat | SupportsIndex | None, SupportsFloat | SupportsIndex | None, SupportsIndex | None]) -> Items: ...
    def usage_history(self, /, customer_id: str, bucket: str, filters: tuple[str | None, SupportsFloat | SupportsIndex | None, SupportsFloat | SupportsIndex | None, SupportsIndex | None]) -> Items: ...
    def validate_user(self, /, token: str) -> Call: ...

@final
class CountedEvent:
    """
    An event that counted, and what it counts as.
    """
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __ne__(self, value: object, /) -> bool: ...
    @property
    def action(self, /) -> str:
        """
        The action, by the name the solution gave.
        """
    @property
    def counts(self, /) -> int:
        """
        What it adds to what was used: its quantity, or the difference it makes to the event it puts right.
        """
    @property
    def counts_at(self, /) -> datetime:
        """
        In the buckets of when.
        """
    @property
    def id(self, /) -> str:
        """
        The event's id, `evt_…`.
        """
    @property
    def idempotency_key(self, /) -> str | None:
        """
        The program's own name for it.
        """
    @property
    def late(self, /) -> bool:
        """
        The day it occurred in had ended when it arrived.
        """
    @property
    def left(self, /) -> int | None:
        """
        What corrections have left of its quantity; `None` if it was never put right.
        """
    @property
    def occurred_at(self, /) -> datetime:
        """
        When it occurred, as the event said.
        """
    @property
    def overage(self, /) -> bool:
        """
        It was allowed while the marketplace could not be reached.
        """
    @property
    def quantity(self, /) -> int:
        """
        How much of it, as the event said. That of a void says nothing.
        """
    @property
    def received_at(self, /) -> datetime:
        """
        When the marketplace took it.
        """
    @property
    def reference(self, /) -> EventRef:
        """
        What it is called when it is put right.
        """

@final
class Denial:
    """
    Why somebody may not, in particulars.
    """
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __ne__(self, value: object, /) -> bool: ...
    def __repr__(self, /) -> str: ...
    @property
    def action(self, /) -> str:
        """
        What is limited.
        """
    @property
    def leased(self, /) -> int:
        """
        What is set aside for other programs that may use it.
        """
    @property
    def limit(self, /) -> int:
        """
        The most they may, in one window.
        """
    @property
    def remaining(self, /) -> int:
        """
        What is left; less than was wanted.
        """
    @property
    def resets_at(self, /) -> datetime:
        """
        When the next window begins.
        """
    @property
    def upgrade_url(self, /) -> str | None:
        """
        Where they get a higher tier, if the solution has said so.
        """
    @property
    def used(self, /) -> int:
        """
        What they have used.
        """
    @property
    def window(self, /) -> str:
        """
        How long a window is: `day`, `month`, or `unknown` to this release.
        """

@final
class Diagnosis:
    """
    What stands between a program and the marketplace. Holds no secret; `str` of it is a page to read.
    """
    def __eq__(self, value: object, /) -> bool: ...
    def __ne__(self, value: object, /) -> bool: ...
    def __str__(self, /) -> str: ...
    @property
    def findings(self, /) -> list[Finding]:
        """
        What was found.
        """
    @property
    def severity(self, /) -> str:
        """
        The worst that was found: `good`, `warning` or `bad`.
        """
    @property
    def solution_id(self, /) -> str:
        """
        The solution the SDK is set up for.
        """
    @property
    def text(self, /) -> str:
        """
        The same as a page to read.
        """
    @property
    def url(self, /) -> str:
        """
        The marketplace that was asked.
        """

@final
class EventRef:
    """
    Which event is meant, in a correction of it.
    """
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __ne__(self, value: object, /) -> bool: ...
    def __repr__(self, /) -> str: ...

@final
class Events:
    """
    The events from now on.
    """
    def next(self, /) -> Call:
        """
        The next event's name and particulars; `None` once the SDK is closed, after what came before.
        """

@final
class Finding:
    """
    What was found about one thing.
    """
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __ne__(self, value: object, /) -> bool: ...
    @property
    def advice(self, /) -> str | None:
        """
        What to do about it.
        """
    @property
    def check(self, /) -> str:
        """
        About what.
        """
    @property
    def code(self, /) -> str | None:
        """
        The catalogue's name for what is wrong.
        """
    @property
    def message(self, /) -> str:
        """
        What was found.
        """
    @property
    def severity(self, /) -> str:
        """
        `good`, `warning` or `bad`.
        """

@final
class Items:
    """
    Items, which are asked for as they are read.
    """
    def next(self, /) -> Call:
        """
        The next one; `None` at the end.
        """

@final
class LeaseStats:
    """
    What became of the blocks of hard limits that `consume` spends.
    """
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __ne__(self, value: object, /) -> bool: ...
    @property
    def given_up(self, /) -> int:
        """
        Left to end by themselves.
        """
    @property
    def held(self, /) -> int:
        """
        Of those, held now.
        """
    @property
    def returned(self, /) -> int:
        """
        Given back.
        """
    @property
    def taken(self, /) -> int:
        """
        Set aside for this program.
        """

@final
class Losses:
    """
    Events that were lost, by what became of them.
    """
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __ne__(self, value: object, /) -> bool: ...
    @property
    def damaged(self, /) -> int:
        """
        Damaged in the spool.
        """
    @property
    def expired(self, /) -> int:
        """
        Dropped because they were older than `max_age`.
        """
    @property
    def overflow(self, /) -> int:
        """
        Dropped because the spool or the disk was full, by `overflow`.
        """
    @property
    def total(self, /) -> int:
        """
        All of them.
        """
    @property
    def unacknowledged(self, /) -> int:
        """
        Never acknowledged: writing them failed, and `track_usage` said so.
        """

@final
class Quota:
    """
    How much of an action a customer may use in a window of time, and has used.
    """
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __ne__(self, value: object, /) -> bool: ...
    def __repr__(self, /) -> str: ...
    @property
    def action(self, /) -> str:
        """
        The action, by the name the solution gave.
        """
    @property
    def leased(self, /) -> int:
        """
        What is promised to leases and not yet used.
        """
    @property
    def limit(self, /) -> int | None:
        """
        The most that may be used in one window, in the action's unit; `None` is without limit.
        """
    @property
    def policy(self, /) -> str:
        """
        What happens at the limit: `soft`, `hard`, or `unknown` to this release.
        """
    @property
    def remaining(self, /) -> int | None:
        """
        What is left: limit − used − leased, not below zero; `None` is without limit.
        """
    @property
    def resets_at(self, /) -> datetime:
        """
        When the next window begins, in the solution's time zone.
        """
    @property
    def used(self, /) -> int:
        """
        What has been used in this window. May exceed a soft limit.
        """
    @property
    def window(self, /) -> str:
        """
        How long a window is: `day`, `month`, or `unknown` to this release.
        """

@final
class Receipt:
    """
    That an event is taken. It will count once.
    """
    def delivered(self, /) -> Call:
        """
        Completes when the marketplace has counted the event.
        """
    @property
    def event_id(self, /) -> str:
        """
        The event's id, `evt_…`.
        """
    @property
    def is_overage(self, /) -> bool:
        """
        It was allowed beyond the limit, in an outage.
        """
    def persisted(self, /) -> Call:
        """
        Completes when the event survives the loss of power.
        """
    def reference(self, /) -> Call:
        """
        What the event is called in a correction of it.
        """

@final
class RejectedUsage:
    """
    An event that the marketplace refused for good, and why.
    """
    def __eq__(self, value: object, /) -> bool: ...
    def __ne__(self, value: object, /) -> bool: ...
    @property
    def code(self, /) -> str:
        """
        Why, by the catalogue.
        """
    @property
    def event(self, /) -> UsageEvent:
        """
        The event, as it was tracked.
        """

@final
class Stats:
    """
    What the SDK has done since it was built.
    """
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __ne__(self, value: object, /) -> bool: ...
    @property
    def clock_offset_ms(self, /) -> int:
        """
        How far the marketplace's clock is ahead of this machine's, in milliseconds.
        """
    @property
    def leases(self, /) -> LeaseStats:
        """
        What became of leases.
        """
    @property
    def requests(self, /) -> int:
        """
        Requests sent, each attempt counted.
        """
    @property
    def usage(self, /) -> UsageStats:
        """
        What became of usage.
        """

@final
class TokenPair:
    """
    What a customer hands to a solution: a short-lived access token and what renews it. Neither is printed.
    """
    def __eq__(self, value: object, /) -> bool: ...
    def __ne__(self, value: object, /) -> bool: ...
    def __new__(cls, /, access_token: str, refresh_token: str, expires_at: datetime) -> TokenPair:
        """
        Of what was kept of a pair, from a session for example. `expires_at` is in UTC if it has no time zone.
        """
    def __repr__(self, /) -> str: ...
    @property
    def access_token(self, /) -> str:
        """
        An Ed25519-signed JWT whose audience is the solution.
        """
    @property
    def expires_at(self, /) -> datetime:
        """
        When the access token ends, in UTC.
        """
    @property
    def refresh_token(self, /) -> str:
        """
        Renews the pair once; `cnrt_…`.
        """

@final
class TokenSource:
    """
    Gives out a pair's access token, and renews it before it ends.
    """
    def access_token(self, /) -> Call:
        """
        An access token that is good now.
        """
    def pair(self, /) -> TokenPair:
        """
        The pair as it is now, to be kept.
        """
    def replace(self, /, refused: str) -> Call:
        """
        Another token in the place of one that was refused.
        """

@final
class UsageBucket:
    """
    What a customer used of an action in a bucket of time.
    """
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __ne__(self, value: object, /) -> bool: ...
    @property
    def action(self, /) -> str:
        """
        The action, by the name the solution gave.
        """
    @property
    def begins_at(self, /) -> datetime:
        """
        The bucket's first moment.
        """
    @property
    def ends_at(self, /) -> datetime:
        """
        The first moment of the next.
        """
    @property
    def quantity(self, /) -> int:
        """
        How much was used, in the action's unit.
        """

@final
class UsageEvent:
    """
    One thing a customer did, as it is billed.
    """
    def __eq__(self, value: object, /) -> bool: ...
    def __ne__(self, value: object, /) -> bool: ...
    def __repr__(self, /) -> str: ...
    @property
    def action(self, /) -> str:
        """
        What was done, by the name the solution gave.
        """
    @property
    def customer_id(self, /) -> str:
        """
        Who did it.
        """
    @property
    def id(self, /) -> str:
        """
        `evt_…`; counts once however often it arrives.
        """
    @property
    def idempotency_key(self, /) -> str | None:
        """
        The program's own name for it.
        """
    @property
    def occurred_at(self, /) -> datetime:
        """
        When, by this machine's clock as the marketplace corrects it, in UTC.
        """
    @property
    def quantity(self, /) -> int:
        """
        How much of it, in the action's unit.
        """
    @property
    def token_id(self, /) -> str:
        """
        The token it was done with, `tok_…`; never the token itself.
        """

@final
class UsageStats:
    """
    What became of usage since the SDK was built: `tracked = delivered + pending + rejected + lost.total`.
    """
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __ne__(self, value: object, /) -> bool: ...
    def __repr__(self, /) -> str: ...
    @property
    def delivered(self, /) -> int:
        """
        Counted by the marketplace, now or before.
        """
    @property
    def in_memory(self, /) -> int:
        """
        How many of those wait in memory alone, and end with the process.
        """
    @property
    def lost(self, /) -> Losses:
        """
        Gone, and declared to the marketplace as lost as soon as it can be reached.
        """
    @property
    def pending(self, /) -> int:
        """
        Waiting in the spool.
        """
    @property
    def rejected(self, /) -> int:
        """
        Refused by the marketplace for good, and kept: see `rejected_usage`.
        """
    @property
    def tracked(self, /) -> int:
        """
        Acknowledged by `track_usage`, or found in the spool of a process that is gone.
        """

@final
class User:
    """
    Who a token speaks for. Two are equal if they say the same about the same token, however sure.
    """
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __ne__(self, value: object, /) -> bool: ...
    def __repr__(self, /) -> str: ...
    @property
    def age(self, /) -> float:
        """
        How long before this answer the marketplace said what it takes to say this, in seconds.
        """
    @property
    def customer_id(self, /) -> str:
        """
        The customer, `cus_…`.
        """
    @property
    def expires_at(self, /) -> datetime:
        """
        When the token ends, in UTC.
        """
    @property
    def freshness(self, /) -> str:
        """
        Whether it may be out of date: `fresh`, at most 5 s old; or `offline`, older because nobody can be
        reached, at most 5 minutes.
        """
    @property
    def solution_id(self, /) -> str:
        """
        The solution the token is for, `sol_…`.
        """
    @property
    def tier(self, /) -> str:
        """
        The customer's tier in this solution: `anonymous`, `registered`, `pro`, `enterprise`, or `unknown` to
        this release.
        """
    @property
    def token_id(self, /) -> str:
        """
        The token, `tok_…`; never the token itself.
        """
    @property
    def verified(self, /) -> str:
        """
        Who stands behind it: `online`, the marketplace, which knows of revocations, or `local`, the token's own
        words.
        """

@final
class UserContext:
    """
    What a user may do: tier, entitlements, quotas; and how sure that is.
    """
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __ne__(self, value: object, /) -> bool: ...
    def __repr__(self, /) -> str: ...
    @property
    def age(self, /) -> float:
        """
        How long before this answer the marketplace said this, in seconds.
        """
    @property
    def customer_id(self, /) -> str:
        """
        The customer, `cus_…`.
        """
    @property
    def entitlements(self, /) -> list[str]:
        """
        What the tier switches on, by the names the solution gave.
        """
    @property
    def expires_at(self, /) -> datetime:
        """
        When the token ends, in UTC.
        """
    @property
    def freshness(self, /) -> str:
        """
        Whether it may be out of date: `fresh`, at most 5 s old; `stale`, at most 30 s; or `offline`, older
        because nobody can be reached.
        """
    @property
    def name(self, /) -> str | None:
        """
        The name the customer gave; `None` for an anonymous visitor.
        """
    @property
    def quotas(self, /) -> list[Quota]:
        """
        The customer's quotas in this solution, one for each limited action.
        """
    @property
    def solution_id(self, /) -> str:
        """
        The solution the token is for, `sol_…`.
        """
    @property
    def tier(self, /) -> str:
        """
        The customer's tier in this solution: `anonymous`, `registered`, `pro`, `enterprise`, or `unknown` to
        this release.
        """
    @property
    def token_id(self, /) -> str:
        """
        The token, `tok_…`.
        """
    @property
    def verified(self, /) -> str:
        """
        Who stands behind it: `online`, the marketplace, or `local`, the token's own words.
        """

def error_of(code: str) -> "Any":
    """
    The exception of a code, in the catalogue's words.
    """

def forked() -> None:
    """
    Python's hook after a fork, in the child. Waits for no lock.
    """

def settle(future: Any, value: Any | None, error: Any | None) -> None:
    """
    Settles a task's future, in its loop.
    """

def stop_telling() -> None:
    """
    The interpreter ends: nothing is told any more from other threads.
    """
