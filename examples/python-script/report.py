"""A nightly job: exports what a customer has asked for, if their limit allows, and says what they have left.

    python report.py TOKEN
"""

import sys

from cloudnestle_marketplace import MarketplaceSDK, QuotaExceededError


def main(token: str) -> None:
    with MarketplaceSDK() as sdk:
        user = sdk.validate_user(token)
        try:
            sdk.consume(token, "export", metadata={"report": "nightly"})
        except QuotaExceededError as error:
            until = error.denial.resets_at if error.denial else "later"
            sys.exit(f"{user.customer_id} has no exports left until {until}.")
        print(f"Exported for {user.customer_id}.")
        sdk.flush()
        quota = sdk.quota(user.customer_id, "export")
        print(f"{quota.remaining if quota else 'Any number of'} exports are left.")


if __name__ == "__main__":
    main(sys.argv[1])
