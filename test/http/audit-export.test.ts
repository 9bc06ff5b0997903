import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { exportText } from '../../src/audit/export.ts';
import type { AuditEntry } from '../../src/audit/store.ts';
import { hashToken, last4, mintToken } from '../../src/crypto/tokens.ts';
import { newId } from '../../src/ids.ts';
import { csvRecords } from '../../src/inventory/csv.ts';
import { ensureOrganization, insertToken } from '../../src/organization/store.ts';
import { openServer, run, TOKEN } from '../cli/server.ts';
import { ADMIN_TOKEN, openService, type TestService } from '../support/service.ts';

const ROWS = 12_345;

let service: TestService;
beforeAll(async () => {
  service = await openService({ ROLE: 'api' });
  const { sql } = service.database;
  await sql`
    insert into audit (organization_id, at, actor, action, subject, outcome, detail)
    select o.id, '2026-01-01'::timestamptz + n * interval '1 minute', 'token:old', 'device.change', 'device:d' || n % 7, 'ok', jsonb_build_object('n', n)
    from organizations o, generate_series(0, ${ROWS - 1}) n where o.name = 'default' order by n`;
});
afterAll(() => service.close());

async function download(query: string, token = ADMIN_TOKEN): Promise<{ response: Response; text: string }> {
  const response = await fetch(`${service.url}/api/v1/audit/export${query}`, { headers: { authorization: `Bearer ${token}` } });
  return { response, text: await response.text() };
}

