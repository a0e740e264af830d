"""Who is measured, each behind the same few words. All are set up as their documentation says, with what they have by
default; what is sent is the same.
"""

import os

PROPERTIES = {"job": "nightly", "pages": 3, "cached": True}
"""What is said of each event."""

USER = "cus_ravi"


class Ours:
    def __init__(self, **options):
        from cloudnestle_marketplace import MarketplaceSDK

        self.sdk = MarketplaceSDK(**options)
        self.token = os.environ["TOKEN"]

    def track(self):
        """Returns when the event is acknowledged."""
        self.sdk.track_usage(self.token, "search", metadata=PROPERTIES)

    def flush(self):
        self.sdk.flush()

    def when_asked(self):
        self.sdk.close_on_signal()


class Posthog:
    def __init__(self):
        from posthog import Posthog

        self.client = Posthog("key", host=os.environ["SINK"])

    def track(self):
        self.client.capture("search", distinct_id=USER, properties=PROPERTIES)

    def flush(self):
        self.client.flush()


class Segment:
    def __init__(self):
        from segment.analytics.client import Client

        self.client = Client("key", host=os.environ["SINK"])

    def track(self):
        self.client.track(user_id=USER, event="search", properties=PROPERTIES)

    def flush(self):
        self.client.flush()


PEERS = {
    "cloudnestle-marketplace, disk": ("file: survives the process", Ours),
    "cloudnestle-marketplace, memory": ("memory", lambda: Ours(spool="memory")),
    "posthog": ("memory", Posthog),
    "segment-analytics-python": ("memory", Segment),
}
"""By name: where an event is when the call has returned, and who takes it."""


def is_ours(name):
    return name.startswith("cloudnestle")
