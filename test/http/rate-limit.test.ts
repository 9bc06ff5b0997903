import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Bucket, createRateLimit, takeToken } from '../../src/http/rate-limit.ts';
import { openService } from '../support/service.ts';

const rates = fc.record({ perSecond: fc.integer({ min: 1, max: 1000 }), burst: fc.integer({ min: 1, max: 1000 }) });

test('in any period at most the burst and the added tokens pass, and the stated wait suffices', () => {
  fc.assert(
    fc.property(rates, fc.array(fc.nat(200), { maxLength: 300 }), (rate, gapsMs) => {
      let bucket: Bucket | undefined;
      let nowMs = 1_000;
      let passed = 0;
      for (const gapMs of gapsMs) {
        nowMs += gapMs;
        const taken = takeToken(bucket, rate, nowMs);
        bucket = taken.bucket;
        if (taken.waitMs === 0) passed += 1;
        else expect(takeToken(bucket, rate, nowMs + taken.waitMs).waitMs).toBe(0);
      }
      expect(passed).toBeLessThanOrEqual(rate.burst + ((nowMs - 1_000) * rate.perSecond) / 1000 + 1e-6);
    }),
  );
});

test('a clock that steps back locks no client out', () => {
  const rate = { perSecond: 10, burst: 2 };
  const { bucket } = takeToken({ tokens: 1, atMs: 10_000 }, rate, 5_000);
  expect(takeToken(bucket, rate, 5_100).waitMs).toBe(0);
});

test('too many requests of one token, device or hook, and wrong credentials of one address, are answered 429 with Retry-After; others are served', async () => {
  await using service = await openService({ RATE_LIMIT_TOKEN: '2', RATE_LIMIT_DEVICE: '2', RATE_LIMIT_HOOK: '2', RATE_LIMIT_REFUSED: '2' });
  const many = (ask: () => Promise<{ status: number; headers: Headers }>) => Promise.all(Array.from({ length: 40 }, ask));
  const expectLimited = (answers: { status: number; headers: Headers }[], served: number) => {
    const limited = answers.filter((answer) => answer.status === 429);
    expect(limited.length).toBeGreaterThan(0);
    expect(answers.some((answer) => answer.status === served)).toBe(true);
    for (const answer of limited) expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
  };
  const { token } = (await service.api('POST', '/tokens', { name: 'another', role: 'operator' })).body;
  expectLimited(await many(() => service.apiAs('bwt_wrong')('GET', '/devices')), 401);
  const { apiKey } = (await service.api('POST', '/devices', { id: 'till-1' })).body;
  expectLimited(await many(() => service.api('GET', '/devices')), 200);
  expect((await service.apiAs(token)('GET', '/devices')).status).toBe(200);
  const device = { headers: { 'x-device-id': 'till-1', 'x-api-key': apiKey } };
  expectLimited(await many(() => fetch(`${service.url}/agent/v1/desired`, device)), 200);
  // Webhooks without a source count as wrong credentials of their address, whose limit is exceeded already.
  const strangers = await many(() => fetch(`${service.url}/hooks/00000000-0000-7000-8000-000000000000`, { method: 'POST' }));
  expect(strangers.filter((answer) => answer.status !== 404 && answer.status !== 429)).toEqual([]);
  const webhook = { provider: 'gitlab', secret: 'a-secret-token-of-gitlab' };
  const wanted = { name: 's', url: 'https://example.com/a.git', layout: 'repo', webhook };
  const { hookUrl } = (await service.apiAs(token)('POST', '/sources', wanted)).body;
  const headers = { 'x-gitlab-token': webhook.secret, 'x-gitlab-event': 'Push Hook' };
  const push = (n: number) =>
    JSON.stringify({ object_kind: 'push', ref: 'refs/heads/main', before: '0'.repeat(40), after: `${n}`.padStart(40, 'a') });
  const pushes = Array.from({ length: 40 }, (_, n) => fetch(hookUrl, { method: 'POST', headers, body: push(n) }));
  expectLimited(await Promise.all(pushes), 202);
});

test('a limit can be asked without taking a token, and can say that there is none', () => {
  let nowMs = 0;
  const limit = createRateLimit('requests', { perSecond: 1, burst: 2 }, () => nowMs);
  for (let n = 0; n < 10; n++) limit.check('a');
  expect([limit.tryTake('a'), limit.tryTake('a'), limit.tryTake('a')]).toEqual([true, true, false]);
  expect(() => limit.check('a')).toThrow('at most 1 each second');
  limit.check('b');
  nowMs = 1_000;
  limit.check('a');
});

test('a sender with too many verified hooks is refused before its next one is verified; other sources are served', async () => {
  await using service = await openService({ ROLE: 'api', RATE_LIMIT_HOOK: '1', RATE_LIMIT_REFUSED: '1000' });
  const webhook = { provider: 'gitlab', secret: 'a-secret-token-of-gitlab' };
  const createSource = async (name: string): Promise<string> => {
    const wanted = { name, url: `https://example.com/${name}.git`, layout: 'repo', webhook };
    return (await service.api('POST', '/sources', wanted)).body.hookUrl;
  };
  const [flooded, quiet] = [await createSource('flooded'), await createSource('quiet')];
  const push = async (url: string, token: string, n: number): Promise<number> => {
    const headers = { 'x-gitlab-token': token, 'x-gitlab-event': 'Push Hook' };
    const body = JSON.stringify({ object_kind: 'push', ref: 'refs/heads/main', before: '0'.repeat(40), after: `${n}`.padStart(40, 'a') });
    return (await fetch(url, { method: 'POST', headers, body })).status;
  };
  const many = (token: string) => Promise.all(Array.from({ length: 20 }, (_, n) => push(flooded, token, n)));
  const [valid, forged] = [await many(webhook.secret), await many('a-wrong-token')];
  expect(new Set(valid)).toEqual(new Set([202, 429]));
  expect(forged).toContain(429);
  expect(await push(quiet, webhook.secret, 0)).toBe(202);
  expect(await push(quiet, 'a-wrong-token', 0)).toBe(401);
});
