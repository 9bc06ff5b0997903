import { openHeap } from '../../../src/heap.ts';

/** Loaded into the service before its own code, so that a benchmark can make it collect garbage at once. */
const heap = openHeap();
process.on('SIGUSR2', () => heap.collect());
