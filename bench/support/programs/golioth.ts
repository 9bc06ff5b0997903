import { openGolioth } from '../../../src/demo/vendors/golioth/server.ts';

/**
 * A process that plays Golioth with this many devices and this latency, ms. It prints its settings and credentials as JSON and ends on SIGTERM. A
 * message is the number of devices to change; the answer to it has what was asked of the platform so far.
 */
const [devices, latencyMs] = process.argv.slice(2).map(Number);
const golioth = await openGolioth({ devices: devices ?? 0, latencyMs: latencyMs ?? 0 });
const { url, settings, credentials } = golioth;
process.stdout.write(`${JSON.stringify({ url, settings, credentials })}\n`);
let round = 0;
process.on('message', (count: number) => {
  round += 1;
  const all = golioth.project.order;
  const step = Math.max(1, Math.floor(all.length / Math.max(1, count)));
  for (let index = 0; index < count; index += 1) golioth.change(all[index * step] ?? '', { name: `renamed-${round}-${index}` });
  process.send?.({ requests: golioth.requests.length });
});
process.once('SIGTERM', () => {
  void golioth.close().then(() => process.exit(0));
});
