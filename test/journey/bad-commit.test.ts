import { expect, test } from 'vitest';
import { createClient } from '../../src/cli/client.ts';
import { stopBadCommit } from '../support/bad-commit.ts';
import { openFleet } from '../support/fleet.ts';
import { ADMIN_TOKEN } from '../support/service.ts';

const DEVICES = 300;

test('a commit that makes 30 % of the devices fail their health check stops in the canary wave, and the canaries are back', async () => {
  await using fleet = await openFleet();
  const source = await fleet.source('flock');
  const devices = await fleet.enrol(source, DEVICES, 'till');
  const { url: server, database } = fleet.service;
  const scene = { server, api: createClient({ server, token: ADMIN_TOKEN }), sql: database.sql, host: fleet.host, source, devices };
  const stopped = await stopBadCommit(scene, { failShare: 0.3, canaryPercent: 10, timeoutMs: 300_000 });
  expect(stopped).toMatchObject({ devices: DEVICES, canaries: 30, state: 'reverted', end: { code: 'error_budget' } });
  expect(stopped.end.detail).toMatch(/^\d+ of \d+ devices failed \([\d.]+ %\), the error budget is 10%$/);
  expect(stopped.failed).toBeGreaterThan(0);
  expect(stopped.touched.length).toBeLessThanOrEqual(30);
  expect(stopped.touched).toEqual(devices.slice(0, stopped.touched.length).map(({ id }) => id));
  expect(stopped.before).toMatch(/^[0-9a-f]{64}$/);
  expect(stopped.after).toEqual([stopped.before]);
  // Nobody else was even told: each has had one attempt in its life, of the good commit.
  const others = await database.sql<{ attempts: number; bundles: string[] }[]>`
    select count(*)::int as attempts, array_agg(bundle) as bundles from deployments
    where device_id <> all(${stopped.touched}) group by device_id`;
  expect(others).toHaveLength(DEVICES - stopped.touched.length);
  expect(others.every(({ attempts, bundles }) => attempts === 1 && bundles[0] === stopped.before)).toBe(true);
}, 900_000);
