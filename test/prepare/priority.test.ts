import { readdir, readFile } from 'node:fs/promises';
import { getPriority } from 'node:os';
import { expect, test } from 'vitest';
import { openPreparer } from '../../src/prepare/preparer.ts';

/** Of each thread of this process: the 19th field of its stat file, proc(5). The name before the third may contain blanks. */
async function priorities(): Promise<number[]> {
  const threads = await readdir('/proc/self/task');
  const stats = await Promise.all(threads.map((thread) => readFile(`/proc/self/task/${thread}/stat`, 'utf8').catch(() => '')));
  return stats.filter((text) => text !== '').map((text) => Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[16]));
}

test.runIf(process.platform === 'linux')('a thread that prepares commits yields to the thread that answers requests', async () => {
  const own = getPriority();
  const yielding = async () => (await priorities()).filter((priority) => priority === own + 10).length;
  const before = await yielding();
  const preparer = openPreparer(1);
  try {
    const task = { path: '/nowhere', ref: 'main', commit: 'a'.repeat(40), layout: 'repo', previous: null, deadlineMs: 60_000 } as const;
    await expect(preparer.prepare({ organizationId: 'a', id: 'a' }, task)).rejects.toThrow();
    expect(await yielding()).toBeGreaterThan(before);
    expect(getPriority()).toBe(own);
  } finally {
    await preparer.close();
  }
});
