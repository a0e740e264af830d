"""Tracks ten events, and goes on until it is asked to end."""

import sys
import time

from peers import PEERS

peer = PEERS[sys.argv[1]][1]()
if "listening" in sys.argv:
    peer.when_asked()
for _ in range(10):
    peer.track()
print("tracked", flush=True)
while True:
    time.sleep(1)
