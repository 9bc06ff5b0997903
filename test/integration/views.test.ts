import { beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { openSecretBox } from '../../src/crypto/secret-box.ts';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import type { Integration } from '../../src/integration/integration.ts';
import { createIsolation } from '../../src/integration/isolation.ts';
import { integrationProblem } from '../../src/integration/problems.ts';
import { defineProvider } from '../../src/integration/provider.ts';
import { createProviders } from '../../src/integration/registry.ts';
import { createViews, type Views } from '../../src/integration/views.ts';
import { testPlatform } from '../support/test-platform.ts';

let nowMs: number;
let asked: string[];
let failure: Error | undefined;
let closed: number;
let views: Views;

const provider = defineProvider({
  ...testPlatform,
  kind: 'clocked',
  settings: z.object({}),
  credentials: z.object({}),
  views: { facts: { title: 'Facts', cacheSeconds: 60 } },
  open: () => ({
    test: async () => ({ account: '', devices: null, sample: [] }),
    view: async (_name, { organizationId, externalId }) => {
      asked.push(`${organizationId} ${externalId}`);
      if (failure !== undefined) throw failure;
      return { asked: asked.length };
    },
    close: async () => {
      closed += 1;
    },
  }),
});

beforeEach(() => {
  nowMs = Date.parse('2026-12-01T10:00:00Z');
  asked = [];
  failure = undefined;
  closed = 0;
  const deps = {
    box: openSecretBox([{ id: 'k1', key: Buffer.alloc(32) }]),
    guard: addressGuard({ allowPrivate: true }),
    isolation: createIsolation(),
    providers: createProviders([provider]),
  };
  views = createViews(
    deps,
    async () => undefined,
    () => nowMs,
  );
});

const show = (organizationId: string, externalId: string, version = 1) =>
  views.show({
    integration: {
      organizationId,
      id: organizationId,
      type: 'clocked',
      name: 'c',
      version,
      settings: {},
      credentialsSealed: null,
      isActive: true,
      blockedReason: null,
    } as unknown as Integration,
    target: { organizationId, deviceId: 'd', externalId },
    view: 'facts',
    query: {},
  });

test('the last known view is shown for a day, with the time of its answer', async () => {
  const { at } = await show('a', 'e');
  nowMs += 59_000;
  expect(await show('a', 'e')).toMatchObject({ data: { asked: 1 }, problem: null });
  failure = integrationProblem('integration_timeout', 'Cannot show the view: late');
  nowMs += 2_000;
  expect(await show('a', 'e')).toEqual({ data: { asked: 1 }, at, problem: { code: 'integration_timeout', detail: failure.message } });
  nowMs += 86_400_000;
  await expect(show('a', 'e')).rejects.toBe(failure);
  expect(closed).toBe(asked.length);
});

test('an error that is no answer of a platform is never hidden', async () => {
  await show('a', 'e');
  nowMs += 61_000;
  failure = new TypeError('a fault of ours');
  await expect(show('a', 'e')).rejects.toBe(failure);
});

test('a changed integration may be another account: nothing of the earlier one is shown', async () => {
  await show('a', 'e', 1);
  expect(await show('a', 'e', 2)).toMatchObject({ data: { asked: 2 } });
});

test('an organization that asks for many views pushes out its own, and none of another', async () => {
  await show('quiet', 'e');
  for (let n = 0; n < 600; n += 1) await show('busy', `e${n}`);
  asked = [];
  await show('quiet', 'e');
  await show('busy', 'e599');
  expect(asked).toEqual([]);
  await show('busy', 'e0');
  expect(asked).toEqual(['busy e0']);
});
