import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Answering, serveVendor, type VendorResponse } from '../../src/demo/vendors/vendor-server.ts';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import { vendorConnector } from '../../src/integration/api.ts';
import { createIsolation } from '../../src/integration/isolation.ts';

const SECRET = 'p"ss/word with+signs 0123';
const BASIC = Buffer.from(`field:${SECRET}`).toString('base64');
const guard = addressGuard({ allowPrivate: true });
const field = { id: 'field', type: 'shelf', name: 'Field' };

let platform: Answering;
let answer: VendorResponse;
beforeEach(async () => {
  answer = { status: 200, body: { ok: true } };
  platform = await serveVendor(() => answer);
});
afterEach(() => platform.close());

const open = (options: { timeoutMs?: number } = {}) =>
  vendorConnector({ guard, isolate: createIsolation().of(field) })({
    baseUrl: `${platform.url}/v1`,
    headers: { authorization: `Basic ${BASIC}` },
    secrets: [SECRET],
    ...options,
  });
const get = (api = open(), path = '/devices') =>
  api.send({ doing: 'list the devices', method: 'GET', path, signal: AbortSignal.timeout(30_000) });

test.each([
  ['as it is', SECRET],
  ['as in a URL', encodeURIComponent(SECRET)],
  ['as in JSON', JSON.stringify(SECRET).slice(1, -1)],
  ['in Base64', Buffer.from(SECRET).toString('base64')],
  ['as the header had it', BASIC],
])('a secret that the platform repeats %s is not in the error', async (_how, form) => {
  answer = { status: 403, body: `no access for ${form} here` };
  const error = (await get().catch((thrown: unknown) => thrown)) as Error;
  expect(error).toMatchObject({ code: 'integration_forbidden' });
  expect(error.message).toMatch(/no access for .* here|\[redacted\]/);
  expect(error.message).not.toContain(form);
});

test('the retries of one call end when the circuit opens', async () => {
  const api = open();
  platform.faults.push({ times: 99, do: { is: 'answer', response: { status: 500 } } });
  await expect(get(api)).rejects.toMatchObject({ code: 'integration_server_error' });
  expect(platform.requests).toHaveLength(4);
  await expect(get(api)).rejects.toMatchObject({ code: 'integration_unavailable' });
  await expect(get(api)).rejects.toMatchObject({ code: 'integration_unavailable' });
  expect(platform.requests).toHaveLength(5);
});

test('another origin is never called, whether the platform redirects to it or names it as the next page', async () => {
  await expect(get(open(), 'http://127.0.0.1:9/v1/devices?page=2')).rejects.toMatchObject({ code: 'integration_redirect' });
  expect(platform.requests).toEqual([]);
  answer = { status: 302, headers: { location: 'http://127.0.0.1:9/' } };
  await expect(get()).rejects.toMatchObject({ code: 'integration_redirect' });
});

test('answers may be JSON, plain text or empty', async () => {
  expect((await get()).body).toEqual({ ok: true });
  answer = { status: 200, body: 'accepted' };
  expect((await get()).body).toBe('accepted');
  answer = { status: 204 };
  expect((await get()).body).toBeUndefined();
});
