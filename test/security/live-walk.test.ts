import { io, type Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { hashToken, last4, mintToken } from '../../src/crypto/tokens.ts';
import { newId } from '../../src/ids.ts';
import { ensureOrganization, insertToken } from '../../src/organization/store.ts';
import { Topic } from '../../src/wire/live.ts';
import { converge } from '../support/actors.ts';
import { openGitHost, type TestGitHost } from '../support/git-host.ts';
import { ADMIN_TOKEN, type Api, eventually, openService, type TestService } from '../support/service.ts';

const DEVICE = 'till';

let service: TestService;
let host: TestGitHost;
let ours: Api;
let theirs: Api;
let theirToken: string;
/** One of each kind, with our own ids: a stranger who knows them. */
let topics: string[];
const sockets: Socket[] = [];

beforeAll(async () => {
  [service, host] = await Promise.all([openService(), openGitHost()]);
  ours = service.api;
  theirToken = await tokenOf('others', 'admin');
  theirs = service.apiAs(theirToken);
  await theirs('POST', '/devices', { id: DEVICE });
  const url = await host.createRepository('ours');
  await host.commit('ours', { 'app.json': '{"a":1}' });
  const source = (await ours('POST', '/sources', { name: 'ours', url, layout: 'repo' })).body;
  const { apiKey } = (await ours('POST', '/devices', { id: DEVICE, sourceId: source.id })).body;
  await eventually('the device runs the commit', async () => {
    await converge(service.url, { 'x-device-id': DEVICE, 'x-api-key': apiKey });
    return (await ours('GET', `/devices/${DEVICE}/status`)).body.converged;
  });
  const [rollout] = await service.database.sql<{ id: string }[]>`select id from rollouts limit 1`;
  topics = topicKinds().map((kind) => kind.replace('device:…', `device:${DEVICE}`).replace('rollout:…', `rollout:${rollout?.id}`));
});
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.disconnect();
});
afterAll(async () => {
  await service.close();
  await host.close();
});

/** As the wire's schema knows them. */
function topicKinds(): string[] {
  const pattern = z.toJSONSchema(Topic).pattern ?? '';
  return pattern
    .slice('^('.length, -')$'.length)
    .split('|')
    .map((kind) => kind.replace(/:.*$/, ':…'));
}

async function tokenOf(organization: string, role: 'viewer' | 'operator' | 'admin'): Promise<string> {
  const token = mintToken('token');
  const id = await ensureOrganization(service.database.sql, newId(), organization);
  await insertToken(service.database.sql, id, { id: newId(), name: role, role, hash: hashToken(token), last4: last4(token) });
  return token;
}

type Message = { name: string; body: { organizationId?: string; cursor?: number; type?: string; code?: string } };

async function open(token: unknown, transport: 'websocket' | 'polling' = 'websocket'): Promise<{ socket: Socket; seen: Message[] }> {
  const socket = io(`${service.url}/live`, { transports: [transport], reconnection: false, forceNew: true, auth: { token } });
  sockets.push(socket);
  const seen: Message[] = [];
  socket.onAny((name: string, body: Message['body']) => seen.push({ name, body }));
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', () => resolve());
    socket.once('connect_error', reject);
  });
  return { socket, seen };
}

async function listen(token: string, to: readonly string[], after?: number) {
  const opened = await open(token);
  const answer = await opened.socket.timeout(10_000).emitWithAck('subscribe', { topics: to, ...(after === undefined ? {} : { after }) });
  return { ...opened, answer };
}

/** Something that every topic of a device and of all tells of. */
async function act(api: Api): Promise<void> {
  for (const [method, path, body] of [
    ['POST', `/devices/${DEVICE}/hold`, { reason: 'a walk' }],
    ['DELETE', `/devices/${DEVICE}/hold`, undefined],
    ['POST', `/devices/${DEVICE}/commands`, { type: 'ping' }],
  ] as const)
    await api(method, path, body);
}

