import { z } from 'zod';
import { hashToken, tokenMatches } from '../../src/crypto/tokens.ts';
import { Problem } from '../../src/errors.ts';
import { defineProvider, type Provider } from '../../src/integration/provider.ts';
import type { Json } from '../../src/wire/text/json.ts';

const Notice = z.object({
  id: z.string().optional(),
  devices: z.array(z.object({ externalId: z.string(), seenAt: z.coerce.date().optional(), state: z.json().optional() })).default([]),
});

/** A platform of any address, with a hook that carries its secret in `x-platform-secret`, and one view that answers what its server does. */
export const testPlatform: Provider = defineProvider({
  kind: 'testing',
  title: 'Testing',
  settings: z.strictObject({ apiUrl: z.url() }),
  credentials: z.strictObject({ token: z.string().min(4) }),
  fields: { name: { kind: 'scalar', writable: true, title: 'Name' } },
  views: { facts: { title: 'Facts', cacheSeconds: 60 }, moments: { title: 'Moments', cacheSeconds: 0 } },
  document: null,
  defaultIntervalSeconds: 900,
  abilities: {
    list: false,
    create: false,
    update: false,
    delete: false,
    push: false,
    nativeConfirm: false,
    dryRun: false,
    execute: false,
    hook: true,
  },
  open: ({ settings: { apiUrl }, credentials: { token }, connect }) => {
    const api = connect({ baseUrl: apiUrl, headers: { authorization: `Bearer ${token}` }, secrets: [token], timeoutMs: 2_000 });
    const get = (path: string, query: Readonly<Record<string, string>>, signal: AbortSignal) =>
      api.send({ doing: 'show the view', method: 'GET', path, query, isIdempotent: false, signal });
    return {
      test: async () => ({ account: 'testing', devices: null, sample: [] }),
      view: async (name, { externalId }, query, signal) => ((await get(`/${name}/${externalId}`, query, signal)).body ?? null) as Json,
      hook: {
        verify: ({ headers }, secret) => tokenMatches(headers.get('x-platform-secret') ?? '', hashToken(secret)),
        parse: ({ rawBody }) => {
          const parsed = Notice.safeParse(JSON.parse(Buffer.from(rawBody).toString('utf8')));
          if (!parsed.success) throw new Problem('hook_malformed', 'Cannot read the hook: it is no notice');
          const { id = null, devices } = parsed.data;
          return { deliveryId: id, devices: devices.map(({ seenAt = null, ...one }) => ({ ...one, seenAt })) };
        },
      },
    };
  },
});
