import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { HookRequest } from '../../../src/crypto/signature.ts';
import { Problem } from '../../../src/errors.ts';
import type { WebhookProvider } from '../../../src/source/webhook/provider.ts';
import { recogniseProvider, webhookProvider, webhookProviders } from '../../../src/source/webhook/registry.ts';
import { compareRepository } from '../../../src/source/webhook/repository.ts';
import { fixture, hook, NOW } from './fixtures.ts';

/** Rules for every provider and any request. A new provider needs a line in the registry and one here. */
const PUSHES: Record<string, Sample> = {
  gitlab: { headers: { 'x-gitlab-event': 'Push Hook' }, body: fixture('gitlab-push'), ref: 'ref', after: 'after' },
  forgejo: {
    headers: { 'x-forgejo-event': 'push', 'x-gitea-event': 'push', 'x-github-event': 'push' },
    body: fixture('gitea-push'),
    ref: 'ref',
    after: 'after',
  },
  gitea: { headers: { 'x-gitea-event': 'push', 'x-github-event': 'push' }, body: fixture('gitea-push'), ref: 'ref', after: 'after' },
  github: { headers: { 'x-github-event': 'push' }, body: fixture('github-push'), ref: 'ref', after: 'after' },
  'bitbucket-cloud': {
    headers: { 'x-event-key': 'repo:push', 'x-request-uuid': 'r-1', 'x-request-id': 'of-a-proxy' },
    body: fixture('bitbucket-cloud-push'),
    ref: 'push/changes/0/new/name',
    refIsShort: true,
    after: 'push/changes/0/new/target/hash',
  },
  'bitbucket-data-center': {
    headers: { 'x-event-key': 'repo:refs_changed', 'x-request-id': 'r-1' },
    body: fixture('bitbucket-data-center-push'),
    ref: 'changes/0/ref/id',
    after: 'changes/0/toHash',
  },
  'azure-devops': {
    headers: { 'x-vss-subscriptionid': 's-1' },
    body: fixture('azure-devops-push'),
    ref: 'resource/refUpdates/0/name',
    after: 'resource/refUpdates/0/newObjectId',
  },
  generic: { headers: { 'webhook-signature': 'v1,AAAA' }, body: fixture('generic-push'), ref: 'ref', after: 'after' },
};
/** A push, with the paths of the ref and the new commit in it. */
type Sample = { headers: Record<string, string>; body: Buffer; ref: string; after: string; refIsShort?: true };
const SECRETS = [null, '', 'plain', 'whsec_', `whsec_${Buffer.alloc(32).toString('base64')}`];
const malformed = expect.objectContaining({ code: 'hook_malformed', status: 400 });

function pushOf(provider: WebhookProvider) {
  const push = PUSHES[provider.name];
  if (push === undefined) throw new Error(`"${provider.name}" has no sample push in this test`);
  return push;
}

/** The sample with another value at a path. */
function changed({ body }: Sample, path: string, value: unknown): string {
  const whole: unknown = JSON.parse(body.toString());
  const keys = path.split('/');
  const last = keys.pop() ?? '';
  const parent = valueAt(whole, keys) as Record<string, unknown>;
  expect(parent).toHaveProperty([last]);
  parent[last] = value;
  return JSON.stringify(whole);
}

function valueAt(whole: unknown, keys: readonly string[]): unknown {
  return keys.reduce((at, key) => (at as Record<string, unknown>)[key], whole);
}

/** Runs both steps of the hooks' route. For any request, only a Problem may be thrown. */
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

test('a provider is found by its name and by the headers of its requests', () => {
  for (const provider of webhookProviders) {
    expect(webhookProvider(provider.name)).toBe(provider);
    expect(recogniseProvider(new Headers(pushOf(provider).headers))).toBe(provider);
  }
  expect(recogniseProvider(new Headers())).toBeNull();
  expect(() => webhookProvider('svn')).toThrow(/Cannot find webhook provider "svn", must be one of "gitlab", "forgejo", "gitea", /);
});

test.each([...webhookProviders])('$name: its sample push is a change, so that the variants below fail only by their edit', (provider) => {
  const { headers, body } = pushOf(provider);
  expect(receive(provider, hook(headers, body))).toBe('change');
});

test.each([...webhookProviders])('$name: a body cut anywhere is malformed', (provider) => {
  const { headers, body } = pushOf(provider);
  const end = body.toString().trimEnd().length;
  for (let length = 0; length < end; length += 37) expect(receive(provider, hook(headers, body.subarray(0, length)))).toBe('malformed');
});

