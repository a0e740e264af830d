"""Tracks ten events, and has nothing else to do."""

import sys

from peers import PEERS

peer = PEERS[sys.argv[1]][1]()
for _ in range(10):
    peer.track()
