import { describe, expect, test } from 'vitest';
import { ACCOUNT, aComment } from '../support/forge-server.ts';
import { type ForgeCase, openForge } from './support.ts';

const ours = ({ state, marker }: ForgeCase) =>
  state.comments.filter(({ body, authorId }) => body.startsWith(marker) && authorId === ACCOUNT);
const writes = ({ server }: ForgeCase) => server.requests.filter(({ method }) => method !== 'GET').map(({ method }) => method);

describe.each(['gitlab', 'github', 'gitea'] as const)('the comment on a merge request at %s', (kind) => {
  test('is created once, then changed in place, and not written if the text is the same', async () => {
    await using host = await openForge(kind);
    const first = await host.forge.upsertComment(1, '## Plan\n\n3 devices');
    expect(host.state.comments).toEqual([
      expect.objectContaining({ mergeRequest: 1, body: `${host.marker}\n\n## Plan\n\n3 devices`, authorId: ACCOUNT }),
    ]);
    expect(first).toEqual({ id: String(host.state.comments[0]?.id), url: expect.stringContaining('/fleet/tills/'), posted: 'created' });
    expect(await host.forge.upsertComment(1, '## Plan\n\n4 devices')).toEqual({ ...first, posted: 'updated' });
    const written = writes(host).length;
    expect(await host.forge.upsertComment(1, '## Plan\n\n4 devices')).toEqual({ ...first, posted: 'unchanged' });
    expect(writes(host)).toHaveLength(written);
    expect(host.state.comments.map(({ body }) => body)).toEqual([`${host.marker}\n\n## Plan\n\n4 devices`]);
  });

  test('is found among hundreds of others, on any page', async () => {
    await using host = await openForge(kind);
    for (let at = 0; at < 230; at += 1) aComment(host.state, { body: `remark ${at}` });
    const { id } = await host.forge.upsertComment(1, 'one');
    for (let at = 0; at < 20; at += 1) aComment(host.state, { body: `remark ${at}` });
    expect(await host.forge.upsertComment(1, 'two')).toMatchObject({ id, posted: 'updated' });
    expect(ours(host).map(({ body }) => body)).toEqual([`${host.marker}\n\ntwo`]);
    expect(host.state.comments).toHaveLength(251);
  });

  test('is never another author’s comment, even if that begins with the marker or quotes it', async () => {
    await using host = await openForge(kind);
    const copies = [`${host.marker}\n\n0 devices, merge it`, `> ${host.marker}\n> really?`].map((body) => aComment(host.state, { body }));
    const before = structuredClone(copies);
    const { id } = await host.forge.upsertComment(1, '3 devices');
    await host.forge.upsertComment(1, '4 devices');
    expect(host.state.comments).toEqual([...before, expect.objectContaining({ id: Number(id), body: `${host.marker}\n\n4 devices` })]);
  });

  test('belongs to one source and one merge request', async () => {
    await using host = await openForge(kind);
    host.state.mergeRequests.push({ number: 2, head: 'b'.repeat(40), target: 'main', title: 'VLAN 8', open: true });
    aComment(host.state, { body: '<!-- bellwether:another-source -->\n\nplan', authorId: ACCOUNT });
    await host.forge.upsertComment(1, 'one');
    await host.forge.upsertComment(2, 'two');
    expect(ours(host).map(({ mergeRequest, body }) => [mergeRequest, body.split('\n').at(-1)])).toEqual([
      [1, 'one'],
      [2, 'two'],
    ]);
  });

  test('exists once after several concurrent calls', async () => {
    await using host = await openForge(kind);
    host.server.fault({ kind: 'together', method: 'GET', path: /comments|notes/, count: 4 });
    const posted = await Promise.all(['a', 'b', 'c', 'd'].map((text) => host.forge.upsertComment(1, text)));
    expect(writes(host).filter((method) => method === 'POST')).toHaveLength(4);
    expect(ours(host)).toHaveLength(1);
    expect(new Set(posted.map(({ id }) => id))).toEqual(new Set([String(ours(host)[0]?.id)]));
    await host.forge.upsertComment(1, 'e');
    expect(ours(host).map(({ body }) => body)).toEqual([`${host.marker}\n\ne`]);
  });

  test('exists once even if responses are lost, and old duplicates are removed', async () => {
    await using host = await openForge(kind);
    host.server.fault({ kind: 'lost', method: 'POST', count: 1 });
    expect(await host.forge.upsertComment(1, 'one')).toMatchObject({ posted: 'unchanged' });
    expect(ours(host)).toHaveLength(1);
    aComment(host.state, { body: `${host.marker}\n\nold`, authorId: ACCOUNT });
    host.server.fault({ kind: 'lost', method: 'DELETE', count: 1 });
    await host.forge.upsertComment(1, 'two');
    expect(ours(host).map(({ body }) => body)).toEqual([`${host.marker}\n\ntwo`]);
  });

  test('is created again if it is removed during an update', async () => {
    await using host = await openForge(kind);
    await host.forge.upsertComment(1, 'one');
    host.server.fault({
      kind: 'answer',
      status: 404,
      body: '{"message":"Not Found"}',
      method: kind === 'gitlab' ? 'PUT' : 'PATCH',
      count: 1,
    });
    expect(await host.forge.upsertComment(1, 'two')).toMatchObject({ posted: 'updated' });
    expect(ours(host).map(({ body }) => body)).toEqual([`${host.marker}\n\ntwo`]);
  });

  test('is shortened to the host’s limit', async () => {
    await using host = await openForge(kind);
    await host.forge.upsertComment(1, '🐑'.repeat(600_000));
    const [body = ''] = ours(host).map((comment) => comment.body);
    const most = kind === 'gitlab' ? 1_000_000 : 65_536;
    expect(body.length).toBeGreaterThan(most - 3);
    expect(body.length).toBeLessThanOrEqual(most);
    expect(body.endsWith('🐑…')).toBe(true);
  });

  test('fails on a missing merge request and with a token without permission', async () => {
    await using host = await openForge(kind);
    await expect(host.forge.upsertComment(404, 'x')).rejects.toMatchObject({
      code: 'forge_not_found',
      message: expect.stringContaining('merge request 404'),
    });
    host.state.tokens.reader = { accountId: 8, may: ['account'] };
    await expect(host.connect({ credentials: { token: 'reader' } }).upsertComment(1, 'x')).rejects.toMatchObject({
      code: 'forge_forbidden',
    });
    expect(host.state.comments).toEqual([]);
  });
});

test.each(['github', 'gitea'] as const)(
  'a token of %s without access to its account identifies the comment by the marker',
  async (kind) => {
    await using host = await openForge(kind);
    host.state.tokens.installation = { accountId: ACCOUNT, may: ['comment'] };
    const forge = host.connect({ credentials: { token: 'installation' } });
    const quote = aComment(host.state, { body: `> ${host.marker}\n> what is this?` });
    const before = structuredClone(quote);
    const { id } = await forge.upsertComment(1, 'one');
    expect(await forge.upsertComment(1, 'two')).toMatchObject({ id, posted: 'updated' });
    expect(host.state.comments).toEqual([before, expect.objectContaining({ id: Number(id), body: `${host.marker}\n\ntwo` })]);
  },
);
