import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { EVENT_TYPES } from '../../src/wire/event/events.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Files that name types for what they are, not to emit them. */
const LISTS = /^src\/(?:event|live|wire)\b/;

test('every type in the list of events is emitted somewhere', async () => {
  const named = new Set<string>();
  for (const side of ['src', 'controller'])
    for (const entry of await readdir(join(ROOT, side), { recursive: true })) {
      const file = join(side, entry);
      if (!file.endsWith('.ts') || LISTS.test(file)) continue;
      for (const [, type = ''] of (await readFile(join(ROOT, file), 'utf8')).matchAll(/'([a-z_]+\.[a-z_]+)'/g)) named.add(type);
    }
  expect(EVENT_TYPES.length).toBeGreaterThan(50);
  expect(EVENT_TYPES.filter((type) => !named.has(type))).toEqual([]);
});
