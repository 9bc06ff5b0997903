import { openHeap } from '../../../src/heap.ts';

/** Loaded into the service before its own code: it collects garbage when a benchmark asks for it, and not when it finds the time. */
const heap = openHeap();
process.on('SIGUSR2', () => heap.collect());
