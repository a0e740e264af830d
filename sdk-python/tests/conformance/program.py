"""The partner's side of a scenario: a program that uses the SDK."""

import shutil
import tempfile

from cloudnestle_marketplace import MarketplaceError

UNKNOWN_KEY = "cnsk_test_thisIsNoKeyOfTheMarketplace00000000"
"""A key of the right form."""


class Program:
    def __init__(self, face, server, given):
        self.face = face
        self.server = server
        self.spool = tempfile.mkdtemp(prefix="cloudnestle-spool-")
        spool = given.get("spool", {})
        self.options = {
            **server.marketplace.options(server.solution),
            "validation": given.get("validation"),
            "spool": self.spool,
            "max_events": spool.get("events"),
            "overflow": spool.get("overflow"),
            "durability": "durable" if spool.get("durable") else "fast",
        }
        if given.get("unknown_secret_key"):
            self.options["secret_key"] = UNKNOWN_KEY
        self.pairs = {name: server.pair(**holder) for name, holder in given.get("tokens", {}).items()}
        self.texts = dict(given.get("texts", {}))
        for name, holder in given.get("codes", {}).items():
            self.texts[name] = server.launch_code(**holder)
        self.sources = {}
        self.events = {}
        self.sdk = face(self.options)

    async def end(self):
        await self.sdk.leave()
        shutil.rmtree(self.spool, ignore_errors=True)

    def requests(self):
        return self.sdk.stats().requests

    def access_token(self, step):
        return self.pair(step).access_token

    def pair(self, step):
        return self.pairs[step["token"]]

    def token(self, step):
        text = self.texts.get(step["token"])
        token = self.access_token(step) if text is None else text
        return forged(token) if step.get("forged") else token

    async def call(self, step):
        """Makes the call of a step, and compares what comes of it."""
        deed = getattr(self, f"do_{step['do']}")
        try:
            answer = await deed(step) or {}
        except MarketplaceError as error:
            assert step.get("error") is not None, f"failed with {error!r}"
            assert error.code == step["error"], f"failed with {error!r}"
            if "resets_at" in step:
                assert error.denial is not None and error.denial.resets_at == step["resets_at"]
            return
        assert step.get("error") is None, f"succeeded in place of failing with {step.get('error')}"
        compare(step.get("answer", {}), answer)

    async def at_once(self, step, call, of=lambda answer: answer):
        """The call, by as many callers as the step asks for; they must all get the same."""
        told = await self.sdk.together(call, step.get("callers", 1))
        kinds = [getattr(one, "code", None) or of(one) for one in told]
        assert all(kind == kinds[0] for kind in kinds), f"callers got different answers: {kinds}"
        if isinstance(told[-1], BaseException):
            raise told[-1]
        return told[-1]

    async def do_validate_user(self, step):
        token = self.token(step)
        user = await self.at_once(step, lambda: self.sdk.validate_user(token))
        return {name: getattr(user, name) for name in ("customer_id", "tier", "verified", "freshness")}

    async def do_get_user_context(self, step):
        token = self.token(step)
        context = await self.at_once(step, lambda: self.sdk.get_user_context(token))
        names = ("customer_id", "tier", "verified", "freshness", "entitlements")
        return {**{name: getattr(context, name) for name in names}, **quotas_of(context.quotas)}

    async def do_track_usage(self, step):
        corrects = {}
        for kind in ("amends", "voids"):
            if kind in step:
                corrects[kind] = await self.events[step[kind]].reference()
        receipt = await self.sdk.track_usage(self.token(step), **usage_of(step), **corrects)
        if "keep_as" in step:
            self.events[step["keep_as"]] = receipt

    async def do_consume(self, step):
        token = self.token(step)
        receipt = await self.at_once(
            step, lambda: self.sdk.consume(token, **usage_of(step)), lambda receipt: receipt.is_overage
        )
        if "keep_as" in step:
            self.events[step["keep_as"]] = receipt
        return {"overage": receipt.is_overage}

    async def do_refresh(self, step):
        pair = self.pair(step)
        renewed = await self.at_once(step, lambda: self.sdk.refresh_token(pair))
        assert renewed != pair, "the pair is the old one"
        self.pairs[step.get("keep_as", step["token"])] = renewed

    async def do_keep_fresh(self, step):
        self.sources[step["token"]] = self.sdk.keep_fresh(self.pair(step))

    async def do_access_token(self, step):
        source = self.sources[step["token"]]
        await self.at_once(step, source.access_token)
        self.pairs[step["token"]] = source.pair

    async def do_revoke_token(self, step):
        await self.sdk.revoke_token(self.token(step))

    async def do_exchange_code(self, step):
        self.pairs[step["keep_as"]] = await self.sdk.exchange_code(self.token(step))

    async def do_create_visitor(self, step):
        self.pairs[step["keep_as"]] = await self.sdk.create_visitor()

    async def do_quotas(self, step):
        return quotas_of(await self.sdk.quotas(step["customer"]))

    async def do_usage_history(self, step):
        bucket = {"bucket": step["bucket"]} if "bucket" in step else {}
        buckets = self.sdk.usage_history(step["customer"], **filter_of(step), **bucket)
        return {"quantities": [bucket.quantity for bucket in await self.sdk.all_of(buckets)]}

    async def do_usage_events(self, step):
        events = await self.sdk.all_of(self.sdk.usage_events(step["customer"], **filter_of(step)))
        return {"counts": [event.counts for event in events], "left": [event.left for event in events]}

    async def do_flush(self, _step):
        await self.sdk.flush()

    async def do_flush_before_return(self, step):
        return accounts(await self.sdk.flush_before_return(step["millis"] / 1000))

    async def do_close(self, step):
        return accounts((await self.sdk.close(step["millis"] / 1000)).usage)

    async def do_delivered(self, step):
        await self.events[step["event"]].delivered()

    async def do_rejected_usage(self, _step):
        return {"rejected": len(await self.sdk.rejected_usage())}

    async def do_replay_rejected(self, _step):
        return {"rejected": await self.sdk.replay_rejected()}

    async def do_stats(self, _step):
        return accounts(self.sdk.stats().usage)

    async def do_diagnose(self, _step):
        diagnosis = await self.sdk.diagnose()
        codes = [finding.code for finding in diagnosis.findings if finding.code is not None]
        return {"severity": diagnosis.severity, "codes": codes}

    async def do_restart(self, _step):
        # The old one goes first: a spool has one owner.
        await self.sdk.leave()
        self.sdk = self.face(self.options)


def usage_of(step):
    named = {"idempotency_key": step["idempotency_key"]} if "idempotency_key" in step else {}
    return {"action": step["action"], "quantity": step.get("quantity", 1), **named}


def filter_of(step):
    return {name: step[name] for name in ("action", "page_size") if name in step}


def quotas_of(quotas):
    return {
        "used": {quota.action: quota.used for quota in quotas},
        "remaining": {quota.action: quota.remaining for quota in quotas},
    }


def accounts(usage):
    names = ("tracked", "delivered", "pending", "in_memory", "rejected")
    return {**{name: getattr(usage, name) for name in names}, "lost": usage.lost.total}


def forged(token):
    """The token with another signature of the same form."""
    head, _, signature = token.rpartition(".")
    return f"{head}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def compare(expected, answer):
    """What is not named may be anything."""
    for name, value in expected.items():
        if name in ("used", "remaining"):
            for action, much in value.items():
                assert answer[name].get(action) == much, f"{name} {action}: {answer[name]}"
        else:
            assert answer[name] == value, f"{name}: {answer[name]!r}, not {value!r}"
