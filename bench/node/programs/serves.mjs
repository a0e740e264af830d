// Tracks ten events, and goes on until it is asked to end.
import { PEERS } from '../peers.mjs';

const peer = PEERS[process.argv[2]].open();
if (process.argv[3] === 'listening') peer.whenAsked();
for (let event = 0; event < 10; event += 1) await peer.track();
setInterval(() => undefined, 1000);
process.send('tracked');