test('the topics are those that are walked here', () => {
  expect(topicKinds()).toEqual(['devices', 'integrations', 'events', 'device:…', 'rollout:…']);
});

test.each(['websocket', 'polling'] as const)('over %s, nothing but a valid API token opens a connection', async (transport) => {
  const revoked = (await ours('POST', '/tokens', { name: 'revoked', role: 'admin' })).body;
  await ours('DELETE', `/tokens/${revoked.id}`);
  const { apiKey } = (await ours('POST', `/devices/${DEVICE}/keys`)).body;
  const enrolment = (await ours('POST', '/enrolment-tokens', {})).body.token;
  const bad = [undefined, null, '', 'bwt_', mintToken('token'), revoked.token, apiKey, enrolment, [ADMIN_TOKEN], { token: ADMIN_TOKEN }];
  for (const token of bad) await expect(open(token, transport), String(token)).rejects.toThrow('unauthorized');
  await expect(open('x'.repeat(5_000), transport)).rejects.toThrow('unauthorized');
});

test('on no topic a stranger who knows our ids hears of us, live or replayed; we hear on each', async () => {
  const viewer = await tokenOf('default', 'viewer');
  const rolloutId = topics.at(-1)?.replace('rollout:', '') ?? '';
  for (const topic of topics) {
    const we = await listen(viewer, [topic], 0);
    const [live, replayed] = [await listen(theirToken, [topic]), await listen(theirToken, [topic], 0)];
    for (const { answer } of [we, live, replayed]) expect(answer).toMatchObject({ ok: true });
    await act(ours);
    if (topic !== 'integrations') await eventually(`we hear on ${topic}`, async () => we.seen.length > 0);
    // Of their own they hear, which comes after all that they might have heard of us.
    const witness = await listen(theirToken, ['events']);
    await act(theirs);
    await eventually('they hear of themselves', async () => witness.seen.some(({ body }) => body.type === 'command.queued'));
    const organizations = new Set([...live.seen, ...replayed.seen].map(({ body }) => body.organizationId).filter((id) => id !== undefined));
    const [own] = await service.database.sql<{ id: string }[]>`select id from organizations where name = 'others'`;
    expect([topic, [...organizations].filter((id) => id !== own?.id)]).toEqual([topic, []]);
    expect(JSON.stringify([live.seen, replayed.seen])).not.toContain(rolloutId);
  }
});

test('the least role hears what it may read, event by event, and nothing more', async () => {
  const viewer = await tokenOf('default', 'viewer');
  const { seen, answer } = await listen(viewer, ['events'], 0);
  const { items } = (await service.apiAs(viewer)('GET', `/events?limit=500`)).body;
  const read = items.filter(({ cursor }: { cursor: number }) => cursor <= answer.cursor);
  await eventually('all were replayed', async () => seen.filter(({ name }) => name === 'event').length >= read.length);
  expect(seen.filter(({ name, body }) => name === 'event' && (body.cursor ?? 0) <= answer.cursor).map(({ body }) => body)).toEqual(read);
});

test('on every topic, a token that is revoked ends its connection at once and never opens another', async () => {
  for (const topic of topics) {
    const minted = (await ours('POST', '/tokens', { name: topic, role: 'viewer' })).body;
    const { socket, seen } = await listen(minted.token, [topic]);
    const ended = new Promise<string>((resolve) => socket.once('disconnect', resolve));
    await ours('DELETE', `/tokens/${minted.id}`);
    expect(await ended).toBe('io server disconnect');
    expect(seen.at(-1)).toMatchObject({ name: 'closing', body: { code: 'unauthorized' } });
    const heard = seen.length;
    const witness = await listen(ADMIN_TOKEN, ['events']);
    await act(ours);
    await eventually('others still hear', async () => witness.seen.some(({ body }) => body.type === 'command.queued'));
    expect([topic, seen.length]).toEqual([topic, heard]);
    await expect(open(minted.token)).rejects.toThrow('unauthorized');
  }
});