test.each([...webhookProviders])('$name: a field of a wrong type is left out, or the hook is ignored', (provider) => {
  const { headers, body } = pushOf(provider);
  const good: Record<string, unknown> = JSON.parse(body.toString());
  const kinds = new Set<string>();
  fc.assert(
    fc.property(fc.constantFrom(...Object.keys(good)), fc.jsonValue(), (key, value) => {
      kinds.add(receive(provider, hook(headers, JSON.stringify({ ...good, [key]: value }))));
    }),
    { numRuns: 500 },
  );
  expect(kinds).toContain('change');
  expect(kinds).not.toContain('malformed');
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
    'x-gitea-event',
    'x-gitea-signature',
    'x-forgejo-signature',
    'x-event-key',
    'x-hub-signature',
    'authorization',
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

test.each([...webhookProviders])('$name: JSON that is too deep or not UTF-8 is malformed; any other JSON has a result', (provider) => {
  const { headers } = pushOf(provider);
  const bodies = ['['.repeat(1_000_000), `${'['.repeat(100_000)}${']'.repeat(100_000)}`, Buffer.from([0x22, 0xff, 0x22])];
  for (const body of bodies) expect(() => provider.parse(hook(headers, body))).toThrow(malformed);
  for (const body of ['null', '[]', '7', '"push"', '{}']) expect(['change', 'ignored']).toContain(provider.parse(hook(headers, body)).kind);
});

test.each([...webhookProviders])('$name: invalid refs and commit ids are left out', (provider) => {
  const sample = pushOf(provider);
  const parse = (path: string, value: unknown) => provider.parse(hook(sample.headers, changed(sample, path, value)));
  const spelled = (ref: string) => (sample.refIsShort ? ref.replace('refs/heads/', '') : ref);
  const refs = [
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
  const tried = refs.filter((ref) => !sample.refIsShort || ref.startsWith('refs/heads/'));
  expect(tried.length).toBeGreaterThan(6);
  for (const ref of tried) expect(parse(sample.ref, spelled(ref)), ref).not.toMatchObject({ ref: expect.any(String) });
  for (const after of ['', 'HEAD', 'A'.repeat(40), 'a'.repeat(39), 'a'.repeat(41), 7, null])
    expect(parse(sample.after, after)).toMatchObject({ kind: 'change', ref: 'refs/heads/main', after: null });
  expect(parse(sample.ref, spelled('refs/heads/feature/über-1'))).toMatchObject({ ref: 'refs/heads/feature/über-1' });
  expect(parse(sample.after, 'a'.repeat(64))).toMatchObject({ after: 'a'.repeat(64) });
});

test.each([...webhookProviders])('$name: any repository URL is accepted for comparison', (provider) => {
  const { headers, body } = pushOf(provider);
  for (const url of ['https://user:secret@evil.example/r.git', 'file:///etc/passwd', 'ext::sh -c id', 'x'.repeat(5000)]) {
    const moved = body
      .toString()
      .replaceAll(/"(git_http_url|clone_url|href|remoteUrl|repository_url)": "[^"]*"/g, (_all, key) => `"${key}": ${JSON.stringify(url)}`);
    const parsed = provider.parse(hook(headers, moved));
    expect(moved).not.toBe(body.toString());
    if (parsed.kind !== 'change') throw new Error(parsed.kind);
    const known = { url: 'https://git.example.com/fleet/tills.git', id: null };
    expect(['other', 'unknown']).toContain(compareRepository(known, parsed.repository));
  }
});

test.each([...webhookProviders])('$name: an id that is too long or not printable is replaced by a digest', (provider) => {
  const { headers, body } = pushOf(provider);
  for (const id of ['x'.repeat(201), 'a b', 'é', 'a, a']) {
    const names = [
      'webhook-id',
      'idempotency-key',
      'x-github-delivery',
      'x-gitea-delivery',
      'x-forgejo-delivery',
      'x-request-uuid',
      'x-request-id',
    ];
    const extra = Object.fromEntries(names.map((name) => [name, id]));
    // One host sends its id in the body.
    const rawBody = Buffer.from(JSON.stringify({ ...JSON.parse(body.toString()), id }));
    const request = { headers: new Map(Object.entries({ ...headers, ...extra })), rawBody };
    expect(provider.parse(request).deliveryId).toMatch(/^sha256:[0-9a-f]{64}$/);
  }
});

const SEVERAL = ['bitbucket-cloud', 'bitbucket-data-center', 'azure-devops'];

test.each(SEVERAL)('%s: a hook may list several refs or none, up to a limit', (name) => {
  const provider = webhookProvider(name);
  const sample = pushOf(provider);
  const list = sample.ref.split('/0/')[0] ?? '';
  const [one] = valueAt(JSON.parse(sample.body.toString()), list.split('/')) as unknown[];
  const parse = (count: number) => provider.parse(hook(sample.headers, changed(sample, list, Array(count).fill(one))));
  const main = { event: 'push', ref: 'refs/heads/main' };
  expect(parse(0)).toMatchObject({ kind: 'ignored' });
  expect(parse(1)).not.toHaveProperty('alsoRefs');
  expect(parse(3)).toMatchObject({ ...main, alsoRefs: [main, main] });
  expect(parse(10_001)).toMatchObject({ kind: 'change', ref: null });
});
