import { serveDepot } from '../../../test/support/depot.ts';

/**
 * A process that serves a platform with this many devices and this latency, ms. It prints its address and ends on SIGTERM. A message is the number of
 * devices to change; the answer to it has what was asked of the platform so far.
 */
const [devices, latencyMs] = process.argv.slice(2).map(Number);
const depot = await serveDepot({ devices: devices ?? 0, latencyMs: latencyMs ?? 0 });
process.stdout.write(`${depot.url}\n`);
let round = 0;
process.on('message', (count: number) => {
  round += 1;
  const all = [...depot.all.keys()];
  const step = Math.max(1, Math.floor(all.length / Math.max(1, count)));
  for (let index = 0; index < count; index += 1) depot.change(all[index * step] ?? '', { room: `room ${round}` });
  const pages = depot.requests.filter(({ method, path }) => method === 'GET' && path === '/devices').length;
  process.send?.({ requests: depot.requests.length, pages });
});
process.once('SIGTERM', () => {
  void depot.close().then(() => process.exit(0));
});
