import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';

/** The lower bound of an answer to a device's poll in this framework: one route that always answers 304. It prints its address and ends on SIGTERM. */
const app = new Hono().get('/agent/v1/desired', (c) => c.body(null, 304, { etag: c.req.header('if-none-match') ?? '' }));
const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, () => {
  process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
});
process.once('SIGTERM', () => process.exit(0));
