import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Problem } from '../../../src/errors.ts';
import type { HookRequest, WebhookProvider } from '../../../src/source/webhook/provider.ts';
import { recogniseProvider, webhookProvider, webhookProviders } from '../../../src/source/webhook/registry.ts';
import { fixture, hook, NOW } from './fixtures.ts';

/** What every provider must do with whatever it is sent; a new one joins by its line in the registry and here. */
const PUSHES: Record<string, { headers: Record<string, string>; body: Buffer }> = {
  gitlab: { headers: { 'x-gitlab-event': 'Push Hook' }, body: fixture('gitlab-push') },
  github: { headers: { 'x-github-event': 'push' }, body: fixture('github-push') },
};
const SECRETS = [null, '', 'plain', 'whsec_', `whsec_${Buffer.alloc(32).toString('base64')}`];
const malformed = expect.objectContaining({ code: 'hook_malformed', status: 400 });

function pushOf(provider: WebhookProvider) {
  const push = PUSHES[provider.name];
  if (push === undefined) throw new Error(`"${provider.name}" has no sample push in this test`);
  return push;
}

/** Both steps of the hooks' route; whatever the request, nothing but a Problem may come out. */
function receive(provider: WebhookProvider, request: HookRequest): string {
  for (const secret of SECRETS) {
    const verdict = provider.verify(request, secret, NOW);
    if (!verdict.ok) expect(verdict.problem.status).toBe(401);
  }
  try {
    return provider.parse(request).kind;
  } catch (error) {
    expect(error).toBeInstanceOf(Problem);
    expect(error).toMatchObject({ code: 'hook_malformed', status: 400 });
    return 'malformed';
  }
}

test('a provider is found by its name, and by the headers it sends', () => {
  for (const provider of webhookProviders) {
    expect(webhookProvider(provider.name)).toBe(provider);
    expect(recogniseProvider(new Headers(pushOf(provider).headers))).toBe(provider);
  }
  expect(recogniseProvider(new Headers())).toBeNull();
  expect(() => webhookProvider('svn')).toThrow(/Cannot find webhook provider "svn", must be one of "gitlab", "github"/);
});

test.each([...webhookProviders])(
  '$name: its sample push is a poke, and so the broken variants below are broken by what was changed',
  (provider) => {
    const { headers, body } = pushOf(provider);
    expect(receive(provider, hook(headers, body))).toBe('poke');
  },
);

test.each([...webhookProviders])('$name: a body cut anywhere is malformed', (provider) => {
  const { headers, body } = pushOf(provider);
  const end = body.toString().trimEnd().length;
  for (let length = 0; length < end; length += 37) expect(receive(provider, hook(headers, body.subarray(0, length)))).toBe('malformed');
});

test.each([...webhookProviders])('$name: every field of a wrong type gives a poke without it or a 400', (provider) => {
  const { headers, body } = pushOf(provider);
  const good: Record<string, unknown> = JSON.parse(body.toString());
  const kinds = new Set<string>();
  fc.assert(
    fc.property(fc.constantFrom(...Object.keys(good)), fc.jsonValue(), (key, value) => {
      kinds.add(receive(provider, hook(headers, JSON.stringify({ ...good, [key]: value }))));
    }),
    { numRuns: 500 },
  );
  expect(kinds).toContain('poke');
  expect(kinds).toContain('malformed');
});

test.each([...webhookProviders])('$name: random bytes under random headers give a Problem or a result', (provider) => {
  const { headers } = pushOf(provider);
  const names = [
    'webhook-id',
    'webhook-timestamp',
    'webhook-signature',
    'x-gitlab-token',
    'x-hub-signature-256',
    'x-github-event',
    'content-type',
  ];
  const anyHeaders = fc.dictionary(fc.constantFrom(...names), fc.oneof(fc.string(), fc.constant('application/x-www-form-urlencoded')));
  const anyBody = fc.oneof(
    fc.uint8Array({ maxLength: 500 }),
    fc.json().map((text) => Buffer.from(text)),
  );
  fc.assert(
    fc.property(anyHeaders, anyBody, (extra, rawBody) => {
      receive(provider, { headers: new Map(Object.entries({ ...headers, ...extra })), rawBody });
    }),
    { numRuns: 500 },
  );
});

test.each([...webhookProviders])('$name: JSON that is deep, not an object or not UTF-8 is malformed', (provider) => {
  const { headers } = pushOf(provider);
  const bodies = [
    '['.repeat(1_000_000),
    `${'['.repeat(100_000)}${']'.repeat(100_000)}`,
    'null',
    '[]',
    '7',
    '"push"',
    Buffer.from([0x22, 0xff, 0x22]),
  ];
  for (const body of bodies) expect(() => provider.parse(hook(headers, body))).toThrow(malformed);
});

test.each([...webhookProviders])('$name: refs that are none, and ids that are no commit, are malformed', (provider) => {
  const { headers, body } = pushOf(provider);
  const good: Record<string, unknown> = JSON.parse(body.toString());
  const parse = (change: object) => provider.parse(hook(headers, JSON.stringify({ ...good, ...change })));
  const refs = [
    'main',
    '',
    'refs/heads/',
    'refs/heads',
    'refs/heads/../x',
    'refs/heads/a b',
    'refs/heads/a\n',
    'refs/heads/a.lock',
    'refs/heads/-\u0000',
    'refs/heads/a~1',
    `refs/heads/${'a'.repeat(2000)}`,
    '--upload-pack=x',
  ];
  for (const ref of refs) expect(() => parse({ ref }), ref).toThrow(malformed);
  for (const after of ['', 'HEAD', 'A'.repeat(40), 'a'.repeat(39), 'a'.repeat(41), 7, null])
    expect(() => parse({ after })).toThrow(malformed);
  expect(parse({ ref: 'refs/heads/feature/über-1', after: 'a'.repeat(64) })).toMatchObject({ ref: 'refs/heads/feature/über-1' });
});

test.each([...webhookProviders])('$name: a repository URL with credentials or of another scheme is left out', (provider) => {
  const { headers, body } = pushOf(provider);
  for (const url of ['https://user:secret@evil.example/r.git', 'file:///etc/passwd', 'ext::sh -c id', 'x'.repeat(5000)]) {
    const changed = body.toString().replaceAll(/"(git_http_url|clone_url)": "[^"]*"/g, (_all, key) => `"${key}": ${JSON.stringify(url)}`);
    const parsed = provider.parse(hook(headers, changed));
    expect(parsed).toMatchObject({ kind: 'poke', repositoryUrl: undefined });
  }
});

test.each([...webhookProviders])('$name: an id that is too long or not printable is replaced by a digest', (provider) => {
  const { headers, body } = pushOf(provider);
  for (const id of ['x'.repeat(201), 'a b', 'é', 'a, a']) {
    const extra = { 'webhook-id': id, 'idempotency-key': id, 'x-github-delivery': id };
    expect(provider.parse({ headers: new Map(Object.entries({ ...headers, ...extra })), rawBody: body }).deliveryId).toMatch(/^sha256:/);
  }
});
