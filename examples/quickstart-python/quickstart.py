"""What a partner's backend does all day, in Python: who is this user, may they do this, and note that they did it.
``cargo xtask demo --python`` runs it; by hand, set the variables that ``cloudnestle-mock-server`` prints, and
CLOUDNESTLE_TOKEN to a token.
"""

import os

from cloudnestle_marketplace import MarketplaceSDK, QuotaExceededError, UserRefusedError

token = os.environ["CLOUDNESTLE_TOKEN"]
sdk = MarketplaceSDK()

# A page asks for every request. The second time nobody else is asked.
for time in ("first", "second"):
    user = sdk.validate_user(token)
    requests = sdk.stats().requests
    print(f"{time}: {user.customer_id}, {user.tier}, {user.verified}, {user.freshness}, after {requests} requests")

try:
    sdk.validate_user(f"{token[:-4]}AAAA")
except UserRefusedError as error:
    print(f"forged: {error.code}")

sdk.track_usage(token, "search", 3).delivered()
for quota in sdk.get_user_context(token).quotas:
    print(f"{quota.action}: {quota.used} of {quota.limit} used")

try:
    sdk.consume(token, "export", 1_000_000)
except QuotaExceededError as error:
    print(f"export: {error.denial.remaining} left until {error.denial.resets_at:%H:%M}")

# The program ends here. What it tracks now is delivered first.
sdk.track_usage(token, "search")
