// Tracks ten events, and has nothing else to do.
import { PEERS } from '../peers.mjs';

const peer = PEERS[process.argv[2]].open();
for (let event = 0; event < 10; event += 1) await peer.track();