function entriesOf(text: string): { id: number; detail: { n?: number }; action: string; subject: string; at: string }[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

async function tokenOf(organization: string, role: 'viewer' | 'operator' | 'admin'): Promise<string> {
  const { sql } = service.database;
  const token = mintToken('token');
  const id = await ensureOrganization(sql, newId(), organization);
  await insertToken(sql, id, { id: newId(), name: role, role, hash: hashToken(token), last4: last4(token) });
  return token;
}

describe('GET /audit/export', () => {
  test('returns every entry once, oldest first, and audits itself', async () => {
    const { response, text } = await download('');
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('application/x-ndjson');
    expect(response.headers.get('content-disposition')).toMatch(/^attachment; filename="audit-\d{4}-\d\d-\d\d\.jsonl"$/);
    const entries = entriesOf(text);
    expect(entries.slice(0, ROWS).map(({ detail }) => detail.n)).toEqual(Array.from({ length: ROWS }, (_, n) => n));
    expect(entries.at(-1)).toMatchObject({ action: 'audit.export', detail: { format: 'jsonl' } });
    const stored = await service.database.sql<{ id: number }[]>`select id from audit order by id`;
    expect(entries.map(({ id }) => id)).toEqual(stored.map(({ id }) => id));
  });

  test('has the fields of the list, entry by entry', async () => {
    const [newest] = (await service.api('GET', '/audit?limit=1')).body.items;
    const { text } = await download('');
    expect(entriesOf(text).find(({ id }) => id === newest.id)).toEqual(newest);
  });

  test('returns the entries from `after` until before `before`, and those of one subject', async () => {
    const numbers = async (query: string) => entriesOf((await download(query)).text).map(({ detail }) => detail.n);
    expect(await numbers('?after=2026-01-01T00:03:00Z&before=2026-01-01T00:06:00Z')).toEqual([3, 4, 5]);
    expect(await numbers('?after=2026-01-01T01:03:00%2B01:00&before=2026-01-01T00:05:00Z')).toEqual([3, 4]);
    expect(await numbers('?before=2026-01-02&subject=device:d6')).toEqual(Array.from({ length: 205 }, (_, n) => 6 + n * 7));
    expect((await download('?before=2025-01-01')).text).toBe('');
  });

  test('returns CSV with a header', async () => {
    const { response, text } = await download('?format=csv&before=2026-06-01');
    expect(response.headers.get('content-type')).toBe('text/csv; charset=utf-8');
    const records = [];
    for await (const { fields } of csvRecords(chunksOf(text))) records.push(fields);
    expect(records).toHaveLength(ROWS + 1);
    expect(records[0]).toEqual(['id', 'at', 'actor', 'action', 'subject', 'outcome', 'commit', 'detail']);
    expect(records[2]?.slice(1)).toEqual(['2026-01-01T00:01:00.000Z', 'token:old', 'device.change', 'device:d1', 'ok', '', '{"n":1}']);
  });

  test('is for admins, and shows each their own organization', async () => {
    for (const role of ['viewer', 'operator'] as const) {
      const { response, text } = await download('', await tokenOf('default', role));
      expect([response.status, JSON.parse(text).code]).toEqual([403, 'forbidden']);
    }
    const { text } = await download('', await tokenOf('others', 'admin'));
    expect(entriesOf(text).map(({ action }) => action)).toEqual(['audit.export']);
  });

  test('refuses an invalid time or format before it sends anything', async () => {
    for (const query of ['?after=yesterday', '?before=2026-13-01', '?format=xml', '?after=0000-01-01T00:00:00Z']) {
      const { response, text } = await download(query);
      expect([query, response.status, JSON.parse(text).code]).toEqual([query, 400, 'invalid_request']);
    }
  });
});

async function* chunksOf(text: string): AsyncGenerator<string> {
  yield text;
}

describe('exportText', () => {
  const entry = (id: number, over: Partial<AuditEntry> = {}): AuditEntry => ({
    ...{
      organizationId: 'o',
      id,
      at: new Date(0),
      actor: 'token:a',
      action: 'x',
      subject: 's',
      outcome: 'ok',
      commitOid: null,
      detail: {},
    },
    ...over,
  });

  test('loads a batch when the last one was read, and none after the reader disconnects', async () => {
    const asked: number[] = [];
    const endless = async (afterId: number) => {
      asked.push(afterId);
      return [entry(afterId + 1), entry(afterId + 2)];
    };
    const reader = (await exportText('jsonl', endless)).getReader();
    await reader.read();
    await reader.read();
    expect(asked.length).toBeLessThanOrEqual(4);
    const before = asked.length;
    await reader.cancel();
    expect(asked.length).toBeLessThanOrEqual(before + 1);
  });

  test('ends the text as broken when an error occurs, never as complete', async () => {
    const failing = async (afterId: number) => {
      if (afterId > 0) throw new Error('the database is away');
      return [entry(1)];
    };
    await expect(new Response(await exportText('jsonl', failing)).text()).rejects.toThrow();
  });

  test('quotes CSV fields with separators, and escapes texts that a spreadsheet would run as a formula', async () => {
    const actors = ['=1+1', '+1', '-1', '@x', '\tx', 'a,"b"\n', 'plain'];
    const once = async (afterId: number) => (afterId === 0 ? actors.map((actor, at) => entry(at + 1, { actor })) : []);
    const text = await new Response(await exportText('csv', once)).text();
    const fields = [];
    for await (const record of csvRecords(chunksOf(text))) fields.push(record.fields[2]);
    expect(fields).toEqual(['actor', "'=1+1", "'+1", "'-1", "'@x", "'\tx", 'a,"b"\n', 'plain']);
  });
});

describe('bellwether audit export', () => {
  const env = () => ({ BELLWETHER_SERVER: service.url, BELLWETHER_TOKEN: ADMIN_TOKEN });

  test('writes to stdout, or into a file that only its owner can read', async () => {
    const span = ['--from', '2026-01-01T00:03:00Z', '--to', '2026-01-01T00:05:00Z'];
    const shown = await run(['audit', 'export', ...span], env());
    expect(entriesOf(shown.out).map(({ detail }) => detail.n)).toEqual([3, 4]);
    const folder = await mkdtemp(join(tmpdir(), 'bellwether-audit-'));
    const file = join(folder, 'audit.csv');
    const written = await run(['audit', 'export', '--format', 'csv', '--to', '2026-06-01', '-o', file], env());
    expect([written.code, written.out]).toEqual([0, '']);
    expect((await readFile(file, 'utf8')).trimEnd().split('\r\n')).toHaveLength(ROWS + 1);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    await rm(folder, { recursive: true });
  });

  test('reports a refusal, and leaves no file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'bellwether-audit-'));
    const refused = await run(['audit', 'export', '--from', 'yesterday', '-o', join(folder, 'audit')], env());
    expect(refused.code).toBe(1);
    expect(refused.err).toContain('/after');
    expect(await readdir(folder)).toEqual([]);
    await rm(folder, { recursive: true });
  });

  test('reports an interrupted export, and leaves no file that seems complete', async () => {
    const server = createServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/x-ndjson' }).write('{"id":1}\n', () => response.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const folder = await mkdtemp(join(tmpdir(), 'bellwether-audit-'));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const broken = await run(['audit', 'export', '-o', join(folder, 'audit')], { BELLWETHER_SERVER: url, BELLWETHER_TOKEN: TOKEN });
    expect([broken.code, broken.err]).toEqual([1, expect.stringContaining(`Cannot reach ${url}`)]);
    expect(await readdir(folder)).toEqual([]);
    await rm(folder, { recursive: true });
    await new Promise((resolve) => server.close(resolve));
  });

  test('`audit` without a subcommand still shows the list', async () => {
    await using server = Object.assign(await openServer(() => ({ body: { items: [], nextCursor: null } })), {
      async [Symbol.asyncDispose]() {
        await server.close();
      },
    });
    const listed = await run(['audit', '--limit', '3', '--subject', 'device:a'], {
      BELLWETHER_SERVER: server.url,
      BELLWETHER_TOKEN: TOKEN,
    });
    expect([listed.code, listed.out]).toEqual([0, 'none\n']);
    expect(server.seen.map(({ path, query }) => [path, query])).toEqual([['/audit', { subject: 'device:a', limit: '3' }]]);
  });
});

test('the database refuses to change or remove an entry', async () => {
  const { sql } = service.database;
  const before = await sql`select count(*) from audit`;
  await expect(sql`update audit set actor = 'somebody else'`).rejects.toThrow('audit is append-only');
  await expect(sql`delete from audit`).rejects.toThrow('audit is append-only');
  await expect(sql`truncate audit`).rejects.toThrow('audit is append-only');
  await expect(sql`truncate organizations cascade`).rejects.toThrow('audit is append-only');
  expect(await sql`select count(*) from audit`).toEqual(before);
});
