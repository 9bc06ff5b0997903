import { expect, test } from 'vitest';
import { closeOnce, createOpened } from '../../src/async/lifecycle.ts';

test('two calls of close() close once, and both wait for the end', async () => {
  const gate = Promise.withResolvers<void>();
  let times = 0;
  const close = closeOnce(() => {
    times += 1;
    return gate.promise;
  });
  const both = [close(), close()];
  gate.resolve();
  await Promise.all(both);
  expect(times).toBe(1);
});

test('opened resources close in reverse order, one after the other, also after one fails', async () => {
  const [seen, errors]: [string[], unknown[]] = [[], []];
  const opened = createOpened((error) => errors.push(error));
  const thing = (name: string) => ({
    close: async () => {
      seen.push(`${name} closes`);
      await new Promise((resolve) => setImmediate(resolve));
      seen.push(`${name} closed`);
    },
  });
  const first = thing('first');
  expect(opened.add(first)).toBe(first);
  opened.onClose(() => {
    throw new Error('stuck');
  });
  opened.add(thing('last'));
  await Promise.all([opened.close(), opened.close()]);
  expect(seen).toEqual(['last closes', 'last closed', 'first closes', 'first closed']);
  expect(errors).toEqual([new Error('stuck')]);
});
