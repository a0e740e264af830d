"""One measurement in a process of its own: ``measure.py WHAT PEER``. What it found is printed as JSON."""

import asyncio
import base64
import json
import os
import resource
import statistics
import sys
import time
import urllib.request

from peers import PEERS

ROUND = 500
"""Events in a round; between rounds everything is delivered."""

URL, SOLUTION = os.environ["CLOUDNESTLE_URL"], os.environ["CLOUDNESTLE_SOLUTION"]
ROUNDS = int(os.environ["ROUNDS"])


def many_tokens():
    with open(os.environ["TOKENS"]) as file:
        return json.load(file)


def middle(rounds):
    """Of many rounds, after some to warm up."""
    return statistics.median(rounds[len(rounds) // 4 :])


def timed(call, given, rounds, between=lambda: None):
    """Nanoseconds of a call, in the middle one of many rounds, each with its own part of what is given."""
    each, part = [], len(given) // rounds
    for number in range(rounds):
        mine = given[number * part : (number + 1) * part]
        begin = time.perf_counter_ns()
        for one in mine:
            call(one)
        each.append((time.perf_counter_ns() - begin) / part)
        between()
    return middle(each)


def warm():
    """A user who was validated a moment ago; and the least it could be."""
    from cloudnestle_marketplace import AsyncMarketplaceSDK, MarketplaceSDK

    token, calls, rounds = os.environ["TOKEN"], 50_000, 12
    with MarketplaceSDK(spool="memory") as sdk:
        sdk.validate_user(token)
        ours = timed(sdk.validate_user, [token] * calls * rounds, rounds)
    held = {known: (time.monotonic() + 600, known) for known in many_tokens()}
    held[token] = (time.monotonic() + 600, token)

    def validate(key):
        until, user = held[key]
        return user if until > time.monotonic() else None

    floor = timed(validate, [token] * calls * rounds, rounds)

    async def awaited():
        each = []
        async with AsyncMarketplaceSDK(spool="memory") as sdk:
            await sdk.validate_user(token)
            for _ in range(rounds):
                begin = time.perf_counter_ns()
                for _ in range(calls):
                    await sdk.validate_user(token)
                each.append((time.perf_counter_ns() - begin) / calls)
        return middle(each)

    return {"ours": ours, "awaited": asyncio.run(awaited()), "floor": floor}


def cold():
    """Users nobody has seen, each once."""
    import jwt as pyjwt
    from cloudnestle_marketplace import MarketplaceSDK
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from joserfc import jwt as joserfc
    from joserfc.jwk import OKPKey

    def decoded(part):
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))

    tokens = many_tokens()
    rounds = len(tokens) // 300
    kid = json.loads(decoded(tokens[0].split(".")[0]))["kid"]
    with urllib.request.urlopen(f"{URL}/.well-known/jwks.json") as answer:
        jwk = next(key for key in json.load(answer)["keys"] if key["kid"] == kid)

    with MarketplaceSDK(spool="memory", validation="local") as sdk:
        ours = timed(sdk.validate_user, tokens, rounds)

    key = pyjwt.PyJWK(jwk, algorithm="EdDSA").key
    checks = {"algorithms": ["EdDSA"], "audience": SOLUTION, "issuer": URL}
    jwt = timed(lambda token: pyjwt.decode(token, key, **checks), tokens, rounds)

    okp = OKPKey.import_key(jwk)
    claims = joserfc.JWTClaimsRegistry(
        aud={"essential": True, "value": SOLUTION}, iss={"essential": True, "value": URL}
    )

    def by_joserfc(token):
        claims.validate(joserfc.decode(token, okp, algorithms=["EdDSA"]).claims)

    rfc = timed(by_joserfc, tokens, rounds)

    raw = Ed25519PublicKey.from_public_bytes(decoded(jwk["x"]))

    def verify(token):
        signed, _, signature = token.rpartition(".")
        raw.verify(decoded(signature), signed.encode())
        return json.loads(decoded(signed.partition(".")[2]))

    return {"ours": ours, "jwt": jwt, "rfc": rfc, "floor": timed(verify, tokens, rounds)}


def track(name):
    """What a call costs, and what the processor spends on an event until it is delivered."""
    peer = PEERS[name][1]()
    warming = 4 * ROUND
    for _ in range(warming):
        peer.track()
    peer.flush()
    before = resource.getrusage(resource.RUSAGE_SELF)
    call = timed(lambda _: peer.track(), [None] * ROUND * ROUNDS, ROUNDS, peer.flush)
    after = resource.getrusage(resource.RUSAGE_SELF)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    events = ROUNDS * ROUND
    return {"call": call, "cpu": spent * 1e9 / events, "events": events + warming}


print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
