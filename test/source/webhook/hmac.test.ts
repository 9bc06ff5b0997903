import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { WebhookProvider } from '../../../src/source/webhook/provider.ts';
import { webhookProvider } from '../../../src/source/webhook/registry.ts';
import { fixture, flipByte, hook, NOW } from './fixtures.ts';

const SECRET = 'a webhook secret';
const unauthorized = { ok: false, problem: expect.objectContaining({ code: 'hook_unauthorized', status: 401 }) };

type Case = { of: string; provider: WebhookProvider; header: string; body: Buffer; sign: (body: Uint8Array, secret: string) => string };

const hex = (body: Uint8Array, secret: string) => createHmac('sha256', secret).update(body).digest('hex');

/** The hosts that sign only the body, in one header. */
const CASES: Case[] = [
  { of: 'gitea', provider: webhookProvider('gitea'), header: 'x-gitea-signature', body: fixture('gitea-push'), sign: hex },
  { of: 'forgejo', provider: webhookProvider('forgejo'), header: 'x-forgejo-signature', body: fixture('gitea-push'), sign: hex },
  {
    of: 'bitbucket-cloud',
    provider: webhookProvider('bitbucket-cloud'),
    header: 'x-hub-signature',
    body: fixture('bitbucket-cloud-push'),
    sign: (body, secret) => `sha256=${hex(body, secret)}`,
  },
  {
    of: 'bitbucket-data-center',
    provider: webhookProvider('bitbucket-data-center'),
    header: 'x-hub-signature',
    body: fixture('bitbucket-data-center-push'),
    sign: (body, secret) => `sha256=${hex(body, secret)}`,
  },
  {
    of: 'generic, hex',
    provider: webhookProvider('generic', { scheme: 'hmac', header: 'x-signature', prefix: '', encoding: 'hex', algorithm: 'sha256' }),
    header: 'x-signature',
    body: fixture('generic-push'),
    sign: hex,
  },
  {
    of: 'generic, base64 of SHA-512 behind a prefix',
    provider: webhookProvider('generic', { scheme: 'hmac', header: 'x-sum', prefix: 'v=', encoding: 'base64', algorithm: 'sha512' }),
    header: 'x-sum',
    body: fixture('generic-push'),
    sign: (body, secret) => `v=${createHmac('sha512', secret).update(body).digest('base64')}`,
  },
];

test.each(CASES)('$of: a signature with the secret is accepted, one with another secret is refused', (c) => {
  const verify = (secret: string) => c.provider.verify(hook({ [c.header]: c.sign(c.body, secret) }, c.body), SECRET, NOW);
  expect(verify(SECRET)).toEqual({ ok: true, proof: 'hmac' });
  for (const secret of [`${SECRET}x`, SECRET.toUpperCase(), ' ', 'x'.repeat(10_000)]) expect(verify(secret)).toEqual(unauthorized);
});

test.each(CASES)('$of: a missing or empty signature is refused', (c) => {
  expect(c.provider.verify(hook({}, c.body), SECRET, NOW)).toEqual(unauthorized);
  expect(c.provider.verify(hook({ [c.header]: '' }, c.body), SECRET, NOW)).toEqual(unauthorized);
  const empty = c.sign(c.body, '');
  expect(c.provider.verify(hook({ [c.header]: empty }, c.body), '', NOW)).toEqual(unauthorized);
  expect(c.provider.verify(hook({ [c.header]: empty }, c.body), SECRET, NOW)).toEqual(unauthorized);
});

test.each(CASES)('$of: a truncated body and a truncated, misspelled, oversized or duplicated signature are refused', (c) => {
  const good = c.sign(c.body, SECRET);
  expect(c.provider.verify(hook({ [c.header]: good }, c.body.subarray(0, -1)), SECRET, NOW)).toEqual(unauthorized);
  const signatures = [
    good.slice(0, -1),
    good.slice(1),
    good.toUpperCase(),
    `${good}=`,
    `sha1=${good}`,
    good.repeat(500),
    `${good}, ${good}`,
  ];
  for (const signature of signatures)
    expect(c.provider.verify(hook({ [c.header]: signature }, c.body), SECRET, NOW), signature.slice(0, 100)).toEqual(unauthorized);
  const twice = new Headers({ [c.header]: good });
  twice.append(c.header, good);
  expect(c.provider.verify({ headers: twice, rawBody: c.body }, SECRET, NOW)).toEqual(unauthorized);
});

test.each(CASES)('$of: changing any byte of body or signature is refused', (c) => {
  const good = c.sign(c.body, SECRET);
  const verify = (body: Uint8Array, signature: string) =>
    c.provider.verify({ headers: new Map([[c.header, signature]]), rawBody: body }, SECRET, NOW);
  expect(verify(c.body, good).ok).toBe(true);
  fc.assert(
    fc.property(fc.nat(c.body.length - 1), fc.integer({ min: 1, max: 255 }), (index, mask) => {
      expect(verify(flipByte(c.body, index, mask), good)).toEqual(unauthorized);
    }),
  );
  const bytes = Buffer.from(good);
  for (let index = 0; index < bytes.length; index += 1) {
    for (const mask of [1, 2, 4, 8, 16, 32, 64, 128])
      expect(verify(c.body, flipByte(bytes, index, mask).toString('latin1'))).toEqual(unauthorized);
  }
});

test.each(CASES)('$of: an empty secret is refused on entry', (c) => {
  expect(() => c.provider.checkSecret('')).toThrow(expect.objectContaining({ code: 'hook_secret_invalid', status: 400 }));
  expect(() => c.provider.checkSecret(SECRET)).not.toThrow();
});
