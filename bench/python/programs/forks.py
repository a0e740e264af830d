"""Tracks ten events, half of them in a child that it has forked from, and both end."""

import os
import sys

from peers import PEERS

peer = PEERS[sys.argv[1]][1]()
child = os.fork()
for _ in range(5):
    peer.track()
if child:
    os.waitpid(child, 0)
