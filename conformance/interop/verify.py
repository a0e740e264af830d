"""PyJWT and its JWKS client read the server's keys and accept its tokens, and nothing altered."""

import json
import os
import urllib.request

import jwt

URL = os.environ["CLOUDNESTLE_URL"]
SOLUTION = os.environ["CLOUDNESTLE_SOLUTION"]


def post(path: str, bearer: str, body: dict) -> dict:
    request = urllib.request.Request(
        URL + path,
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def verify(token: str, audience: str = SOLUTION) -> dict:
    key = jwt.PyJWKClient(f"{URL}/.well-known/jwks.json").get_signing_key_from_jwt(token)
    return jwt.decode(
        token,
        key.key,
        algorithms=["EdDSA"],
        audience=audience,
        issuer=URL,
        options={"require": ["iss", "aud", "sub", "jti", "iat", "exp"]},
    )


def refused(token: str, **changes: str) -> bool:
    try:
        verify(token, **changes)
    except jwt.InvalidTokenError:
        return True
    return False


session = post("/mock/sessions", os.environ["CLOUDNESTLE_CONTROL_TOKEN"], {"customer_id": "cus_asha"})
pair = post("/api/generate-token", session["access_token"], {"solution_id": SOLUTION})
token = pair["access_token"]

claims = verify(token)
header = jwt.get_unverified_header(token)
assert header["typ"] == "at+jwt" and header["alg"] == "EdDSA", header
assert claims["sub"] == "cus_asha" and claims["aud"] == SOLUTION, claims
assert claims["exp"] - claims["iat"] == 900, claims

head, payload, signature = token.split(".")
flipped = "A" if payload[10] != "A" else "B"
assert refused(f"{head}.{payload[:10]}{flipped}{payload[11:]}.{signature}"), "an altered token"
assert refused(token, audience="sol_chat_notes"), "a token for another audience"
print(f"PyJWT {jwt.__version__}: accepts the server's token, refuses an altered one and another's")
