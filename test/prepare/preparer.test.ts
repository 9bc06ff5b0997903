import { expect, test } from 'vitest';
import { openPreparer } from '../../src/prepare/preparer.ts';

test('work that is not wanted any more when its turn comes is not begun, and the next one has the turn', async () => {
  const preparer = openPreparer(1, 0);
  try {
    const task = { path: '/nowhere', ref: 'main', commit: 'a'.repeat(40), layout: 'repo', previous: null, deadlineMs: 60_000 } as const;
    const prepare = (begin?: () => Promise<void>) => preparer.prepare({ organizationId: 'a', id: 'a' }, task, undefined, begin);
    await expect(prepare(() => Promise.reject(new Error('the source is gone')))).rejects.toThrow('the source is gone');
    await expect(prepare(async () => undefined)).rejects.toThrow('/nowhere');
  } finally {
    await preparer.close();
  }
});
