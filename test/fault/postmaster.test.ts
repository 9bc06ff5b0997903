import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ADMIN_TOKEN, clientOf } from '../support/service.ts';
import { logLine, startServiceProcess } from '../support/service-process.ts';

test('when its own PostgreSQL is killed, the service logs it and ends for a restart, also when it took over a running database', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'bellwether-postmaster-'));
  // As root the database runs under another account, which must be able to enter the folder.
  await chmod(dir, 0o711);
  const output: string[] = [];
  const lines: Record<string, unknown>[] = [];
  const start = () =>
    startServiceProcess({ DATA_DIR: dir, BELLWETHER_ADMIN_TOKEN: ADMIN_TOKEN }, (line) => {
      output.push(line);
      lines.push(logLine(line));
    });
  const killPostmaster = async () => {
    const [pid] = (await readFile(join(dir, 'postgres', 'postmaster.pid'), 'utf8')).split('\n');
    process.kill(Number(pid), 'SIGKILL');
  };
  const failures = () =>
    lines.filter(({ level, failure }) => level === 'fatal' && /^the embedded PostgreSQL .* ended$/.test(String(failure)));

  const first = await start();
  await clientOf(first.url, ADMIN_TOKEN)('POST', '/sites', { name: 'north' });
  await killPostmaster();
  expect(await first.ended).toBe(1);
  expect(failures(), output.slice(-10).join('\n')).toHaveLength(1);

  const second = await start();
  process.kill(second.pid, 'SIGKILL');
  await second.ended;
  const third = await start();
  expect(lines.map(({ msg }) => msg)).toContain('took over the PostgreSQL that an earlier run left behind');
  await killPostmaster();
  expect(await third.ended).toBe(1);
  expect(failures(), output.slice(-10).join('\n')).toHaveLength(2);

  const fourth = await start();
  const { items } = (await clientOf(fourth.url, ADMIN_TOKEN)('GET', '/sites')).body;
  expect(items).toMatchObject([{ name: 'north' }]);
  await fourth.close();
  await rm(dir, { recursive: true, force: true });
});
